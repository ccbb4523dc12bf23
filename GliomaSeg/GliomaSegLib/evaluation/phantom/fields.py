"""Smooth random fields and travel times: the two tools from which phantoms get their irregular shapes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]


def smooth_field(
    rng: np.random.Generator, shape: tuple[int, ...], correlation_mm: float, spacing_mm: float
) -> FloatArray:
    """A Gaussian random field (z, y, x) of mean about 0 and standard deviation 1.

    Drawn on a grid half as coarse as its correlation length, then interpolated.
    """
    step = max(1.0, correlation_mm / spacing_mm / 2.0)
    coarse = tuple(int(np.ceil(n / step)) + 4 for n in shape)
    field = ndimage.gaussian_filter(rng.standard_normal(coarse).astype(np.float32), 1.0)
    field /= field.std()
    if step == 1.0:
        return field[tuple(slice(2, 2 + n) for n in shape)]
    return resampled(field, shape, 1.0 / step, 1.5)


def resampled(
    array: npt.NDArray, shape: tuple[int, ...], scale: float, shift: float | npt.NDArray = 0.0
) -> FloatArray:
    """Linear samples of ``array`` (z, y, x) at ``index * scale + shift``; ``shape`` is the result's.

    Outside the array its border value is taken.
    """
    sampled = array.astype(np.float32, copy=False)
    # Axis by axis, the last first: the large passes then run over contiguous planes.
    for axis in reversed(range(len(shape))):
        size = sampled.shape[axis]
        at = np.arange(shape[axis]) * scale + np.broadcast_to(shift, len(shape))[axis]
        at = np.clip(at, 0.0, size - 1.0)
        below = np.minimum(at.astype(np.intp), max(size - 2, 0))
        weight = (at - below).astype(np.float32).reshape([-1 if k == axis else 1 for k in range(len(shape))])
        low, high = sampled.take(below, axis), sampled.take(np.minimum(below + 1, size - 1), axis)
        high -= low
        high *= weight
        high += low
        sampled = high
    return sampled


def travel_distance(speed: FloatArray, seeds: BoolArray, spacing_mm: float) -> FloatArray:
    """First arrival (z, y, x) of a front that leaves ``seeds``; in mm where ``speed`` is 1.

    Eikonal equation by fast marching (Sethian 1996). Where speed is 0 and out of reach, a large number.
    """
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(speed.astype(np.float64))
    image.SetSpacing((spacing_mm,) * 3)
    marching = sitk.FastMarchingImageFilter()
    # The seeds' shell is enough; interior ones only cost time.
    shell = seeds & ~ndimage.binary_erosion(seeds)
    points = np.argwhere(shell)[:, ::-1]
    marching.SetTrialPoints([tuple(int(i) for i in point) for point in points])
    marching.SetInitialTrialValues([0.0] * len(points))
    marching.SetStoppingValue(500.0)
    arrival = np.minimum(sitk.GetArrayFromImage(marching.Execute(image)), 1e4).astype(np.float32)
    arrival[seeds] = 0.0
    return arrival


def level_of_volume(distance: FloatArray, domain: BoolArray, volume_ml: float, spacing_mm: float) -> float:
    """The level under which ``distance`` holds ``volume_ml`` of ``domain``; all of it when it is smaller."""
    values = distance[domain]
    values = values[values < 400.0]
    wanted = round(volume_ml * 1000.0 / spacing_mm**3)
    if wanted >= values.size:
        return float(values.max(initial=0.0))
    return float(np.partition(values, wanted)[wanted])


def inside(distance: FloatArray, level: float | npt.NDArray, softness_mm: float) -> FloatArray:
    """How much of a voxel lies below ``level``: 1 well inside, 0.5 on the edge, 0 outside."""
    return np.clip(0.5 + (level - distance) / (2.0 * softness_mm), 0.0, 1.0).astype(np.float32)
