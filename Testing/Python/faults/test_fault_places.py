"""Full disks, places that can't be written, two runs into one folder, little memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from GliomaSegLib.cli import main
from GliomaSegLib.evaluation.phantom import write_phantoms
from GliomaSegLib.pipeline import DICOM_SEG, RESULT_FILES
from GliomaSegLib.training.cases import find_cases

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX limits and forks")

Item = Callable[..., dict[str, Any]]
WHOLE = sorted(f"r/{name}" for name in RESULT_FILES if name != DICOM_SEG)
GB = 10**9


def test_a_file_that_can_not_grow_is_a_sentence_and_leaves_nothing(run_with_faults: Any, item: Item) -> None:
    limits = [100, 700, 3000, 20_000]
    answers = run_with_faults([item(file_bytes=limit) for limit in limits])
    for limit, one in zip(limits, answers, strict=True):
        assert one["codes"] == [2], (limit, one["said"])
        assert "n't be written" in one["said"][0] or "could not be written" in one["said"][0]
        assert "Traceback" not in one["said"][0]
        assert one["left"] == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 40 kB; skips where none may be mounted."""
    place = tmp_path / "out" / "disk"
    place.mkdir(parents=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=40k", "tmpfs", str(place)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("no small file system may be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_is_a_sentence_and_leaves_nothing_on_it(
    run_with_faults: Any, segment_arguments: list[str], small_disk: Path
) -> None:
    words = [*segment_arguments, "--output", str(small_disk / "r")]
    (one,) = run_with_faults([{"arguments": words, "watch": str(small_disk)}])
    said = one["said"][0]
    assert one["codes"] == [2] and ("full" in said or "n't be written" in said), said
    assert "Traceback" not in one["said"][0]
    assert one["left"] == []


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="only Linux has a place that nobody can write to")
def test_a_place_that_can_not_be_written_is_a_sentence(run_with_faults: Any, item: Item) -> None:
    elsewhere = item()
    elsewhere["arguments"][elsewhere["arguments"].index("--output") + 1] = "/proc/gliomaseg/r"
    (one,) = run_with_faults([elsewhere])
    assert one["codes"] == [2] and "Traceback" not in one["said"][0]
    assert "can't be written there" in one["said"][0] or "could not be written" in one["said"][0]


def test_two_runs_into_one_new_folder_give_one_whole_result(run_with_faults: Any, item: Item) -> None:
    (one,) = run_with_faults([item(copies=2)])
    assert sorted(one["codes"]) == [0, 2], one["said"]
    refused = one["said"][one["codes"].index(2)]
    assert "The folder r holds a result" in refused
    assert sorted(one["left"]) == ["r", *WHOLE]


def test_two_runs_that_overwrite_leave_the_files_of_one(
    run_with_faults: Any, item: Item, tmp_path: Path
) -> None:
    (one,) = run_with_faults([item("--overwrite", copies=2)])
    assert one["codes"] == [0, 0], one["said"]
    assert sorted(one["left"]) == ["r", *WHOLE]
    json.loads((tmp_path / "out/r/run.json").read_text())


@pytest.mark.parametrize("words", ["Failed to allocate memory for image.", "std::bad_alloc"])
def test_memory_that_runs_out_in_any_library_is_a_sentence(
    segment_arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: str,
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError(words)

    monkeypatch.setattr("GliomaSegLib.intake.preparation.resample", broken)
    assert main([*segment_arguments, "--output", str(tmp_path / "r")]) == 5
    assert capsys.readouterr().err == "Memory ran out: close other programs and run again.\n"
    assert not (tmp_path / "r").exists()


@pytest.fixture(scope="module")
def brats_size(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """``segment`` with the bundled model and a simulated case of 182x218x182 voxels."""
    folder = tmp_path_factory.mktemp("brats")
    write_phantoms(folder, 1, 31)
    images = find_cases([folder])[0].images
    volumes = [word for role, path in images.items() for word in (f"--{role}", str(path))]
    return ["segment", *volumes, "--device", "cpu", "--progress", "none"]


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("engine", ["openvino", "torch"])
def test_four_gigabytes_of_memory_suffice(
    run_with_faults: Any, brats_size: list[str], tmp_path: Path, engine: str
) -> None:
    words = [*brats_size, "--engine", engine, "--output", str(tmp_path / "r")]
    (one,) = run_with_faults([{"arguments": words, "watch": str(tmp_path), "memory_bytes": 4 * GB}])
    assert one["codes"] == [0], one["said"]
    assert sorted(one["left"]) == ["r", *WHOLE]


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("gigabytes", [0.9, 1.3, 1.8, 2.4])
def test_too_little_memory_is_a_sentence_or_windows(
    run_with_faults: Any, brats_size: list[str], tmp_path: Path, gigabytes: float
) -> None:
    words = [*brats_size, "--engine", "torch", "--output", str(tmp_path / "r")]
    (one,) = run_with_faults(
        [{"arguments": words, "watch": str(tmp_path), "memory_bytes": int(gigabytes * GB)}]
    )
    assert one["codes"][0] in (0, 5), (one["codes"], one["said"])
    assert "Traceback" not in one["said"][0]
    if one["codes"] == [5]:
        assert "emory" in one["said"][0] and one["left"] == []
    else:
        assert sorted(one["left"]) == ["r", *WHOLE]


def test_nothing_of_a_fault_reaches_the_input(
    run_with_faults: Any, item: Item, tiny_study: dict[str, Path]
) -> None:
    before = {role: (path.stat().st_mtime_ns, path.read_bytes()) for role, path in tiny_study.items()}
    run_with_faults([item(file_bytes=3000), item(signal="SIGKILL", delay=0.2)])
    assert {role: (path.stat().st_mtime_ns, path.read_bytes()) for role, path in tiny_study.items()} == before
    assert all(not name.endswith(".part") for name in os.listdir(next(iter(tiny_study.values())).parent))
