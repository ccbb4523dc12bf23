"""What a simulated lesion must know of the brain it grows in: tissues, depth, mirrored side."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import ndimage

from .fields import BoolArray, FloatArray, distance_mm
from .sources import RealSource, Scan, load_scan

OUTSIDE, FLUID, GREY, WHITE = range(4)


@dataclass(frozen=True)
class Anatomy:
    """Tissue of a brain: ``tissue`` (z, y, x) uint8 of OUTSIDE, FLUID, GREY, WHITE; ``depth_mm`` is the
    distance to the outside of the brain; ``cerebrum`` is where lesions may start; ``midline`` is the column
    (voxels, may be half) of the plane between the hemispheres."""

    tissue: np.ndarray
    brain: BoolArray
    depth_mm: FloatArray
    cerebrum: BoolArray
    midline: float
    spacing_mm: float

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in millilitres."""
        return self.spacing_mm**3 / 1000.0


@dataclass(frozen=True)
class Background:
    """A real brain ready to be painted: ``volumes`` by role without (or with) its own tumour, the anatomy,
    ``labels`` of what is left of its own tumour, and the medians of each tissue by role."""

    name: str
    volumes: dict[str, FloatArray]
    labels: np.ndarray
    anatomy: Anatomy
    medians: dict[str, dict[int, float]]


def find_midline(brain: BoolArray) -> float:
    """The column about which the brain is most symmetric (half voxels allowed)."""
    width = brain.shape[2]
    reach = width // 8
    # Every second row and slice tells as much, four times as fast.
    profile = brain[::2, ::2].astype(np.float32)
    best, found = -1.0, (width - 1) / 2
    for twice in range(width - 1 - 2 * reach, width + 2 * reach):
        low, high = max(0, twice - width + 1), min(width, twice + 1)
        overlap = float((profile[:, :, low:high] * profile[:, :, low:high][:, :, ::-1]).sum())
        if overlap > best:
            best, found = overlap, twice / 2
    return found


def mirrored(array: np.ndarray, midline: float) -> np.ndarray:
    """``array`` reflected about the column ``midline``; 0 where the reflection leaves the grid."""
    columns = np.rint(2 * midline - np.arange(array.shape[2])).astype(int)
    inside = (columns >= 0) & (columns < array.shape[2])
    result = np.zeros_like(array)
    result[:, :, inside] = array[:, :, columns[inside]]
    return result


def classify(volumes: dict[str, FloatArray], brain: BoolArray, spare: BoolArray) -> np.ndarray:
    """Fluid, grey and white matter from T1, T2 and FLAIR over their medians, learnt away from ``spare``.

    Returns tissue (z, y, x) uint8. Fluid is bright on T2 and dark on FLAIR or T1; voxels dark on everything
    (the rim of a brain mask) count as fluid; the rest is parted at Otsu's threshold of a score that grows
    with T1 and falls with T2 and FLAIR, as white matter does against grey.
    """
    use = brain & ~spare
    log = {}
    for role in ("t1", "t2", "flair"):
        middle = float(np.median(volumes[role][use]))
        log[role] = np.clip(np.log(np.maximum(volumes[role], 1e-3 * middle) / middle), -1.2, 1.2)
    dark = (log["t1"] < -0.7) & (log["t2"] < -0.4)
    fluid = (log["t2"] > 0.3) & ((log["flair"] < -0.15) | (log["t1"] < -0.35))
    score = log["t1"] - 0.7 * log["t2"] - 0.3 * log["flair"]
    solid = brain & ~dark & ~fluid
    threshold = _otsu(score[solid & use])
    tissue = np.where(score > threshold, WHITE, GREY).astype(np.uint8)
    tissue[dark | fluid] = FLUID
    tissue[~brain] = OUTSIDE
    return tissue


def _otsu(values: np.ndarray) -> float:
    """Threshold that parts ``values`` in two with the greatest variance between them (Otsu 1979)."""
    counts, edges = np.histogram(values, bins=128, range=tuple(np.percentile(values, [1, 99])))
    centres = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * centres)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    return float(centres[int(np.nanargmax(between))])


