"""Fields of view that hold less than a head, and thick slices: each is right, or refused with a sentence."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from GliomaSegLib.cli import main
from GliomaSegLib.intake.alignment import register
from GliomaSegLib.intake.brain import brain_mask
from GliomaSegLib.intake.preparation import InputSpec, prepare
from GliomaSegLib.intake.volume import ROLES, Grid, Study, Volume

UPRIGHT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
SPEC = InputSpec(spacing_mm=(4.0, 4.0, 4.0))
BRAIN_MM, SKULL_MM = (65.0, 82.0, 62.0), ((72.0, 89.0, 69.0), (80.0, 98.0, 78.0))


def grid_of(slices: int, slice_mm: float, bottom_mm: float, in_plane_mm: float = 4.0) -> Grid:
    """Axial slices from ``bottom_mm`` upwards; the brain's centre is 0."""
    across, along = round(172 / in_plane_mm), round(208 / in_plane_mm)
    spacing = (in_plane_mm, in_plane_mm, slice_mm)
    origin = (-in_plane_mm * (across - 1) / 2, -in_plane_mm * (along - 1) / 2, bottom_mm)
    return Grid((slices, along, across), spacing, origin, UPRIGHT)


WHOLE = grid_of(40, 4.0, -78.0)
FIELDS = {
    "20 slices of 3 mm": grid_of(20, 3.0, -30.0),
    "cut off at the top": grid_of(28, 4.0, -78.0),
    "7 mm slices": grid_of(22, 7.0, -74.0),
    "7 mm in every direction": grid_of(22, 7.0, -74.0, 7.0),
    "5 slices of 7 mm": grid_of(5, 7.0, -14.0),
}


def ellipsoid(
    grid: Grid, axes_mm: tuple[float, float, float], about: tuple[float, ...] = (0, 0, 0)
) -> np.ndarray:
    index = np.indices(grid.shape).reshape(3, -1)[::-1]
    matrix = grid.index_to_lps()
    points = matrix[:3, :3] @ index + matrix[:3, 3:] - np.reshape(about, (3, 1))
    return (((points / np.reshape(axes_mm, (3, 1))) ** 2).sum(axis=0) < 1).reshape(grid.shape)


def scan(role: str, grid: Grid, skull: bool = False) -> Volume:
    """A brain with ventricles and a bright lesion, scalp around it when asked."""
    place = ROLES.index(role)
    rng = np.random.default_rng(place)
    values = np.where(ellipsoid(grid, BRAIN_MM), 400.0 + 60 * place, 0.0)
    for side in (-14, 14):
        values[ellipsoid(grid, (9, 30, 14), (side, 0, 4))] = (80, 90, 900, 60)[place]
    values[ellipsoid(grid, (14, 14, 14), (-34, 12, 8))] = (250, 800, 800, 850)[place]
    if skull:
        inner, outer = SKULL_MM
        values[ellipsoid(grid, outer) & ~ellipsoid(grid, inner)] = 900.0
    noisy = values + rng.normal(0, 8, grid.shape) * (values > 0)
    return Volume(noisy.astype(np.float32), grid, role, f"{role} (scan)")


@pytest.mark.parametrize("grid", FIELDS.values(), ids=FIELDS)
def test_the_brain_in_the_field_is_found_and_nothing_else(grid: Grid) -> None:
    study = Study({role: scan(role, grid) for role in ROLES}, "t1c")
    assert brain_mask(study).source == "stripped"
    prepared = prepare(study, SPEC)
    truth = ellipsoid(prepared.grid, BRAIN_MM)
    overlap = 2 * (truth & prepared.brain).sum() / (truth.sum() + prepared.brain.sum())
    # Half a voxel of 7 mm at the rim alone costs 0.07.
    assert overlap > 0.92
    assert np.isfinite(prepared.array).all() and set(prepared.present) == set(ROLES)


@pytest.mark.parametrize("name", ["20 slices of 3 mm", "cut off at the top"])
def test_extraction_in_a_part_of_a_head_adds_no_brain_at_the_cut(name: str) -> None:
    grid = FIELDS[name]
    study = Study({"t1": scan("t1", grid, skull=True)}, "t1")
    truth = ellipsoid(grid, BRAIN_MM)

    def extractor(picture: np.ndarray) -> np.ndarray:
        right_front_head = sitk.DICOMOrient(grid.image(truth.astype(np.float32)), "RAS")
        return sitk.GetArrayFromImage(right_front_head).transpose(2, 1, 0)

    found = brain_mask(study, extractor=extractor)
    assert found.source == "deepbet" and found.mask is not None
    assert found.volume_ml == pytest.approx(truth.sum() * grid.voxel_ml, rel=0.02)


