"""Rigid motions of a head: as 4x4 matrices (LPS mm), as SimpleITK transforms, and how far they move it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from .volume import Grid

Matrix = npt.NDArray[np.float64]

_HEAD_RADIUS_MM = 70.0


def moved_grid(grid: Grid, matrix: Matrix) -> Grid:
    """``grid`` with the rigid ``matrix`` (reference to this grid's space, 4x4, LPS mm) undone."""
    back = np.linalg.inv(matrix)
    origin = back @ [*grid.origin_lps_mm, 1.0]
    direction = back[:3, :3] @ np.asarray(grid.direction_lps).reshape(3, 3)
    # Rounding must not add up to a shear over several moves.
    left, _, right = np.linalg.svd(direction)
    return replace(
        grid,
        origin_lps_mm=(float(origin[0]), float(origin[1]), float(origin[2])),
        direction_lps=tuple(float(value) for value in (left @ right).ravel()),
    )


def movement(matrix: Matrix, centre: npt.ArrayLike) -> tuple[float, float]:
    """Displacement in mm of the point ``centre`` (LPS mm), and rotation in degrees, of a rigid 4x4 matrix."""
    point = np.append(np.asarray(centre, dtype=float), 1.0)
    shift = float(np.linalg.norm((matrix @ point - point)[:3]))
    cosine = (float(np.trace(matrix[:3, :3])) - 1.0) / 2.0
    return shift, math.degrees(math.acos(max(-1.0, min(1.0, cosine))))


def displacement_mm(matrix: Matrix, centre: npt.ArrayLike) -> float:
    """Mean displacement by a rigid 4x4 matrix of six points on the brain's surface, 70 mm from ``centre``."""
    points = np.vstack([np.eye(3), -np.eye(3)]) * _HEAD_RADIUS_MM + np.asarray(centre, dtype=float)
    moved = points @ matrix[:3, :3].T + matrix[:3, 3]
    return float(np.linalg.norm(moved - points, axis=1).mean())


def rigid(centre: npt.ArrayLike, shift_mm: npt.ArrayLike = (0.0, 0.0, 0.0)) -> sitk.Euler3DTransform:
    """The transform that shifts by ``shift_mm`` (LPS) and will turn about ``centre`` (LPS mm)."""
    transform = sitk.Euler3DTransform()
    transform.SetCenter(np.asarray(centre, dtype=float).tolist())
    transform.SetTranslation(np.asarray(shift_mm, dtype=float).tolist())
    return transform


def matrix_of(transform: sitk.Euler3DTransform) -> Matrix:
    """The transform as a 4x4 matrix, LPS mm."""
    rotation = np.asarray(transform.GetMatrix()).reshape(3, 3)
    centre = np.asarray(transform.GetCenter())
    matrix = np.eye(4)
    matrix[:3, :3] = rotation
    matrix[:3, 3] = np.asarray(transform.GetTranslation()) + centre - rotation @ centre
    return matrix
