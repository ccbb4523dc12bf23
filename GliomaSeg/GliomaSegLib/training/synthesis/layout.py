"""From a plan to a label map: where cavity, enhancing tissue, core and hyperintensity lie in an anatomy."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ...labels import structure
from .anatomy import FLUID, GREY, OUTSIDE, Anatomy
from .fields import (
    BoolArray,
    FloatArray,
    bounding_box,
    distance_mm,
    ellipsoid,
    facets,
    fill_to_volume,
    rough_field,
    smooth_field,
    smoothed,
    without_crumbs,
)
from .plan import LesionPlan
from .spread import hyperintensity, spread_cost

TEMPORAL_SHARE = 0.25
"""How often a lesion starts in the lower two fifths of the brain, where the temporal lobes are: about what
gliomas do, and more than the lobes' share of the brain."""

NETC, SNFH, ET, RC = (structure(a).number for a in ("NETC", "SNFH", "ET", "RC"))


@dataclass(frozen=True)
class Layout:
    """``labels`` (z, y, x) uint8 in BraTS 2024 numbers, the lesion's ``centre`` (voxels), ``arrival`` the
    cost of reaching a voxel from the core (for intensities that fade outwards), and ``cystic`` when the
    non-enhancing core is fluid."""

    labels: np.ndarray
    centre: npt.NDArray[np.float64]
    arrival: FloatArray = field(repr=False)
    cystic: bool = False


def radius_mm(volume_ml: float) -> float:
    """Radius of the ball of this volume."""
    return float(np.cbrt(3000.0 * volume_ml / (4 * np.pi)))


def choose_centre(
    rng: np.random.Generator, anatomy: Anatomy, plan: LesionPlan, taken: BoolArray
) -> np.ndarray:
    """A voxel (z, y, x) in the cerebrum to start from, away from ``taken`` where the brain has room.

    Superficial lesions start within a radius of the surface, deep ones beneath it; one in twenty-five may
    start in the cerebellum or brainstem.
    """
    radius = radius_mm(max(plan.cavity_ml, plan.et_ml + plan.netc_ml, 0.5))
    place = anatomy.brain if rng.random() < 0.04 else anatomy.cerebrum
    if rng.random() < TEMPORAL_SHARE:
        slices = np.flatnonzero(anatomy.brain.any(axis=(1, 2)))
        place = place & (np.arange(len(place)) < slices[0] + 0.4 * len(slices))[:, None, None]
    free = place & (anatomy.tissue >= GREY) & ~taken
    if plan.superficial:
        good = free & (anatomy.depth_mm <= max(4.0, 0.8 * radius))
    else:
        good = free & (anatomy.depth_mm >= min(22.0, max(10.0, 0.9 * radius)))
    candidates = np.flatnonzero(good if good.any() else free if free.any() else anatomy.cerebrum)
    return np.array(np.unravel_index(rng.choice(candidates), good.shape), dtype=float)


def lay_out(rng: np.random.Generator, anatomy: Anatomy, plan: LesionPlan, centre: np.ndarray) -> Layout:
    """The label map of ``plan`` around ``centre``; volumes are met as far as the brain has room."""
    tissue = anatomy.tissue if plan.heed_tissue else _foreign_tissue(rng, anatomy)
    labels = np.zeros(anatomy.brain.shape, dtype=np.uint8)
    if plan.style == "none":
        return Layout(labels, centre, np.full(labels.shape, np.inf, dtype=np.float32))
    room = anatomy.brain & _same_side(rng, anatomy, plan, centre) & ~_ventricle(anatomy, tissue)
    if plan.style == "treated":
        if plan.cavity_ml > 0:
            labels[_cavity(rng, anatomy, plan, centre, room)] = RC
        _add_enhancement(rng, anatomy, plan, centre, room & (tissue != FLUID), labels)
    else:
        _add_mass(rng, anatomy, plan, centre, room, labels)
    arrival = spread_cost(anatomy, tissue, labels > 0, centre)
    if plan.snfh_ml > 0:
        labels[hyperintensity(rng, anatomy, plan.snfh_ml, tissue, arrival, labels > 0)] = SNFH
    return Layout(labels, centre, arrival, cystic=plan.style == "cystic")


