"""Doubtful regions: deep ones near the segmentation, largest first, whatever the voxels' size."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from GliomaSegLib.outcome.doubt import DOUBTFUL_PERCENT, LARGEST_ML, doubtful_regions

ISOTROPIC = (1.0, 1.0, 1.0)


def scene() -> tuple[np.ndarray, np.ndarray]:
    """A block of label 2 with a doubtful shell around, and no other doubt."""
    labels = np.zeros((30, 40, 50), np.uint8)
    labels[8:22, 10:30, 10:30] = 2
    block = labels > 0
    shell = ndimage.binary_dilation(block) & ~ndimage.binary_erosion(block)
    return np.where(shell, 60, 0).astype(np.uint8), labels


def test_the_thin_doubt_along_edges_is_not_told() -> None:
    assert doubtful_regions(*scene(), ISOTROPIC) == []


def test_deep_regions_come_largest_first_with_their_place() -> None:
    doubt, labels = scene()
    doubt[12:17, 15:20, 15:20] = 45
    doubt[10:20, 20:28, 31:38] = 70
    found = doubtful_regions(doubt, labels, ISOTROPIC)
    assert len(found) == 2 and found[0].ml > found[1].ml
    assert found[1].deepest_zyx == (14, 17, 17) and found[1].ml == pytest.approx(0.117)
    first = found[0].on(labels.shape)
    assert first.shape == labels.shape and first[15, 24, 33] and not first[14, 17, 17]
    assert first[found[0].deepest_zyx] and first.sum() * 0.001 == pytest.approx(found[0].ml)
    assert (doubt[first] >= DOUBTFUL_PERCENT).all()


def test_doubt_far_from_the_segmentation_or_below_the_threshold_is_not_told() -> None:
    doubt, labels = scene()
    doubt[10:20, 10:20, 42:50] = 90
    doubt[12:17, 15:20, 15:20] = DOUBTFUL_PERCENT - 1
    assert doubtful_regions(doubt, labels, ISOTROPIC) == []
    assert doubtful_regions(doubt, np.zeros_like(labels), ISOTROPIC) == []


def test_depth_is_in_millimetres_along_every_axis() -> None:
    labels = np.full((12, 20, 20), 2, np.uint8)
    doubt = np.zeros_like(labels)
    doubt[5:7, 5:15, 5:15] = 80
    assert doubtful_regions(doubt, labels, (1.0, 1.0, 0.7)) == [], "1.4 mm thick: an edge"
    (found,) = doubtful_regions(doubt, labels, (1.0, 1.0, 4.0))
    assert found.deepest_zyx[0] in (5, 6) and found.ml > 0.7


def test_pieces_that_touch_at_a_corner_are_one_region() -> None:
    labels = np.full((20, 20, 20), 3, np.uint8)
    doubt = np.zeros_like(labels)
    doubt[4:8, 4:8, 4:8] = doubt[8:12, 8:12, 8:12] = 90
    big_voxels = (2.0, 2.0, 2.0)
    assert len(doubtful_regions(doubt, labels, big_voxels)) == 1
    doubt[8:12] = 0
    doubt[9:13, 8:12, 8:12] = 90
    assert len(doubtful_regions(doubt, labels, big_voxels)) == 2


def test_doubt_around_a_whole_tumour_falls_apart_where_it_is_less() -> None:
    labels = np.full((40, 40, 40), 2, np.uint8)
    doubt = np.full(labels.shape, 35, np.uint8)
    doubt[5:15, 5:15, 5:15], doubt[22:30, 22:30, 22:30] = 80, 65
    found = doubtful_regions(doubt, labels, ISOTROPIC)
    assert [region.deepest_zyx[0] < 20 for region in found] == [True, False]
    assert all(region.ml <= LARGEST_ML for region in found)


def test_one_region_that_no_threshold_divides_is_told_whole() -> None:
    labels = np.full((30, 30, 30), 2, np.uint8)
    (found,) = doubtful_regions(np.full(labels.shape, 44, np.uint8), labels, ISOTROPIC)
    assert found.ml == pytest.approx(27.0, rel=0.05) and found.ml > LARGEST_ML
