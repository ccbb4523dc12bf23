"""Slices through the largest extent of each structure, with contours, as PNG."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..intake.preparation import resample, upright_grid
from ..intake.volume import ROLES, Grid, Volume
from ..labels import STRUCTURES, Structure

FloatArray = npt.NDArray[np.float32]
Picture = npt.NDArray[np.uint8]

_SHOWN_ON = {
    "NETC": ("t1c", "t1", "t2", "flair"),
    "SNFH": ("flair", "t2", "t1c", "t1"),
    "ET": ("t1c", "t1", "t2", "flair"),
    "RC": ("t1c", "t1", "flair", "t2"),
}
"""On which sequence a structure is looked at, the best first."""
_SPACING_MM = 1.0
_FIELD_MM = 120
_ZOOM = 3
_GAP = 6
_BAR_MM = 20
_THICK, _THIN = 3, 1
_CHANGE_SHOWN = 0.5


@dataclass(frozen=True)
class Strip:
    """An axial, a coronal and a sagittal slice side by side: ``png`` shows ``structure`` on ``role``.

    The patient's right is on the left of the axial and coronal slice, the front on the left of the sagittal
    one. The white bar is 20 mm long.
    """

    structure: Structure
    role: str
    png: bytes


def structure_strips(volumes: Mapping[str, Volume], labels: npt.NDArray[np.uint8], grid: Grid) -> list[Strip]:
    """One strip for each structure in ``labels`` (z, y, x) on ``grid``, each through its largest slices.

    ``volumes`` by role lie in the space of ``grid``, on any grid of their own. Empty without a volume.
    """
    upright = upright_grid(grid, (_SPACING_MM,) * 3)
    shares = {
        s.abbreviation: _on(Volume((labels == s.number).astype(np.float32), grid, "t1", "labels"), upright)
        for s in STRUCTURES
        if (labels == s.number).any()
    }
    shown: dict[str, FloatArray] = {}
    strips = []
    for structure in (s for s in STRUCTURES if s.abbreviation in shares):
        role = next((r for r in _SHOWN_ON.get(structure.abbreviation, ROLES) if r in volumes), None)
        if role is None:
            continue
        if role not in shown:
            shown[role] = _windowed(_on(volumes[role], upright))
        tiles = [_tile(shown[role], shares, structure, axis) for axis in range(3)]
        strips.append(Strip(structure, role, _png(tiles)))
    return strips


def _on(volume: Volume, upright: Grid) -> FloatArray:
    """The volume on the page's grid; many come on it already."""
    return volume.array if volume.grid.matches(upright) else resample(volume, upright)


def subtraction_strip(before: Volume, after: Volume, centre_lps_mm: npt.NDArray[np.float64]) -> bytes:
    """PNG of ``after`` minus ``before`` on the slices through a point: red has become brighter, blue darker.

    Both lie in one space, on any grids. Intensities of the earlier visit are scaled to the later one's
    (median and inter-quartile range of what both show), because MR has no unit.
    """
    grid = upright_grid(after.grid, (_SPACING_MM,) * 3)
    late, early = resample(after, grid), resample(before, grid)
    either = (late > late.mean()) | (early > early.mean())
    both = (late > late.mean()) & (early > early.mean())
    if not both.any():
        both = np.ones(grid.shape, bool)
    (low, middle, high), (e_low, e_middle, e_high) = (
        np.percentile(values[both], (25, 50, 75)) for values in (late, early)
    )
    scaled = (early - e_middle) * ((high - low) / max(float(e_high - e_low), 1e-6)) + middle
    difference = np.where(either, late - scaled, 0).astype(np.float32) / max(float(high - low), 1e-6)
    picture = _windowed(late)
    index = np.linalg.inv(grid.index_to_lps()) @ np.append(centre_lps_mm, 1.0)
    place = [min(max(round(float(i)), 0), n - 1) for i, n in zip(index[2::-1], grid.shape, strict=True)]
    return _png([_difference_tile(picture, difference, place, axis) for axis in range(3)])