def _foreign_tissue(rng: np.random.Generator, anatomy: Anatomy) -> np.ndarray:
    """Tissue moved by one to two centimetres: lesions laid out by it don't fit this brain's own folds, as a
    label map taken from another person doesn't."""
    step = np.rint(rng.uniform(8, 18, 3) * rng.choice([-1, 1], 3) / anatomy.spacing_mm).astype(int)
    moved = np.roll(anatomy.tissue, tuple(step), axis=(0, 1, 2))
    moved[moved == OUTSIDE] = GREY
    moved[~anatomy.brain] = OUTSIDE
    return moved


def _same_side(rng: np.random.Generator, anatomy: Anatomy, plan: LesionPlan, centre: np.ndarray) -> BoolArray:
    """The hemisphere of ``centre`` (the falx stops lesions), or in one of ten both: butterfly growth.

    The border is wavy, and masses push it over to the other side.
    """
    shape = anatomy.brain.shape
    if rng.random() < 0.1:
        return np.ones((1, 1, 1), dtype=bool)
    border = 2.5 * smooth_field(rng, (*shape[:2], 1), 30.0, anatomy.spacing_mm)
    over = 12.0 if plan.style != "treated" else 0.0
    columns = np.arange(shape[2], dtype=np.float32)[None, None, :]
    towards = 1.0 if centre[2] >= anatomy.midline else -1.0
    return np.asarray((columns - anatomy.midline) * anatomy.spacing_mm * towards >= border - over)


def _ventricle(anatomy: Anatomy, tissue: np.ndarray) -> BoolArray:
    """Fluid far from the brain's surface."""
    return (tissue == FLUID) & (anatomy.depth_mm > 14.0)


def _cavity(
    rng: np.random.Generator, anatomy: Anatomy, plan: LesionPlan, centre: np.ndarray, room: BoolArray
) -> BoolArray:
    """A cavity: rounded or faceted, irregular, and for superficial ones opening as a wedge to the cortex."""
    shape, spacing = anatomy.brain.shape, anatomy.spacing_mm
    radius = radius_mm(plan.cavity_ml)
    if rng.random() < 0.5:
        # One in three is a slit: a cavity that has collapsed.
        cost = ellipsoid(rng, shape, centre, spacing, 0.3 if rng.random() < 0.66 else 0.65)
    else:
        cost = facets(rng, shape, centre, spacing, int(rng.integers(6, 12)))
    rough = rough_field(rng, shape, max(1.3 * radius, 4 * spacing), spacing)
    cost += np.float32(radius * rng.uniform(0.12, 0.4)) * rough
    if plan.superficial:
        cost = np.minimum(cost, np.float32(rng.uniform(0.8, 1.4)) * _wedge(anatomy, centre, radius))
    if rng.random() < 0.4:
        cost -= np.float32(0.35 * radius) * (anatomy.tissue == FLUID)
    mask = fill_to_volume(cost, room, plan.cavity_ml, anatomy.voxel_ml)
    return smoothed(mask, 0.8 / spacing) & room if mask.sum() > 60 else mask


