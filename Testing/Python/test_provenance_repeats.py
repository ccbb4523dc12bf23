"""``run.json`` is enough to repeat a run, and the repetition gives the same labels bit for bit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import SimpleITK as sitk

import GliomaSegLib
from GliomaSegLib.cli import main
from GliomaSegLib.intake.reading import read_volume
from GliomaSegLib.provenance import fingerprint

PACKAGE_PARENT = Path(GliomaSegLib.__file__).resolve().parents[1]


def recorded(folder: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return data


def repeated(run: dict[str, Any], files: dict[str, Path], model: Path) -> list[str]:
    """The command that ``run.json`` describes; files and model are found by their checksums."""
    by_print = {fingerprint(read_volume(path, "t1")): path for path in files.values()}
    words = ["segment", "--model", str(model), "--progress", "none"]
    for role in run["sequences"]:
        words += [f"--{role}", str(by_print[run["inputs_sha256"][role]])]
    for option in ("device", "threads", "reference", "registration", "brain_mask", "precision"):
        words += [f"--{option.replace('_', '-')}", str(run[option])]
    if run["window"]:
        words += ["--window", str(run["window"])]
    return [*words, "--mirror" if run["mirror"] else "--no-mirror"]


@pytest.mark.parametrize("options", [["--mirror"], ["--window", "32"]], ids=["one pass", "windows"])
def test_run_json_repeats_the_run_bit_for_bit_in_another_process(
    segment_arguments: list[str],
    tiny_study: dict[str, Path],
    tiny_model: Path,
    tmp_path: Path,
    options: list[str],
) -> None:
    assert main([*segment_arguments, "--output", str(tmp_path / "a"), "--threads", "1", *options]) == 0
    run = recorded(tmp_path / "a")
    command = [*repeated(run, tiny_study, tiny_model), "--output", str(tmp_path / "b")]
    done = subprocess.run(
        [sys.executable, "-m", "GliomaSegLib", *command],
        env={**os.environ, "PYTHONPATH": str(PACKAGE_PARENT), "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    for name in ("segmentation.nii.gz", "segmentation.seg.nrrd", "measures.json", "measures.csv"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
    again = recorded(tmp_path / "b")
    for key in set(run) - {"finished", "stages", "seconds", "intake"}:
        assert again[key] == run[key], key


def test_a_fingerprint_is_of_the_picture_not_of_the_file(tiny_study: dict[str, Path], tmp_path: Path) -> None:
    image = sitk.ReadImage(str(tiny_study["t1c"]))
    sitk.WriteImage(image, str(tmp_path / "same.nrrd"))
    sitk.WriteImage(image, str(tmp_path / "same.mha"), useCompression=True)
    same = read_volume(tmp_path / "same.nrrd", "t1c")
    assert fingerprint(read_volume(tmp_path / "same.mha", "t1")) == fingerprint(same)
    image[3, 4, 5] = image[3, 4, 5] + 1
    sitk.WriteImage(image, str(tmp_path / "other.nrrd"))
    assert fingerprint(read_volume(tmp_path / "other.nrrd", "t1c")) != fingerprint(same)
    image[3, 4, 5] = image[3, 4, 5] - 1
    image.SetOrigin((0.0, 0.0, 0.0))
    sitk.WriteImage(image, str(tmp_path / "moved.nrrd"))
    assert fingerprint(read_volume(tmp_path / "moved.nrrd", "t1c")) != fingerprint(same)
