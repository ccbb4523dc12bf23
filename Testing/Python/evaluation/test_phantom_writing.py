"""Phantoms on disk: BraTS 2024 names that ``evaluate`` finds, and a note that says they are simulated."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from GliomaSegLib.errors import OutputRefused
from GliomaSegLib.evaluation.cases import label_map_files, read_case_labels
from GliomaSegLib.evaluation.phantom import render_phantom, write_phantoms
from GliomaSegLib.evaluation.phantom.writing import phantom_seed

pytest.importorskip("nilearn", reason="the ICBM152 brain comes with nilearn")
COARSE_MM = 5.0


def test_two_phantoms_as_a_reference_folder(tmp_path: Path) -> None:
    folder = tmp_path / "phantoms"
    told: list[tuple[int, int, str]] = []
    names = write_phantoms(folder, 2, 4, spacing_mm=COARSE_MM, tell=lambda *state: told.append(state))
    assert names == ("BraTS-GLI-80000-100", "BraTS-GLI-80001-100")
    assert told == [(1, 2, names[0]), (2, 2, names[1])]
    found = label_map_files(folder)
    assert sorted(found) == list(names)
    expected = render_phantom(phantom_seed(4, 1), spacing_mm=COARSE_MM)
    labels, grid = read_case_labels(found[names[1]])
    assert np.array_equal(labels, expected.labels) and grid.matches(expected.grid)
    for role, suffix in (("t1", "t1n"), ("t1c", "t1c"), ("t2", "t2w"), ("flair", "t2f")):
        image = sitk.ReadImage(str(folder / names[1] / f"{names[1]}-{suffix}.nii.gz"))
        assert np.array_equal(sitk.GetArrayFromImage(image), expected.volumes[role])
    note = json.loads((folder / "phantoms.json").read_text(encoding="utf-8"))
    assert note["simulated"] is True and note["anatomy"] == "ICBM152"
    assert note["cases"][1]["seed"] == phantom_seed(4, 1)
    millilitres = (expected.labels == 4).sum() * expected.grid.voxel_ml
    assert note["cases"][1]["volume_ml"]["RC"] == pytest.approx(millilitres, abs=1e-3)
    with pytest.raises(OutputRefused, match="phantoms"):
        write_phantoms(folder, 1, 4, spacing_mm=COARSE_MM)


def test_seeds_of_a_set_do_not_depend_on_its_size_and_differ() -> None:
    seeds = [phantom_seed(s, k) for s in range(5) for k in range(20)]
    assert len(set(seeds)) == 100
    assert phantom_seed(1, 3) == phantom_seed(1, 3)
