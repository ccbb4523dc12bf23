"""Where synthetic cases come from: real four-contrast brains, label maps of real anatomies, ICBM152.

Everything is found by folder layout, read once, resampled to an isotropic grid along LPS axes and kept in
memory per spacing.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from ...errors import InputRefused, UsageError
from ...intake.volume import ROLES, Grid
from ...labels import numbers_of
from ..cases import SUFFIXES, find_cases
from .fields import BoolArray, FloatArray, bounding_box

if TYPE_CHECKING:
    import SimpleITK as sitk

MARGIN_MM = 8.0
"""Empty space kept around the brain."""


@dataclass(frozen=True)
class RealSource:
    """One real scan: ``paths`` by role, ``labels_path`` or ``None`` without tumour.

    ``native``: as the scanner gave it, with skull, each sequence on its own grid. ``numbering`` of the
    labels: brats2021 or brats2024.
    """

    name: str
    paths: tuple[tuple[str, Path], ...]
    labels_path: Path | None
    expert: bool
    native: bool = False
    numbering: str = "brats2021"


@dataclass(frozen=True)
class Sources:
    """All that may be used: real scans, whole-head label maps, and whether ICBM152 may serve as anatomy."""

    real: tuple[RealSource, ...]
    label_maps: tuple[Path, ...]
    icbm: bool

    @property
    def with_tumour(self) -> tuple[RealSource, ...]:
        """The real scans that come with tumour labels."""
        return tuple(source for source in self.real if source.labels_path is not None)

    @property
    def complete(self) -> tuple[RealSource, ...]:
        """The real scans that have all four sequences on one grid."""
        return tuple(source for source in self.real if not source.native)


@dataclass(frozen=True)
class Scan:
    """A real scan on an isotropic LPS grid.

    ``volumes`` by role (z, y, x) float32, not negative, 0 outside ``brain``; ``labels`` uint8, BraTS 2024
    numbers.
    """

    name: str
    volumes: dict[str, FloatArray]
    labels: np.ndarray
    brain: BoolArray
    grid: Grid


def find_sources(data: Path | None, exclude: Collection[str]) -> Sources:
    """Everything usable below ``data``; without one, ICBM152.

    ``data`` is laid out as the project's data folder, or holds cases in BraTS naming (2021 or 2024), of which
    those with all four sequences serve. A scan or a label map whose name (folder name, or file name of a
    label map) contains one of the words of ``exclude`` is left out; ``"icbm"`` leaves out ICBM152. Raises
    `InputRefused` when ``data`` has no real scan left, `UsageError` when there is no data folder and ICBM152
    is excluded.
    """

    def kept(name: str) -> bool:
        return not any(word in name for word in exclude)

    if data is None:
        if not kept("icbm"):
            raise UsageError("Without a data folder ICBM152 is the only anatomy: do not exclude it.")
        return Sources((), (), icbm=True)
    if not data.is_dir():
        raise InputRefused(f"There is no data folder {data.name}: check the path.")
    real: list[RealSource] = []
    for folder in sorted((data / "brats2021").glob("*")):
        if kept(folder.name):
            files = {key: folder / f"{folder.name}{end}.nii.gz" for key, end in SUFFIXES["brats2021"].items()}
            paths = tuple((role, files[role]) for role in ROLES)
            real.append(RealSource(folder.name, paths, files["labels"], expert=True))
    for folder in sorted((data / "tcga").glob("*")):
        if kept(folder.name):
            paths = tuple((r, folder / f"{r}.nii.gz") for r in ROLES)
            real.append(RealSource(folder.name, paths, folder / "fused_labels.nii.gz", expert=False))
    for folder in sorted((data / "openms" / "cross_sectional").glob("*")):
        if kept(folder.name):
            paths = tuple((r, folder / f"{r}.nii.gz") for r in ROLES)
            real.append(RealSource(f"MS-{folder.name}", paths, None, expert=True))
    for folder in sorted((data / "openms" / "native").glob("*")):
        if kept(folder.name):
            real.extend(_native_visits(folder))
    real = real or [source for source in _brats_named(data) if kept(source.name)]
    if not real:
        raise InputRefused(
            f"No real scan with all four sequences was found below {data.name}: check the path."
        )
    maps = tuple(path for path in sorted((data / "anatomy").glob("*.nii.gz")) if kept(path.name))
    return Sources(tuple(real), maps, icbm=kept("icbm"))


def _brats_named(data: Path) -> list[RealSource]:
    """The cases in BraTS naming that have all four sequences, as somebody's copy of a release holds them."""
    return [
        RealSource(
            case.name,
            tuple((role, case.images[role]) for role in ROLES),
            case.labels,
            expert=True,
            numbering=case.numbering,
        )
        for case in find_cases([data])
        if len(case.images) == len(ROLES)
    ]


NATIVE_SUFFIX = {"t1": "T1W", "t2": "T2W", "flair": "FLAIR"}


def _native_visits(folder: Path) -> list[RealSource]:
    """The visits of one person, without contrast."""
    visits = sorted({path.name.split("_")[0] for path in folder.glob("*_T1W.nii.gz")})
    return [
        RealSource(
            f"MS-{folder.name}-{visit}",
            tuple((role, folder / f"{visit}_{suffix}.nii.gz") for role, suffix in NATIVE_SUFFIX.items()),
            labels_path=None,
            expert=True,
            native=True,
        )
        for visit in visits
    ]


