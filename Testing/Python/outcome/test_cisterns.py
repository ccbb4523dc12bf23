"""Cisterns that were taken for a cavity."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from GliomaSegLib.intake.preparation import NetworkInput
from GliomaSegLib.intake.volume import Grid
from GliomaSegLib.outcome.cisterns import brain_middle_mm, clean_up_all, without_cisterns
from GliomaSegLib.outcome.labelling import Removal

UPRIGHT = (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0)
TILTED = tuple(Rotation.from_euler("zyx", [2, 2, 15], degrees=True).as_matrix().ravel())
GRIDS = {
    "upright": Grid((30, 40, 48), (1.0, 1.0, 1.0), (-24.0, -20.0, -15.0), UPRIGHT),
    "sagittal, thick slices": Grid(
        (24, 30, 40), (1.0, 1.0, 2.0), (-24.0, -20.0, 15.0), (0, 0, 1.0, 1.0, 0, 0, 0, -1.0, 0)
    ),
    "tilted head": Grid((30, 44, 60), (0.8, 1.0, 1.2), (-24.0, -26.0, -18.0), TILTED),
}
MIDDLE = -0.5


def points_of(grid: Grid) -> np.ndarray:
    """The place of each voxel, (z, y, x, 3), LPS millimetres."""
    index = np.moveaxis(np.indices(grid.shape)[::-1], 0, -1)
    matrix = grid.index_to_lps()
    return index @ matrix[:3, :3].T + matrix[:3, 3]


def ball(grid: Grid, centre: tuple[float, float, float], radius: float) -> np.ndarray:
    """The voxels within ``radius`` mm of ``centre``, stretched by half from right to left."""
    away = (points_of(grid) - centre) / (1.5, 1.0, 1.0)
    return np.linalg.norm(away, axis=-1) < radius


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_symmetric_fluid_that_stands_alone_goes_whole(grid):
    labels = np.where(ball(grid, (MIDDLE + 1, 0, 0), 6), 4, 0).astype(np.uint8)
    before = labels.copy()
    cleaned, removals = without_cisterns(labels, grid, MIDDLE)
    ml = round(int((labels == 4).sum()) * grid.voxel_ml, 4)
    assert not cleaned.any() and removals == [Removal("RC", 1, ml, None, "symmetric")]
    assert ml == pytest.approx(1.5 * 4 / 3 * np.pi * 6**3 / 1000, rel=0.1)
    assert np.array_equal(labels, before), "the input is left alone"


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_cavities_on_one_side_stay_and_so_does_a_pair(grid):
    one_side = ball(grid, (MIDDLE + 11, 0, 0), 6)
    labels = np.where(one_side, 4, 0).astype(np.uint8)
    assert without_cisterns(labels, grid, MIDDLE) == (labels, [])
    labels[ball(grid, (MIDDLE - 11, 0, 0), 5)] = 4
    cleaned, removals = without_cisterns(labels, grid, MIDDLE)
    assert np.array_equal(cleaned, labels) and not removals


@pytest.mark.parametrize("other", [1, 2, 3])
def test_a_cavity_across_the_midline_with_tumour_at_its_wall_stays(other):
    grid = GRIDS["upright"]
    cavity = ball(grid, (MIDDLE, 0, 0), 6)
    labels = np.where(cavity, 4, 0).astype(np.uint8)
    labels[ball(grid, (MIDDLE + 9.5, 0, 0), 4) & ~cavity] = other
    assert without_cisterns(labels, grid, MIDDLE)[1] == []


def test_the_middle_of_the_brain_is_where_its_voxels_are():
    grid = GRIDS["upright"]
    brain = ball(grid, (3.0, 0, 0), 9)
    assert brain_middle_mm(brain, grid) == pytest.approx(3.0, abs=0.05)
    with pytest.raises(ValueError, match="no voxels"):
        brain_middle_mm(np.zeros(grid.shape, bool), grid)


def test_only_models_that_ask_for_clean_up_of_cavities_have_cisterns_removed_and_it_is_told():
    grid = GRIDS["upright"]
    labels = np.where(ball(grid, (MIDDLE, 0, 0), 6), 4, 0).astype(np.uint8)
    brain = ball(grid, (MIDDLE, 0, 0), 14)
    everything = (slice(None),) * 3
    prepared = NetworkInput(np.zeros((4, *grid.shape), np.float32), brain, grid, grid, everything, (), {})
    kept, removals, notes = clean_up_all(labels, grid, {"ET": 0.3}, prepared)
    assert np.array_equal(kept, labels) and removals == [] and notes == []
    cleaned, removals, notes = clean_up_all(labels, grid, {"ET": 0.3, "RC": 0.5}, prepared)
    assert not cleaned.any() and [removal.why for removal in removals] == ["symmetric"]
    assert len(notes) == 1 and notes[0].startswith("1.4 ml of fluid at the midline")
