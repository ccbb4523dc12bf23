"""From a study to the network's array: one upright grid, the brain's box, one intensity scale."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy import ndimage

from ..errors import InputRefused
from .normalisation import METHODS, BoolArray, ChannelScale, foreground_mask, normalise
from .volume import ROLE_NAMES, ROLES, Grid, Study, Volume

_MARGIN_MM = 4.0
_SMALLEST_BRAIN_ML = 50.0
BACKGROUNDS = ("brain", "zero")
_UPRIGHT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


@dataclass(frozen=True)
class InputSpec:
    """What a model wants: ``channels`` (roles in order), ``spacing_mm`` (z, y, x), normalisation, clip.

    ``clip`` None: values are left as they are. ``background`` of skull-stripped scans: ``brain``, what is
    outside the brain that is found, or ``zero``, what is 0 in every sequence and not enclosed.
    ``own_spacing``: the reference's spacing is kept along axes where it is between half and twice
    ``spacing_mm``, for models that resample by themselves.
    """

    channels: tuple[str, ...] = ROLES
    spacing_mm: tuple[float, float, float] = (2.0, 2.0, 2.0)
    normalisation: str = "robust"
    clip: tuple[float, float] | None = (-6.0, 12.0)
    background: str = "brain"
    own_spacing: bool = False

    def __post_init__(self) -> None:
        if (
            not self.channels
            or not set(self.channels) <= set(ROLES)
            or len(set(self.channels)) != len(self.channels)
        ):
            raise ValueError(f"channels must be distinct and from {', '.join(ROLES)}")
        if len(self.spacing_mm) != 3 or not all(0.2 <= s <= 10 for s in self.spacing_mm):
            raise ValueError("spacing_mm must be three numbers from 0.2 to 10")
        if self.normalisation not in METHODS:
            raise ValueError(f"normalisation must be one of {', '.join(METHODS)}")
        if self.clip is not None and (len(self.clip) != 2 or not self.clip[0] < self.clip[1]):
            raise ValueError("clip must be two numbers, the smaller first")
        if self.background not in BACKGROUNDS:
            raise ValueError(f"background must be one of {', '.join(BACKGROUNDS)}")
        if not isinstance(self.own_spacing, bool):
            raise TypeError("own_spacing must be true or false")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> InputSpec:
        """Build from plain data. Raises ``ValueError``, ``TypeError`` or ``KeyError`` for what is off."""
        clip = values["clip"]
        return cls(
            tuple(values["channels"]),
            tuple(float(s) for s in values["spacing_mm"]),  # type: ignore[arg-type]
            str(values["normalisation"]),
            None if clip is None else tuple(float(c) for c in clip),  # type: ignore[arg-type]
            str(values.get("background", "brain")),
            values.get("own_spacing", False),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data for ``model.json``."""
        return {
            "channels": list(self.channels),
            "spacing_mm": list(self.spacing_mm),
            "normalisation": self.normalisation,
            "clip": None if self.clip is None else list(self.clip),
            "background": self.background,
            "own_spacing": self.own_spacing,
        }


@dataclass(frozen=True)
class NetworkInput:
    """``array`` (channel, z, y, x) float32, normalised, and ``brain`` (z, y, x) bool, both on ``grid``.

    A missing sequence is a channel of zeros that is not in ``present``. ``scales`` says how each channel was
    normalised. ``grid`` is a cut-out of ``full_grid`` (``crop``: slices z, y, x): the crop can be undone.
    """

    array: npt.NDArray[np.float32]
    brain: BoolArray
    grid: Grid
    full_grid: Grid
    crop: tuple[slice, slice, slice]
    present: tuple[str, ...]
    scales: dict[str, ChannelScale]


