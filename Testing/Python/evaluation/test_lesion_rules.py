"""What counts as one lesion: hand-worked cases for every rule."""

from __future__ import annotations

import numpy as np
import pytest

from GliomaSegLib.outcome.lesions import find_lesions, join_by_touch, merge_by_dilation

ROW = (12, 12, 64)


@pytest.mark.parametrize(
    ("label", "region", "reach"),
    [(3, "ET", 6), (2, "SNFH", 6), (3, "TC", 6), (2, "WT", 6), (1, "NETC", 10), (4, "RC", 10)],
)
def test_lesions_merge_exactly_as_far_as_their_dilations_touch(build, label, region, reach):
    near = build(ROW, (label, 4, 8, 4, 8, 2, 8), (label, 4, 8, 4, 8, 8 + reach, 14 + reach))
    far = build(ROW, (label, 4, 8, 4, 8, 2, 8), (label, 4, 8, 4, 8, 9 + reach, 15 + reach))
    assert find_lesions(near)[region].count == 1
    assert find_lesions(far)[region].count == 2


def test_dilations_that_meet_only_at_a_corner_merge(build):
    # Three dilations by the 18-connected element reach 3 voxels along each axis and 6 in all. Nearest corners
    # 5 + 5 + 5 apart leave a step of one along every axis, which only the 26-neighbourhood takes.
    block = (3, 1, 5, 1, 5, 1, 5)
    assert find_lesions(build((20, 20, 20), block, (3, 9, 13, 9, 13, 9, 13)))["ET"].count == 1
    assert find_lesions(build((20, 20, 20), block, (3, 9, 13, 9, 13, 10, 14)))["ET"].count == 2


@pytest.mark.parametrize(
    ("label", "region", "voxels", "counts"),
    [
        (3, "ET", 10, 0),
        (3, "ET", 11, 1),
        (3, "TC", 20, 0),
        (3, "TC", 21, 1),
        (4, "RC", 20, 0),
        (4, "RC", 21, 1),
    ],
)
def test_small_lesions_are_dropped_at_their_limit(build, label, region, voxels, counts):
    lesions = find_lesions(build(ROW, (label, 5, 6, 5, 6, 2, 2 + voxels)))[region]
    assert (lesions.count, lesions.dropped) == (counts, 1 - counts)


def test_specks_that_merge_are_one_lesion_before_they_are_dropped(build):
    specks = [(3, 5, 6, 5, 7, x, x + 2) for x in (2, 8, 14)]
    assert find_lesions(build(ROW, *specks[:2]))["ET"].count == 0
    assert find_lesions(build(ROW, *specks))["ET"].count == 1


def test_touching_one_lesion_of_another_structure_joins(build):
    nodules = (3, 4, 8, 4, 8, 2, 6), (3, 4, 8, 4, 8, 30, 34)
    assert find_lesions(build(ROW, *nodules))["ET"].count == 2
    bridged = find_lesions(build(ROW, *nodules, (4, 4, 8, 4, 8, 6, 30)))
    assert bridged["ET"].count == 1
    assert bridged["TC"].count == bridged["WT"].count == 2, "regions are not joined"


@pytest.mark.parametrize(
    ("joined", "bridge", "joins"),
    [
        (1, 3, True),
        (1, 4, True),
        (1, 2, False),
        (3, 2, False),
        (4, 2, False),
        (2, 1, True),
        (2, 3, True),
        (2, 4, True),
    ],
)
def test_which_structures_join_which(build, joined, bridge, joins):
    region = {1: "NETC", 2: "SNFH", 3: "ET", 4: "RC"}[joined]
    ends = (joined, 4, 8, 4, 8, 2, 6), (joined, 4, 8, 4, 8, 30, 34)
    lesions = find_lesions(build(ROW, *ends, (bridge, 4, 8, 4, 8, 6, 30)))[region]
    assert lesions.count == (1 if joins else 2)


def test_edges_touch_and_corners_do_not(build):
    labels = merge_by_dilation(build((9, 9, 40), (1, 0, 4, 0, 4, 0, 4), (1, 0, 4, 0, 4, 30, 34)) > 0, 3)
    by_edge = merge_by_dilation(build((9, 9, 40), (1, 4, 8, 0, 4, 4, 30)) > 0, 3)
    by_corner = merge_by_dilation(build((9, 9, 40), (1, 4, 8, 4, 8, 4, 30)) > 0, 3)
    assert np.unique(join_by_touch(labels, by_edge)).tolist() == [0, 1]
    assert np.unique(join_by_touch(labels, by_corner)).tolist() == [0, 1, 2]


def test_a_lesion_follows_only_the_first_neighbour_it_touches(build):
    row = (10, 10, 80)
    last = (3, 3, 7, 3, 7, 40, 46)
    core = (1, 3, 7, 3, 7, 32, 40)
    middle = (3, 3, 7, 3, 7, 14, 32)
    first_core = (1, 3, 7, 3, 7, 4, 14)
    assert find_lesions(build(row, middle, core, last))["ET"].count == 1
    assert find_lesions(build(row, first_core, middle, core, last))["ET"].count == 2


def test_joined_specks_count_unless_they_are_dropped_first(build):
    specks_on_a_core = build(ROW, (3, 5, 7, 5, 7, 3, 5), (1, 5, 7, 5, 7, 5, 30), (3, 5, 7, 5, 7, 30, 32))
    assert find_lesions(specks_on_a_core)["ET"].count == 1
    assert find_lesions(specks_on_a_core, drop_before_joining=True)["ET"].count == 0


def test_the_volume_border_does_not_change_what_merges(build):
    at_border = build((4, 4, 20), (3, 0, 4, 0, 4, 0, 4), (3, 0, 4, 0, 4, 10, 14))
    inside = np.pad(at_border, 8)
    assert find_lesions(at_border)["ET"].count == find_lesions(inside)["ET"].count == 1


def test_every_voxel_of_a_region_belongs_to_one_lesion(build):
    rng = np.random.default_rng(5)
    label_map = np.where(rng.random((14, 15, 16)) > 0.97, rng.integers(1, 5, (14, 15, 16)), 0).astype(
        np.uint8
    )
    for region, labels in {"ET": (3,), "RC": (4,), "WT": (1, 2, 3)}.items():
        lesions = find_lesions(label_map)[region]
        assert np.array_equal(lesions.labels > 0, np.isin(label_map, labels))
        assert lesions.voxels.sum() == np.isin(label_map, labels).sum()
        assert np.array_equal(np.unique(lesions.labels), np.arange(lesions.voxels.size))
