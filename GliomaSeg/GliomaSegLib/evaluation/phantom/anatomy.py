"""The brain that a phantom's lesion is put into: ICBM152, drawn anew for every seed, or a real exam."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np
from scipy import ndimage
from scipy.cluster.vq import kmeans2

from ...errors import InputRefused, missing_extra
from ...intake.volume import ROLES, Grid
from .fields import BoolArray, FloatArray, resampled, smooth_field

Box = tuple[slice, slice, slice]

BRATS_SIZE_XYZ = (182, 218, 182)
BRATS_ORIGIN_LPS_MM = (-90.0, -91.0, -72.0)
"""The grid of BraTS 2024 (MNI152), its axes turned to run along L, P and S."""

_MNI_ORIGIN_ZYX = (72.0, 98.0, 98.0)
_BEND_STEP_MM = 4.0
_SHARPNESS = 1.7
_INDIVIDUAL = 0.55


@dataclass(frozen=True)
class Anatomy:
    """Tissue fractions ``wm``, ``gm``, ``csf`` (z, y, x), 0 to 1, that sum to 1 in ``brain``; cubic voxels.

    The arrays hold only the brain's box, whose first voxel is ``corner`` (z, y, x) of the whole ``grid``.
    ``scans`` holds a real exam's four contrasts, outside 0, or is None when contrast has to be computed.
    """

    wm: FloatArray
    gm: FloatArray
    csf: FloatArray
    brain: BoolArray
    grid: Grid
    corner: tuple[int, int, int]
    scans: dict[str, FloatArray] | None = None

    @property
    def spacing_mm(self) -> float:
        """The voxel's edge in millimetres."""
        return self.grid.spacing_mm[0]

    @cached_property
    def depth_mm(self) -> FloatArray:
        """Distance of each voxel of the brain to the outside (z, y, x), 0 outside."""
        padded = ndimage.distance_transform_edt(np.pad(self.brain, 1), sampling=self.spacing_mm)
        return np.asarray(padded[1:-1, 1:-1, 1:-1], np.float32)

    def uncropped(self, array: np.ndarray) -> np.ndarray:
        """``array`` of the brain's box on the whole grid, 0 around it."""
        whole = np.zeros(self.grid.shape, array.dtype)
        whole[tuple(slice(c, c + n) for c, n in zip(self.corner, array.shape, strict=True))] = array
        return whole


def icbm152_anatomy(rng: np.random.Generator, spacing_mm: float) -> Anatomy:
    """An individual drawn from the ICBM152 tissue maps that ``nilearn`` carries (Fonov et al. 2009).

    The average brain is scaled, sheared and bent; then its blurred tissue probabilities become one brain's
    sharp ones by adding smooth noise to their logarithms. Raises ``UsageError`` without nilearn.
    """
    grid = brats_grid(spacing_mm)
    bend = _Bend(rng)
    box = _brain_box(bend, grid)
    points = bend.points(grid, box)
    white, grey, inner = (_sampled(template, points, spacing_mm) for template in _icbm152_maps())
    brain = inner > 0.5
    atrophy = rng.uniform(1.2, 3.0)
    fluid = np.float32(atrophy) * np.clip(1.0 - white - grey, 0.0, 1.0)
    likely: list[FloatArray] = [white, grey, fluid]
    weights = [
        np.exp(
            _SHARPNESS * (np.log(p + 0.015) + _INDIVIDUAL * smooth_field(rng, brain.shape, 3.0, spacing_mm))
        )
        for p in likely
    ]
    total = weights[0] + weights[1] + weights[2]
    wm, gm, csf = ((w / total * brain).astype(np.float32) for w in weights)
    return Anatomy(wm, gm, csf, brain, grid, (box[0].start, box[1].start, box[2].start))


