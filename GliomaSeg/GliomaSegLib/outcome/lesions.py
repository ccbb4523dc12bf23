"""What counts as one lesion, by the rules of the BraTS 2024 glioma challenge.

Source: the challenge's ``metrics_GLI.py`` (github.com/rachitsaluja/BraTS-2024-Metrics, July 2024 and later),
its behaviour only. Lesions are 26-connected components, taken as one when their dilations touch; those of
ET, NETC, RC and SNFH are taken as one, too, when they touch the same lesion of another structure; at last,
lesions of a few voxels are dropped.

Three things that the rule's short form hides, kept here because published numbers depend on them:

- SNFH is dilated three times, though five were meant: the official code compares with a misspelt name.
- The official code joins twice over, but both times starts from the unjoined components, so that the second
  round changes nothing. It is done once here.
- A component that touches several lesions of the other structure follows only the first of them, in the order
  in which a scan along z, then y, then x meets their dilations. Joining is therefore not transitive.

One thing is a choice. The official code drops small *reference* lesions after joining, small *predicted*
ones before, so that a perfect prediction can lose points. The rule as written, dropping after joining in
both, is the default; ``drop_before_joining`` gives the official order.

The challenge counts voxels of 1 mm. Given a spacing, the same distances and sizes are meant in millimetres,
so that thick slices don't melt lesions that lie far apart; at 1 mm both are one and the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..labels import REGIONS, region_labels
from .dilation import Axes, dilated

IntArray = npt.NDArray[np.int32]
BoolArray = npt.NDArray[np.bool_]
Spacing = tuple[float, float, float]
_CHALLENGE_SPACING: Spacing = (1.0, 1.0, 1.0)
_WHOLE_ENOUGH = 0.1
"""A distance that lacks this share of a voxel counts as whole: spacings are rarely exact."""

REGION_ORDER: tuple[str, ...] = ("ET", "NETC", "RC", "SNFH", *(region.abbreviation for region in REGIONS))
"""The regions that are scored, in the order in which tables give them."""

_DILATIONS = {"NETC": 5, "RC": 5}
_SMALLEST_DROPPED = {"ET": 10}
_JOINED_BY = {"NETC": ("ET", "RC"), "ET": ("NETC", "RC"), "RC": ("ET", "NETC"), "SNFH": ("ET", "RC", "NETC")}

EIGHTEEN_CONNECTED: BoolArray = ndimage.generate_binary_structure(3, 2)
_TWENTY_SIX_CONNECTED: BoolArray = ndimage.generate_binary_structure(3, 3)
_ALL_AXES: Axes = (True, True, True)


def dilations(region: str) -> int:
    """How often lesions of this region are dilated by the 18-connected element.

    >>> [dilations(region) for region in REGION_ORDER]
    [3, 5, 5, 3, 3, 3]
    """
    return _DILATIONS.get(region, 3)


def largest_dropped(region: str) -> int:
    """The size in voxels up to which, inclusive, a lesion of this region is dropped.

    >>> largest_dropped("ET"), largest_dropped("WT")
    (10, 20)
    """
    return _SMALLEST_DROPPED.get(region, 20)


@dataclass(frozen=True)
class Lesions:
    """The lesions of one region in one label map.

    ``labels`` (z, y, x) int32: 0 outside, 1..n inside lesion i. ``voxels`` (n + 1,): size of each lesion,
    entry 0 is zero. ``kept`` (n + 1,): whether lesion i is large enough to count; entry 0 is False.
    """

    labels: IntArray
    voxels: npt.NDArray[np.int64]
    kept: BoolArray

    @property
    def count(self) -> int:
        """How many lesions are large enough to count."""
        return int(self.kept.sum())

    @property
    def dropped(self) -> int:
        """How many lesions are too small to count."""
        return int(self.voxels.size - 1 - self.kept.sum())


def find_lesions(
    label_map: npt.NDArray[np.integer],
    drop_before_joining: bool = False,
    spacing_zyx_mm: Spacing = _CHALLENGE_SPACING,
    regions: Sequence[str] = REGION_ORDER,
) -> dict[str, Lesions]:
    """The lesions of each of the ``regions`` in a label map (z, y, x) with BraTS 2024 numbers.

    ``drop_before_joining``: small lesions are taken out before lesions of other structures join what is left,
    as the official code does in predictions. ``spacing_zyx_mm`` of the voxels, to apply the rule in mm.

    >>> label_map = np.zeros((12, 12, 30), np.uint8)
    >>> label_map[4:8, 4:8, 2:6] = label_map[4:8, 4:8, 20:24] = 3      # two enhancing nodules ...
    >>> find_lesions(label_map)["ET"].count
    2
    >>> label_map[4:8, 4:8, 6:20] = 1                                  # ... that one necrotic core connects
    >>> find_lesions(label_map)["ET"].count
    1
    """
    needed = {*regions, *(other for name in regions for other in _JOINED_BY.get(name, ()))}
    merged = {
        name: merge_by_dilation(region_mask(label_map, name), dilations(name), spacing_zyx_mm)
        for name in REGION_ORDER
        if name in needed
    }
    voxel_mm3 = float(np.prod(spacing_zyx_mm))
    dropped_up_to = {name: largest_dropped(name) / voxel_mm3 for name in merged}
    if drop_before_joining:
        merged = {name: _without_small(labels, dropped_up_to[name]) for name, labels in merged.items()}
    lesions = {}
    for name in regions:
        joined = merged[name]
        for other in _JOINED_BY.get(name, ()):
            joined = join_by_touch(joined, merged[other])
        lesions[name] = _counted(joined, dropped_up_to[name])
    return lesions


def region_mask(label_map: npt.NDArray[np.integer], region: str) -> BoolArray:
    """Where the label map (z, y, x) belongs to the structure or region: bool, same shape."""
    return np.isin(label_map, region_labels(region))


def merge_by_dilation(
    mask: BoolArray, iterations: int, spacing_zyx_mm: Spacing = _CHALLENGE_SPACING
) -> IntArray:
    """Numbers the components of ``mask`` (z, y, x); those whose dilations touch get one number.

    ``iterations`` is the number of dilations by the 18-connected element, 1 mm each. Numbers are in the
    order in which a scan along z, then y, then x meets the dilated components, which :func:`join_by_touch`
    relies on.
    """
    labels = np.zeros(mask.shape, np.int32)
    if not mask.any():
        return labels
    elements = _dilation_elements(iterations, spacing_zyx_mm)
    # The margin keeps the dilation inside the crop; at the volume's own border nothing is lost, because
    # two dilations that meet outside a box also meet inside it.
    box = bounding_box(mask, margin=len(elements))
    inside = mask[box]
    scanned = np.ascontiguousarray(dilated(inside, elements).transpose(2, 1, 0))
    components, _ = ndimage.label(scanned, _TWENTY_SIX_CONNECTED)
    here = np.nonzero(inside)
    labels[box][here] = components[here[::-1]]
    return labels


def _dilation_elements(reach_mm: int, spacing_zyx_mm: Spacing) -> list[Axes]:
    """One dilation after the other, each with the axes (z, y, x) along which it grows by a voxel.

    Every axis grows by ``reach_mm`` in all, by whole voxels and no further.

    >>> _dilation_elements(2, (1.0, 1.0, 1.0))
    [(True, True, True), (True, True, True)]
    >>> _dilation_elements(3, (2.0, 1.0, 1.0))       # slices of 2 mm: once along z, three times in the plane
    [(False, True, True), (False, True, True), (True, True, True)]
    """
    steps = [math.floor(reach_mm / spacing + _WHOLE_ENOUGH) for spacing in spacing_zyx_mm]
    most = max(steps)
    grows = [[(n + 1) * step // most > n * step // most for step in steps] for n in range(most)]
    return [(z, y, x) for z, y, x in grows]


def join_by_touch(labels: IntArray, others: IntArray) -> IntArray:
    """Joins lesions that touch (18-neighbourhood) the same lesion of another structure.

    ``labels`` and ``others`` (z, y, x) are disjoint. Each lesion follows the lowest-numbered lesion of
    ``others`` that it touches; those that follow the same one get one number.
    """
    return _joined(labels, _touching_pairs(labels, others))


def _joined(labels: IntArray, pairs: list[tuple[int, int]]) -> IntArray:
    """``labels`` (z, y, x) joined by ascending ``pairs`` of a lesion and a lesion of the other structure."""
    if len(pairs) < 2:
        return labels
    mapping = np.arange(int(labels.max()) + 1, dtype=np.int32)
    first_of: dict[int, int] = {}
    followed: set[int] = set()
    for lesion, other in pairs:  # ascending, so that the first pair of a lesion has its lowest neighbour
        if lesion in followed:
            continue
        followed.add(lesion)
        mapping[lesion] = first_of.setdefault(other, lesion)
    return _renumbered(labels, mapping)


def _renumbered(labels: IntArray, mapping: npt.NDArray[np.int32]) -> IntArray:
    """``mapping[labels]``, looked up only where there are lesions: most of a volume has none."""
    if np.array_equal(mapping, np.arange(mapping.size)):
        return labels
    renumbered = np.zeros_like(labels)
    here = np.flatnonzero(labels)
    renumbered.ravel()[here] = mapping[labels.ravel()[here]]
    return renumbered


def _touching_pairs(labels: IntArray, others: IntArray) -> list[tuple[int, int]]:
    """The pairs (number in ``labels``, number in ``others``) that are 18-neighbours, ascending."""
    if not labels.any() or not others.any():
        return []
    box = bounding_box(labels > 0, margin=1)
    first, second = labels[box], np.pad(others[box], 1)
    near = dilated(second > 0, [_ALL_AXES])[1:-1, 1:-1, 1:-1]
    z, y, x = np.nonzero((first > 0) & near)
    base = int(others.max()) + 1
    numbers = first[z, y, x].astype(np.int64) * base
    steps = second.strides
    flat = second.ravel()
    places = np.ravel_multi_index((z + 1, y + 1, x + 1), second.shape)
    codes: list[npt.NDArray[np.int64]] = []
    for offset in product((-1, 0, 1), repeat=3):
        if 0 < np.abs(offset).sum() <= 2:
            there = flat[places + int(np.dot(offset, steps)) // second.itemsize]
            codes.append(_distinct((numbers + there)[there > 0]))
    return [divmod(code, base) for code in np.unique(np.concatenate(codes)).tolist()]


def _distinct(codes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The distinct values; neighbouring voxels mostly have the same, which spares the sorting."""
    changed = np.flatnonzero(np.diff(codes, prepend=-1))
    return np.unique(codes[changed])


