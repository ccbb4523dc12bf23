"""How sure the volumes are: intervals from the network's calibrated probabilities."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..labels import REGIONS, STRUCTURES

INTERVAL_LEVEL = 0.8
"""Share of true volumes that the intervals are meant to hold, when the probabilities are calibrated."""


def volume_interval_ml(
    probability: npt.NDArray[np.floating], voxel_ml: float, level: float = INTERVAL_LEVEL
) -> tuple[float, float]:
    """Interval of a structure's volume at ``level``, from its voxel-wise ``probability`` (any shape), in ml.

    Taken as if one unknown threshold decided for all voxels alike (segmentation errors move whole borders):
    the volume is then that of all voxels above a threshold that is uniform on 0 to 1, and its quantiles are
    volumes at fixed thresholds. Independent voxels would give intervals far too narrow to be true.

    >>> volume_interval_ml(np.array([0.95, 0.85, 0.5, 0.15, 0.05]), voxel_ml=1.0)
    (1.0, 4.0)
    """
    margin = (1 - level) / 2
    low = np.count_nonzero(probability >= 1 - margin) * voxel_ml
    return float(low), float(np.count_nonzero(probability >= margin) * voxel_ml)


def volume_intervals_ml(
    probabilities: npt.NDArray[np.float32], classes: tuple[str, ...], voxel_ml: float
) -> dict[str, tuple[float, float]]:
    """The interval of each structure and region of ``classes``, by abbreviation, in ml.

    ``probabilities`` (class, z, y, x) sum to 1 over ``classes``; ``voxel_ml`` is that of their grid. A
    region's probability is the sum of its members'.
    """
    members: dict[str, tuple[str, ...]] = {s.abbreviation: (s.abbreviation,) for s in STRUCTURES}
    members |= {r.abbreviation: r.members for r in REGIONS}
    intervals = {}
    for name, parts in members.items():
        channels = [classes.index(part) for part in parts if part in classes]
        if len(channels) == 1:
            intervals[name] = volume_interval_ml(probabilities[channels[0]], voxel_ml)
        elif channels:
            intervals[name] = volume_interval_ml(probabilities[channels].sum(axis=0), voxel_ml)
    return intervals
