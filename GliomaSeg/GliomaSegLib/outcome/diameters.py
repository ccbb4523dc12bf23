"""The two diameters by which neuro-oncology follows a lesion: longest axial, and its perpendicular.

RANO (Wen et al. 2010, doi:10.1200/JCO.2009.26.3541) and RANO 2.0 (Wen et al. 2023,
doi:10.1200/JCO.23.01059) multiply the longest diameter of a contrast-enhancing lesion on an axial slice with
the longest one perpendicular to it on the same slice. Necrosis and cavity don't count: here both lines must
run inside the lesion's own mask and cross, and the quadrangle between their ends must lie mostly inside, so
that no pair of lines bends around a hole. The slice with the largest product speaks for the lesion.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import ConvexHull

from ..intake.volume import Grid

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
Point = tuple[float, float, float]

MEASURABLE_MM = 10.0
"""Both diameters of a measurable lesion reach this (RANO 2.0)."""

_GRAZED = 0.25
"""A line may leave the mask by a part of a voxel where the mask's edge is a staircase."""
_EDGE = 0.5
_ROUNDING_MM = 1e-6
_DIGITS = 6
_QUADRANGLE_INSIDE = 0.75
"""Share of the quadrangle between the lines' ends that lies inside the lesion."""
_REFINED_SLICES = 3
_NEXT_LOOK_MM = 2.0
"""A lesion of many slices looks much the same on slices that are less than this apart."""
_MANY_SLICES = 24
_COARSE_POINTS, _FINE_POINTS = 24, 240
_COARSE_STEP, _FINE_STEP = 1.0, 0.25
_FIRST_BATCH, _LARGEST_BATCH = 16, 4096
_FIRST_LOOK = 6

_TRIANGLE = np.array([(i + 1 / 3, j + 1 / 3) for i in range(7) for j in range(7 - i)]).T / 7
"""Evenly spread points inside the triangle of (0, 0), (1, 0) and (0, 1), (2, n)."""


@dataclass(frozen=True)
class Diameters:
    """Longest diameter and its perpendicular on one slice, mm, with the ends of both lines in LPS mm.

    ``slice_index`` counts along the grid axis ``slice_axis`` (0, 1, 2 for z, y, x of the array).
    """

    longest_mm: float
    perpendicular_mm: float
    slice_axis: int
    slice_index: int
    longest_ends_lps_mm: tuple[Point, Point]
    perpendicular_ends_lps_mm: tuple[Point, Point]

    @property
    def product_mm2(self) -> float:
        """The bidimensional product."""
        return self.longest_mm * self.perpendicular_mm

    @property
    def measurable(self) -> bool:
        """Whether both diameters reach 10 mm."""
        return min(self.longest_mm, self.perpendicular_mm) >= MEASURABLE_MM - _ROUNDING_MM


def axial_axis(grid: Grid) -> int:
    """The array axis (0, 1, 2 for z, y, x) that runs nearest to the patient's head-foot direction.

    Slices across it are what is measured on: the acquired slices of an axial or tilted axial scan,
    reformatted ones of a sagittal or coronal scan.
    """
    direction = np.asarray(grid.direction_lps).reshape(3, 3)
    return 2 - int(np.abs(direction[2]).argmax())


def bidimensional(mask: BoolArray, grid: Grid, corner: tuple[int, int, int] = (0, 0, 0)) -> Diameters:
    """The RANO diameters of one lesion.

    ``mask`` (z, y, x) may be a crop of ``grid``, whose first voxel has the index ``corner`` (z, y, x). The
    mask's edge is taken half-way between the centres of inside and outside voxels, so that diameters are
    right within one voxel. Raises ``ValueError`` for an empty mask.
    """
    if not mask.any():
        raise ValueError("an empty mask has no diameters")
    axis = axial_axis(grid)
    spacing = np.delete(np.asarray(grid.spacing_mm[::-1]), axis)
    slices = {
        index: _Slice(np.take(mask, index, axis), spacing)
        for index in np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis))).tolist()
    }
    promising = _most_promising(slices, float(grid.spacing_mm[2 - axis]))
    lines = {index: slices[index].cross(_FINE_POINTS, _FINE_STEP) for index in promising}
    # Rounded, so that of equal slices the first is taken on every machine.
    best = min(promising, key=lambda i: (-round(_product(lines[i]), _DIGITS), i))
    longest, perpendicular = lines[best]
    return Diameters(
        _length(longest),
        _length(perpendicular),
        axis,
        best + corner[axis],
        _in_patient(longest, grid, axis, best, corner),
        _in_patient(perpendicular, grid, axis, best, corner),
    )


