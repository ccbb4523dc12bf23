"""Distances between the surfaces of structures in one label map."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

_SPARSE = 16


def surface_points(
    mask: BoolArray,
    spacing_zyx_mm: tuple[float, float, float],
    corner: tuple[int, int, int] = (0, 0, 0),
) -> FloatArray:
    """Centres of the voxel faces where ``mask`` (z, y, x) ends, (n, 3), mm in array order.

    ``mask`` may be a crop whose first voxel has the index ``corner``; outside it everything is outside the
    mask. Structures that touch share such a point, so that their distance is 0.
    """
    padded = np.pad(mask, 1)
    points = []
    for axis in range(3):
        crossed = np.argwhere(np.diff(padded, axis=axis)).astype(float)
        crossed[:, axis] += 0.5
        points.append(crossed)
    return np.asarray((np.concatenate(points) - 1.0 + np.asarray(corner)) * np.asarray(spacing_zyx_mm))


def smallest_distance_mm(points: FloatArray, tree: cKDTree) -> float:
    """The distance from the nearest of ``points`` (n, 3) to the nearest point of ``tree``.

    Raises ``ValueError`` without points.
    """
    # A few points bound the distance from above, which lets the rest turn back early.
    bound = float(np.min(tree.query(points[::_SPARSE])[0]))
    reach = bound * (1 + 1e-9)
    # What lies further than that from the box of the others can't be nearest.
    near = ((points >= tree.mins - reach) & (points <= tree.maxes + reach)).all(axis=1)
    nearer = tree.query(points[near], distance_upper_bound=reach)[0]
    return min(bound, float(np.min(nearer, initial=bound)))
