"""Where the model itself is in doubt: regions of an uncertainty map that a person should look at first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

LabelArray = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Box = tuple[slice, slice, slice]

DOUBTFUL_PERCENT = 30
"""Uncertainty from which a voxel is doubtful: of five classes, one at 80% against one other has 31."""
STEP_PERCENT = 10
LARGEST_ML = 5.0
"""A region should be seen at one glance: the threshold rises by steps while one is larger than this."""
NEAR_MM = 5.0
"""How far from the segmentation a doubtful voxel may lie."""
EDGE_MM = 1.5
"""Every edge is doubtful for a voxel or two: what has no depth of more than this is not told."""


@dataclass(frozen=True)
class DoubtfulRegion:
    """A 26-connected piece: its ``mask`` inside ``box`` (slices z, y, x), millilitres, its deepest voxel."""

    box: Box
    mask: Mask
    ml: float
    deepest_zyx: tuple[int, int, int]

    def on(self, shape: tuple[int, ...]) -> Mask:
        """The region as a bool array (z, y, x) of ``shape``."""
        whole = np.zeros(shape, np.bool_)
        whole[self.box] = self.mask
        return whole


def doubtful_regions(
    uncertainty: LabelArray, labels: LabelArray, spacing_mm: tuple[float, float, float]
) -> list[DoubtfulRegion]:
    """The doubtful regions in or near a segmentation, the largest first.

    ``uncertainty`` (z, y, x) uint8 in per cent, as ``labelling.labels_and_uncertainty`` gives it; ``labels``
    (z, y, x): what was segmented, 0 is nothing; ``spacing_mm`` is (x, y, z). Voxels from ``DOUBTFUL_PERCENT``
    up are opened by ``EDGE_MM``, so that the thin doubt along every edge falls away, and grouped by 26
    neighbours. A soft model is in doubt around a whole tumour: then the threshold rises until no region is
    larger than ``LARGEST_ML``, or a higher one would leave nothing.

    >>> doubt, labels = np.zeros((9, 9, 9), np.uint8), np.ones((9, 9, 9), np.uint8)
    >>> doubt[2:7, 2:7, 2:7], doubt[8] = 60, 60
    >>> [(region.ml, region.deepest_zyx) for region in doubtful_regions(doubt, labels, (1.0, 1.0, 1.0))]
    [(0.117, (4, 4, 4))]
    """
    spacing = spacing_mm[::-1]
    doubtful = uncertainty >= DOUBTFUL_PERCENT
    if not doubtful.any() or not labels.any():
        return []
    corner, part = _around(labels > 0, spacing)
    near = ndimage.distance_transform_edt(labels[part] == 0, sampling=spacing) <= NEAR_MM
    voxel_ml = float(np.prod(spacing_mm)) / 1000
    numbered, count, depth = _numbered(np.where(near, uncertainty[part], 0), spacing, voxel_ml)
    regions = []
    for number, box in enumerate(ndimage.find_objects(numbered, count), 1):
        mask = numbered[box] == number
        inside = np.unravel_index(int(np.argmax(np.where(mask, depth[box], -1.0))), mask.shape)
        start = [begin + piece.start for begin, piece in zip(corner, box, strict=True)]
        z, y, x = (int(place) + begin for place, begin in zip(inside, start, strict=True))
        whole = tuple(slice(begin, begin + size) for begin, size in zip(start, mask.shape, strict=True))
        region = DoubtfulRegion((whole[0], whole[1], whole[2]), mask, float(mask.sum()) * voxel_ml, (z, y, x))
        regions.append(region)
    return sorted(regions, key=lambda region: -region.ml)


def _numbered(
    uncertainty: npt.NDArray[np.integer], spacing: tuple[float, ...], voxel_ml: float
) -> tuple[npt.NDArray[np.int32], int, npt.NDArray[np.float64]]:
    """The regions numbered from 1, how many there are, and each voxel's depth in mm."""
    best: tuple[npt.NDArray[np.int32], int, npt.NDArray[np.float64]] | None = None
    for threshold in range(DOUBTFUL_PERCENT, 100, STEP_PERCENT):
        opened, depth = _opened(uncertainty >= threshold, spacing)
        numbered, count = ndimage.label(opened, np.ones((3, 3, 3)))
        if best is None or count:
            best = numbered, count, depth
        sizes = np.bincount(numbered.ravel())[1:]
        if not count or sizes.max() * voxel_ml <= LARGEST_ML:
            break
    assert best is not None  # the range is not empty
    return best


def _around(mask: Mask, spacing: tuple[float, ...]) -> tuple[list[int], Box]:
    """Where the box of ``mask``, grown by ``NEAR_MM``, begins, and the box: all work is done in it."""
    (found,) = ndimage.find_objects(mask.astype(np.uint8))
    steps = [int(np.ceil(NEAR_MM / step)) + 1 for step in spacing]
    box = tuple(
        slice(max(part.start - step, 0), min(part.stop + step, size))
        for part, step, size in zip(found, steps, mask.shape, strict=True)
    )
    return [part.start for part in box], (box[0], box[1], box[2])


def _opened(mask: Mask, spacing: tuple[float, ...]) -> tuple[Mask, npt.NDArray[np.float64]]:
    """``mask`` opened by ``EDGE_MM``, and each voxel's depth in it in mm; beyond the array is outside."""
    depth = ndimage.distance_transform_edt(np.pad(mask, 1), sampling=spacing)[1:-1, 1:-1, 1:-1]
    core = depth > EDGE_MM
    if not core.any():
        return core, depth
    return mask & (ndimage.distance_transform_edt(~core, sampling=spacing) <= EDGE_MM), depth