def _wedge(anatomy: Anatomy, centre: np.ndarray, radius: float) -> FloatArray:
    """Distance to the line from ``centre`` to the nearest surface point, shrunk towards the surface."""
    spacing = anatomy.spacing_mm
    reach = int(np.ceil(1.5 * radius / spacing)) + 3
    low = np.maximum(centre.astype(int) - reach, 0)
    box = tuple(slice(a, b) for a, b in zip(low, centre.astype(int) + reach + 1, strict=True))
    shell = np.argwhere(anatomy.brain[box] & (anatomy.depth_mm[box] <= 1.1 * spacing)) + low
    cost = np.full(anatomy.brain.shape, 1e3, dtype=np.float32)
    if len(shell) == 0:
        return cost
    tip = shell[((shell - centre) ** 2).sum(axis=1).argmin()]
    axis = (tip - centre) * spacing
    length = max(float(np.linalg.norm(axis)), spacing)
    extent: tuple[int, ...] = cost.shape
    grid = [np.arange(s.start, min(s.stop, n), dtype=np.float32) for s, n in zip(box, extent, strict=True)]
    offset = np.stack(np.meshgrid(*grid, indexing="ij")) - centre[:, None, None, None].astype(np.float32)
    offset *= np.float32(spacing)
    along = np.clip(np.tensordot(axis / length, offset, axes=1), 0, 1.3 * length)
    across = np.sqrt(((offset - (axis / length)[:, None, None, None] * along) ** 2).sum(axis=0))
    cost[box] = across / (0.6 + 0.7 * along / length)
    return cost


def _add_enhancement(
    rng: np.random.Generator,
    anatomy: Anatomy,
    plan: LesionPlan,
    centre: np.ndarray,
    room: BoolArray,
    labels: np.ndarray,
) -> None:
    """Enhancing tissue and non-enhancing core beside a cavity (or alone), written into ``labels``."""
    if plan.et_ml + plan.netc_ml <= 0:
        return
    cavity = labels == RC
    style = plan.et_style if cavity.any() and plan.et_ml > 0 else "nodule"
    shares = rng.dirichlet(np.r_[6.0, np.ones(plan.satellites)])
    if style == "wall":
        _wall_segments(rng, anatomy, shares[0] * plan.et_ml, cavity, room, labels)
    for number, share in enumerate(shares):
        if number == 0 and style == "wall":
            continue
        apart = style == "apart" or number > 0
        start = _nodule_centre(rng, anatomy, cavity, centre, room & (labels == 0), apart)
        inner = plan.netc_ml if number == 0 else 0.0
        _nodule(rng, anatomy, start, share * plan.et_ml, inner, room, labels)
    if style == "wall" and plan.netc_ml > 0:
        gap = distance_mm(labels == ET, anatomy.spacing_mm, 12.0)
        cost = gap + 2.0 * rough_field(rng, labels.shape, 8.0, anatomy.spacing_mm)
        labels[fill_to_volume(cost, room & (labels == 0) & (gap < 10), plan.netc_ml, anatomy.voxel_ml)] = NETC


def _wall_segments(
    rng: np.random.Generator,
    anatomy: Anatomy,
    et_ml: float,
    cavity: BoolArray,
    room: BoolArray,
    labels: np.ndarray,
) -> None:
    """Thin segments of enhancing tissue along the cavity's wall, patchy, thicker where they are longer."""
    spacing = anatomy.spacing_mm
    gap = distance_mm(cavity, spacing, 14.0)
    patch = rough_field(rng, labels.shape, 18.0, spacing)
    thickness = rng.uniform(1.3, 4.5)
    cost = gap / thickness + np.float32(rng.uniform(0.8, 2.0)) * patch
    allowed = room & ~cavity & (gap < 12.0) & (labels == 0)
    mask = fill_to_volume(cost, allowed, et_ml, anatomy.voxel_ml, connected=False)
    mask = smoothed(mask | cavity, 0.6) & allowed if mask.sum() > 30 else mask
    labels[without_crumbs(mask, 0.04 / anatomy.voxel_ml)] = ET