def _without_small(labels: IntArray, dropped_up_to: float) -> IntArray:
    """The numbered lesions (z, y, x) without those of at most so many voxels; numbers stay."""
    return np.where((np.bincount(labels.ravel()) > dropped_up_to)[labels], labels, 0)


def _counted(labels: IntArray, dropped_up_to: float) -> Lesions:
    """Numbers the lesions without gaps and says which are large enough to count."""
    voxels = np.bincount(labels.ravel()[np.flatnonzero(labels)], minlength=1)
    present = np.flatnonzero(voxels)
    mapping = np.zeros(voxels.size, np.int32)
    mapping[present] = np.arange(1, present.size + 1, dtype=np.int32)
    sizes = np.concatenate(([0], voxels[present])).astype(np.int64)
    return Lesions(_renumbered(labels, mapping), sizes, sizes > dropped_up_to)


def bounding_box(mask: BoolArray, margin: int = 0) -> tuple[slice, slice, slice]:
    """The smallest box around a mask (z, y, x) that is not empty, grown by ``margin`` within the array."""
    slices = []
    for axis in range(3):
        used = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        slices.append(slice(max(0, int(used[0]) - margin), min(mask.shape[axis], int(used[-1]) + 1 + margin)))
    return slices[0], slices[1], slices[2]
