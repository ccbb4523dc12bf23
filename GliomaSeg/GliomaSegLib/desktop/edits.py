"""One-click corrections as functions of arrays; of Slicer, only its translations.

``labels`` are (z, y, x) uint8 with the numbers of ``labels.py``, ``spacing_mm`` is (x, y, z) as on a Grid.
The cavity may take voxels from background and SNFH, never from enhancing tissue or the non-enhancing core:
what a person sees as tumour does not vanish by a click on the cavity.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from slicer.i18n import tr as _

from ..errors import InputRefused
from ..labels import BACKGROUND, ET, NETC, RC, SNFH

LabelArray = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
SMOOTHING_MM = 1.5
"""Standard deviation of the smoothing of the cavity's edge: below it, edges of one voxel's size remain."""
REACH_MM = 3.0
"""How far an edge may move when it snaps to fluid."""
MIN_CONTRAST = 1.0
"""Least distance of fluid from its surroundings, in pooled robust standard deviations, that a snap trusts."""
_MIN_SAMPLES = 20


def _yielding(labels: LabelArray) -> Mask:
    """Voxels that the cavity may take or already has."""
    return np.isin(labels, (BACKGROUND, SNFH.number, RC.number))


def _with_cavity(labels: LabelArray, cavity: Mask) -> LabelArray:
    """``labels`` with ``cavity`` where it may be; voxels that it gives up become background."""
    changed = labels.copy()
    changed[labels == RC.number] = BACKGROUND
    changed[cavity & _yielding(labels)] = RC.number
    return changed


def keep_tumour(before: LabelArray, after: LabelArray) -> LabelArray:
    """``after`` with enhancing tissue and core of ``before`` wherever a stroke made cavity of them.

    Returns ``after`` itself when the stroke took none.
    """
    taken = np.isin(before, (ET.number, NETC.number)) & (after == RC.number)
    return np.where(taken, before, after) if taken.any() else after


def keep_cavity(before: LabelArray, after: LabelArray) -> LabelArray:
    """``after`` with the cavity of ``before`` wherever a stroke made another structure of it.

    Erasing is left alone. Returns ``after`` itself when the stroke took none.
    """
    taken = (before == RC.number) & (after != RC.number) & (after != BACKGROUND)
    return np.where(taken, before, after) if taken.any() else after


def _require_cavity(labels: LabelArray) -> Mask:
    cavity = labels == RC.number
    if not cavity.any():
        raise InputRefused(_("There is no resection cavity to correct: paint one first."))
    return cavity


def _box(mask: Mask, margin_mm: float, spacing_mm: Sequence[float]) -> tuple[slice, ...]:
    """The bounding box of ``mask`` grown by ``margin_mm``: everything below works in it, for speed."""
    (found,) = ndimage.find_objects(mask.astype(np.uint8))
    steps = [int(np.ceil(margin_mm / step)) + 1 for step in reversed(spacing_mm)]
    return tuple(
        slice(max(part.start - step, 0), min(part.stop + step, size))
        for part, step, size in zip(found, steps, mask.shape, strict=True)
    )


def smooth_cavity(labels: LabelArray, spacing_mm: Sequence[float]) -> LabelArray:
    """The cavity with its edge smoothed over ``SMOOTHING_MM``, its volume kept.

    The threshold after the smoothing is chosen so that the number of voxels stays, because a plain threshold
    at one half eats small cavities. Raises ``InputRefused`` without a cavity.
    """
    cavity = _require_cavity(labels)
    box = _box(cavity, 4 * SMOOTHING_MM, spacing_mm)
    sigma = [SMOOTHING_MM / step for step in reversed(spacing_mm)]
    soft = ndimage.gaussian_filter(cavity[box].astype(np.float32), sigma)
    soft[~_yielding(labels[box])] = 0.0
    count = min(int(cavity.sum()), int((soft > 0).sum()))
    threshold = np.partition(soft.ravel(), -count)[-count]
    smoothed = np.zeros_like(cavity)
    smoothed[box] = soft >= max(float(threshold), 1e-6)
    return _with_cavity(labels, smoothed)


def fill_cavity(labels: LabelArray) -> LabelArray:
    """The cavity with its holes filled, in 3D and in each of the three slice directions.

    A hole in a slice is filled too, because a cavity that is open to another slice is still seen as a ring.
    Tumour inside the cavity stays. Raises ``InputRefused`` without a cavity.
    """
    cavity = _require_cavity(labels)
    box = _box(cavity, 1.0, (1.0, 1.0, 1.0))
    part = cavity[box]
    filled = ndimage.binary_fill_holes(part)
    for axis in range(3):
        slices = np.moveaxis(part, axis, 0)
        in_slices = np.stack([ndimage.binary_fill_holes(piece) for piece in slices])
        filled |= np.moveaxis(in_slices, 0, axis)
    whole = np.zeros_like(cavity)
    whole[box] = filled
    return _with_cavity(labels, whole | cavity)


def remove_island(labels: LabelArray, index_zyx: Sequence[int]) -> LabelArray:
    """``labels`` without the connected piece (26 neighbours, one structure) under a voxel.

    Raises ``InputRefused`` when nothing is segmented there.
    """
    place = tuple(int(part) for part in index_zyx)
    inside = all(0 <= part < size for part, size in zip(place, labels.shape, strict=True))
    if not inside or labels[place] == BACKGROUND:
        raise InputRefused(_("There is no segmented piece under the cursor: point at one in a slice."))
    pieces, _count = ndimage.label(labels == labels[place], structure=np.ones((3, 3, 3)))
    changed = labels.copy()
    changed[pieces == pieces[place]] = BACKGROUND
    return changed


def snap_to_fluid(
    labels: LabelArray,
    images: Sequence[npt.NDArray[np.floating]],
    spacing_mm: Sequence[float],
    reach_mm: float = REACH_MM,
) -> LabelArray:
    """The cavity with its edge moved by at most ``reach_mm`` to where the images change from fluid to tissue.

    ``images``: T1 and FLAIR on the grid of ``labels``. Fluid is what the middle of the cavity looks like,
    tissue what lies beyond the reach around it (medians and inter-quartile ranges); each voxel near the edge
    goes to the nearer of the two over all images. Only what hangs together with the middle stays.

    Raises ``InputRefused`` without a cavity, for a cavity too small to have a middle, or when fluid and
    tissue look alike: then an edge would follow noise.
    """
    cavity = _require_cavity(labels)
    box = _box(cavity, 3 * reach_mm, spacing_mm)
    here, part = cavity[box], labels[box]
    sampling = tuple(reversed(tuple(spacing_mm)))
    inside = ndimage.distance_transform_edt(here, sampling=sampling)
    outside = ndimage.distance_transform_edt(~here, sampling=sampling)
    core = inside > min(reach_mm, 0.6 * float(inside.max()))
    around = (outside > reach_mm) & (outside <= 3 * reach_mm) & np.isin(part, (BACKGROUND, SNFH.number))
    if core.sum() < _MIN_SAMPLES or around.sum() < _MIN_SAMPLES:
        raise InputRefused(_("The cavity is too small to tell fluid from tissue: correct it by hand."))
    nearness = _fluid_minus_tissue([image[box] for image in images], core, around)
    band = (inside <= reach_mm) & (outside <= reach_mm)
    fluid = np.where(band, nearness < 0, here) & _yielding(part)
    pieces, _count = ndimage.label(fluid)
    kept = np.isin(pieces, np.unique(pieces[core & fluid])) & fluid
    snapped = np.zeros_like(cavity)
    snapped[box] = kept
    return _with_cavity(labels, snapped)


def _fluid_minus_tissue(images: Sequence[np.ndarray], core: Mask, around: Mask) -> npt.NDArray[np.float64]:
    """Squared distance to fluid minus squared distance to tissue, over the images that tell them apart.

    Raises ``InputRefused`` when none does.
    """
    total = np.zeros(core.shape)
    told = False
    for image in images:
        fluid, tissue = np.median(image[core]), np.median(image[around])
        spreads = [np.subtract(*np.percentile(image[where], (75, 25))) / 1.349 for where in (core, around)]
        pooled = float(np.hypot(*spreads)) / np.sqrt(2)
        if abs(fluid - tissue) < MIN_CONTRAST * pooled or fluid == tissue:
            continue
        scale = max(pooled, 0.05 * abs(float(fluid - tissue)))
        total += ((image - fluid) / scale) ** 2 - ((image - tissue) / scale) ** 2
        told = True
    if not told:
        raise InputRefused(_("Fluid and tissue look alike on T1 and FLAIR here: correct the edge by hand."))
    return total
