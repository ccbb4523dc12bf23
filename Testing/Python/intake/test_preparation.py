"""From a study to the network's array, and back again exactly."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from GliomaSegLib.errors import InputRefused
from GliomaSegLib.intake.preparation import (
    InputSpec,
    box_on,
    cut,
    labels_on_grid,
    prepare,
    resample,
    upright_grid,
)
from GliomaSegLib.intake.reading import read_study
from GliomaSegLib.intake.volume import ROLES, Grid, Study, Volume

UPRIGHT = (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0)
OBLIQUE = tuple(Rotation.from_euler("zyx", [20, -15, 10], degrees=True).as_matrix().ravel())
GRID = Grid((36, 44, 40), (3.0, 3.0, 3.0), (-60.0, 12.0, -33.0), UPRIGHT)
SPEC = InputSpec(spacing_mm=(3.0, 3.0, 3.0))


def ball(grid: Grid, radius_mm: float = 45.0) -> np.ndarray:
    """A sphere around the middle of the grid (z, y, x), bool."""
    index = np.indices(grid.shape)[::-1].reshape(3, -1)
    matrix = grid.index_to_lps()
    points = matrix[:3, :3] @ index + matrix[:3, 3:]
    middle = grid.corners_lps_mm().mean(axis=0)[:, None]
    return (np.linalg.norm(points - middle, axis=0) < radius_mm).reshape(grid.shape)


def study_of(grid: Grid = GRID, roles: tuple[str, ...] = ROLES, background: float = 0.0) -> Study:
    rng = np.random.default_rng(0)
    brain = ball(grid)
    volumes = {}
    for place, role in enumerate(roles):
        array = np.where(brain, 200 + 50 * place + 20 * rng.normal(size=grid.shape), 0)
        array += background * rng.normal(size=grid.shape) * ~brain
        volumes[role] = Volume(array.astype(np.float32), grid, role, f"{role} (scan.nii.gz)")
    return Study(volumes, roles[0])


def test_crop_and_scale_are_undone_exactly() -> None:
    study = study_of()
    prepared = prepare(study, replace(SPEC, clip=(-100.0, 100.0)))
    assert prepared.array.shape == (4, *prepared.grid.shape) == (4, *prepared.brain.shape)
    assert prepared.full_grid.matches(GRID)
    for channel, role in enumerate(prepared.present):
        original = study.volumes[role].array
        back = np.zeros(prepared.full_grid.shape, np.float32)
        back[prepared.crop] = prepared.scales[role].undo(prepared.array[channel]) * prepared.brain
        inside = np.zeros(GRID.shape, bool)
        inside[prepared.crop] = prepared.brain
        assert np.allclose(back[inside], original[inside], atol=1e-3)
        assert not back[~inside].any()


def test_the_crop_is_a_cut_out_of_the_full_grid() -> None:
    prepared = prepare(study_of(), SPEC)
    assert prepared.grid.shape < prepared.full_grid.shape
    corner = np.array([prepared.crop[2].start, prepared.crop[1].start, prepared.crop[0].start, 1.0])
    assert np.allclose((prepared.full_grid.index_to_lps() @ corner)[:3], prepared.grid.origin_lps_mm)
    assert prepared.grid == cut(prepared.full_grid, prepared.crop)
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        seen = np.flatnonzero(prepared.brain.any(axis=others))
        # A margin of 4 mm is two voxels of 3 mm.
        assert seen[0] == 2 and seen[-1] == prepared.brain.shape[axis] - 3


@pytest.mark.parametrize("method", ["robust", "zscore"])
def test_inside_the_brain_every_channel_has_one_scale_and_outside_is_zero(method: str) -> None:
    prepared = prepare(study_of(), replace(SPEC, normalisation=method))
    for channel in prepared.array:
        assert abs(float(np.median(channel[prepared.brain]))) < 0.1
        assert float(channel[prepared.brain].std()) == pytest.approx(1, abs=0.15)
        assert not channel[~prepared.brain].any()


@pytest.mark.parametrize(("background", "least"), [(0.0, 0.99), (4.0, 0.94)])
def test_the_brain_is_found_on_a_background_that_is_not_zero(background: float, least: float) -> None:
    prepared = prepare(study_of(background=background), SPEC)
    found = np.zeros(GRID.shape, bool)
    found[prepared.crop] = prepared.brain
    truth = ball(GRID)
    assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) > least


def test_an_exactly_zero_background_is_never_brain() -> None:
    prepared = prepare(study_of(), SPEC)
    found = np.zeros(GRID.shape, bool)
    found[prepared.crop] = prepared.brain
    assert not (found & ~ball(GRID)).any()


def test_a_missing_sequence_is_zeros_and_not_present() -> None:
    prepared = prepare(study_of(roles=("t1", "t1c", "flair")), SPEC)
    assert prepared.present == ("t1", "t1c", "flair") and set(prepared.scales) == {"t1", "t1c", "flair"}
    assert [bool(channel.any()) for channel in prepared.array] == [True, True, False, True]


def test_channels_come_in_the_models_order() -> None:
    study = study_of()
    forwards = prepare(study, SPEC)
    backwards = prepare(study, replace(SPEC, channels=ROLES[::-1]))
    assert np.array_equal(backwards.array, forwards.array[::-1])
    assert prepare(study, replace(SPEC, channels=("flair",))).array.shape[0] == 1


def test_values_are_clipped() -> None:
    study = study_of()
    array = study.volumes["t1"].array.copy()
    array[18, 22, 20] = 1e6
    volumes = {**study.volumes, "t1": replace(study.volumes["t1"], array=array)}
    prepared = prepare(replace(study, volumes=volumes), replace(SPEC, clip=(-2.0, 3.0)))
    assert prepared.array.max() == 3 and prepared.array.min() == -2


def test_a_given_mask_goes_before_the_search() -> None:
    mask = ball(GRID, 30.0)
    prepared = prepare(study_of(), SPEC, Volume(mask.astype(np.float32), GRID, "t1", "mask"))
    found = np.zeros(GRID.shape, bool)
    found[prepared.crop] = prepared.brain
    assert np.array_equal(found, mask)


def test_what_shows_no_brain_is_refused() -> None:
    study = study_of()
    tiny = Volume(ball(GRID, 12.0).astype(np.float32), GRID, "t1", "mask")
    with pytest.raises(InputRefused, match=r"No brain was found in t1 \(scan\.nii\.gz\): only \d+ ml"):
        prepare(study, SPEC, tiny)
    empty = {r: replace(v, array=np.zeros(GRID.shape, np.float32)) for r, v in study.volumes.items()}
    with pytest.raises(InputRefused, match="only 0 ml"):
        prepare(replace(study, volumes=empty), SPEC)


def test_a_sequence_that_is_flat_inside_the_brain_is_refused() -> None:
    study = study_of()
    flat = replace(study.volumes["t2"], array=np.full(GRID.shape, 7.0, np.float32))
    with pytest.raises(InputRefused, match=r"t2 \(scan\.nii\.gz\) has one single value .* another T2 volume"):
        prepare(replace(study, volumes={**study.volumes, "t2": flat}), SPEC)


@pytest.mark.parametrize("direction", [UPRIGHT, OBLIQUE])
@pytest.mark.parametrize("spacing", [(2.0, 2.0, 2.0), (5.0, 1.5, 3.0)])
def test_the_upright_grid_covers_every_voxel(
    direction: tuple[float, ...], spacing: tuple[float, float, float]
) -> None:
    reference = Grid((12, 30, 25), (0.9, 1.1, 4.0), (10.0, -40.0, 3.0), direction)
    grid = upright_grid(reference, spacing)
    assert grid.direction_lps == UPRIGHT and grid.spacing_mm == spacing[::-1]
    steps = np.linalg.inv(grid.index_to_lps()) @ np.c_[reference.corners_lps_mm(), np.ones(8)].T
    assert (steps[:3] >= -0.5).all()
    assert (steps[:3] <= np.array(grid.shape[::-1])[:, None] - 0.5).all()
    smaller = [np.ptp(reference.corners_lps_mm()[:, axis]) / grid.spacing_mm[axis] for axis in range(3)]
    assert all(grid.shape[::-1][axis] <= smaller[axis] + 6 for axis in range(3))


def test_half_the_resolution_is_the_mean_of_eight_voxels() -> None:
    rng = np.random.default_rng(1)
    grid = Grid((8, 10, 12), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), UPRIGHT)
    volume = Volume(rng.random(grid.shape, dtype=np.float32), grid, "t1", "t1")
    made = resample(volume, upright_grid(grid, (2.0, 2.0, 2.0)))
    assert np.allclose(made, volume.array.reshape(4, 2, 5, 2, 6, 2).mean(axis=(1, 3, 5)), atol=1e-5)


def test_labels_at_half_the_resolution_are_the_majority_of_eight() -> None:
    rng = np.random.default_rng(2)
    grid = Grid((8, 10, 12), (1.0, 1.0, 1.0), (5.0, 6.0, 7.0), UPRIGHT)
    labels = rng.integers(0, 4, grid.shape, dtype=np.uint8)
    votes = [(labels == n).reshape(4, 2, 5, 2, 6, 2).sum(axis=(1, 3, 5)) for n in range(4)]
    made = labels_on_grid(labels, grid, upright_grid(grid, (2.0, 2.0, 2.0)), 5)
    counts = np.sort(votes, axis=0)
    clear = counts[-1] > counts[-2]
    assert np.array_equal(made[clear], np.argmax(votes, axis=0)[clear])


def test_labels_outside_their_grid_are_background() -> None:
    small = Grid((4, 4, 4), (1.0, 1.0, 1.0), (10.0, 10.0, 10.0), UPRIGHT)
    large = Grid((20, 20, 20), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), UPRIGHT)
    made = labels_on_grid(np.full(small.shape, 3, np.uint8), small, large, 5)
    assert (made == 3).sum() == 64 and (made[10:14, 10:14, 10:14] == 3).all()


def test_coarse_sampling_smooths_only_the_axes_that_are_coarser() -> None:
    fine = Grid((40, 20, 20), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), UPRIGHT)
    stripes = np.zeros(fine.shape, np.float32)
    stripes[:, :, ::2] = 1
    slices = Grid((8, 20, 20), (1.0, 1.0, 5.0), (0.0, 0.0, 2.0), UPRIGHT)
    assert np.allclose(resample(Volume(stripes, fine, "t1", "t1"), slices), stripes[:8], atol=1e-5)
    layers = np.zeros(fine.shape, np.float32)
    layers[::2] = 1
    across = resample(Volume(layers, fine, "t1", "t1"), slices)
    assert abs(float(across[1:-1].mean()) - 0.5) < 0.05 and float(across[1:-1].std()) < 0.1


@pytest.mark.parametrize("direction", [UPRIGHT, OBLIQUE])
def test_the_box_holds_every_reference_voxel_inside_the_part(direction: tuple[float, ...]) -> None:
    reference = Grid((30, 34, 38), (0.5, 0.7, 2.0), (-3.0, 5.0, 1.0), direction)
    middle = reference.corners_lps_mm().mean(axis=0)
    part = Grid((5, 4, 6), (2.0, 2.0, 2.0), tuple(middle - 4), UPRIGHT)
    index = np.indices(reference.shape)[::-1].reshape(3, -1)
    points = reference.index_to_lps() @ np.r_[index, np.ones((1, index.shape[1]))]
    inside = np.linalg.inv(part.index_to_lps()) @ points
    within = (inside[:3] >= -0.5).all(0) & (inside[:3] <= np.array(part.shape[::-1])[:, None] - 0.5).all(0)
    within = within.reshape(reference.shape)
    box = box_on(reference, part)
    assert box is not None and within.any()
    assert within[box].sum() == within.sum()
    assert within[box].size < 0.6 * within.size


def test_a_part_that_lies_elsewhere_has_no_box() -> None:
    part = Grid((4, 4, 4), (1.0, 1.0, 1.0), (500.0, 0.0, 0.0), UPRIGHT)
    assert box_on(GRID, part) is None


def test_an_input_spec_survives_plain_data() -> None:
    spec = InputSpec(("flair", "t1"), (1.0, 2.0, 3.0), "zscore", (-1.0, 4.0))
    assert InputSpec.from_dict(spec.to_dict()) == spec


@pytest.mark.data
def test_the_brain_of_real_scans_is_found() -> None:
    data = Path(os.environ.get("GLIOMASEG_DATA", Path(__file__).parents[4] / "shared" / "data"))
    folder = data / "openms" / "cross_sectional" / "patient07"
    if not folder.is_dir():
        pytest.skip("the real scans are not here (set GLIOMASEG_DATA to the folder that holds openms)")
    study = read_study({role: folder / f"{role}.nii.gz" for role in ROLES}, "t1c")
    array = study.reference.array
    assert (array < 0).sum() > 1000, "these scans have negative values inside the head"
    prepared = prepare(study, InputSpec())
    truth = (
        resample(replace(study.reference, array=(array != 0).astype(np.float32)), prepared.full_grid) > 0.5
    )
    found = np.zeros(truth.shape, bool)
    found[prepared.crop] = prepared.brain
    assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) > 0.97
