"""What scanners and pre-processing do to images: contrast, bias field, blur, slices, shifts, noise, gaps."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .fields import BoolArray, FloatArray, smooth_field

Volumes = dict[str, FloatArray]


def spoil(
    rng: np.random.Generator, volumes: Volumes, brain: BoolArray, spacing_mm: float, strength: float
) -> Volumes:
    """The volumes after random artefacts, each sequence on its own; 0 outside ``brain`` stays 0.

    ``strength`` 1 is for rendered images, which have none of their own; real ones need less.
    """
    return {role: _spoil_one(rng, volume, brain, spacing_mm, strength) for role, volume in volumes.items()}


def _spoil_one(
    rng: np.random.Generator, volume: FloatArray, brain: BoolArray, spacing_mm: float, strength: float
) -> FloatArray:
    level = float(np.median(volume[brain]))
    if rng.random() < 0.35 * strength:
        shift = rng.normal(0.0, 0.5, 3) / spacing_mm
        volume = ndimage.shift(volume, shift, order=1, mode="nearest")
    if rng.random() < 0.5 * strength:
        volume = ndimage.gaussian_filter(volume, rng.uniform(0.1, 0.9) / spacing_mm)
    if rng.random() < 0.3 * strength:
        volume = thick_slices(volume, int(rng.integers(3)), float(rng.uniform(3.0, 6.0)), spacing_mm)
    gamma = float(np.exp(rng.normal(0, 0.1)))
    bias = np.exp(rng.uniform(0.02, 0.14) * strength * smooth_field(rng, volume.shape, 90.0, spacing_mm))
    changed = bias * level * (np.maximum(volume, 0) / level) ** gamma
    noise = float(rng.uniform(0.0, 0.045)) * strength * level
    real = changed + noise * rng.standard_normal(volume.shape, dtype=np.float32)
    imaginary = noise * rng.standard_normal(volume.shape, dtype=np.float32)
    return np.where(brain, np.hypot(real, imaginary), 0).astype(np.float32)


def thick_slices(volume: FloatArray, axis: int, thickness_mm: float, spacing_mm: float) -> FloatArray:
    """The volume as if taken in slices of ``thickness_mm`` along ``axis`` and interpolated back linearly."""
    count = volume.shape[axis]
    factor = thickness_mm / spacing_mm
    if factor < 1.3:
        return volume
    blurred = ndimage.uniform_filter1d(volume, max(1, round(factor)), axis=axis, mode="nearest")
    centres = np.arange(factor / 2 - 0.5, count, factor)
    position = np.clip(np.interp(np.arange(count), centres, np.arange(len(centres))), 0, len(centres) - 1)
    low = np.floor(position).astype(int)
    weight = (position - low).astype(np.float32)
    picked = np.take(blurred, np.clip(np.rint(centres).astype(int), 0, count - 1), axis=axis)
    shape = [1, 1, 1]
    shape[axis] = count
    w = weight.reshape(shape)
    upper = np.minimum(low + 1, len(centres) - 1)
    return np.asarray((1 - w) * np.take(picked, low, axis=axis) + w * np.take(picked, upper, axis=axis))


def fray_margin(rng: np.random.Generator, brain: BoolArray, spacing_mm: float) -> BoolArray:
    """The brain mask with its margin eaten into by up to some millimetres, unevenly, as strippers do."""
    padded = np.pad(brain, 1)
    depth = ndimage.distance_transform_edt(padded, sampling=spacing_mm)[1:-1, 1:-1, 1:-1]
    cut = rng.uniform(0.0, 2.0) + rng.uniform(0.3, 1.8) * smooth_field(rng, brain.shape, 30.0, spacing_mm)
    return np.asarray(brain & (depth > cut))


def drop_sequence(rng: np.random.Generator, volumes: Volumes, chance: float) -> Volumes:
    """The volumes with one sequence missing, with probability ``chance``."""
    if rng.random() >= chance:
        return volumes
    gone = str(rng.choice(sorted(volumes)))
    return {role: volume for role, volume in volumes.items() if role != gone}