def brats_grid(spacing_mm: float) -> Grid:
    """The BraTS 2024 field of view with cubic voxels of ``spacing_mm``, along L, P, S."""
    nx, ny, nz = (int(np.ceil(n / spacing_mm)) for n in BRATS_SIZE_XYZ)
    identity = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    return Grid((nz, ny, nx), (spacing_mm,) * 3, BRATS_ORIGIN_LPS_MM, identity)


@cache
def _icbm152_maps() -> tuple[FloatArray, FloatArray, FloatArray]:
    """White matter, grey matter, brain: (z, y, x) along L, P, S at 1 mm, MNI's origin at ``_MNI_ORIGIN``."""
    try:
        from nilearn import datasets
    except ImportError as missing:
        raise missing_extra("nilearn", "demo", "The ICBM152 brain") from missing
    loaders = (
        datasets.load_mni152_wm_template,
        datasets.load_mni152_gm_template,
        datasets.load_mni152_brain_mask,
    )
    white, grey, brain = (_as_lps(loader(resolution=1)) for loader in loaders)
    return white, grey, brain


def _as_lps(image: object) -> FloatArray:
    """A nilearn image, right-anterior-superior at 1 mm, as array (z, y, x) along L, P, S."""
    array = np.asarray(image.dataobj, dtype=np.float32)  # type: ignore[attr-defined]
    return np.ascontiguousarray(array[::-1, ::-1].transpose(2, 1, 0))


