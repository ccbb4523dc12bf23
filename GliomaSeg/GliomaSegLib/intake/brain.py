"""The brain mask: none where the skull is gone already, else deepbet's, closed over cavities and checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy import ndimage

from ..errors import InputRefused, missing_extra
from .normalisation import foreground_mask
from .reading import read_volume
from .volume import FloatArray, Grid, Study, Volume

BoolArray = npt.NDArray[np.bool_]
Extractor = Callable[[FloatArray], FloatArray]
"""Brain probability (x, y, z) of a picture (x, y, z) whose axes run to the right, front and head."""

BARE_ML = 2130.0
"""Most that stands out in the scan of a bare brain. Measured: 1122 to 1655 ml on 22 volumes of nine cases and
1982 ml on ICBM152, 2297 to 2803 ml on twelve volumes with skull (BraTS 2021, Lesjak et al. 2017)."""
BARE_MEDIAN_CM2, BARE_LARGEST_CM2 = 160.0, 218.0
"""The same for axial sections: the median one of a whole head (97 to 140 bare, 182 to 210 with skull), the
largest one of a slab (148 to 211 bare, 226 to 250 with skull)."""
_WHOLE_HEAD_MM = 100.0
PLAUSIBLE_ML = (500.0, 2300.0)
"""Brain volumes of adults with room for atrophy, swelling and fields of view that cut the brain."""

_SHARPEST_ORDER = ("t1", "t1c", "flair", "t2")
_CAVITY_MM, _LAYER_MM = 100.0, 3.0
"""Radius of the closing ball, which nearly spans the convex hull; half the thickness of a layer that is no
cavity. Measured on two real masks: 70 to 83% of balls cut out of the rim come back, 0 to 4 ml too much."""
_VAULT_MM = 70.0
"""Height over the lowest brain above which its surface is convex all round: frontal lobes end 45 to 50 mm
over the lowest cerebellum."""
_VAULT_LAYER_MM = 7.0
"""Half the thickness of what is no cavity there: wide fissures and the fluid over a shrunken brain."""
_WORKING_MM = 2.0
_FOREGROUND_SHARE = 0.12
"""Share of the 99th percentile above which a smoothed voxel stands out, as in ``foreground_mask``."""


@dataclass(frozen=True)
class BrainMask:
    """``mask`` (1 brain, 0 not) on the grid of the sequence it came from; None: nothing to take away.

    ``source`` says where it came from: stripped, deepbet, file, off.
    """

    mask: Volume | None
    source: str
    volume_ml: float | None = None
    filled_ml: float = 0.0
    warnings: tuple[str, ...] = ()

    def record(self) -> dict[str, Any]:
        """Plain data for ``run.json``."""
        rounded = None if self.volume_ml is None else round(self.volume_ml, 1)
        return {"source": self.source, "volume_ml": rounded, "filled_ml": round(self.filled_ml, 1)}


def brain_mask(study: Study, choice: str = "auto", extractor: Extractor | None = None) -> BrainMask:
    """The brain of an aligned study.

    ``choice``: ``auto`` (skull-stripped input is recognised and left alone, otherwise deepbet on the sharpest
    sequence), ``off``, or the path of a mask file in the reference's space. ``extractor`` replaces deepbet.

    Raises ``InputRefused`` for a mask that can't be a brain, ``UsageError`` when deepbet is not installed.
    """
    if choice not in ("auto", "off"):
        return _from_file(Path(choice), study)
    bare = {role: is_skull_stripped(volume) for role, volume in study.volumes.items()}
    if choice == "off":
        told = "The scans show the skull and no brain mask was used: the result is unreliable."
        return BrainMask(None, "off", warnings=() if all(bare.values()) else (told,))
    if all(bare.values()):
        return BrainMask(None, "stripped")
    if any(bare.values()):
        return _from_stripped(study, bare)
    return _extracted(sharpest(study), extractor or deepbet())


def is_skull_stripped(volume: Volume) -> bool:
    """Whether what stands out from the background is no larger than a brain."""
    image = _coarse(volume.image(), 3.0)
    array, spacing = sitk.GetArrayFromImage(image), image.GetSpacing()[::-1]
    head = _standing_out(array, spacing)
    if head.sum() * float(np.prod(spacing)) / 1000.0 >= BARE_ML:
        return False
    sections = head.sum(axis=(1, 2)) * spacing[1] * spacing[2] / 100.0
    sections = sections[sections > 0]
    if len(sections) * spacing[0] >= _WHOLE_HEAD_MM:
        return bool(np.median(sections) < BARE_MEDIAN_CM2)
    return bool(sections.max(initial=0.0) < BARE_LARGEST_CM2)


def _standing_out(array: FloatArray, spacing_mm: tuple[float, ...]) -> BoolArray:
    """Everything (z, y, x) brighter than the background and what it encloses in axial sections.

    Scalp counts although a dark skull may part it from the brain; specks below 20 ml do not.
    """
    top = float(np.percentile(array[array > 0], 99)) if (array > 0).any() else 1.0
    smooth = ndimage.gaussian_filter(np.clip(array / top, 0, 1), [1.5 / s for s in spacing_mm])
    labels, _ = ndimage.label(smooth > _FOREGROUND_SHARE)
    sizes = np.bincount(labels.ravel()) * float(np.prod(spacing_mm)) / 1000.0
    sizes[0] = 0.0
    kept = (sizes >= 20.0)[labels]
    return np.stack([ndimage.binary_fill_holes(section) for section in kept])


def sharpest(study: Study) -> Volume:
    """The sequence with the thinnest slices; among equals T1 before T1c, FLAIR, T2."""
    return min(
        (study.volumes[role] for role in _SHARPEST_ORDER if role in study.volumes),
        key=lambda volume: round(max(volume.grid.spacing_mm), 1),
    )


def deepbet() -> Extractor:
    """deepbet (Fisch et al. 2024, MIT), whose weights come with its package, on the processor.

    Raises ``UsageError`` when the package is missing.
    """
    try:
        from deepbet import BrainExtraction
    except ImportError as error:
        raise missing_extra("deepbet", "brain", "Finding the brain in scans that show the skull") from error
    return BrainExtraction(no_gpu=True).run_model


def _extracted(volume: Volume, extractor: Extractor) -> BrainMask:
    upright = sitk.DICOMOrient(volume.image(), "RAS")
    picture = np.ascontiguousarray(sitk.GetArrayFromImage(upright).transpose(2, 1, 0))
    try:
        probability = extractor(picture)
    except (AssertionError, IndexError, ValueError) as error:
        raise _no_brain(volume.name) from error
    grid = Grid.of_image(upright)
    found = _largest(np.asarray(probability).transpose(2, 1, 0) > 0.5)
    mask, filled_ml = closed_over_cavities(found, grid)
    volume_ml = float(mask.sum()) * grid.voxel_ml
    warnings = _checked(volume.name, grid, volume_ml)
    return BrainMask(
        Volume(mask.astype(np.float32), grid, volume.role, f"brain of {volume.name}"),
        "deepbet",
        volume_ml,
        filled_ml,
        warnings,
    )


def closed_over_cavities(mask: BoolArray, grid: Grid) -> tuple[BoolArray, float]:
    """``mask`` with holes and cavities filled, and the ml added.

    ``mask`` is (z, y, x), z from feet to head, x from left to right or back.
    A resection cavity at the surface looks to brain extraction like the fluid around the brain. What
    morphological closing by ``_CAVITY_MM`` adds is taken back in where the other side of the head has brain,
    and everywhere under the vault, so that a cavity across the midline comes back, too: the skull base is as
    hollow, but on both sides. Layers thinner than ``_LAYER_MM`` are no cavity.
    """
    spacing = np.asarray(grid.spacing_mm[::-1])
    steps = np.maximum(np.round(_WORKING_MM / spacing).astype(int), 1)
    coarse, coarse_mm = mask[:: steps[0], :: steps[1], :: steps[2]], spacing * steps
    hollow = _closed(coarse, coarse_mm, _CAVITY_MM) & ~coarse
    vaulted = hollow & _under_the_vault(coarse, float(coarse_mm[0]))
    candidates = (hollow & _mirrored(coarse)) | vaulted
    pockets = ndimage.binary_opening(hollow & _mirrored(coarse), structure=_ball(_LAYER_MM, coarse_mm))
    pockets |= _opened(vaulted, coarse_mm, _VAULT_LAYER_MM)
    # Opening rounds the pocket's rim off; what touches it among the candidates belongs to it.
    pockets = ndimage.binary_dilation(pockets, structure=_ball(2 * _LAYER_MM, coarse_mm)) & candidates
    for axis, step in enumerate(steps):
        pockets = np.repeat(pockets, step, axis=axis)
    pockets = pockets[tuple(slice(0, n) for n in mask.shape)]
    result = ndimage.binary_fill_holes(mask | pockets)
    return np.asarray(result), float((result & ~mask).sum()) * grid.voxel_ml


def _closed(mask: BoolArray, spacing_mm: npt.NDArray[np.float64], radius_mm: float) -> BoolArray:
    """Morphological closing by a ball, by distances, so that its size costs nothing."""
    pad = [(int(np.ceil(radius_mm / s)) + 1,) * 2 for s in spacing_mm]
    grown = ndimage.distance_transform_edt(~np.pad(mask, pad), sampling=spacing_mm) <= radius_mm
    closed = ndimage.distance_transform_edt(grown, sampling=spacing_mm) > radius_mm
    return np.asarray(closed[tuple(slice(before, -after) for before, after in pad)])


def _opened(mask: BoolArray, spacing_mm: npt.NDArray[np.float64], radius_mm: float) -> BoolArray:
    """Morphological opening by a ball, by distances."""
    if not mask.any():
        return mask
    core = ndimage.distance_transform_edt(np.pad(mask, 1), sampling=spacing_mm)[1:-1, 1:-1, 1:-1] > radius_mm
    if not core.any():
        return np.asarray(core)
    return np.asarray(mask & (ndimage.distance_transform_edt(~core, sampling=spacing_mm) <= radius_mm))


def _mirrored(mask: BoolArray) -> BoolArray:
    """``mask`` with left and right exchanged about its own middle."""
    columns = np.flatnonzero(mask.any(axis=(0, 1)))
    if not len(columns):
        return mask
    middle = int(columns[0] + columns[-1])
    source = middle - np.arange(mask.shape[2])
    valid = (source >= 0) & (source < mask.shape[2])
    return np.asarray(mask[:, :, np.clip(source, 0, mask.shape[2] - 1)] & valid)


def _under_the_vault(mask: BoolArray, slice_mm: float) -> BoolArray:
    """The part of the field (z from feet to head) where an intact brain has no hollow but its fissures."""
    upper = np.zeros_like(mask)
    slices = np.flatnonzero(mask.any(axis=(1, 2)))
    if len(slices):
        upper[slices[0] + round(_VAULT_MM / slice_mm) :] = True
    return upper


def _ball(radius_mm: float, spacing_mm: npt.NDArray[np.float64]) -> BoolArray:
    reach = np.maximum(np.floor(radius_mm / spacing_mm).astype(int), 1)
    axes = [np.arange(-n, n + 1) * s for n, s in zip(reach, spacing_mm, strict=True)]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    return np.asarray(z**2 + y**2 + x**2 <= max(radius_mm, float(spacing_mm.min())) ** 2)


def _from_stripped(study: Study, bare: dict[str, bool]) -> BrainMask:
    """Some sequences have lost their skull: their brain serves for the others."""
    role = next(role for role in _SHARPEST_ORDER if bare.get(role))
    volume = study.volumes[role]
    foreground = foreground_mask([volume.array], volume.grid.spacing_mm[::-1])
    mask = replace(volume, array=foreground.astype(np.float32), name=f"brain of {volume.name}")
    volume_ml = float(foreground.sum()) * volume.grid.voxel_ml
    others = ", ".join(study.volumes[other].name for other, done in bare.items() if not done)
    warning = (
        f"{others} shows the skull and {volume.name} does not: the brain of the latter was used for all."
    )
    return BrainMask(mask, "stripped", volume_ml, warnings=(warning,))


def mask_from_file(path: Path, reference: Volume) -> Volume:
    """A brain mask in the reference's space, 1 where the file is above 0.5.

    Raises ``InputRefused`` for what can't be read and for a mask that marks no brain inside the reference.
    """
    mask = read_volume(path, "brain mask")
    binary = mask.array > 0.5
    volume_ml = float(binary.sum()) * mask.grid.voxel_ml
    on_reference = sitk.Resample(mask.image(), reference.image(), sitk.Transform(), sitk.sitkNearestNeighbor)
    shared_ml = float((sitk.GetArrayViewFromImage(on_reference) > 0.5).sum()) * reference.grid.voxel_ml
    if shared_ml < 0.5 * volume_ml or volume_ml < PLAUSIBLE_ML[0] / 5:
        raise InputRefused(
            f"{mask.name} marks {shared_ml:.0f} ml inside {reference.name}: "
            "give a mask of the brain in the reference's space."
        )
    return replace(mask, array=binary.astype(np.float32))


def _from_file(path: Path, study: Study) -> BrainMask:
    mask = mask_from_file(path, study.reference)
    volume_ml = float(mask.array.sum(dtype=np.float64)) * mask.grid.voxel_ml
    return BrainMask(mask, "file", volume_ml, warnings=_checked(mask.name, mask.grid, volume_ml))


def _checked(name: str, grid: Grid, volume_ml: float) -> tuple[str, ...]:
    """Warnings about a brain of odd size. Raises ``InputRefused`` when hardly anything was found."""
    if volume_ml < PLAUSIBLE_ML[0] / 5:
        raise _no_brain(name)
    height_mm = max(s * n for s, n in zip(grid.spacing_mm, reversed(grid.shape), strict=True))
    low, high = PLAUSIBLE_ML
    if low <= volume_ml <= high:
        return ()
    return (
        f"The brain found in {name} measures {volume_ml:.0f} ml in a field of view of {height_mm:.0f} mm, "
        "an odd size: look at intake.png.",
    )


def _no_brain(name: str) -> InputRefused:
    return InputRefused(
        f"No brain was found in {name}: give a mask by --brain-mask FILE, or --brain-mask off."
    )


def _largest(mask: BoolArray) -> BoolArray:
    labels, count = ndimage.label(mask)
    if count == 0:
        return mask
    return np.asarray(labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:])))


def _coarse(image: sitk.Image, spacing_mm: float) -> sitk.Image:
    """Every n-th voxel of the smoothed image in upright axes, about ``spacing_mm`` apart."""
    upright = sitk.DICOMOrient(image, "LPS")
    factors = [max(1, round(spacing_mm / s)) for s in upright.GetSpacing()]
    return sitk.BinShrink(upright, [min(f, n) for f, n in zip(factors, upright.GetSize(), strict=True)])
