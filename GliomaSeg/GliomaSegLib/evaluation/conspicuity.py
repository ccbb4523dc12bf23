"""How well a structure shows against the tissue around it: what nobody can see, no expert labels.

The measure is a contrast-to-noise ratio whose noise is the surroundings' own variety: difference of medians
between structure and surroundings, in standard deviations of the surroundings.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

NEAR_MM, FAR_MM = 4.0, 10.0
"""The surroundings lie between these distances from the lesion."""
LEAST_VOXELS = 30
"""Fewer voxels on either side say nothing."""

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Conspicuity:
    """``contrast``: difference of medians over ``spread``, the standard deviation of the surroundings."""

    contrast: float
    spread: float


def surroundings(lesion: BoolArray, brain: BoolArray, spacing_mm: float) -> BoolArray:
    """The voxels of ``brain`` between `NEAR_MM` and `FAR_MM` from ``lesion`` (both z, y, x; cubic voxels)."""
    if not lesion.any():
        return np.zeros_like(brain)
    away_mm = ndimage.distance_transform_edt(~lesion, sampling=spacing_mm)
    return np.asarray(brain & (away_mm > NEAR_MM) & (away_mm <= FAR_MM))


def conspicuity(volume: npt.NDArray[np.float32], structure: BoolArray, ring: BoolArray) -> Conspicuity | None:
    """How ``structure`` shows against ``ring`` in ``volume`` (all z, y, x); ``None`` where either has fewer
    than `LEAST_VOXELS` voxels or the surroundings are all alike.

    >>> volume = np.tile(np.float32([0, 2, 0, 2, 9]), (4, 15, 1))
    >>> place = np.broadcast_to(np.arange(5) == 4, volume.shape)
    >>> conspicuity(volume, place, ~place)
    Conspicuity(contrast=8.0, spread=1.0)
    """
    if min(int(structure.sum()), int(ring.sum())) < LEAST_VOXELS:
        return None
    around = volume[ring].astype(np.float64)
    spread = float(around.std())
    if spread <= 0:
        return None
    return Conspicuity((float(np.median(volume[structure])) - float(np.median(around))) / spread, spread)
