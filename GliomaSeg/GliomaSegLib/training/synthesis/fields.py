"""Smooth random fields and implicit shapes: the clay that simulated lesions are made of."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
Shape = tuple[int, ...]


def _spline_weights(size: int, knots: int) -> npt.NDArray[np.float64]:
    """Cubic B-spline weights (size, knots + 3) that spread ``knots`` intervals over ``size`` samples."""
    position = np.linspace(0.0, knots, size, endpoint=False) + knots / (2 * size)
    offset = np.abs(position[:, None] - (np.arange(knots + 3)[None, :] - 1))
    near = 2 / 3 - offset**2 + offset**3 / 2
    far = (2 - offset) ** 3 / 6
    return np.where(offset < 1, near, np.where(offset < 2, far, 0.0))


def smooth_field(rng: np.random.Generator, shape: Shape, scale_mm: float, spacing_mm: float) -> FloatArray:
    """A smooth random field (z, y, x) of mean 0 and standard deviation about 1.

    Neighbouring bumps are ``scale_mm`` apart: normal numbers on a coarse lattice, cubic B-splines between
    them, one axis at a time.
    """
    knots = [max(1, int(np.ceil(n * spacing_mm / scale_mm))) for n in shape]
    field: np.ndarray = rng.standard_normal([k + 3 for k in knots])
    for axis, (size, count) in enumerate(zip(shape, knots, strict=True)):
        field = np.moveaxis(np.tensordot(_spline_weights(size, count), field, axes=(1, axis)), 0, axis)
    # A cubic B-spline passes sum(w^2) = 0.479 of the lattice's variance on each axis, on average.
    return np.asarray(field / 0.479**1.5, dtype=np.float32)


def rough_field(rng: np.random.Generator, shape: Shape, scale_mm: float, spacing_mm: float) -> FloatArray:
    """Three octaves of `smooth_field`, from ``scale_mm`` down to a quarter of it; deviation about 1."""
    total = np.zeros(shape, dtype=np.float32)
    for octave, weight in enumerate((0.75, 0.55, 0.37)):
        step = max(scale_mm / 2**octave, 2.5 * spacing_mm)
        total += np.float32(weight) * smooth_field(rng, shape, step, spacing_mm)
    return total


def ellipsoid(
    rng: np.random.Generator, shape: Shape, centre: npt.NDArray[np.float64], spacing_mm: float, stretch: float
) -> FloatArray:
    """Distance in millimetres (z, y, x) from ``centre`` (voxels) in a random stretched, rotated metric.

    ``stretch`` 0 gives spheres; axes are scaled by ``exp(normal * stretch)``, their product kept at 1.
    """
    axes = np.exp(rng.normal(0.0, stretch, 3))
    axes /= np.cbrt(axes.prod())
    rotation, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    metric = (rotation * (1 / axes)).astype(np.float32)
    z, y, x = (np.arange(n, dtype=np.float32) - np.float32(c) for n, c in zip(shape, centre, strict=True))
    total = np.zeros(shape, dtype=np.float32)
    for column in range(3):
        line = metric[:, column] * np.float32(spacing_mm)
        total += (line[0] * z[:, None, None] + line[1] * y[None, :, None] + line[2] * x[None, None, :]) ** 2
    return np.sqrt(total)


def facets(
    rng: np.random.Generator, shape: Shape, centre: npt.NDArray[np.float64], spacing_mm: float, count: int
) -> FloatArray:
    """Polyhedral distance in millimetres from ``centre``: the largest of ``count`` half-space heights."""
    normals = rng.standard_normal((count, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    stretch = rng.uniform(0.7, 1.6, count)
    z, y, x = (np.arange(n, dtype=np.float32) - np.float32(c) for n, c in zip(shape, centre, strict=True))
    height = np.full(shape, -np.inf, dtype=np.float32)
    for normal, factor in zip(normals, stretch, strict=True):
        a, b, c = (np.float32(component * factor * spacing_mm) for component in normal)
        np.maximum(height, a * z[:, None, None] + b * y[None, :, None] + c * x[None, None, :], out=height)
    return height


def fill_to_volume(
    cost: FloatArray, allowed: BoolArray, volume_ml: float, voxel_ml: float, connected: bool = True
) -> BoolArray:
    """The cheapest voxels of ``allowed`` that add up to ``volume_ml``; one piece when ``connected``.

    Returns an empty mask when nothing is allowed. With ``connected`` the piece that holds the cheapest voxel
    is kept, so the result may be somewhat smaller than asked.
    """
    values = cost[allowed]
    wanted = min(max(1, round(volume_ml / voxel_ml)), values.size)
    if values.size == 0:
        return np.zeros(cost.shape, dtype=bool)
    level = np.partition(values, wanted - 1)[wanted - 1]
    mask = allowed & (cost <= level)
    if not connected:
        return mask
    pieces, count = ndimage.label(mask)
    if count <= 1:
        return mask
    start = np.unravel_index(np.argmin(np.where(mask, cost, np.inf)), cost.shape)
    return np.asarray(pieces == pieces[start])


def distance_mm(mask: BoolArray, spacing_mm: float, reach_mm: float | None = None) -> FloatArray:
    """Distance in millimetres of every voxel to ``mask`` (0 inside); ``inf`` when the mask is empty.

    With ``reach_mm`` only the box around the mask is worked out; beyond it the answer is ``inf``.
    """
    result = np.full(mask.shape, np.inf, dtype=np.float32)
    if not mask.any():
        return result
    box = tuple(slice(0, n) for n in mask.shape)
    if reach_mm is not None:
        box = bounding_box(mask, int(np.ceil(reach_mm / spacing_mm)))
    result[box] = ndimage.distance_transform_edt(~mask[box], sampling=spacing_mm)
    return result


def bounding_box(mask: BoolArray, margin: int) -> tuple[slice, slice, slice]:
    """The box (z, y, x slices) around a non-empty mask with ``margin`` voxels on each side."""
    spans = []
    for axis in range(3):
        hit = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        spans.append(slice(max(0, int(hit[0]) - margin), min(mask.shape[axis], int(hit[-1]) + 1 + margin)))
    return spans[0], spans[1], spans[2]


def smoothed(mask: BoolArray, sigma: float) -> BoolArray:
    """The mask with its edge smoothed by a Gaussian of ``sigma`` voxels, holes filled."""
    soft = ndimage.gaussian_filter(mask.astype(np.float32), sigma) > 0.5
    return np.asarray(ndimage.binary_fill_holes(soft) if soft.any() else mask)


def without_crumbs(mask: BoolArray, least_voxels: float) -> BoolArray:
    """The mask without pieces of fewer than ``least_voxels``; the largest piece always stays."""
    pieces, count = ndimage.label(mask, np.ones((3, 3, 3)))
    if count <= 1:
        return mask
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    keep = sizes >= min(least_voxels, sizes.max())
    return np.asarray(keep[pieces])
