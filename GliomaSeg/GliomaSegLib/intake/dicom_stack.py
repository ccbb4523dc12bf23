"""From the frames of a DICOM series to one volume: sorted by geometry, complete, rectangular."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..errors import InputRefused
from .checks import check_grid, check_size, finite_array
from .dicom_frames import Frame, Series
from .dicom_pixels import rescaled_pixels
from .volume import ROLE_NAMES, FloatArray, Grid, Volume

_SAME_PLACE_MM = 0.01
_SAME_ANGLE = 1e-3
_MISSING = 1.5
"""A step this many times the usual one is a missing slice."""
_UNEVEN = 0.05
"""Steps that differ by more than this share of the usual one are refused; ITK's own tolerance is 0.01."""
_MOST_STACKS = 6
"""Stacks in one series beyond which it is no structural sequence of several echoes, planes or parts."""
_SHEAR_MM = 0.25
"""Drift of the slices across the stack, in mm in all, above which it is sheared."""


@dataclass(frozen=True)
class Stack:
    """Frames of one volume in the order of their places, from the first along the slice normal.

    ``normal`` is the unit vector (LPS) of the stacking direction, ``step_mm`` the distance of two slices.
    """

    frames: tuple[Frame, ...]
    normal: npt.NDArray[np.float64]
    step_mm: float
    warnings: tuple[str, ...] = ()


def read_series(series: Series, role: str) -> Volume:
    """The volume of a series that holds exactly one stack of at least two slices.

    Raises ``InputRefused``: a sentence for what is no MR volume, for pictures of several kinds at one place,
    for missing or unevenly spaced slices and for pixels that can't be unpacked. What could be mended without
    guessing (files present twice, slices shifted by a gantry tilt) is mended and told in ``warnings``.
    """
    title = f"{ROLE_NAMES.get(role, role)} ({series.label})"
    if series.trouble:
        raise _refused(title, series.trouble)
    stacks = stacks_of(series, title)
    if len(stacks) > 1:
        sizes = ", ".join(str(len(stack.frames)) for stack in stacks)
        raise InputRefused(
            f"{title} holds {len(stacks)} stacks of images ({sizes} slices) that can't be told apart: "
            "export the wanted one alone."
        )
    return read_stack(stacks[0], series, role, title)


def split(frames: Sequence[Frame]) -> tuple[list[tuple[Frame, ...]], str]:
    """The stacks that the frames of one DICOM series form: by orientation and size, then by kind.

    The second value says why they form none, "" when they do: frames at one place differ in nothing that the
    header tells, or there are more kinds than a structural sequence has.
    """
    groups: list[list[Frame]] = []
    for group in _parallel(frames):
        unique, _ = _without_copies(group)
        apart = _one_per_place(unique)
        if not apart:
            most = max(Counter(np.round(_heights(unique), 2)).values())
            return [], f"has up to {most} images at one and the same place, such as a series over time"
        # The copies stay with their originals, so that reading can tell of them.
        places = [{(frame.uid, frame.number) for frame in part} for part in apart]
        groups += [[frame for frame in group if (frame.uid, frame.number) in place] for place in places]
    if len(groups) > _MOST_STACKS and sum(len(group) > 1 for group in groups) > _MOST_STACKS:
        return [], f"holds {len(groups)} stacks of images, as a series over time or diffusion does"
    # Localiser planes and single pictures are no volumes, when there is one beside them.
    volumes = [group for group in groups if len(group) > 1]
    return [tuple(group) for group in volumes or groups], ""


def stacks_of(series: Series, title: str) -> list[Stack]:
    """The volumes in a series, each sorted. Raises ``InputRefused`` for frames that form none."""
    parts, trouble = split(series.frames)
    if trouble:
        raise _refused(title, trouble)
    stacks = []
    for part in parts:
        unique, copies = _without_copies(part)
        told = (
            "1 file was there twice and was" if copies == 1 else f"{copies} files were there twice and were"
        )
        stacks.append(_sorted(unique, (f"{title}: {told} read once.",) if copies else ()))
    return stacks


def step_mm(frames: Sequence[Frame]) -> float:
    """The usual distance of two neighbouring slices in mm; 0 for a single one."""
    return _sorted(_without_copies(frames)[0], ()).step_mm


def _refused(title: str, trouble: str) -> InputRefused:
    return InputRefused(f"{title} {trouble}: choose another series.")


def read_stack(stack: Stack, series: Series, role: str, title: str) -> Volume:
    """The voxels and the grid of one stack; see :func:`read_series`."""
    first = stack.frames[0]
    check_size(title, (first.columns, first.rows, len(stack.frames)), 1)
    _refuse_gaps(stack, title)
    array = rescaled_pixels(stack.frames, title)
    if series.inverted:
        array = array.max() - array
    axes = np.reshape(first.orientation, (2, 3))
    spacing = (first.spacing[1], first.spacing[0], stack.step_mm)
    origin = np.asarray(first.position)
    drift = _drift_mm(stack, axes)
    warnings = list(stack.warnings)
    if np.abs(drift).max() > _SHEAR_MM:
        array, start = _straightened(array, drift / np.asarray(spacing[:2]))
        origin = origin + axes.T @ (start * np.asarray(spacing[:2]))
        warnings.append(f"{title} is sheared by a gantry tilt; its slices were shifted to stand upright.")
    direction = np.column_stack([axes[0], axes[1], stack.normal])
    grid = Grid(
        (array.shape[0], array.shape[1], array.shape[2]),
        spacing,
        (float(origin[0]), float(origin[1]), float(origin[2])),
        tuple(float(value) for value in direction.ravel()),
    )
    check_grid(title, grid)
    values, told = finite_array(title, array)
    return Volume(values, grid, role, title, (*warnings, *told), series.study)


