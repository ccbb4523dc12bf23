"""Distances between surfaces, against values worked out by hand."""

from __future__ import annotations

from itertools import permutations, product
from math import sqrt

import numpy as np
import pytest

from GliomaSegLib.evaluation.surfaces import Surface, hd95_mm, patch_areas, surface_dice

ISOTROPIC = (1.0, 1.0, 1.0)


def cube(size: int, corner=(0, 0, 0), spacing=ISOTROPIC) -> Surface:
    return Surface(np.ones((size, size, size), bool), corner, spacing)


def test_surface_dice_of_a_cube_shifted_by_one_voxel():
    # A 6^3 cube has 6^3 - 4^3 = 152 border voxels; shifted by one, five rings of 20 of them coincide. The
    # rest, one whole face and the middle of the opposite one, is one voxel away.
    first, second = cube(6), cube(6, (0, 0, 1))
    assert surface_dice(first, second, (0.5, 1.0)) == (pytest.approx(100 / 152), 1.0)


def test_surface_dice_on_anisotropic_voxels():
    # As above, but the shift is 2 mm. Within 1 mm come only those 12 of the 16 middle voxels beside the ring.
    first, second = cube(6, (0, 0, 0), (1.0, 1.0, 2.0)), cube(6, (0, 0, 1), (1.0, 1.0, 2.0))
    assert surface_dice(first, second, (1.0, 2.0)) == (pytest.approx(112 / 152), 1.0)


@pytest.mark.parametrize(
    ("axis", "spacing", "expected"),
    [
        (0, ISOTROPIC, 3.0),
        (1, ISOTROPIC, 3.0),
        (2, ISOTROPIC, 3.0),
        (1, (3.0, 0.5, 0.8), 1.5),
        (2, (3.0, 0.5, 0.8), 2.4),
    ],
)
def test_hd95_of_a_shifted_cube_is_the_shift(axis, spacing, expected):
    # The face that is left behind is more than a twentieth of the surface, and no point is further away.
    corner = [0, 0, 0]
    corner[axis] = 3
    shifted = cube(10, tuple(corner), spacing)
    assert hd95_mm(cube(10, (0, 0, 0), spacing), shifted) == pytest.approx(expected)


def test_hd95_weighs_points_by_area():
    # A bar of 16 thick slices, shifted along itself by one. Only the end stays behind: more than a twentieth
    # of the surface's points, but less than a twentieth of its area.
    mask, spacing = np.ones((16, 10, 10), bool), (10.0, 0.1, 0.1)
    bar, shifted = Surface(mask, (0, 0, 0), spacing), Surface(mask, (1, 0, 0), spacing)
    points, areas = bar._patches
    behind = points[:, 0] < 0
    assert behind.mean() > 0.1 > 0.05 > areas[behind].sum() / areas.sum()
    assert hd95_mm(bar, shifted) == 0.0


def test_hd95_between_nested_cubes_is_the_margin_and_symmetric():
    inner, outer = cube(12, (4, 4, 4)), cube(20)
    # Every point of the inner surface is 4 mm from the outer one; the outer's edges and corners are further.
    assert hd95_mm(inner, outer) == hd95_mm(outer, inner)
    assert 4.0 <= hd95_mm(inner, outer) <= sqrt(48)


def test_hd95_ignores_what_covers_less_than_a_twentieth():
    plain = np.zeros((14, 14, 40), bool)
    plain[2:12, 2:12, 2:12] = True
    with_spike = plain.copy()
    with_spike[7, 7, 12:15] = True
    first, second = (Surface(mask, (0, 0, 0), ISOTROPIC) for mask in (plain, with_spike))
    assert hd95_mm(first, second) == 0.0
    assert surface_dice(first, second, (0.5,))[0] < 1.0


def test_distances_do_not_depend_on_the_crop():
    whole = np.zeros((16, 16, 16), bool)
    whole[3:9, 4:10, 5:11] = True
    other = cube(6, (5, 5, 7))
    cropped, padded = cube(6, (3, 4, 5)), Surface(whole, (0, 0, 0), ISOTROPIC)
    assert hd95_mm(cropped, other) == hd95_mm(padded, other) > 0
    assert surface_dice(cropped, other, (1.0,)) == surface_dice(padded, other, (1.0,)) > (0.0,)


def test_patches_of_a_box_add_up():
    # Faces, bevelled edges, cut corners: marching cubes takes half a voxel's bevel off every edge of a box.
    _, areas = cube(5)._patches
    assert areas.sum() == pytest.approx(6 * 16 + 12 * 4 * sqrt(0.5) + 8 * sqrt(3) / 8)


def test_patch_areas_scale_with_the_voxel():
    flat_in_z, flat_in_x = 0b00001111, 0b01010101
    areas = patch_areas((2.0, 3.0, 5.0))
    assert areas[flat_in_z] == pytest.approx(15.0)
    assert areas[flat_in_x] == pytest.approx(6.0)


def test_patch_areas_do_not_depend_on_orientation_or_side():
    areas = patch_areas(ISOTROPIC)
    for pattern in range(256):
        bits = np.array([pattern >> bit & 1 for bit in range(8)]).reshape(2, 2, 2)
        for order, flips in product(permutations(range(3)), product((1, -1), repeat=3)):
            turned = bits.transpose(order)[:: flips[0], :: flips[1], :: flips[2]].ravel()
            number = sum(int(bit) << place for place, bit in enumerate(turned))
            assert areas[number] == pytest.approx(areas[pattern]) == pytest.approx(areas[255 - number])