def _most_promising(slices: dict[int, _Slice], thickness_mm: float) -> list[int]:
    """The few slices whose roughly measured product is largest.

    Of thin slices one every ``_NEXT_LOOK_MM`` is measured, then the neighbours of the best ones.
    """
    if len(slices) <= _REFINED_SLICES:
        return list(slices)
    stride = max(1, int(_NEXT_LOOK_MM / thickness_mm + _ROUNDING_MM)) if len(slices) > _MANY_SLICES else 1
    rough: dict[int, float] = {}
    _measure_roughly(slices, list(slices)[::stride], rough)
    if stride > 1:
        around = {i + step for i in _largest(rough) for step in range(1 - stride, stride)}
        _measure_roughly(slices, sorted(around & set(slices) - set(rough)), rough)
    return _largest(rough)


def _largest(rough: dict[int, float]) -> list[int]:
    return sorted(rough, key=lambda i: (-rough[i], i))[:_REFINED_SLICES]


def _measure_roughly(slices: dict[int, _Slice], chosen: list[int], rough: dict[int, float]) -> None:
    """Put the rough products of the ``chosen`` slices into ``rough``; bounds spare most the measuring."""
    for index in sorted(chosen, key=lambda i: (-round(slices[i].product_bound, _DIGITS), i)):
        best = _largest(rough)
        if len(best) == _REFINED_SLICES and slices[index].product_bound <= rough[best[-1]]:
            break
        rough[index] = round(_product(slices[index].cross(_COARSE_POINTS, _COARSE_STEP)), _DIGITS)


def _product(lines: tuple[FloatArray, FloatArray]) -> float:
    return _length(lines[0]) * _length(lines[1])


def _length(line: FloatArray) -> float:
    return float(np.linalg.norm(line[1] - line[0]))


def _in_patient(
    line: FloatArray, grid: Grid, axis: int, index: int, corner: tuple[int, int, int]
) -> tuple[Point, Point]:
    """The ends (2, 2) of a line on a slice, in-plane mm of the crop, as LPS mm."""
    spacing = np.asarray(grid.spacing_mm[::-1])
    ends = np.insert(line / np.delete(spacing, axis), axis, index, axis=1) + np.asarray(corner)
    matrix = grid.index_to_lps()
    first, second = ends[:, ::-1] @ matrix[:3, :3].T + matrix[:3, 3]
    return (float(first[0]), float(first[1]), float(first[2])), (
        float(second[0]),
        float(second[1]),
        float(second[2]),
    )


