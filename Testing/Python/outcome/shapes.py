"""Shapes whose measures are known, drawn on grids of any spacing and orientation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from GliomaSegLib.intake.volume import Grid


def grid_of(
    shape: tuple[int, int, int],
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
    degrees: tuple[float, float, float] = (0.0, 0.0, 0.0),
    origin: tuple[float, float, float] = (-20.0, 13.0, 40.0),
) -> Grid:
    """A grid turned about x, y and z. ``spacing`` is (x, y, z) mm."""
    direction = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    return Grid(shape, spacing, origin, tuple(float(v) for v in direction.ravel()))


def points_of(grid: Grid) -> np.ndarray:
    """Centres of all voxels, (z, y, x, 3), LPS mm."""
    indices = np.moveaxis(np.indices(grid.shape)[::-1], 0, -1)
    matrix = grid.index_to_lps()
    return np.asarray(indices @ matrix[:3, :3].T + matrix[:3, 3])


def centre_of(grid: Grid, offset_voxels: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> np.ndarray:
    """The middle of the grid, moved by ``offset_voxels`` (x, y, z), LPS mm."""
    index = (np.array(grid.shape[::-1]) - 1) / 2 + np.asarray(offset_voxels)
    matrix = grid.index_to_lps()
    return np.asarray(matrix[:3, :3] @ index + matrix[:3, 3])


@dataclass(frozen=True)
class Ellipsoid:
    """``semi_axes`` (3,) mm along the columns of ``axes`` (3, 3, LPS), about ``centre`` (LPS mm)."""

    centre: np.ndarray
    semi_axes: np.ndarray
    axes: np.ndarray

    @property
    def form(self) -> np.ndarray:
        """Matrix A of the surface (p - c)' A (p - c) = 1."""
        return np.asarray(self.axes @ np.diag(self.semi_axes**-2.0) @ self.axes.T)

    @property
    def volume_ml(self) -> float:
        return float(4 / 3 * np.pi * np.prod(self.semi_axes) / 1000)

    def mask(self, grid: Grid) -> np.ndarray:
        apart = points_of(grid) - self.centre
        return np.asarray(np.einsum("...i,ij,...j", apart, self.form, apart) <= 1)

    def section(self, normal: np.ndarray) -> tuple[float, float]:
        """The two diameters of the section through the centre at a right angle to ``normal``, mm."""
        plane = np.linalg.svd(normal[None])[2][1:].T
        values = np.linalg.eigvalsh(plane.T @ self.form @ plane)
        return float(2 / np.sqrt(values[0])), float(2 / np.sqrt(values[1]))
