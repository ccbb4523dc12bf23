"""The brain mask: bare brains are left alone, cavities stay inside, odd masks get a sentence."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from GliomaSegLib.errors import InputRefused, UsageError
from GliomaSegLib.intake.brain import brain_mask, closed_over_cavities, deepbet, is_skull_stripped, sharpest
from GliomaSegLib.intake.reading import read_volume
from GliomaSegLib.intake.volume import Grid, Study, Volume

UPRIGHT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
SHAPE = (48, 52, 48)
GRID = Grid(SHAPE, (4.0, 4.0, 4.0), (-94.0, -102.0, -94.0), UPRIGHT)
Z, Y, X = ((np.indices(SHAPE) - np.reshape(SHAPE, (3, 1, 1, 1)) / 2 + 0.5) * 4.0).astype(np.float32)


def ellipsoid(x: float, y: float, z: float) -> np.ndarray:
    return (X / x) ** 2 + (Y / y) ** 2 + (Z / z) ** 2 < 1


BRAIN = ellipsoid(65, 82, 62)
CAVITY = ((X - 55) ** 2 + Y**2 + (Z - 10) ** 2 < 20**2) & BRAIN


def scan(skull: bool, role: str = "t1", cavity: bool = False) -> Volume:
    """A T1-like brain, with dark skull and bright scalp around it when asked; never exactly 0 outside."""
    rng = np.random.default_rng(1)
    values = np.where(BRAIN, 500.0, 0.0)
    if cavity:
        values[CAVITY] = 60.0
    if skull:
        values[ellipsoid(80, 98, 78) & ~ellipsoid(72, 89, 69)] = 900.0
    values += rng.normal(0, 5, SHAPE)
    return Volume(values.astype(np.float32), GRID, role, f"{role} (scan)")


def study(*volumes: Volume) -> Study:
    return Study({volume.role: volume for volume in volumes}, volumes[0].role)


def bright_core(picture: np.ndarray) -> np.ndarray:
    """A stand-in for brain extraction that takes fluid at the surface for the outside."""
    upright = picture.transpose(2, 1, 0)
    return ((upright > 250) & ellipsoid(70, 87, 67)).transpose(2, 1, 0).astype(np.float32)


def test_a_bare_brain_is_recognised_and_left_alone() -> None:
    assert is_skull_stripped(scan(skull=False)) and not is_skull_stripped(scan(skull=True))
    found = brain_mask(study(scan(skull=False)))
    assert found.mask is None and found.source == "stripped" and found.warnings == ()


def test_axis_order_does_not_matter_for_recognition() -> None:
    for skull in (False, True):
        image = sitk.DICOMOrient(scan(skull).image(), "PIR")
        turned = Volume(sitk.GetArrayFromImage(image), Grid.of_image(image), "t1", "T1")
        assert is_skull_stripped(turned) is not skull


def test_a_slab_is_judged_by_its_sections() -> None:
    for skull in (False, True):
        whole = scan(skull)
        grid = replace(GRID, shape=(12, *SHAPE[1:]), origin_lps_mm=(-94.0, -102.0, -22.0))
        slab = Volume(np.ascontiguousarray(whole.array[18:30]), grid, "t1", "T1 (slab)")
        assert is_skull_stripped(slab) is not skull


def test_extraction_finds_the_brain_and_keeps_the_cavity() -> None:
    found = brain_mask(study(scan(skull=True, cavity=True)), extractor=bright_core)
    assert found.source == "deepbet" and found.mask is not None
    mask = sitk.GetArrayFromImage(sitk.Resample(found.mask.image(), GRID.image(BRAIN.astype(np.uint8)))) > 0.5
    assert (mask & BRAIN).sum() > 0.97 * BRAIN.sum()
    assert (mask & CAVITY).sum() > 0.8 * CAVITY.sum()
    assert (mask & ~BRAIN).sum() < 0.03 * BRAIN.sum()
    assert found.filled_ml > 10
    assert found.volume_ml == pytest.approx(BRAIN.sum() * 0.064, rel=0.04)
    assert found.record()["source"] == "deepbet"


def test_extraction_sees_the_picture_right_front_head_up() -> None:
    seen = []

    def remember(picture: np.ndarray) -> np.ndarray:
        seen.append(picture)
        return bright_core(picture)

    brain_mask(study(scan(skull=True)), extractor=remember)
    # GRID runs to the left and back; the extractor's axes run to the right and front.
    assert np.array_equal(seen[0], scan(skull=True).array.transpose(2, 1, 0)[::-1, ::-1])


def test_closing_leaves_a_smooth_brain_as_it_is() -> None:
    mask, filled_ml = closed_over_cavities(BRAIN, GRID)
    assert filled_ml < 0.01 * BRAIN.sum() * GRID.voxel_ml
    assert (mask >= BRAIN).all()


def hollow(x: float, y: float, z: float, radius: float = 22) -> np.ndarray:
    return ((X - x) ** 2 + (Y - y) ** 2 + (Z - z) ** 2 < radius**2) & BRAIN


MIDLINE = {
    "at the vertex": hollow(0, 0, 58),
    "in both frontal lobes": hollow(0, -62, 36),
    "in both occipital lobes": hollow(0, 62, 36),
    "beside the falx": hollow(14, 10, 56),
    "open to ventricles and surface": hollow(0, 0, 58) | ellipsoid(12, 34, 40) & (Z > -10),
}


@pytest.mark.parametrize("cavity", MIDLINE.values(), ids=MIDLINE)
def test_a_cavity_across_the_midline_comes_back(cavity: np.ndarray) -> None:
    mask, filled_ml = closed_over_cavities(BRAIN & ~cavity, GRID)
    assert (mask & cavity).sum() > 0.7 * cavity.sum()
    assert (mask & ~BRAIN).sum() < 0.01 * BRAIN.sum()
    assert filled_ml == pytest.approx((mask & (~BRAIN | cavity)).sum() * GRID.voxel_ml)


def test_what_is_hollow_on_both_sides_of_the_skull_base_stays_out() -> None:
    orbits = hollow(0, -48, -44, 24)
    mask, _ = closed_over_cavities(BRAIN & ~orbits, GRID)
    assert (mask & orbits).sum() < 0.2 * orbits.sum()


@pytest.mark.parametrize("extractor", [lambda picture: np.zeros_like(picture), None])
def test_no_brain_found_is_refused_with_the_way_out(extractor: object) -> None:
    def fails(picture: np.ndarray) -> np.ndarray:
        raise AssertionError("Not enough foreground to calculate bounding box")

    with pytest.raises(InputRefused, match="--brain-mask FILE, or --brain-mask off"):
        brain_mask(study(scan(skull=True)), extractor=extractor or fails)  # type: ignore[arg-type]


def test_an_odd_size_is_told() -> None:
    found = brain_mask(study(scan(skull=True)), extractor=lambda picture: np.ones_like(picture))
    assert "an odd size" in found.warnings[0]


def test_off_uses_no_mask_and_says_what_that_means() -> None:
    found = brain_mask(study(scan(skull=True)), "off")
    assert found.mask is None and "unreliable" in found.warnings[0]
    assert brain_mask(study(scan(skull=False)), "off").warnings == ()


def test_the_brain_of_a_stripped_sequence_serves_the_others() -> None:
    found = brain_mask(study(scan(skull=True, role="t1c"), scan(skull=False, role="flair")))
    assert found.mask is not None and "t1c (scan) shows the skull" in found.warnings[0]
    assert found.volume_ml == pytest.approx(BRAIN.sum() * 0.064, rel=0.1)


def test_a_mask_from_a_file_is_used(tmp_path: Path) -> None:
    path = tmp_path / "mask.nii.gz"
    sitk.WriteImage(GRID.image(BRAIN.astype(np.uint8)), str(path))
    found = brain_mask(study(scan(skull=True)), str(path))
    assert found.source == "file" and found.mask is not None
    assert np.array_equal(found.mask.array > 0.5, BRAIN)


def test_a_mask_elsewhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mask.nii.gz"
    away = replace(GRID, origin_lps_mm=(300.0, -102.0, -94.0))
    sitk.WriteImage(away.image(BRAIN.astype(np.uint8)), str(path))
    with pytest.raises(InputRefused, match=r"mask.nii.gz\) marks 0 ml inside"):
        brain_mask(study(scan(skull=True)), str(path))


def test_the_sequence_with_the_thinnest_slices_is_taken() -> None:
    thin = scan(skull=True, role="flair")
    thick = scan(skull=True, role="t1")
    thick = replace(thick, grid=replace(GRID, spacing_mm=(4.0, 4.0, 5.0)))
    assert sharpest(study(thick, thin)).role == "flair"
    assert sharpest(study(scan(True, "t2"), scan(True, "t1c"))).role == "t1c"


def test_without_deepbet_one_sentence_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "deepbet", None)
    with pytest.raises(UsageError, match=r"gliomaseg\[brain\]"):
        deepbet()


@pytest.mark.data
@pytest.mark.parametrize(
    ("path", "bare"),
    [
        ("brats2021/BraTS2021_01484/BraTS2021_01484_t1ce.nii.gz", True),
        ("openms/cross_sectional/patient19/flair.nii.gz", True),
        ("openms/native/patient01/study1_T1W.nii.gz", False),
        ("openms/native/patient12/study2_FLAIR.nii.gz", False),
    ],
)
def test_real_scans_are_recognised(data_folder: Path, path: str, bare: bool) -> None:
    assert is_skull_stripped(read_volume(data_folder / path, "t1")) is bare


@pytest.mark.data
@pytest.mark.long
def test_a_cavity_at_the_rim_of_a_real_head_stays_in_the_brain(data_folder: Path) -> None:
    """A ball of fluid painted into the rim of a real brain (simulated): nine tenths of it stay in."""
    pytest.importorskip("deepbet", reason="deepbet is not installed")
    volume = read_volume(data_folder / "openms/native/patient12/study2_T1W.nii.gz", "t1")
    whole = brain_mask(study(volume)).mask
    assert whole is not None
    array = sitk.GetArrayFromImage(sitk.Resample(whole.image(), volume.image())) > 0.5
    spacing = np.asarray(volume.grid.spacing_mm[::-1])
    middle = int(0.55 * len(array))
    row, column = (int(v) for v in min(np.argwhere(array[middle]), key=lambda p: p[1]))
    distance = np.linalg.norm((np.argwhere(array) - (middle, row, column)) * spacing, axis=1)
    cavity = np.zeros_like(array)
    cavity[tuple(np.argwhere(array)[distance < 25].T)] = True
    painted = np.where(cavity, np.percentile(volume.array[array], 1.5), volume.array).astype(np.float32)
    found = brain_mask(study(replace(volume, array=painted))).mask
    assert found is not None
    mask = sitk.GetArrayFromImage(sitk.Resample(found.image(), volume.image())) > 0.5
    assert (mask & cavity).sum() > 0.9 * cavity.sum()