@pytest.mark.parametrize("name", ["20 slices of 3 mm", "cut off at the top", "7 mm slices"])
def test_one_sequence_of_a_smaller_field_stays_in_its_place(name: str) -> None:
    found = register(scan("t1c", WHOLE, skull=True), scan("flair", FIELDS[name], skull=True))
    assert not found.moved or (found.shift_mm < 2.0 and found.angle_deg < 2.0)
    assert found.warnings == ()


@pytest.mark.parametrize("name", FIELDS)
def test_segment_gives_labels_on_the_field_itself(name: str, tiny_model: Path, tmp_path: Path) -> None:
    grid = FIELDS[name]
    words = ["segment", "--model", str(tiny_model), "--device", "cpu", "--progress", "none"]
    for role in ROLES:
        path = tmp_path / f"{role}.nii.gz"
        sitk.WriteImage(scan(role, grid).image(), str(path))
        words += [f"--{role}", str(path)]
    assert main([*words, "--output", str(tmp_path / "out")]) == 0
    labels = sitk.ReadImage(str(tmp_path / "out" / "segmentation.nii.gz"))
    assert Grid.of_image(labels).matches(grid)
    # A voxel of the network's is 4 mm; labels may reach over the brain's rim by one of them.
    reach = tuple(axis + 8.0 for axis in BRAIN_MM)
    assert not sitk.GetArrayFromImage(labels)[~ellipsoid(grid, reach)].any()
    warnings = json.loads((tmp_path / "out" / "run.json").read_text())["warnings"]
    if grid.shape[0] < 6:
        assert warnings and all("too few slices to align by" in warning for warning in warnings)
    else:
        assert warnings == []


def test_a_field_with_hardly_any_brain_is_refused_with_a_sentence(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "top.nii.gz"
    sitk.WriteImage(scan("flair", grid_of(20, 1.0, 52.0)).image(), str(path))
    words = ["segment", "--flair", str(path), "--model", str(tiny_model), "--device", "cpu"]
    assert main([*words, "--progress", "none", "--output", str(tmp_path / "out")]) == 3
    told = capsys.readouterr().err
    assert "No brain was found in FLAIR (top.nii.gz)" in told and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("shape", "spacing_mm", "words"),
    [
        ((2, 2, 2), 1.0, "covers only 0 ml, less than any brain"),
        ((8, 8, 8), 1.0, "covers only 1 ml, less than any brain"),
        ((40, 40, 40), 0.4, "covers only 4 ml, less than any brain"),
    ],
    ids=["2 voxels", "8 voxels", "16 mm of 0.4 mm"],
)
def test_a_tiny_field_is_refused_with_a_sentence(
    shape: tuple,
    spacing_mm: float,
    words: str,
    tiny_model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ["segment", "--model", str(tiny_model), "--device", "cpu", "--progress", "none"]
    for shift, role in enumerate(("t1c", "flair")):
        image = sitk.GetImageFromArray(np.random.default_rng(shift).random(shape, np.float32))
        image.SetSpacing((spacing_mm,) * 3)
        image.SetOrigin((0.3 * shift, 0.0, 0.0))
        sitk.WriteImage(image, str(tmp_path / f"{role}.nii.gz"))
        arguments += [f"--{role}", str(tmp_path / f"{role}.nii.gz")]
    assert main([*arguments, "--output", str(tmp_path / "out")]) == 3
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_three_slices_are_not_aligned_by_guess() -> None:
    found = register(scan("t1c", WHOLE), scan("flair", grid_of(3, 4.0, 0.0)))
    assert not found.moved and found.information is None
    assert "flair (scan) has too few slices to align by" in found.warnings[0]


@pytest.mark.long
def test_voxels_of_04_mm_give_the_brain_of_coarse_ones() -> None:
    fine = grid_of(120, 0.4, -24.0, in_plane_mm=0.4)
    study = Study({"t1c": scan("t1c", fine)}, "t1c")
    prepared = prepare(study, SPEC)
    truth = ellipsoid(prepared.grid, BRAIN_MM)
    assert 2 * (truth & prepared.brain).sum() / (truth.sum() + prepared.brain.sum()) > 0.95
    assert prepared.grid.spacing_mm == (4.0, 4.0, 4.0)
