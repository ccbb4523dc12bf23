"""The benchmark that tells what each missing sequence costs."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from samples import CHECKOUT

from GliomaSegLib.training.cases import SUFFIXES, find_cases


def test_every_case_is_scored_whole_and_without_each_sequence(
    tiny_study: dict[str, Path], tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(CHECKOUT / "Testing" / "Benchmarks"))
    import missing_sequences

    case = "BraTS-GLI-00001-100"
    folder = tmp_path / "data" / case
    folder.mkdir(parents=True)
    for role, path in tiny_study.items():
        shutil.copy(path, folder / f"{case}{SUFFIXES['brats2024'][role]}.nii.gz")
    labels = np.zeros((40, 40, 40), np.uint8)
    labels[15:25, 15:25, 15:25] = 3
    image = sitk.GetImageFromArray(labels)
    image.CopyInformation(sitk.ReadImage(str(tiny_study["t1c"])))
    sitk.WriteImage(image, str(folder / f"{case}-seg.nii.gz"))
    cases = missing_sequences.complete(find_cases([tmp_path / "data"]))
    assert [each.name for each in cases] == [case]
    found = missing_sequences.scored(cases, "real", {case}, str(tiny_model), tmp_path / "out")
    assert list(found) == ["", "t1", "t1c", "t2", "flair"]
    volumes = {missing: rows[0].scores["WT"].prediction_ml for missing, rows in found.items()}
    assert len(set(volumes.values())) > 1, "leaving out a sequence changes nothing"
    lines = missing_sequences.cost_table(found).splitlines()
    assert len(lines) == 2 + 5
    assert lines[2].startswith("| real, seen in training | all four |") and "+0.000, n=1" in lines[2]
    assert lines[4].startswith("| real, seen in training | without T1c |")
    # The label map holds no cavity: nothing to lose.
    assert all(line.endswith("| - |") for line in lines[2:])
