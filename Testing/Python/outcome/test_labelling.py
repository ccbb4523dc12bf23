"""From probabilities to labels on the patient's own grid, and conservative clean-up."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from GliomaSegLib.intake.preparation import upright_grid
from GliomaSegLib.intake.volume import Grid
from GliomaSegLib.labels import CLASS_NAMES
from GliomaSegLib.outcome.labelling import (
    Removal,
    clean_up,
    labels_and_uncertainty,
    labels_on_reference,
)

UPRIGHT = (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0)
OBLIQUE = tuple(Rotation.from_euler("zyx", [25, -15, 10], degrees=True).as_matrix().ravel())
REFERENCES = {
    "upright": Grid((40, 44, 36), (1.0, 1.0, 1.0), (-20.0, 7.0, 3.0), UPRIGHT),
    "oblique, thick slices": Grid((10, 60, 56), (0.7, 0.8, 4.5), (-20.0, 7.0, 3.0), OBLIQUE),
    "flipped": Grid((30, 44, 36), (1.0, 1.0, 1.5), (20.0, 7.0, 3.0), (-1.0, 0, 0, 0, 1.0, 0, 0, 0, -1.0)),
}


def bodies(grid: Grid) -> np.ndarray:
    """A ball for each structure, at places in space that do not depend on the grid; (z, y, x) uint8."""
    index = np.indices(grid.shape)[::-1].reshape(3, -1)
    matrix = grid.index_to_lps()
    points = (matrix[:3, :3] @ index + matrix[:3, 3:]).T
    labels = np.zeros(len(points), np.uint8)
    for label, (centre, radius) in enumerate(BALLS, 1):
        labels[np.linalg.norm(points - centre, axis=1) < radius] = label
    return labels.reshape(grid.shape)


BALLS = [
    ((-9.0, 20.0, 20.0), 7.0),
    ((5.0, 20.0, 16.0), 6.0),
    ((-4.0, 34.0, 24.0), 6.0),
    ((5.0, 34.0, 20.0), 5.0),
]


def one_hot(labels: np.ndarray, classes: tuple[str, ...] = CLASS_NAMES) -> np.ndarray:
    return np.stack([labels == CLASS_NAMES.index(name) for name in classes]).astype(np.float32)


@pytest.mark.parametrize("name", REFERENCES)
def test_labels_come_back_to_where_they_are_in_space(name: str) -> None:
    reference = REFERENCES[name]
    middle = reference.corners_lps_mm().mean(axis=0)
    shift = tuple(float(m - c) for m, c in zip(middle, (-2.0, 27.0, 20.0), strict=True))
    moved = Grid(
        reference.shape,
        reference.spacing_mm,
        tuple(o - s for o, s in zip(reference.origin_lps_mm, shift, strict=True)),
        reference.direction_lps,
    )
    network_grid = upright_grid(moved, (1.0, 1.0, 1.0))
    made = labels_on_reference(one_hot(bodies(network_grid)), network_grid, CLASS_NAMES, moved)
    expected = bodies(moved)
    assert made.dtype == np.uint8 and made.shape == moved.shape
    for label in range(1, 5):
        a, b = made == label, expected == label
        assert b.sum() > 30
        assert 2 * (a & b).sum() / (a.sum() + b.sum()) > 0.93, label


def test_on_its_own_grid_nothing_changes() -> None:
    grid = REFERENCES["upright"]
    labels = bodies(grid)
    assert np.array_equal(labels_on_reference(one_hot(labels), grid, CLASS_NAMES, grid), labels)


def test_outside_the_networks_grid_everything_is_background() -> None:
    reference = REFERENCES["upright"]
    part = Grid((6, 5, 7), (2.0, 2.0, 2.0), (-10.0, 20.0, 15.0), UPRIGHT)
    probabilities = one_hot(np.full(part.shape, 4, np.uint8))
    made = labels_on_reference(probabilities, part, CLASS_NAMES, reference)
    # 7 x 5 x 6 voxels of 2 mm: 14 x 10 x 12 mm, the outer edges included.
    zyx = [np.flatnonzero(made.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
    world = [zyx[2] - 20.0, zyx[1] + 7.0, zyx[0] + 3.0]
    for axis, (low, high) in enumerate([(-11.0, 3.0), (19.0, 29.0), (14.0, 26.0)]):
        assert low <= world[axis].min() <= low + 1 and high - 1 <= world[axis].max() <= high
    elsewhere = Grid((4, 4, 4), (2.0, 2.0, 2.0), (900.0, 0.0, 0.0), UPRIGHT)
    assert not labels_on_reference(one_hot(np.full((4, 4, 4), 4)), elsewhere, CLASS_NAMES, reference).any()


def test_fine_references_are_covered_to_the_edge_of_the_coarse_voxel() -> None:
    reference = Grid((40, 40, 40), (0.25, 0.25, 0.25), (0.0, 0.0, 0.0), UPRIGHT)
    part = Grid((2, 2, 2), (2.0, 2.0, 2.0), (4.0, 4.0, 4.0), UPRIGHT)
    made = labels_on_reference(one_hot(np.full((2, 2, 2), 1, np.uint8)), part, CLASS_NAMES, reference)
    assert made[12:28, 12:28, 12:28].all(), "from 3 mm to 7 mm, the outer edges of two voxels of 2 mm"
    assert not made[:11].any() and not made[30:].any()


def test_probabilities_not_labels_are_interpolated() -> None:
    grid = Grid((1, 1, 2), (2.0, 2.0, 2.0), (0.0, 0.0, 0.0), UPRIGHT)
    probabilities = np.zeros((5, 1, 1, 2), np.float32)
    probabilities[0, ..., 0], probabilities[2, ..., 0] = 0.55, 0.45
    probabilities[2, ..., 1] = 1.0
    fine = Grid((1, 1, 3), (1.0, 2.0, 2.0), (0.0, 0.0, 0.0), UPRIGHT)
    made = labels_on_reference(probabilities, grid, CLASS_NAMES, fine)
    assert made.tolist() == [[[0, 2, 2]]], "half-way the second class has 0.725"


def test_ties_go_to_background_then_to_the_lower_label_in_any_channel_order() -> None:
    grid = Grid((1, 1, 2), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), UPRIGHT)
    classes = ("RC", "ET", "background", "NETC")
    probabilities = np.array([[0.4, 0.3], [0.1, 0.3], [0.4, 0.1], [0.1, 0.3]], np.float32)[:, None, None, :]
    assert labels_on_reference(probabilities, grid, classes, grid).tolist() == [[[0, 1]]]


def test_a_model_with_fewer_structures_gives_their_own_numbers() -> None:
    grid = REFERENCES["upright"]
    labels = np.where(bodies(grid) == 4, 4, 0)
    classes = ("background", "RC")
    assert np.array_equal(labels_on_reference(one_hot(labels, classes), grid, classes, grid), labels)


def test_uncertainty_is_the_entropy_of_the_probabilities_in_per_cent() -> None:
    grid = Grid((1, 1, 4), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), UPRIGHT)
    columns = [(1, 0, 0, 0, 0), (0.5, 0, 0, 0.5, 0), (0.8, 0.2, 0, 0, 0), (0.2, 0.2, 0.2, 0.2, 0.2)]
    probabilities = np.array(columns, np.float32).T[:, None, None, :]
    labels, uncertainty = labels_and_uncertainty(probabilities, grid, CLASS_NAMES, grid)
    assert uncertainty.dtype == np.uint8
    assert uncertainty.tolist() == [[[0, 43, 31, 100]]] and labels.tolist() == [[[0, 0, 0, 0]]]


def test_uncertainty_lies_at_the_edges_and_nowhere_outside_the_networks_grid() -> None:
    reference = REFERENCES["oblique, thick slices"]
    part = Grid((6, 5, 7), (2.0, 2.0, 2.0), (-10.0, 20.0, 15.0), UPRIGHT)
    inside = np.full((5, *part.shape), 0.2, np.float32)
    _labels, uncertainty = labels_and_uncertainty(inside, part, CLASS_NAMES, reference)
    everywhere = labels_on_reference(one_hot(np.full(part.shape, 4)), part, CLASS_NAMES, reference) == 4
    assert everywhere.any() and not everywhere.all()
    assert np.array_equal(uncertainty == 100, everywhere) and not uncertainty[~everywhere].any()
    network_grid = upright_grid(reference, (2.0, 2.0, 2.0))
    certain = labels_and_uncertainty(one_hot(bodies(network_grid)), network_grid, CLASS_NAMES, reference)
    assert certain[1].max() > 30 and (certain[1] == 0).mean() > 0.5


def test_small_islands_go_and_large_ones_stay_as_they_are() -> None:
    labels = np.zeros((20, 20, 20), np.uint8)
    labels[2:8, 2:8, 2:8] = 4
    labels[4, 4, 4] = 0
    labels[15:17, 15:17, 15:17] = 4
    labels[12, 12, 12] = 4
    labels[12, 2, 2] = 3
    cleaned, removals = clean_up(labels, 0.001, {"RC": 0.05})
    expected = labels.copy()
    expected[15:17, 15:17, 15:17] = expected[12, 12, 12] = 0
    assert np.array_equal(cleaned, expected), "holes, edges and other structures stay"
    assert removals == [Removal("RC", 2, 0.009, 0.05)]
    assert labels[15, 15, 15] == 4, "the input is left alone"


def test_islands_that_touch_by_a_corner_are_one_and_the_limit_itself_stays() -> None:
    labels = np.zeros((8, 8, 8), np.uint8)
    labels[1:3, 1:3, 1:3] = labels[3:5, 3:5, 3:5] = 1
    assert clean_up(labels, 0.001, {"NETC": 0.016})[1] == []
    cleaned, removals = clean_up(labels, 0.001, {"NETC": 0.017})
    assert not cleaned.any() and removals == [Removal("NETC", 1, 0.016, 0.017)]


@pytest.mark.parametrize(("voxels", "stays"), [(2, False), (3, True)])
def test_hyperintensity_at_another_structure_is_held_to_a_quarter(voxels: int, stays: bool) -> None:
    labels = np.zeros((12, 12, 12), np.uint8)
    labels[0, 5:9, 5:9] = 4
    labels[1, 9, 9 : 9 + voxels] = labels[8, 8, 2:10] = 2
    cleaned, removals = clean_up(labels, 0.001, {"SNFH": 0.012})
    assert bool((cleaned[1] == 2).any()) == stays, "it meets the cavity by a corner, outside its own box"
    assert not (cleaned[8] == 2).any() and (cleaned == 4).sum() == 16
    assert removals == [Removal("SNFH", 1 if stays else 2, 0.008 if stays else 0.008 + 0.001 * voxels, 0.012)]


def test_what_clean_up_takes_away_holds_no_rim() -> None:
    labels = np.zeros((8, 8, 8), np.uint8)
    labels[2, 2, 2:4], labels[2, 3, 2:6] = 3, 2
    assert not clean_up(labels, 0.001, {"ET": 0.003, "SNFH": 0.012})[0].any()
    assert (clean_up(labels, 0.001, {"ET": 0.001, "SNFH": 0.012})[0] == labels).all()


def test_without_limits_nothing_is_removed() -> None:
    labels = np.zeros((4, 4, 4), np.uint8)
    labels[0, 0, 0] = 3
    for limits in ({}, {"ET": 0.0}, {"RC": 5.0}):
        cleaned, removals = clean_up(labels, 0.001, limits)
        assert np.array_equal(cleaned, labels) and removals == []