def _difference_tile(picture: FloatArray, difference: FloatArray, place: list[int], axis: int) -> Picture:
    """The slice across ``axis`` through ``place`` (z, y, x): grey, with red and blue where it changed."""
    centre = np.delete(np.asarray(place, float), axis)
    grey = _zoomed(_window(np.take(picture, place[axis], axis), centre)) * 0.6
    change = _zoomed(_window(np.take(difference, place[axis], axis), centre))
    # Changes below half the tissue's own spread are noise and partial volume.
    strength = np.clip(np.abs(change) - _CHANGE_SHOWN, 0, 1) * 255
    tile = np.repeat(grey[..., None], 3, axis=2)
    tile[..., 0] += np.where(change > 0, strength, 0)
    tile[..., 2] += np.where(change < 0, strength, 0)
    tile = np.clip(tile, 0, 255).astype(np.uint8)
    return _upright(tile, axis)


def _upright(tile: Picture, axis: int) -> Picture:
    """The tile head up, with the bar of 20 mm. Axial rows run from front to back already."""
    tile = np.ascontiguousarray(tile if axis == 0 else tile[::-1])
    tile[-12:-8, 10 : 10 + int(_BAR_MM / _SPACING_MM * _ZOOM)] = 255
    return tile


def _windowed(values: FloatArray) -> FloatArray:
    """Values (z, y, x) as 0 to 255: from the 2nd to the 99.8th percentile of what stands out."""
    # One voxel of eight tells the percentiles as well.
    some = values[::2, ::2, ::2]
    standing_out = some[some > some.mean()]
    low, high = np.percentile(some, 2), np.percentile(standing_out, 99.8) if standing_out.size else 0.0
    return np.asarray(np.clip((values - low) / max(float(high - low), 1e-6), 0, 1) * 255, np.float32)


def _tile(picture: FloatArray, shares: Mapping[str, FloatArray], structure: Structure, axis: int) -> Picture:
    """The slice across ``axis`` where the structure is largest, centred on it, with contours, RGB."""
    mask = shares[structure.abbreviation] >= 0.5
    if not mask.any():  # smaller than half a voxel of the page: take where there is most of it
        mask = shares[structure.abbreviation] == shares[structure.abbreviation].max()
    index = int(mask.sum(axis=tuple(a for a in range(3) if a != axis)).argmax())
    centre = np.argwhere(np.take(mask, index, axis)).mean(axis=0)
    grey = _zoomed(_window(np.take(picture, index, axis), centre))
    tile = np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, axis=2)
    # The structure itself comes last, on top of its neighbours.
    for other in sorted(STRUCTURES, key=lambda s: s is structure):
        if other.abbreviation in shares:
            share = _zoomed(_window(np.take(shares[other.abbreviation], index, axis), centre))
            width = _THICK if other is structure else _THIN
            inside = share >= 0.5
            tile[inside & ~ndimage.binary_erosion(inside, iterations=width)] = other.colour
    return _upright(tile, axis)


def _window(plane: FloatArray, centre: npt.NDArray[np.float64]) -> FloatArray:
    """A square of ``_FIELD_MM`` around ``centre`` (row, column), 0 where the plane has ended."""
    half = int(_FIELD_MM / _SPACING_MM / 2)
    row, column = (round(float(c)) + half for c in centre)
    padded = np.pad(plane, half)
    return np.asarray(padded[row - half : row + half, column - half : column + half])


def _zoomed(plane: FloatArray) -> FloatArray:
    return np.asarray(ndimage.zoom(plane, _ZOOM, order=1, grid_mode=True, mode="nearest"))


def _png(tiles: list[Picture]) -> bytes:
    from PIL import Image

    gap = np.zeros((tiles[0].shape[0], _GAP, 3), np.uint8)
    row = np.concatenate([tiles[0], gap, tiles[1], gap, tiles[2]], axis=1)
    stream = io.BytesIO()
    Image.fromarray(row).save(stream, "PNG", compress_level=6)
    return stream.getvalue()