class _Slice:
    """A lesion on one slice. Points are in mm from the centre of the crop's first pixel, in array order."""

    def __init__(self, mask: BoolArray, spacing: FloatArray) -> None:
        self.spacing = spacing
        self._field = np.pad(mask, 1).astype(np.float32)
        self._points = self._edge_points(np.pad(mask, 1))

    def _edge_points(self, padded: BoolArray) -> FloatArray:
        """Midpoints between each inside pixel and its outside neighbours in rows and columns, (n, 2)."""
        points = []
        for axis in (0, 1):
            crossed = np.argwhere(np.diff(padded, axis=axis)).astype(float)
            crossed[:, axis] += 0.5
            points.append(crossed)
        return (np.concatenate(points) - 1.0) * self.spacing

    @cached_property
    def _hull(self) -> ConvexHull:
        return ConvexHull(self._points)

    @cached_property
    def product_bound(self) -> float:
        """A number that the product of the two diameters can't exceed by more than a voxel's worth, mm^2."""
        corners = self._points[self._hull.vertices]
        span = np.linalg.norm(corners[:, None] - corners[None], axis=2).max()
        # Two crossing perpendicular lines span a quadrangle of half their product inside the hull, of which
        # no more than a certain share lies outside the lesion.
        lesion = float(self._field.sum() * np.prod(self.spacing)) / _QUADRANGLE_INSIDE
        return float(min(span**2, 2.0 * self._hull.volume, 2.0 * lesion))

    def cross(self, points: int, step: float) -> tuple[FloatArray, FloatArray]:
        """Ends of the longest line and of its longest perpendicular, each (2, 2).

        ``points``: about how many edge points are tried as ends; ``step``: sampling in voxels.
        """
        ends = self._candidates(points)
        longest = self._longest(ends)
        return longest, self._perpendicular(longest, step)

    def _candidates(self, count: int) -> FloatArray:
        """About ``count`` points around the edge, and as many of the corners of its hull."""
        stride = max(1, math.ceil(len(self._points) / count))
        corners = self._hull.vertices[:: max(1, len(self._hull.vertices) // count)]
        chosen = np.union1d(np.arange(0, len(self._points), stride), corners)
        return np.asarray(self._points[chosen])

    def _longest(self, ends: FloatArray) -> FloatArray:
        """The longest line between two of the ``ends`` that stays inside."""
        first, second = np.triu_indices(len(ends), 1)
        lengths = np.linalg.norm(ends[first] - ends[second], axis=1)
        order = np.argsort(-lengths, kind="stable")
        start, batch = 0, _FIRST_BATCH
        while start < len(order):
            pairs = order[start : start + batch]
            inside = self._stays_inside(ends[first[pairs]], ends[second[pairs]])
            if inside.any():
                best = pairs[int(inside.argmax())]
                return np.stack([ends[first[best]], ends[second[best]]])
            start, batch = start + batch, min(2 * batch, _LARGEST_BATCH)
        raise AssertionError("the edge points of one pixel always see each other")

    def _values(self, points: FloatArray) -> npt.NDArray[np.float32]:
        """The mask, linearly interpolated, at ``points`` (..., 2)."""
        coordinates = np.moveaxis(points / self.spacing + 1.0, -1, 0)
        values: npt.NDArray[np.float32] = ndimage.map_coordinates(
            self._field, coordinates, order=1, mode="constant", prefilter=False
        )
        return values

    def _stays_inside(self, starts: FloatArray, stops: FloatArray) -> BoolArray:
        """Whether each line from ``starts`` to ``stops`` (n, 2) stays inside: a few points, then all."""
        longest = float(np.linalg.norm(stops - starts, axis=1).max())
        many = max(3, math.ceil(2.0 * longest / float(self.spacing.min())) + 1)
        inside = np.ones(len(starts), bool)
        for samples in (_FIRST_LOOK, many):
            share = np.linspace(0.0, 1.0, samples)[None, :, None]
            left = np.flatnonzero(inside)
            values = self._values(starts[left, None] * (1 - share) + stops[left, None] * share)
            inside[left] = (values >= _GRAZED).all(axis=1)
        return inside

    def _perpendicular(self, line: FloatArray, step: float) -> FloatArray:
        """The longest line at a right angle to ``line`` that crosses it and stays inside."""
        step_mm = step * float(self.spacing.min())
        length = _length(line)
        along = (line[1] - line[0]) / length
        across = np.array([-along[1], along[0]])
        feet = line[0] + np.linspace(0.0, 1.0, max(3, math.ceil(length / step_mm)))[:, None] * (
            line[1] - line[0]
        )
        heights = (self._points - line[0]) @ across
        up = self._run(feet, across, float(heights.max()), step_mm)
        down = self._run(feet, -across, float(-heights.min()), step_mm)
        inside = self._quadrangle_inside(line, feet, across, up, down)
        best = int(np.where(inside >= _QUADRANGLE_INSIDE, up + down, 0.0).argmax())
        return np.stack([feet[best] - down[best] * across, feet[best] + up[best] * across])

    def _quadrangle_inside(
        self, line: FloatArray, feet: FloatArray, across: FloatArray, up: FloatArray, down: FloatArray
    ) -> FloatArray:
        """Which share of the quadrangle between the ends of both lines lies in the mask, by foot (n,)."""
        # Four triangles at each foot, from there to an end of the line and an end of its perpendicular.
        to_ends = (line[:, None] - feet)[:, None]
        reaches = np.stack([up[:, None] * across, -down[:, None] * across])[None]
        points = feet[:, None] + _TRIANGLE[0][:, None] * to_ends[..., None, :]
        points = points + _TRIANGLE[1][:, None] * reaches[..., None, :]
        areas = np.linalg.norm(to_ends, axis=-1) * np.linalg.norm(reaches, axis=-1)
        covered = (areas * (self._values(points) >= _GRAZED).mean(axis=-1)).sum(axis=(0, 1))
        return np.asarray(covered / np.maximum(areas.sum(axis=(0, 1)), _ROUNDING_MM))

    def _run(self, feet: FloatArray, heading: FloatArray, limit_mm: float, step_mm: float) -> FloatArray:
        """How far one gets from each of the ``feet`` (n, 2) before the mask ends, (n,) mm."""
        steps = np.arange(math.ceil(max(limit_mm, 0.0) / step_mm) + 2) * step_mm
        values = self._values(feet[:, None] + steps[None, :, None] * heading)
        inside = np.logical_and.accumulate(values >= _EDGE, axis=1)
        count = inside.sum(axis=1)
        # Between the last sample inside and the first outside, the edge lies where the value is a half.
        rows = np.arange(len(feet))
        last = values[rows, np.maximum(count - 1, 0)]
        following = values[rows, np.minimum(count, values.shape[1] - 1)]
        part = np.where(last > following, (last - _EDGE) / np.maximum(last - following, 1e-6), 0.0)
        return np.where(count > 0, (count - 1 + np.clip(part, 0.0, 1.0)) * step_mm, 0.0)