def _nodule_centre(
    rng: np.random.Generator,
    anatomy: Anatomy,
    cavity: BoolArray,
    centre: np.ndarray,
    room: BoolArray,
    apart: bool,
) -> np.ndarray:
    """Where a nodule starts: at the cavity's wall, or one to three centimetres from the lesion."""
    if cavity.any():
        gap = distance_mm(cavity, anatomy.spacing_mm, 32.0)
    else:
        gap = ellipsoid(rng, cavity.shape, centre, anatomy.spacing_mm, 0.0)
    low, high = (8.0, 28.0) if apart else (0.1, 2.5 * anatomy.spacing_mm)
    candidates = np.flatnonzero(room & (gap >= low) & (gap <= high))
    if candidates.size == 0:
        return centre
    return np.array(np.unravel_index(rng.choice(candidates), cavity.shape), dtype=float)


def _nodule(
    rng: np.random.Generator,
    anatomy: Anatomy,
    start: np.ndarray,
    et_ml: float,
    netc_ml: float,
    room: BoolArray,
    labels: np.ndarray,
) -> None:
    """An irregular enhancing nodule with its non-enhancing part inside or to one side of it."""
    shape, spacing = labels.shape, anatomy.spacing_mm
    radius = radius_mm(et_ml + netc_ml)
    cost = ellipsoid(rng, shape, start, spacing, 0.25)
    cost += np.float32(radius * rng.uniform(0.15, 0.4)) * rough_field(
        rng, shape, max(radius, 3 * spacing), spacing
    )
    whole = fill_to_volume(cost, room & (labels == 0), et_ml + netc_ml, anatomy.voxel_ml)
    labels[whole] = ET if et_ml > 0 else NETC
    if et_ml > 0 and netc_ml > 0 and whole.any():
        labels[_inner_part(rng, whole, netc_ml, anatomy)] = NETC


def _inner_part(rng: np.random.Generator, whole: BoolArray, inner_ml: float, anatomy: Anatomy) -> BoolArray:
    """The part of ``whole`` that lies deepest, with one side of the rim thinned and an irregular edge."""
    box = bounding_box(whole, 2)
    inside = ndimage.distance_transform_edt(whole[box], sampling=anatomy.spacing_mm)
    rough = rough_field(rng, inside.shape, 10.0, anatomy.spacing_mm)
    cost = (-inside + rng.uniform(0.3, 1.0) * 0.4 * inside.max() * rough).astype(np.float32)
    result = np.zeros_like(whole)
    inner = fill_to_volume(cost, whole[box], inner_ml, anatomy.voxel_ml, connected=False)
    result[box] = smoothed(inner, 0.7) & whole[box] if inner.sum() > 40 else inner
    return result


def _add_mass(
    rng: np.random.Generator,
    anatomy: Anatomy,
    plan: LesionPlan,
    centre: np.ndarray,
    room: BoolArray,
    labels: np.ndarray,
) -> None:
    """An untreated tumour's core: a mass whose inner part is NETC, its rim (or a mural nodule) ET."""
    shape, spacing = labels.shape, anatomy.spacing_mm
    total = plan.et_ml + plan.netc_ml
    radius = radius_mm(total)
    cost = ellipsoid(rng, shape, centre, spacing, 0.22)
    wobble = rng.uniform(0.06, 0.2) if plan.style == "cystic" else rng.uniform(0.12, 0.35)
    cost += np.float32(radius * wobble) * rough_field(rng, shape, max(1.2 * radius, 4 * spacing), spacing)
    whole = fill_to_volume(cost, room, total, anatomy.voxel_ml)
    whole = smoothed(whole, 0.8 / spacing) & room if whole.sum() > 60 else whole
    labels[whole] = NETC
    if plan.et_ml <= 0 or not whole.any():
        return
    if plan.style == "ring":
        labels[whole & ~_inner_part(rng, whole, plan.netc_ml, anatomy)] = ET
    else:
        rim = whole & ~ndimage.binary_erosion(whole)
        start = np.array(np.unravel_index(rng.choice(np.flatnonzero(rim)), shape), dtype=float)
        cost = ellipsoid(rng, shape, start, spacing, 0.3)
        labels[fill_to_volume(cost, whole, plan.et_ml, anatomy.voxel_ml)] = ET