def lps_grid(image: sitk.Image, spacing_mm: float) -> Grid:
    """The isotropic grid along LPS axes that covers ``image``."""
    corners = Grid.of_image(image).corners_lps_mm()
    low, high = corners.min(axis=0), corners.max(axis=0)
    size = np.ceil((high - low) / spacing_mm).astype(int) + 1
    shape = (int(size[2]), int(size[1]), int(size[0]))
    return Grid(
        shape,
        (spacing_mm,) * 3,
        (float(low[0]), float(low[1]), float(low[2])),
        (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
    )


def crop_grid(grid: Grid, box: tuple[slice, slice, slice]) -> Grid:
    """The grid of the ``box`` (z, y, x slices) cut out of an axis-aligned ``grid``."""
    starts = [box[2].start, box[1].start, box[0].start]
    origin = np.asarray(grid.origin_lps_mm) + np.asarray(starts) * np.asarray(grid.spacing_mm)
    shape = (box[0].stop - box[0].start, box[1].stop - box[1].start, box[2].stop - box[2].start)
    return Grid(
        shape, grid.spacing_mm, (float(origin[0]), float(origin[1]), float(origin[2])), grid.direction_lps
    )


def resampled(image: sitk.Image, grid: Grid) -> FloatArray:
    """``image`` on ``grid``, linear; smoothed before when the grid is coarser, so that nothing aliases."""
    import SimpleITK as sitk

    ratio = grid.spacing_mm[0] / min(image.GetSpacing())
    image = sitk.Cast(image, sitk.sitkFloat32)
    if ratio > 1.2:
        image = sitk.SmoothingRecursiveGaussian(image, 0.35 * grid.spacing_mm[0])
    target = grid.image(np.zeros(grid.shape, dtype=np.float32))
    return np.asarray(
        sitk.GetArrayFromImage(sitk.Resample(image, target, sitk.Transform(), sitk.sitkLinear, 0.0))
    )


def resampled_labels(image: sitk.Image, grid: Grid) -> np.ndarray:
    """A label map (int32) on ``grid``: each label's share of a voxel is found, the largest wins."""
    import SimpleITK as sitk

    array = sitk.GetArrayViewFromImage(image)
    values = [int(v) for v in np.unique(array)]
    best = np.full(grid.shape, -1.0, dtype=np.float32)
    winner = np.zeros(grid.shape, dtype=np.int32)
    for value in values:
        share = resampled(sitk.Equal(image, float(value)), grid)
        better = share > best
        best[better] = share[better]
        winner[better] = value
    winner[best <= 0] = 0
    return winner


def brain_of(volumes: dict[str, FloatArray], spacing_mm: float) -> BoolArray:
    """The brain of skull-stripped volumes: largest filled piece of the smoothed common foreground."""
    shares = []
    for volume in volumes.values():
        top = np.percentile(volume[volume > 0], 95)
        shares.append(np.clip(volume / top, 0, 1))
    mean = ndimage.gaussian_filter(np.mean(shares, axis=0), 1.0 / spacing_mm)
    pieces, count = ndimage.label(mean > 0.08)
    if count == 0:
        raise InputRefused("No brain was found in the volumes: are they skull-stripped scans of one head?")
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    return np.asarray(ndimage.binary_fill_holes(pieces == sizes.argmax()))


@lru_cache(maxsize=64)
def load_scan(source: RealSource, spacing_mm: float) -> Scan:
    """A real scan on the isotropic LPS grid of ``spacing_mm``, cropped to the brain with a margin; cached.

    Raises `InputRefused` when a file is missing.
    """
    import SimpleITK as sitk

    for _, path in source.paths:
        if not path.is_file():
            raise InputRefused(f"{path.name} is missing beside the other sequences of its scan.")
    if source.native:
        images, mask = _aligned(source)
    else:
        images, mask = {r: sitk.ReadImage(str(p), sitk.sitkFloat32) for r, p in source.paths}, None
    grid = lps_grid(images["t1"], spacing_mm)
    volumes = {role: np.maximum(resampled(image, grid), 0.0) for role, image in images.items()}
    brain = brain_of(volumes, spacing_mm) if mask is None else resampled(mask, grid) > 0.5
    labels = np.zeros(grid.shape, dtype=np.uint8)
    if source.labels_path is not None:
        found = resampled_labels(sitk.ReadImage(str(source.labels_path)), grid)
        for old, new in numbers_of(source.numbering).items():
            labels[found == old] = new
    box = bounding_box(brain, int(np.ceil(MARGIN_MM / spacing_mm)))
    brain = brain[box]
    volumes = {role: np.where(brain, volume[box], 0).astype(np.float32) for role, volume in volumes.items()}
    return Scan(
        source.name, volumes, np.where(brain, labels[box], 0).astype(np.uint8), brain, crop_grid(grid, box)
    )


def _aligned(source: RealSource) -> tuple[dict[str, sitk.Image], sitk.Image]:
    """A native scan's sequences in T1's place, and the brain's mask: the same steps as before inference.

    Raises `UsageError` when deepbet is missing.
    """
    from ...intake.alignment import align
    from ...intake.brain import brain_mask
    from ...intake.reading import read_study

    study, _ = align(read_study(dict(source.paths), "t1"))
    found = brain_mask(study).mask
    if found is None:
        raise InputRefused(f"No skull was found in {source.name}: expected a scan with it.")
    return {role: volume.image() for role, volume in study.volumes.items()}, found.image()
