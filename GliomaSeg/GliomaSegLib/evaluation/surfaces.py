"""Distances between the surfaces of two masks: the 95th-percentile Hausdorff distance and the surface Dice.

Both are defined as in the BraTS 2024/2025 glioma evaluation, which uses a different surface for each:

- HD95 (Nikolov et al. 2021, arXiv:1809.04430): the surface runs between voxels. Its points are the voxel
  corners where inside meets outside, each weighted with the area of the surface patch around it; the distance
  is the larger of the two directed, area-weighted 95th percentiles.
- NSD (nnU-Net's definition): the surface is the set of mask voxels with a face neighbour outside, and the
  score is the mean of both masks' fractions that lie within the tolerance of the other's surface.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import cKDTree

from ..outcome.lesions import BoolArray

FloatArray = npt.NDArray[np.float64]
Spacing = tuple[float, float, float]

_ROUNDING_MM = 1e-6
"""Keeps a distance that equals a tolerance on its inner side, whatever the spacing's binary fraction."""


@dataclass(frozen=True, eq=False)
class Surface:
    """The surface of one mask that is not empty.

    ``mask`` (z, y, x) may be a crop: ``corner`` is the index (z, y, x) of its first voxel in the volume, and
    everything outside the crop is outside the mask. ``spacing_zyx_mm`` is in array order.
    """

    mask: BoolArray
    corner: tuple[int, int, int]
    spacing_zyx_mm: Spacing

    @cached_property
    def _patches(self) -> tuple[FloatArray, FloatArray]:
        """Voxel corners on the surface, (n, 3) mm, and the area of the patch around each, (n,) mm^2."""
        padded = np.pad(self.mask, 1).astype(np.uint8)
        shape = tuple(n - 1 for n in padded.shape)
        codes = np.zeros(shape, np.uint8)
        for bit, (i, j, k) in enumerate(product((0, 1), repeat=3)):
            codes |= padded[i : i + shape[0], j : j + shape[1], k : k + shape[2]] << np.uint8(bit)
        found = np.nonzero((codes != 0) & (codes != 255))
        areas = patch_areas(self.spacing_zyx_mm)[codes[found]]
        # Corner c lies half a voxel before voxel c of the crop. One padding voxel was added in front.
        points = (np.stack(found, axis=1) - 0.5 + np.asarray(self.corner)) * self.spacing_zyx_mm
        return points, areas

    @cached_property
    def _patch_tree(self) -> cKDTree:
        return cKDTree(self._patches[0], balanced_tree=False)

    @cached_property
    def _voxels(self) -> FloatArray:
        """Centres of the mask's voxels that have a face neighbour outside, (n, 3) mm."""
        padded = np.pad(self.mask, 1)
        edge = (padded & ~ndimage.binary_erosion(padded))[1:-1, 1:-1, 1:-1]
        return (np.argwhere(edge) + np.asarray(self.corner)) * np.asarray(self.spacing_zyx_mm)

    @cached_property
    def _voxel_tree(self) -> cKDTree:
        return cKDTree(self._voxels, balanced_tree=False)


def hd95_mm(first: Surface, second: Surface) -> float:
    """Area-weighted 95th-percentile Hausdorff distance of two surfaces, mm; symmetric."""
    return max(_directed_95_mm(first, second), _directed_95_mm(second, first))


def _directed_95_mm(source: Surface, target: Surface) -> float:
    points, areas = source._patches
    distances = target._patch_tree.query(points)[0]
    order = np.argsort(distances, kind="stable")
    cumulative = np.cumsum(areas[order])
    position = int(np.searchsorted(cumulative, 0.95 * cumulative[-1]))
    return float(distances[order[min(position, order.size - 1)]])


def surface_dice(first: Surface, second: Surface, tolerances_mm: Sequence[float]) -> tuple[float, ...]:
    """Normalised surface Dice of two surfaces at each tolerance in mm: 0 to 1, symmetric."""
    there, back = (
        _fractions_within(first, second, tolerances_mm),
        _fractions_within(second, first, tolerances_mm),
    )
    return tuple((one + other) / 2 for one, other in zip(there, back, strict=True))