def upright_grid(reference: Grid, spacing_mm: tuple[float, float, float]) -> Grid:
    """An axis-aligned LPS grid of ``spacing_mm`` (z, y, x) that covers every voxel of ``reference``.

    Its outer edges lie on the reference's outer edges, so that a voxel of an upright
    volume at half the resolution is the mean of eight.
    """
    points = _edges_lps_mm(reference)
    low, high = points.min(axis=0), points.max(axis=0)
    spacing = np.asarray(spacing_mm[::-1])
    size = np.maximum(np.ceil((high - low) / spacing - 1e-6).astype(int), 1)
    origin = low + spacing / 2
    return Grid(
        (int(size[2]), int(size[1]), int(size[0])),
        (float(spacing[0]), float(spacing[1]), float(spacing[2])),
        (float(origin[0]), float(origin[1]), float(origin[2])),
        _UPRIGHT,
    )


def _edges_lps_mm(grid: Grid) -> npt.NDArray[np.float64]:
    """The eight outer corners of the grid's corner voxels, (8, 3), LPS millimetres."""
    corners = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)], dtype=float)
    edges = corners * np.asarray(grid.shape[::-1]) - 0.5
    matrix = grid.index_to_lps()
    return edges @ matrix[:3, :3].T + matrix[:3, 3]


def box_on(reference: Grid, part: Grid) -> tuple[slice, slice, slice] | None:
    """The voxels of ``reference`` that can lie inside ``part`` (slices z, y, x), None when there are none."""
    corners = np.c_[_edges_lps_mm(part), np.ones(8)]
    index = (np.linalg.inv(reference.index_to_lps()) @ corners.T)[:3]
    low, high = np.floor(index.min(axis=1)).astype(int), np.ceil(index.max(axis=1)).astype(int) + 1
    size = reference.shape[::-1]
    ranges = [slice(max(int(a), 0), min(int(b), s)) for a, b, s in zip(low, high, size, strict=True)]
    if any(r.start >= r.stop for r in ranges):
        return None
    return ranges[2], ranges[1], ranges[0]


def network_spacing(reference: Grid, spec: InputSpec) -> tuple[float, float, float]:
    """Voxel spacing (z, y, x) in mm of the network's grid."""
    if not spec.own_spacing:
        return spec.spacing_mm
    axes = np.abs(np.asarray(reference.direction_lps).reshape(3, 3))
    # The stored axis that runs along each of x, y, z; an oblique grid's nearest.
    own = [reference.spacing_mm[int(np.argmax(axes[line]))] for line in (2, 1, 0)]
    chosen = [o if 0.5 <= o / wanted <= 2 else wanted for o, wanted in zip(own, spec.spacing_mm, strict=True)]
    return chosen[0], chosen[1], chosen[2]


def _found_brain(
    volumes: Sequence[npt.NDArray[np.float32]], spec: InputSpec, spacing_mm: tuple[float, float, float]
) -> BoolArray:
    if spec.background == "zero":
        filled = ndimage.binary_fill_holes(np.logical_or.reduce([v != 0 for v in volumes]))
        return np.asarray(filled, dtype=bool)
    return foreground_mask(volumes, spacing_mm)


def _anti_aliased(image: sitk.Image, grid: Grid) -> sitk.Image:
    """Smooth along axes that ``grid`` samples more than twice as coarsely as they are stored."""
    stored_axes = np.asarray(image.GetDirection()).reshape(3, 3)
    alignment = np.abs(np.asarray(grid.direction_lps).reshape(3, 3).T @ stored_axes)
    for axis, spacing in enumerate(image.GetSpacing()):
        target_mm = grid.spacing_mm[int(np.argmax(alignment[:, axis]))]
        if target_mm / spacing > 2.001 and image.GetSize()[axis] > 4:
            image = sitk.RecursiveGaussian(image, sigma=0.35 * target_mm, direction=axis)
    return image


def resample(volume: Volume, grid: Grid) -> npt.NDArray[np.float32]:
    """The volume's values on ``grid`` (z, y, x), linear, 0 outside the volume."""
    image = _anti_aliased(volume.image(), grid)
    resampler = sitk.ResampleImageFilter()
    resampler.SetSize(grid.shape[::-1])
    resampler.SetOutputSpacing(grid.spacing_mm)
    resampler.SetOutputOrigin(grid.origin_lps_mm)
    resampler.SetOutputDirection(grid.direction_lps)
    resampler.SetInterpolator(sitk.sitkLinear)
    resampler.UseNearestNeighborExtrapolatorOff()
    return sitk.GetArrayFromImage(resampler.Execute(image))


