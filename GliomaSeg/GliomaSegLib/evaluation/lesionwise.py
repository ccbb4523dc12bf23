"""Lesion-wise scores of one case, by the rules of the BraTS 2024 glioma challenge.

Each reference lesion is compared with all predicted lesions that meet it once it is dilated; the sum of the
lesions' scores is divided by the number of matched, missed and invented lesions. A large, easy lesion can
therefore not hide that small ones were missed. What counts as a lesion: ``lesions.py``.

The official script's "sensitivity" compares lesion numbers with 1 and is not reproduced; sensitivity here is
what the word means, of voxels and of lesions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import nan

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..errors import InputRefused
from ..labels import BACKGROUND, STRUCTURES
from ..outcome.lesions import (
    EIGHTEEN_CONNECTED,
    REGION_ORDER,
    BoolArray,
    Lesions,
    bounding_box,
    dilations,
    find_lesions,
    region_mask,
)
from .surfaces import Spacing, Surface, hd95_mm, surface_dice

NSD_TOLERANCES_MM = (0.5, 1.0)


@dataclass(frozen=True)
class RegionScore:
    """The scores of one region in one case.

    ``lesion_dice``, ``lesion_nsd_05`` and ``lesion_nsd_10`` (surface Dice at 0.5 and 1.0 mm) are 0 to 1,
    ``lesion_hd95_mm`` is 0 to the volume's diagonal: means over matched, missed and invented lesions. With no
    lesion on either side they are 1, 1, 1 and 0.

    ``tp`` and ``fn`` count reference lesions, ``fp`` predicted ones that meet no reference lesion at all.
    ``lesion_sensitivity`` = tp / (tp + fn), ``lesion_precision`` = tp / (tp + fp); ``voxel_dice`` and
    ``voxel_sensitivity`` know no lesions and drop nothing. A ratio without a denominator is 1 when both sides
    are empty, else NaN. Volumes are in millilitres, before anything is dropped. ``reference_dropped`` and
    ``prediction_dropped`` count the lesions too small to be scored.
    """

    region: str
    lesion_dice: float
    lesion_hd95_mm: float
    lesion_nsd_05: float
    lesion_nsd_10: float
    lesion_sensitivity: float
    lesion_precision: float
    voxel_dice: float
    voxel_sensitivity: float
    tp: int
    fp: int
    fn: int
    reference_ml: float
    prediction_ml: float
    reference_dropped: int
    prediction_dropped: int

    @property
    def has_structure(self) -> bool:
        """Whether the reference has a lesion of this region that is large enough to be scored."""
        return self.tp + self.fn > 0

    @property
    def lacks_structure(self) -> bool:
        """Whether the reference has no voxel of this region. With specks only, neither property is true."""
        return self.reference_ml == 0.0


def score_case(
    reference: npt.NDArray[np.integer],
    prediction: npt.NDArray[np.integer],
    spacing_mm: tuple[float, float, float],
    *,
    official_order: bool = False,
) -> dict[str, RegionScore]:
    """Scores a predicted label map against the reference, for ET, NETC, RC, SNFH, TC and WT.

    Both are (z, y, x) with BraTS 2024 numbers (0 to 4), on one grid. ``spacing_mm`` is (x, y, z). A missed or
    invented lesion has HD95 = the volume's diagonal, to the whole millimetre (337 on the BraTS 2024 grid).

    >>> reference = np.zeros((16, 16, 16), np.uint8)
    >>> reference[4:8, 4:8, 4:8] = 4
    >>> prediction = np.roll(reference, 2, axis=2)
    >>> cavity = score_case(reference, prediction, (1.0, 1.0, 1.0))["RC"]
    >>> cavity.lesion_dice, cavity.tp, cavity.fp, cavity.fn
    (0.5, 1, 0, 0)

    ``official_order`` drops small predicted lesions before joining, as the challenge's code does (see
    ``lesions.py``): on the BraTS 2024 grid, the lesion-wise numbers are then the official ones.

    Raises ``InputRefused`` for shapes that differ, labels other than 0 to 4, or a spacing not positive.
    """
    _refuse_unfit(reference, prediction, spacing_mm)
    diagonal_mm = volume_diagonal_mm(reference.shape, spacing_mm)
    voxel_ml = float(np.prod(spacing_mm)) / 1000.0
    anything = (reference != BACKGROUND) | (prediction != BACKGROUND)
    if anything.any():
        box = bounding_box(anything)
        reference, prediction = reference[box], prediction[box]
    else:
        reference = prediction = np.zeros((1, 1, 1), np.uint8)
    found, predicted = find_lesions(reference), find_lesions(prediction, drop_before_joining=official_order)
    spacing_zyx_mm = (float(spacing_mm[2]), float(spacing_mm[1]), float(spacing_mm[0]))
    scores = {}
    for region in REGION_ORDER:
        match = _match(found[region], predicted[region], dilations(region), spacing_zyx_mm, diagonal_mm)
        masks = region_mask(reference, region), region_mask(prediction, region)
        scores[region] = _region_score(region, match, *masks, voxel_ml)
    return scores


def volume_diagonal_mm(shape: tuple[int, ...], spacing_mm: tuple[float, float, float]) -> float:
    """Diagonal of a volume of ``shape`` (z, y, x) and spacing (x, y, z), to the whole millimetre.

    >>> volume_diagonal_mm((182, 218, 182), (1.0, 1.0, 1.0))
    337.0
    """
    return float(round(float(np.linalg.norm(np.asarray(shape[::-1]) * np.asarray(spacing_mm)))))


def _refuse_unfit(reference: np.ndarray, prediction: np.ndarray, spacing_mm: tuple[float, ...]) -> None:
    if reference.ndim != 3 or reference.shape != prediction.shape:
        raise InputRefused(
            f"The prediction's grid ({_size(prediction)} voxels) is not the reference's "
            f"({_size(reference)}): resample the prediction to the reference first."
        )
    if len(spacing_mm) != 3 or not all(np.isfinite(mm) and mm > 0 for mm in spacing_mm):
        raise InputRefused(f"The voxel spacing {spacing_mm} is not three positive numbers: mend the header.")
    known = {BACKGROUND, *(s.number for s in STRUCTURES)}
    for name, label_map in (("reference", reference), ("prediction", prediction)):
        strange = sorted(set(np.unique(label_map).tolist()) - known)
        if strange:
            raise InputRefused(
                f"The {name} has the label {strange[0]:g}, which is none of {sorted(known)}: "
                "convert it to the BraTS 2024 labels first."
            )


def _size(array: np.ndarray) -> str:
    return " x ".join(str(n) for n in array.shape[::-1])


@dataclass(frozen=True)
class _Match:
    """Sums over the matched lesions of a region, and the counts by which they are divided."""

    dice: float
    hd95_mm: float
    nsd: tuple[float, ...]
    tp: int
    fp: int
    fn: int
    dropped: tuple[int, int]


def _match(
    reference: Lesions, prediction: Lesions, iterations: int, spacing_zyx_mm: Spacing, penalty_mm: float
) -> _Match:
    """Pairs every reference lesion with the predicted lesions that meet its dilation; sums their scores."""
    predicted = np.where(prediction.kept[prediction.labels], prediction.labels, 0)
    met: set[int] = set()
    sums = np.zeros(2 + len(NSD_TOLERANCES_MM))
    true_positives = 0

    @cache
    def predicted_surface(numbers: tuple[int, ...]) -> Surface:
        return _surface(np.isin(predicted, numbers), spacing_zyx_mm)

    for number, (lesion, box) in enumerate(_lesion_crops(reference, iterations), start=1):
        dilated = ndimage.binary_dilation(lesion, EIGHTEEN_CONNECTED, iterations=iterations)
        partners = tuple(int(n) for n in np.unique(predicted[box][dilated]) if n)
        met.update(partners)  # by dropped lesions too: what meets only those is not invented
        if not reference.kept[number] or not partners:
            continue
        true_positives += 1
        overlap = np.count_nonzero(predicted[box][lesion])
        voxels = reference.voxels[number] + prediction.voxels[list(partners)].sum()
        corner = (box[0].start, box[1].start, box[2].start)
        surfaces = Surface(lesion, corner, spacing_zyx_mm), predicted_surface(partners)
        nsd = surface_dice(*surfaces, NSD_TOLERANCES_MM)
        sums += (2.0 * overlap / voxels, hd95_mm(*surfaces), *nsd)
    misses = reference.count - true_positives
    invented = prediction.count - len(met)
    hd95_sum = float(sums[1]) + penalty_mm * (misses + invented)
    dropped = reference.dropped, prediction.dropped
    return _Match(
        float(sums[0]), hd95_sum, tuple(sums[2:].tolist()), true_positives, invented, misses, dropped
    )


def _lesion_crops(lesions: Lesions, margin: int) -> list[tuple[BoolArray, tuple[slice, slice, slice]]]:
    """Each lesion's mask (z, y, x), in its box grown by ``margin`` within the volume, and that box."""
    crops = []
    for number, tight in enumerate(ndimage.find_objects(lesions.labels), start=1):
        grown = tuple(
            slice(max(0, part.start - margin), min(size, part.stop + margin))
            for part, size in zip(tight, lesions.labels.shape, strict=True)
        )
        box = grown[0], grown[1], grown[2]
        crops.append((lesions.labels[box] == number, box))
    return crops