def _fractions_within(source: Surface, target: Surface, tolerances_mm: Sequence[float]) -> list[float]:
    """For each tolerance, the fraction of the source's surface voxels that are as near to the target's."""
    furthest = max(tolerances_mm) + 2 * _ROUNDING_MM
    distances = target._voxel_tree.query(source._voxels, distance_upper_bound=furthest)[0]
    return [float(np.mean(distances <= tolerance + _ROUNDING_MM)) for tolerance in tolerances_mm]


@lru_cache(maxsize=8)
def patch_areas(spacing_zyx_mm: Spacing) -> FloatArray:
    """Area in mm^2 of the surface patch inside a cube of eight voxel centres, for each of its 256 patterns.

    Bit ``4 i + 2 j + k`` of the pattern says whether the voxel at (z, y, x) = (i, j, k) is inside. The patch
    is the one of marching cubes (Lorensen and Cline 1987) through the edges' midpoints. A pattern and its
    complement have one area: of the rarer kind, voxels on the diagonal of a face are kept apart.

    >>> areas = patch_areas((1.0, 1.0, 1.0))
    >>> float(areas[0b00001111]), round(float(areas[0b00000011]), 4)     # a flat wall; a straight edge
    (1.0, 0.7071)
    """
    scale = np.asarray(spacing_zyx_mm, dtype=float)
    areas = np.zeros(256)
    for pattern in range(1, 255):
        rarer = pattern if pattern.bit_count() <= 4 else 255 - pattern
        inside = {corner: bool(rarer >> bit & 1) for bit, corner in enumerate(product((0, 1), repeat=3))}
        areas[pattern] = sum(_polygon_area(np.array(loop) * scale) for loop in _loops(inside))
    areas.setflags(write=False)
    return areas


Corner = tuple[int, ...]
Midpoint = tuple[float, ...]


def _loops(inside: dict[Corner, bool]) -> list[list[Midpoint]]:
    """The closed polygons, through edge midpoints, that part inside from outside corners of a unit cube."""
    neighbours: dict[Midpoint, list[Midpoint]] = {}
    for start, end in _segments(inside):
        neighbours.setdefault(start, []).append(end)
        neighbours.setdefault(end, []).append(start)
    loops = []
    while neighbours:
        loop = [next(iter(neighbours))]
        while loop[-1] in neighbours:
            ahead = neighbours.pop(loop[-1])
            loop.append(ahead[0] if ahead[0] in neighbours else ahead[1])
        loops.append(loop[:-1])
    return loops


def _segments(inside: dict[Corner, bool]) -> list[tuple[Midpoint, Midpoint]]:
    """On each face of a unit cube, the lines that cut its inside corners off its outside corners."""
    segments = []
    for axis, side in product(range(3), (0, 1)):
        face = [_insert(pair, axis, side) for pair in ((0, 0), (0, 1), (1, 1), (1, 0))]
        values = [inside[corner] for corner in face]
        middles = [_middle(face[n], face[(n + 1) % 4]) for n in range(4)]
        crossed = [n for n in range(4) if values[n] != values[(n + 1) % 4]]
        if len(crossed) == 2:
            segments.append((middles[crossed[0]], middles[crossed[1]]))
        elif len(crossed) == 4:
            segments += [(middles[n - 1], middles[n]) for n in range(4) if values[n]]
    return segments


def _insert(pair: tuple[int, int], axis: int, value: int) -> Corner:
    return (*pair[:axis], value, *pair[axis:])


def _middle(first: Corner, second: Corner) -> Midpoint:
    return tuple((a + b) / 2 for a, b in zip(first, second, strict=True))


def _polygon_area(points: FloatArray) -> float:
    """Area of a closed polygon (n, 3): the largest of its fans of triangles, which differ if it isn't flat.

    Taking the largest makes the area independent of how the pattern lies in space.
    """
    fans = []
    for first in range(len(points)):
        spokes = np.roll(points, -first, axis=0)[1:] - points[first]
        fans.append(float(np.linalg.norm(np.cross(spokes[:-1], spokes[1:]), axis=1).sum() / 2))
    return max(fans)
