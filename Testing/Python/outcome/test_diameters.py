"""RANO diameters of shapes whose diameters are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from shapes import Ellipsoid, centre_of, grid_of

from GliomaSegLib.intake.volume import Grid
from GliomaSegLib.outcome.diameters import axial_axis, bidimensional

SPACINGS = [(1.0, 1.0, 1.0), (0.7, 1.3, 1.0), (0.8, 0.8, 4.0)]


@pytest.mark.parametrize("seed", range(9))
def test_ellipsoids_of_any_orientation_within_one_voxel(seed: int) -> None:
    rng = np.random.default_rng(seed)
    spacing = SPACINGS[seed % 3]
    shape = (int(44 / spacing[2]), int(44 / spacing[1]), int(44 / spacing[0]))
    tilt = rng.uniform(-30, 30, 3)
    grid = grid_of(shape, spacing, (tilt[0], tilt[1], tilt[2]))
    semi_axes = rng.uniform(6, 18, 3)
    # The centre on a slice, so that the widest section is one.
    centre = centre_of(grid, (rng.uniform(-0.5, 0.5), rng.uniform(-0.5, 0.5), 0.5 * (1 - shape[0] % 2)))
    shape_there = Ellipsoid(centre, semi_axes, Rotation.random(random_state=seed).as_matrix())
    found = bidimensional(shape_there.mask(grid), grid)
    longest, perpendicular = shape_there.section(np.reshape(grid.direction_lps, (3, 3))[:, 2])
    assert found.longest_mm == pytest.approx(longest, abs=max(spacing[:2]))
    assert found.perpendicular_mm == pytest.approx(perpendicular, abs=max(spacing[:2]))


def test_lines_have_their_lengths_are_perpendicular_cross_and_lie_on_the_slice() -> None:
    grid = grid_of((20, 60, 50), (0.9, 0.7, 2.0), (10.0, -15.0, 30.0))
    shape = Ellipsoid(
        centre_of(grid), np.array([15.0, 9.0, 8.0]), Rotation.random(random_state=4).as_matrix()
    )
    found = bidimensional(shape.mask(grid), grid)
    long, short = np.array(found.longest_ends_lps_mm), np.array(found.perpendicular_ends_lps_mm)
    assert np.linalg.norm(long[1] - long[0]) == pytest.approx(found.longest_mm)
    assert np.linalg.norm(short[1] - short[0]) == pytest.approx(found.perpendicular_mm)
    assert (long[1] - long[0]) @ (short[1] - short[0]) == pytest.approx(0, abs=1e-6)
    index = np.linalg.inv(grid.index_to_lps()) @ np.vstack([np.vstack([long, short]).T, np.ones(4)])
    assert np.allclose(index[2], found.slice_index)
    # Seen from the perpendicular, the ends of the long line lie on both sides, and the other way round.
    along = long[1] - long[0]
    across = short[1] - short[0]
    assert 0 < (short[0] - long[0]) @ along / (along @ along) < 1
    assert 0 < (long[0] - short[0]) @ across / (across @ across) < 1


def test_necrosis_does_not_count() -> None:
    grid = grid_of((5, 60, 60))
    y, x = np.mgrid[:60, :60] - 30.0
    ring = np.broadcast_to((np.hypot(y, x) <= 25) & (np.hypot(y, x) > 17), grid.shape)
    found = bidimensional(ring, grid)
    # The longest chord inside a ring touches its hole; across it there is only the wall.
    assert found.longest_mm == pytest.approx(2 * np.sqrt(25.5**2 - 17**2), abs=2)
    assert found.longest_mm < 0.8 * 50
    assert found.perpendicular_mm < 14


def test_a_dent_does_not_take_the_diameter_away() -> None:
    grid = grid_of((3, 70, 70))
    y, x = np.mgrid[:70, :70] - 35.0
    kidney = ((x / 28) ** 2 + (y / 18) ** 2 <= 1) & (np.hypot(x, y - 20) > 8)
    found = bidimensional(np.broadcast_to(kidney, grid.shape), grid)
    assert found.longest_mm == pytest.approx(56, abs=1.5)
    assert found.perpendicular_mm > 28


def test_a_crop_gives_the_same_lines() -> None:
    grid = grid_of((12, 40, 40), (0.8, 1.1, 3.0), (5.0, 12.0, -20.0))
    mask = Ellipsoid(centre_of(grid), np.array([12.0, 8.0, 10.0]), np.eye(3)).mask(grid)
    whole = bidimensional(mask, grid)
    part = bidimensional(mask[2:11, 5:36, 4:], grid, (2, 5, 4))
    assert part.slice_index == whole.slice_index
    assert np.allclose(part.longest_ends_lps_mm, whole.longest_ends_lps_mm)
    assert np.allclose(part.perpendicular_ends_lps_mm, whole.perpendicular_ends_lps_mm)


@pytest.mark.parametrize(
    ("columns", "axis"),
    [([0, 1, 2], 0), ([0, 2, 1], 1), ([1, 2, 0], 1), ([2, 0, 1], 2)],
)
def test_axial_is_the_slice_across_head_and_foot(columns: list[int], axis: int) -> None:
    # Grid axis i (x, y, z) runs along patient axis columns[i], of which 2 is head-foot.
    direction = np.eye(3)[:, columns]
    grid = Grid((10, 10, 10), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), tuple(direction.ravel()))
    assert axial_axis(grid) == axis


def test_a_sagittal_scan_is_measured_across_the_body_too() -> None:
    # x of the grid runs to posterior, y to superior, z to left; 3 mm slices.
    direction = np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0]], float)
    grid = Grid((20, 60, 60), (1.0, 1.0, 3.0), (0.0, 0.0, 0.0), tuple(direction.ravel()))
    shape = Ellipsoid(centre_of(grid, (0, 0.5, 0)), np.array([10.0, 14.0, 25.0]), np.eye(3))
    found = bidimensional(shape.mask(grid), grid)
    assert found.slice_axis == 1
    assert found.longest_mm == pytest.approx(28, abs=1.5)
    assert found.perpendicular_mm == pytest.approx(20, abs=3)


def test_measurable_from_ten_by_ten() -> None:
    grid = grid_of((3, 40, 40))
    mask = np.zeros(grid.shape, bool)
    mask[1, 10:20, 10:20] = True
    assert bidimensional(mask, grid).measurable
    mask[1, 19] = False
    found = bidimensional(mask, grid)
    assert found.longest_mm > 10 and found.perpendicular_mm < 14
    thin = np.zeros(grid.shape, bool)
    thin[1, 10:12, 5:35] = True
    assert not bidimensional(thin, grid).measurable


def test_one_voxel_has_its_own_size() -> None:
    grid = grid_of((3, 5, 5), (2.0, 2.0, 2.0))
    mask = np.zeros(grid.shape, bool)
    mask[1, 2, 2] = True
    found = bidimensional(mask, grid)
    assert found.longest_mm == pytest.approx(2.0) and 0 < found.perpendicular_mm <= 2.0


def test_nothing_has_no_diameters() -> None:
    with pytest.raises(ValueError, match="empty"):
        bidimensional(np.zeros((3, 3, 3), bool), grid_of((3, 3, 3)))
