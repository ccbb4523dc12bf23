"""The one-click corrections do what their buttons say, and never eat tumour."""

import numpy as np
import pytest

from GliomaSegLib.desktop import edits
from GliomaSegLib.errors import InputRefused

SHAPE = (24, 32, 32)
SPACING = (1.0, 1.0, 2.0)
Z, Y, X = np.indices(SHAPE)


def _ball(radius, centre=(12, 16, 16)):
    return ((Z - centre[0]) * 2.0) ** 2 + (Y - centre[1]) ** 2 + (X - centre[2]) ** 2 <= radius**2


def _labels(radius=8, tumour=True):
    labels = np.zeros(SHAPE, np.uint8)
    labels[_ball(12)] = 2
    labels[_ball(radius)] = 4
    if tumour:
        labels[10:14, 8:11, 14:18] = 3
    return labels


def _roughness(mask):
    """Voxel faces on the edge."""
    return sum(int(np.abs(np.diff(mask.astype(int), axis=axis)).sum()) for axis in range(3))


def test_smoothing_takes_bumps_off_and_keeps_the_volume():
    rng = np.random.default_rng(0)
    labels = _labels(tumour=False)
    rim = _ball(9) & ~_ball(7)
    labels[rim & (rng.random(SHAPE) < 0.5)] = 4
    smoothed = edits.smooth_cavity(labels, SPACING)
    before, after = labels == 4, smoothed == 4
    assert _roughness(after) < 0.75 * _roughness(before)
    assert abs(int(after.sum()) - int(before.sum())) <= 0.03 * before.sum()


@pytest.mark.parametrize(
    "edit", [lambda x: edits.smooth_cavity(x, SPACING), edits.fill_cavity], ids=["smooth", "fill"]
)
def test_a_cavity_edit_never_takes_tumour(edit):
    labels = _labels()
    labels[12, 16, 16] = 1
    changed = edit(labels)
    np.testing.assert_array_equal(changed == 3, labels == 3)
    np.testing.assert_array_equal(changed == 1, labels == 1)


def test_holes_are_filled_also_when_open_to_another_slice():
    labels = _labels(tumour=False)
    labels[12, 15:18, 15:18] = 0
    labels[8:17, 16, 14] = 2
    filled = edits.fill_cavity(labels)
    assert (filled[12, 15:18, 15:18] == 4).all()
    assert (filled[_ball(8)] == 4).all()
    assert (filled[~_ball(8)] != 4).all()


def test_an_island_goes_and_its_neighbours_stay():
    labels = _labels()
    labels[2, 2:4, 2:4] = 3
    changed = edits.remove_island(labels, (2, 2, 2))
    assert (changed[2, 2:4, 2:4] == 0).all()
    labels[2, 2:4, 2:4] = 0
    np.testing.assert_array_equal(changed, labels)


@pytest.mark.parametrize("place", [(0, 0, 0), (-1, 0, 0), (99, 0, 0)])
def test_no_island_no_change(place):
    with pytest.raises(InputRefused, match="no segmented piece"):
        edits.remove_island(_labels(), place)


def _images(fluid_radius, noise=0.1):
    rng = np.random.default_rng(1)
    fluid = _ball(fluid_radius)
    t1 = np.where(fluid, 0.3, 1.0) + rng.normal(0, noise, SHAPE)
    flair = np.where(fluid, 0.2, 1.2) + rng.normal(0, noise, SHAPE)
    return t1.astype(np.float32), flair.astype(np.float32)


def _dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


@pytest.mark.parametrize("true_radius", [7, 10])
def test_the_edge_snaps_to_the_fluid(true_radius):
    labels = _labels(radius=8.5, tumour=False)
    snapped = edits.snap_to_fluid(labels, _images(true_radius), SPACING)
    assert _dice(labels == 4, _ball(true_radius)) < 0.85
    assert _dice(snapped == 4, _ball(true_radius)) > 0.97


def test_the_edge_moves_no_further_than_its_reach():
    labels = _labels(radius=6, tumour=False)
    snapped = edits.snap_to_fluid(labels, _images(9), SPACING, reach_mm=2.0)
    assert not (snapped == 4)[~_ball(8.6)].any()
    assert (snapped == 4).sum() > (labels == 4).sum()


def test_an_edge_without_contrast_is_refused():
    rng = np.random.default_rng(2)
    noise = [rng.normal(1, 0.2, SHAPE).astype(np.float32) for _ in range(2)]
    with pytest.raises(InputRefused, match="look alike"):
        edits.snap_to_fluid(_labels(), noise, SPACING)


@pytest.mark.parametrize(
    "edit",
    [
        lambda x: edits.smooth_cavity(x, SPACING),
        edits.fill_cavity,
        lambda x: edits.snap_to_fluid(x, _images(8), SPACING),
    ],
)
def test_without_a_cavity_there_is_a_sentence(edit):
    with pytest.raises(InputRefused, match="no resection cavity"):
        edit(np.zeros(SHAPE, np.uint8))


def test_a_stroke_of_cavity_gives_tumour_back_and_keeps_the_rest():
    before = _labels()
    before[12, 16, 20:26] = 1
    after = before.copy()
    after[:, 4:28, 8:24] = 4
    kept = edits.keep_tumour(before, after)
    tumour = np.isin(before, (1, 3))
    np.testing.assert_array_equal(kept[tumour], before[tumour])
    np.testing.assert_array_equal(kept[~tumour], after[~tumour])
    assert ((before == 2) & (kept == 4)).any()


def test_a_stroke_that_takes_no_tumour_stays_as_it_is():
    before, after = _labels(), _labels()
    after[before == 2] = 4
    after[before == 3] = 0
    assert edits.keep_tumour(before, after) is after