def _parallel(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Frames in groups of one orientation, size and pixel spacing."""
    groups: list[list[Frame]] = []
    for frame in frames:
        for group in groups:
            if _alike(group[0], frame):
                group.append(frame)
                break
        else:
            groups.append([frame])
    return groups


def _alike(one: Frame, two: Frame) -> bool:
    return (one.rows, one.columns) == (two.rows, two.columns) and bool(
        np.allclose(one.orientation, two.orientation, atol=_SAME_ANGLE)
        and np.allclose(one.spacing, two.spacing, rtol=1e-3)
    )


def _without_copies(frames: Sequence[Frame]) -> tuple[list[Frame], int]:
    """Frames without the second copies of one and the same instance, and how many those were."""
    unique = {(frame.uid, frame.number): frame for frame in frames}
    return list(unique.values()), len(frames) - len(unique)


def _heights(frames: list[Frame]) -> npt.NDArray[np.float64]:
    """Places of the frames along the slice normal, mm."""
    axes = np.reshape(frames[0].orientation, (2, 3))
    return np.array([frame.position for frame in frames]) @ np.cross(axes[0], axes[1])


def _crowded(frames: list[Frame]) -> bool:
    steps = np.diff(np.sort(_heights(frames)))
    return bool((steps < _SAME_PLACE_MM).any())


def _one_per_place(frames: list[Frame]) -> list[list[Frame]]:
    """Groups in which no two frames share a place, split by the fewest attributes that do it; else none."""
    if not _crowded(frames):
        return [frames]
    most = max(Counter(np.round(_heights(frames), 2)).values())
    attributes = [i for i in range(len(frames[0].kind)) if len({frame.kind[i] for frame in frames}) > 1]
    for count in range(1, len(attributes) + 1):
        for chosen in combinations(attributes, count):
            groups: dict[tuple[str, ...], list[Frame]] = {}
            for frame in frames:
                groups.setdefault(tuple(frame.kind[i] for i in chosen), []).append(frame)
            # An attribute that differs from slice to slice, such as a trigger time, sorts nothing.
            if len(groups) <= 2 * most and not any(_crowded(group) for group in groups.values()):
                return list(groups.values())
    return []


def _sorted(frames: list[Frame], warnings: tuple[str, ...]) -> Stack:
    axes = np.reshape(frames[0].orientation, (2, 3))
    normal = np.cross(axes[0], axes[1])
    order = np.argsort(_heights(frames), kind="stable")
    ordered = tuple(frames[i] for i in order)
    steps = np.diff(_heights(list(ordered)))
    step = float(np.median(steps)) if len(steps) else 0.0
    if len(steps) and np.abs(steps - step).max() < _UNEVEN * step:
        # The mean is the truer step when rounding in the header makes single steps differ.
        step = float(steps.mean())
    return Stack(ordered, normal / np.linalg.norm(normal), step, warnings)


def _refuse_gaps(stack: Stack, title: str) -> None:
    steps = np.diff(_heights(list(stack.frames)))
    missing = int(np.round(steps[steps > _MISSING * stack.step_mm] / stack.step_mm - 1).sum())
    if missing:
        raise InputRefused(
            f"{title} lacks {missing} of {len(stack.frames) + missing} slices: export the whole series again."
        )
    if np.abs(steps - stack.step_mm).max() > _UNEVEN * stack.step_mm:
        raise InputRefused(
            f"{title} has unevenly spaced slices ({steps.min():.2f} to {steps.max():.2f} mm apart): "
            "choose another series, or resample it to even slices first."
        )


def _drift_mm(stack: Stack, axes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """How far each slice lies from straight above the first, along rows and columns, (n, 2) mm."""
    positions = np.array([frame.position for frame in stack.frames])
    return np.asarray((positions - positions[0]) @ axes.T)


def _straightened(
    array: FloatArray, drift: npt.NDArray[np.float64]
) -> tuple[FloatArray, npt.NDArray[np.float64]]:
    """Slices shifted in their plane onto one rectangular grid, and its first pixel (x, y) in the first slice.

    ``drift`` (n, 2) is in pixels (x, y). The picture is widened, so that nothing is cut off.
    """
    low, high = np.floor(drift.min(axis=0)), np.ceil(drift.max(axis=0))
    wide = (high - low).astype(int)
    upright = np.zeros((array.shape[0], array.shape[1] + wide[1], array.shape[2] + wide[0]), np.float32)
    for index, (x, y) in enumerate(drift - low):
        padded = np.pad(array[index], ((0, wide[1]), (0, wide[0])))
        upright[index] = ndimage.shift(padded, (y, x), order=1)
    return upright, low
