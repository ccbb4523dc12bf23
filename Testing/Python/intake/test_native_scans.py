"""Scans straight from the scanner, by DICOM and by NIfTI, through the whole path with the bundled model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pydicom", reason="pydicom is not installed")
pytest.importorskip("deepbet", reason="deepbet is not installed")

import SimpleITK as sitk
from dicom_files import write_classic, write_enhanced

from GliomaSegLib.cli import main
from GliomaSegLib.errors import GliomaSegError
from GliomaSegLib.intake.volume import Grid
from GliomaSegLib.model.weights import DEFAULT_MODEL, find_model
from GliomaSegLib.pipeline import NIFTI, UNCERTAINTY

pytestmark = [pytest.mark.long, pytest.mark.data, pytest.mark.timeout(900)]

FILES = {"t1": "T1W", "t2": "T2W", "flair": "FLAIR"}
DESCRIPTIONS = {"t1": "t1_se_tra", "t2": "t2_tse_tra", "flair": "t2_flair_tra"}
SAME_LABELS = 0.9999
LESION_FACTOR = {"t1": 0.7, "t2": 1.6, "flair": 2.2}
LESION_OFFSET_MM, LESION_RADIUS_MM = (28.0, 5.0, 15.0), 15.0
"""A simulated ball of hyperintensity left of the middle of the head: these people have no tumour."""


@pytest.fixture(scope="module")
def bundled_model() -> str:
    """The name of the bundled model; skips where it is not there yet."""
    try:
        find_model(DEFAULT_MODEL)
    except GliomaSegError as error:
        pytest.skip(f"the bundled model is not here: {error}")
    return DEFAULT_MODEL


@pytest.fixture(scope="module")
def scans(data_folder: Path) -> dict[str, tuple[np.ndarray, Grid]]:
    """Stored integers and grids of one visit with skull and a simulated lesion, by role."""
    folder = data_folder / "openms" / "native" / "patient01"
    found = {}
    for role, name in FILES.items():
        image = sitk.ReadImage(str(folder / f"study1_{name}.nii.gz"))
        stored = sitk.GetArrayFromImage(image)
        assert stored.max() < 2**15 and np.issubdtype(stored.dtype, np.integer)
        found[role] = (stored.astype(np.int16), Grid.of_image(image))
    middle = found["flair"][1].corners_lps_mm().mean(axis=0)
    return {
        role: (with_lesion(stored, grid, middle, LESION_FACTOR[role]), grid)
        for role, (stored, grid) in found.items()
    }


def with_lesion(stored: np.ndarray, grid: Grid, middle: np.ndarray, factor: float) -> np.ndarray:
    """The integers (z, y, x) with those of a ball near ``middle`` (LPS mm) multiplied by ``factor``."""
    index = np.indices(stored.shape).reshape(3, -1)[::-1]
    matrix = grid.index_to_lps()
    points = matrix[:3, :3] @ index + matrix[:3, 3:]
    centre = (middle + LESION_OFFSET_MM)[:, None]
    inside = (np.linalg.norm(points - centre, axis=0) < LESION_RADIUS_MM).reshape(stored.shape)
    return np.where(inside, np.rint(stored * factor), stored).astype(np.int16)


def segmented(inputs: list[str], model: str, output: Path) -> tuple[np.ndarray, np.ndarray, dict]:
    """Labels, uncertainty in per cent and ``run.json``."""
    words = ["--model", model, "--output", str(output), "--device", "cpu", "--progress", "none"]
    assert main(["segment", *inputs, *words]) == 0
    run = json.loads((output / "run.json").read_text())
    print(output.name, {stage["stage"]: stage["seconds"] for stage in run["stages"]})
    labels, uncertainty = (
        sitk.GetArrayFromImage(sitk.ReadImage(str(output / name))).astype(int)
        for name in (NIFTI, UNCERTAINTY)
    )
    return labels, uncertainty, run


def test_dicom_classic_and_enhanced_give_the_labels_of_nifti(
    scans: dict[str, tuple[np.ndarray, Grid]], bundled_model: str, tmp_path: Path
) -> None:
    inputs: dict[str, list[str]] = {
        "nifti": [],
        "classic": ["--study", str(tmp_path / "exam")],
        "enhanced": [],
    }
    for number, (role, (stored, grid)) in enumerate(scans.items(), 1):
        nifti, multi_frame = tmp_path / f"{role}.nii.gz", tmp_path / f"{role}.dcm"
        sitk.WriteImage(grid.image(stored), str(nifti))
        tags = {"SeriesNumber": number, "SeriesDescription": DESCRIPTIONS[role]}
        write_classic(tmp_path / "exam", stored, grid, prefix=role, **tags)
        interleaved = [*range(0, len(stored), 2), *range(1, len(stored), 2)]
        write_enhanced(multi_frame, stored, grid, interleaved, (1.0, 0.0), **tags)
        inputs["nifti"] += [f"--{role}", str(nifti)]
        inputs["enhanced"] += [f"--{role}", str(multi_frame)]
    results = {name: segmented(words, bundled_model, tmp_path / name) for name, words in inputs.items()}
    expected, unsure, run = results["nifti"]
    assert run["reference"] == "flair" and run["intake"]["brain_mask"]["source"] == "deepbet"
    assert expected.shape == scans["flair"][0].shape
    assert expected.any() and unsure.any(), "two empty results would agree whatever was read"
    for name in ("classic", "enhanced"):
        labels, its_unsure, _ = results[name]
        same, near = (labels == expected).mean(), (abs(its_unsure - unsure) <= 1).mean()
        print(f"{name}: same label {same:.6f}, same uncertainty {near:.6f}, {np.bincount(expected.ravel())}")
        assert same >= SAME_LABELS and near >= SAME_LABELS, name