def describe(tissue: np.ndarray, brain: BoolArray, cerebrum: BoolArray | None, spacing_mm: float) -> Anatomy:
    """The `Anatomy` of a tissue map; without ``cerebrum`` it is where `above_cerebellum` says."""
    padded = np.pad(~brain, 1, constant_values=True)
    depth = distance_mm(padded, spacing_mm)[1:-1, 1:-1, 1:-1]
    midline = find_midline(brain)
    if cerebrum is None:
        cerebrum = above_cerebellum(brain, midline, spacing_mm)
    return Anatomy(tissue, brain, depth, cerebrum, midline, spacing_mm)


def above_cerebellum(brain: BoolArray, midline: float, spacing_mm: float) -> BoolArray:
    """The cerebrum by place: all of the upper two thirds; below, what lies in front of the cerebellum and
    beside the brainstem, which are the temporal lobes and the base of the frontal ones."""
    cerebrum = brain.copy()
    slices = np.flatnonzero(brain.any(axis=(1, 2)))
    rows = np.flatnonzero(brain.any(axis=(0, 2)))
    lower = slices[0] + int(0.36 * len(slices))
    from_front = (np.arange(brain.shape[1]) - rows[0])[:, None] / len(rows)
    aside_mm = np.abs(np.arange(brain.shape[2]) - midline)[None, :] * spacing_mm
    cerebrum[:lower] &= (from_front < 0.36) | ((from_front < 0.56) & (aside_mm > 18.0))
    return cerebrum


def tissue_medians(
    volumes: dict[str, FloatArray], tissue: np.ndarray, spare: BoolArray
) -> dict[str, dict[int, float]]:
    """Median intensity of each tissue by role, away from ``spare`` and from the dark rim of the mask."""
    solid = volumes["t2"] > 0.6 * np.median(volumes["t2"][tissue == WHITE])
    return {
        role: {t: float(np.median(volume[(tissue == t) & ~spare & solid])) for t in (FLUID, GREY, WHITE)}
        for role, volume in volumes.items()
    }


def without_tumour(scan: Scan, midline: float) -> dict[str, FloatArray]:
    """The scan's volumes with the tumour's place filled from the other hemisphere, softly blended.

    What the mirror can't give (the other side is outside the brain, or tumour too) becomes the median of the
    brain's healthy part.
    """
    spacing = scan.grid.spacing_mm[0]
    tumour = scan.labels > 0
    wide = distance_mm(tumour, spacing, 10.0) <= 4.0
    blend = ndimage.gaussian_filter(wide.astype(np.float32), 2.0 / spacing)
    good = mirrored(scan.brain & ~wide, midline)
    healthy = scan.brain & ~wide
    filled = {}
    for role, volume in scan.volumes.items():
        other = np.where(good, mirrored(volume, midline), np.median(volume[healthy]))
        soft = ndimage.gaussian_filter(other, 1.5 / spacing)
        other = np.where(good, other, soft)
        filled[role] = np.where(scan.brain, (1 - blend) * volume + blend * other, 0).astype(np.float32)
    return filled


def mirror_is_whole(scan: Scan) -> bool:
    """Whether nearly all of the tumour has healthy brain opposite, so that it can be filled from there."""
    tumour = scan.labels > 0
    if not tumour.any():
        return True
    good = mirrored(scan.brain & ~tumour, find_midline(scan.brain))
    return float(good[tumour].mean()) > 0.85


@lru_cache(maxsize=64)
def background(source: RealSource, spacing_mm: float, keep_tumour: bool) -> Background:
    """A real brain with its tissues, with its own tumour kept or filled from the other side; cached.

    A tumour that crosses the midline can't be filled: it is then kept, and ``labels`` say so.
    """
    scan = load_scan(source, spacing_mm)
    own = scan.labels > 0
    keep_tumour = keep_tumour or not mirror_is_whole(scan)
    midline = find_midline(scan.brain)
    volumes = scan.volumes if keep_tumour or not own.any() else without_tumour(scan, midline)
    spare = distance_mm(own, spacing_mm, 8.0) <= 6.0
    tissue = classify(volumes, scan.brain, spare)
    anatomy = describe(tissue, scan.brain, None, spacing_mm)
    labels = scan.labels if keep_tumour else np.zeros_like(scan.labels)
    return Background(scan.name, volumes, labels, anatomy, tissue_medians(volumes, tissue, spare))