class _Bend:
    """A random smooth bending of MNI space: from a voxel of a phantom to where it looks in ICBM152."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.stretch = (np.diag(rng.uniform(0.96, 1.07, 3)) + rng.normal(0.0, 0.015, (3, 3))).astype(
            np.float32
        )
        size = tuple(int(np.ceil(n / _BEND_STEP_MM)) + 1 for n in BRATS_SIZE_XYZ[::-1])
        self.shifts_mm = [
            2.5 * smooth_field(rng, size, 45.0, _BEND_STEP_MM)
            + 0.9 * smooth_field(rng, size, 14.0, _BEND_STEP_MM)
            for _ in range(3)
        ]

    def points(self, grid: Grid, box: Box) -> FloatArray:
        """For each voxel of ``box`` in ``grid``: (3, z, y, x), voxel indices z, y, x in the ICBM152 maps."""
        spacing_mm = grid.spacing_mm[0]
        shape = tuple(part.stop - part.start for part in box)
        mm = [np.arange(part.start, part.stop, dtype=np.float32) * spacing_mm for part in box]
        start = grid.origin_lps_mm[::-1]
        lps = np.meshgrid(*(axis + np.float32(s) for axis, s in zip(mm, start, strict=True)), indexing="ij")
        points = np.empty((3, *shape), np.float32)
        corner = np.array([part.start for part in box]) * spacing_mm / _BEND_STEP_MM
        for axis in range(3):
            shift = resampled(self.shifts_mm[axis], shape, spacing_mm / _BEND_STEP_MM, corner)
            stretched = sum(self.stretch[axis, k] * lps[k] for k in range(3))
            points[axis] = stretched + shift + np.float32(_MNI_ORIGIN_ZYX[axis])
        return points


def _brain_box(bend: _Bend, grid: Grid) -> Box:
    """The box of ``grid`` that holds the bent brain, with some room, found on voxels of 4 mm."""
    coarse = brats_grid(4.0)
    whole = (slice(0, coarse.shape[0]), slice(0, coarse.shape[1]), slice(0, coarse.shape[2]))
    brain = _sampled(_icbm152_maps()[2], bend.points(coarse, whole), 4.0) > 0.1
    return _grown_box(brain, 4.0 / grid.spacing_mm[0], round(6.0 / grid.spacing_mm[0]), grid.shape)


def _grown_box(mask: BoolArray, scale: float, margin: int, limits: tuple[int, int, int]) -> Box:
    parts = [
        slice(max(0, int(part.start * scale) - margin), min(limit, int(np.ceil(part.stop * scale)) + margin))
        for part, limit in zip(ndimage.find_objects(mask.astype(np.uint8))[0], limits, strict=True)
    ]
    return parts[0], parts[1], parts[2]


def _sampled(template: FloatArray, points: FloatArray, spacing_mm: float) -> FloatArray:
    smoothed = ndimage.gaussian_filter(template, 0.4 * spacing_mm) if spacing_mm > 1.5 else template
    return np.asarray(ndimage.map_coordinates(smoothed, points, order=1, mode="constant"), np.float32)


def real_anatomy(folder: Path) -> Anatomy:
    """A real skull-stripped exam: ``t1``, ``t1c``, ``t2``, ``flair`` (.nii.gz) on one grid of cubic voxels.

    Tissue fractions come from clusters of T1, T2 and FLAIR. Raises ``InputRefused`` when a contrast is
    missing or the grid isn't common and cubic.
    """
    scans, grid = _read_scans(Path(folder))
    foreground = _foreground(scans)
    box = _grown_box(foreground, 1.0, 3, grid.shape)
    brain = foreground[box]
    cleaned = {role: np.where(brain, scan[box], 0.0).astype(np.float32) for role, scan in scans.items()}
    classes = _tissue_classes(cleaned, brain)
    fractions = [
        np.where(brain, ndimage.gaussian_filter((classes == k).astype(np.float32), 0.5), 0.0)
        for k in range(3)
    ]
    total = np.maximum(fractions[0] + fractions[1] + fractions[2], 1e-6)
    wm, gm, csf = ((part / total * brain).astype(np.float32) for part in fractions)
    return Anatomy(wm, gm, csf, brain, grid, (box[0].start, box[1].start, box[2].start), cleaned)


def _read_scans(folder: Path) -> tuple[dict[str, FloatArray], Grid]:
    import SimpleITK as sitk

    scans: dict[str, FloatArray] = {}
    grid: Grid | None = None
    for role in ROLES:
        path = folder / f"{role}.nii.gz"
        if not path.is_file():
            raise InputRefused(
                f"{folder.name} has no {path.name}: a phantom's real brain needs all four contrasts."
            )
        image = sitk.DICOMOrient(sitk.ReadImage(str(path), sitk.sitkFloat32), "LPS")
        own = Grid.of_image(image)
        grid = grid or own
        if not own.matches(grid) or not np.allclose(own.spacing_mm, own.spacing_mm[0], rtol=1e-3):
            raise InputRefused(
                f"{path.name} of {folder.name} is not on one grid of cubic voxels: resample it first."
            )
        scans[role] = np.nan_to_num(sitk.GetArrayFromImage(image))
    assert grid is not None
    return scans, grid


def _foreground(scans: dict[str, FloatArray]) -> BoolArray:
    """The brain of skull-stripped scans: above a fiftieth of the bright end, its largest piece, filled."""
    lit = np.zeros(scans["t1"].shape, bool)
    for role in ("t1", "t2"):
        lit |= scans[role] > 0.02 * np.percentile(scans[role], 99.5)
    pieces, _ = ndimage.label(ndimage.binary_opening(lit))
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    return np.asarray(ndimage.binary_fill_holes(pieces == sizes.argmax()))


def _tissue_classes(scans: dict[str, FloatArray], brain: BoolArray) -> np.ndarray:
    """0 white matter, 1 grey matter, 2 fluid, by k-means over the contrasts in units of their median."""
    features = np.stack(
        [scans[role][brain] / np.median(scans[role][brain]) for role in ("t1", "t2", "flair")], 1
    )
    start = np.array([[1.15, 0.85, 0.95], [0.9, 1.15, 1.1], [0.3, 2.3, 0.4]])
    centres, _ = kmeans2(features[::7], start, minit="matrix")
    centres = centres[np.argsort(centres[:, 1])]
    distances = ((features[:, None] - centres) ** 2).sum(2)
    classes = np.full(brain.shape, -1, np.int8)
    classes[brain] = distances.argmin(1)
    return classes
