"""Bending brains: smooth random warps, and the push or pull of a lesion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from .anatomy import Background, describe
from .fields import FloatArray, Shape, smooth_field


@dataclass(frozen=True)
class Push:
    """A lesion's pressure on its surroundings: ``depth_mm`` > 0 pushes outwards from ``centre`` (voxels) up
    to that far at the lesion's edge ``radius_mm``; negative pulls inwards, as scars do."""

    centre: npt.NDArray[np.float64]
    radius_mm: float
    depth_mm: float


def sampling_points(
    rng: np.random.Generator, shape: Shape, spacing_mm: float, warp_mm: float, push: Push | None
) -> FloatArray:
    """Voxel coordinates (3, z, y, x) to sample at: identity, a smooth warp of ``warp_mm`` standard deviation,
    and a push."""
    points = np.stack(np.meshgrid(*[np.arange(n, dtype=np.float32) for n in shape], indexing="ij"))
    if push is not None:
        offset = points - push.centre.astype(np.float32)[:, None, None, None]
        distance = np.sqrt((offset**2).sum(axis=0)) * np.float32(spacing_mm)
        reach = push.radius_mm + 12.0
        shift = push.depth_mm * np.exp(-np.maximum(distance - push.radius_mm, 0) / reach)
        shift *= np.clip(distance / max(push.radius_mm, 1.0), 0, 1)
        points -= offset * (shift / np.maximum(distance, 1e-3))
    for axis in range(3):
        if warp_mm > 0:
            points[axis] += np.float32(warp_mm / spacing_mm) * smooth_field(rng, shape, 45.0, spacing_mm)
    return points


def bend(background: Background, points: FloatArray) -> Background:
    """The background sampled at ``points``: volumes linearly, tissue and labels by nearest neighbour."""

    def nearest(array: np.ndarray) -> np.ndarray:
        return np.asarray(ndimage.map_coordinates(array, points, order=0, mode="constant", cval=0))

    volumes = {
        role: ndimage.map_coordinates(volume, points, order=1, mode="constant", cval=0.0)
        for role, volume in background.volumes.items()
    }
    old = background.anatomy
    brain = nearest(old.brain.astype(np.uint8)) > 0
    tissue = np.where(brain, nearest(old.tissue), 0).astype(np.uint8)
    cerebrum = nearest(old.cerebrum.astype(np.uint8)) > 0
    anatomy = describe(tissue, brain, cerebrum & brain, old.spacing_mm)
    volumes = {role: np.where(brain, volume, 0).astype(np.float32) for role, volume in volumes.items()}
    labels = np.where(brain, nearest(background.labels), 0).astype(np.uint8)
    return Background(background.name, volumes, labels, anatomy, background.medians)
