"""Anatomies that come as labels alone: SynthSeg's whole-head maps and ICBM152, as shares of tissue."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from ...errors import missing_extra
from ...intake.volume import Grid
from .anatomy import above_cerebellum, find_midline
from .fields import BoolArray, FloatArray, bounding_box, distance_mm
from .sources import MARGIN_MM, crop_grid, lps_grid, resampled

if TYPE_CHECKING:
    import SimpleITK as sitk

PARTS: tuple[str, ...] = (
    "fluid",
    "cortex",
    "white",
    "deep_grey",
    "pallidum",
    "cerebellar_grey",
    "cerebellar_white",
    "brainstem",
    "plexus",
)
"""The tissues that are rendered apart."""

FREESURFER: dict[str, tuple[int, ...]] = {
    "fluid": (4, 5, 14, 15, 24, 43, 44, 72),
    "cortex": (3, 17, 18, 42, 53, 54),
    "white": (2, 41, 85),
    "deep_grey": (10, 11, 12, 26, 49, 50, 51, 58),
    "pallidum": (13, 52),
    "cerebellar_grey": (8, 47),
    "cerebellar_white": (7, 46),
    "brainstem": (16, 28, 60),
    "plexus": (31, 63, 136, 137, 163, 164),
}
"""FreeSurfer label numbers of each part; 136, 137, 163 and 164 of the SynthSeg maps lie inside the lateral
ventricles, where the choroid plexus is. Vessel specks (30, 62) and everything from 500 (skull and skin) are
left out."""

INFRATENTORIAL = (7, 8, 15, 16, 46, 47)
OUTER_FLUID = 24


@dataclass(frozen=True)
class LabelAnatomy:
    """``shares`` (part, z, y, x) uint8, 255 = the whole voxel, parts as `PARTS`; ``brain`` bool: brain
    and the fluid in its folds; ``cerebrum`` bool: where lesions may start."""

    name: str
    shares: np.ndarray
    brain: BoolArray
    cerebrum: BoolArray
    grid: Grid


@lru_cache(maxsize=24)
def load_label_map(path: Path, spacing_mm: float) -> LabelAnatomy:
    """A SynthSeg label map on the isotropic LPS grid of ``spacing_mm``, cropped to the brain; cached."""
    import SimpleITK as sitk

    image = sitk.DICOMOrient(sitk.ReadImage(str(path), sitk.sitkInt32), "LPS")
    array = sitk.GetArrayViewFromImage(image)
    part_of = np.full(int(array.max()) + 1, len(PARTS), dtype=np.uint8)
    for number, part in enumerate(PARTS):
        part_of[[n for n in FREESURFER[part] if n < part_of.size]] = number
    parts = part_of[array]
    solid = (parts < len(PARTS)) & (array != OUTER_FLUID)
    box = bounding_box(solid, 12)
    # Sulci and cisterns belong to a stripped brain, the fluid over its convexity hardly does.
    hull = _hull(solid[box])
    parts = np.where(hull, np.where(parts[box] < len(PARTS), parts[box], 0), len(PARTS))
    infra = ndimage.binary_dilation(np.isin(array[box], INFRATENTORIAL), iterations=2)
    z, y, x = box
    frame = image[x.start : x.stop, y.start : y.stop, z.start : z.stop]
    shares = np.stack([_share(parts == number, frame, spacing_mm)[0] for number in range(len(PARTS))])
    hull_share, grid = _share(hull, frame, spacing_mm)
    brain = hull_share > 0.5
    cerebrum = brain & (_share(infra, frame, spacing_mm)[0] < 0.3)
    return _cropped(path.name.split(".")[0], shares, brain, cerebrum, grid)


def _hull(solid: BoolArray) -> BoolArray:
    """Brain with the fluid in its folds: closed by 6 mm, opened by 5, holes filled, worked out at 2 mm."""
    coarse = _blocks(np.pad(solid, [(0, n % 2) for n in solid.shape]), 2) > 0.3
    near = ndimage.distance_transform_edt(~coarse) <= 3
    coarse = ndimage.binary_fill_holes(ndimage.distance_transform_edt(near) > 2.5)
    fine = coarse.repeat(2, axis=0).repeat(2, axis=1).repeat(2, axis=2)
    return np.asarray(fine[tuple(slice(0, n) for n in solid.shape)])


def _blocks(mask: np.ndarray, factor: int) -> FloatArray:
    """Means over cubes of ``factor`` voxels; what does not fill a cube is left out."""
    z, y, x = (n // factor for n in mask.shape)
    cut = mask[: z * factor, : y * factor, : x * factor].astype(np.float32)
    return np.asarray(cut.reshape(z, factor, y, factor, x, factor).mean(axis=(1, 3, 5)))


def _share(mask: np.ndarray, frame: sitk.Image, spacing_mm: float) -> tuple[FloatArray, Grid]:
    """Share of each voxel of an isotropic grid that ``mask`` covers, and that grid.

    Block means where the spacing is a multiple of the map's (fast), smoothing and resampling elsewhere.
    """
    import SimpleITK as sitk

    own = frame.GetSpacing()[0]
    factor = round(spacing_mm / own)
    if abs(factor * own - spacing_mm) < 1e-6:
        share = _blocks(mask, factor)
        start = np.asarray(frame.GetOrigin()) + (factor - 1) / 2 * own
        z, y, x = share.shape
        origin = (float(start[0]), float(start[1]), float(start[2]))
        return share, Grid((z, y, x), (spacing_mm,) * 3, origin, tuple(frame.GetDirection()))
    piece = sitk.GetImageFromArray(mask.astype(np.uint8))
    piece.CopyInformation(frame)
    grid = lps_grid(frame, spacing_mm)
    return resampled(piece, grid), grid


@lru_cache(maxsize=4)
def load_icbm(spacing_mm: float) -> LabelAnatomy:
    """ICBM152's grey and white matter (nilearn) as shares of cortex, white and, as what is left, fluid.

    Raises `UsageError` when nilearn is missing.
    """
    import SimpleITK as sitk

    try:
        import nilearn.datasets
    except ImportError as error:
        raise missing_extra("nilearn", "demo", "The ICBM152 anatomy") from error
    folder = Path(nilearn.datasets.__file__).parent / "data"
    images = {
        key: sitk.ReadImage(
            str(folder / f"mni_icbm152_{key}_tal_nlin_sym_09a_converted.nii.gz"), sitk.sitkFloat32
        )
        for key in ("gm", "wm")
    }
    grid = lps_grid(images["gm"], spacing_mm)
    grey, white = (resampled(images[key], grid) / 255.0 for key in ("gm", "wm"))
    solid = grey + white > 0.3
    brain = distance_mm(distance_mm(solid, spacing_mm) > 6.0, spacing_mm) > 5.0
    brain = ndimage.binary_fill_holes(brain)
    shares = np.zeros((len(PARTS), *grid.shape), dtype=np.float32)
    shares[PARTS.index("cortex")] = grey
    shares[PARTS.index("white")] = white
    shares[PARTS.index("fluid")] = np.clip(1 - grey - white, 0, 1)
    cerebrum = above_cerebellum(brain, find_midline(brain), spacing_mm)
    return _cropped("ICBM152", shares * brain, brain, cerebrum, grid)


def _cropped(
    name: str, shares: np.ndarray, brain: BoolArray, cerebrum: BoolArray, grid: Grid
) -> LabelAnatomy:
    box = bounding_box(brain, int(np.ceil(MARGIN_MM / grid.spacing_mm[0])))
    packed = np.rint(255 * np.clip(shares[(slice(None), *box)], 0, 1)).astype(np.uint8)
    return LabelAnatomy(name, packed, brain[box], cerebrum[box], crop_grid(grid, box))