def _surface(mask: BoolArray, spacing_zyx_mm: Spacing) -> Surface:
    box = bounding_box(mask)
    return Surface(mask[box], (box[0].start, box[1].start, box[2].start), spacing_zyx_mm)


def _region_score(
    region: str, match: _Match, reference: BoolArray, prediction: BoolArray, voxel_ml: float
) -> RegionScore:
    lesions = match.tp + match.fp + match.fn
    overlap = int(np.count_nonzero(reference & prediction))
    found, predicted = int(np.count_nonzero(reference)), int(np.count_nonzero(prediction))
    return RegionScore(
        region=region,
        lesion_dice=match.dice / lesions if lesions else 1.0,
        lesion_hd95_mm=match.hd95_mm / lesions if lesions else 0.0,
        lesion_nsd_05=match.nsd[0] / lesions if lesions else 1.0,
        lesion_nsd_10=match.nsd[1] / lesions if lesions else 1.0,
        lesion_sensitivity=_ratio(match.tp, match.tp + match.fn, lesions == 0),
        lesion_precision=_ratio(match.tp, match.tp + match.fp, lesions == 0),
        voxel_dice=_ratio(2 * overlap, found + predicted, True),
        voxel_sensitivity=_ratio(overlap, found, predicted == 0),
        tp=match.tp,
        fp=match.fp,
        fn=match.fn,
        reference_ml=found * voxel_ml,
        prediction_ml=predicted * voxel_ml,
        reference_dropped=match.dropped[0],
        prediction_dropped=match.dropped[1],
    )


def _ratio(part: int, whole: int, both_empty: bool) -> float:
    """``part / whole``; without a whole, 1 when both sides are empty, else NaN."""
    if whole:
        return part / whole
    return 1.0 if both_empty else nan