def labels_on_grid(
    labels: npt.NDArray[np.uint8], source: Grid, grid: Grid, classes: int
) -> npt.NDArray[np.uint8]:
    """A label map (z, y, x) on another grid: each class is resampled as a probability, the largest wins."""
    best = np.zeros(grid.shape, np.float32)
    result = np.zeros(grid.shape, np.uint8)
    for label in range(classes):
        share = resample(Volume((labels == label).astype(np.float32), source, "t1", "labels"), grid)
        if label == 0:
            # Outside the source everything is background.
            share += 1 - resample(Volume(np.ones(source.shape, np.float32), source, "t1", "labels"), grid)
        better = share > best
        result[better] = label
        best[better] = share[better]
    return result


def _box(mask: BoolArray, margin: tuple[int, int, int]) -> tuple[slice, slice, slice]:
    slices = []
    for axis in range(3):
        hit = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        slices.append(
            slice(max(int(hit[0]) - margin[axis], 0), min(int(hit[-1]) + 1 + margin[axis], mask.shape[axis]))
        )
    return slices[0], slices[1], slices[2]


def cut(grid: Grid, box: tuple[slice, slice, slice]) -> Grid:
    """The part of ``grid`` inside ``box`` (slices z, y, x)."""
    start = np.array([box[2].start, box[1].start, box[0].start, 1.0])
    origin = grid.index_to_lps() @ start
    shape = (box[0].stop - box[0].start, box[1].stop - box[1].start, box[2].stop - box[2].start)
    return Grid(
        shape, grid.spacing_mm, (float(origin[0]), float(origin[1]), float(origin[2])), grid.direction_lps
    )


def prepare(study: Study, spec: InputSpec, brain_mask: Volume | None = None) -> NetworkInput:
    """Bring a study onto the model's grid, find the brain, crop to it, normalise.

    ``brain_mask`` (values above 0.5 are brain) replaces the foreground search.
    Raises ``InputRefused`` when no brain of at least 50 ml is found, or a sequence is flat inside it.
    """
    spacing_mm = network_spacing(study.reference.grid, spec)
    full_grid = upright_grid(study.reference.grid, spacing_mm)
    volumes = {
        role: resample(study.volumes[role], full_grid) for role in spec.channels if role in study.volumes
    }
    if brain_mask is not None:
        brain = resample(brain_mask, full_grid) > 0.5
    else:
        brain = _found_brain(list(volumes.values()), spec, spacing_mm)
    brain_ml = float(brain.sum()) * full_grid.voxel_ml
    if brain_ml < _SMALLEST_BRAIN_ML:
        raise InputRefused(
            f"No brain was found in {study.reference.name}: only {brain_ml:.0f} ml stand out from the "
            "background. Check that the four volumes show a head and lie in the same place."
        )
    margin = tuple(math.ceil(_MARGIN_MM / s) for s in spacing_mm)
    box = _box(brain, margin)  # type: ignore[arg-type]
    brain = np.ascontiguousarray(brain[box])
    volumes = {role: values[box] for role, values in volumes.items()}
    for role, values in volumes.items():
        if np.ptp(values[brain]) <= 0:
            raise InputRefused(
                f"{study.volumes[role].name} has one single value inside the brain: "
                f"choose another {ROLE_NAMES[role]} volume."
            )
    arrays, scales = normalise(volumes, brain, spec.normalisation, spec.clip)
    array = np.zeros((len(spec.channels), *brain.shape), np.float32)
    for channel, role in enumerate(spec.channels):
        if role in arrays:
            array[channel] = arrays[role]
    present = tuple(role for role in spec.channels if role in arrays)
    return NetworkInput(array, brain, cut(full_grid, box), full_grid, box, present, scales)
