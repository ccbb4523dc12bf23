"""One picture that shows in three seconds whether alignment and brain mask are right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..errors import OutputRefused
from .alignment import Alignment
from .preparation import resample, upright_grid
from .volume import ROLE_NAMES, Study, Volume

Picture = npt.NDArray[np.uint8]

_SPACING_MM = 1.5
_TILE_MM = 24.0
_OUTLINE = np.array([90, 230, 90], np.uint8)
_CAPTION_HEIGHT = 18
_GAP = 4
_ZOOM = 2
"""Pixels of the page for one of ``_SPACING_MM``."""
_DARK, _MARGIN = 40, 4


def write_quality_page(
    path: Path, study: Study, brain: Volume | None, alignments: Mapping[str, Alignment]
) -> None:
    """Write a PNG: a row for each sequence, with an axial, a coronal and a sagittal slice.

    The reference's row shows it plainly, every other row a chequerboard of the reference and that sequence:
    edges that break at the tiles' borders show a misalignment. The brain's outline is green. Slices go
    through the middle of the brain, of the picture without one. Raises ``OutputRefused`` when it can't be
    written.
    """
    from PIL import Image, ImageDraw

    grid = upright_grid(study.reference.grid, (_SPACING_MM,) * 3)
    inside = None if brain is None else resample(thinned(brain), grid) > 0.5
    # The rim is blurred with what lies around it.
    core = None if inside is None else ndimage.binary_erosion(inside, iterations=2)
    greys = {role: _grey(resample(thinned(v), grid), core) for role, v in study.volumes.items()}
    box = _head(np.maximum.reduce(list(greys.values())))
    greys = {role: grey[box] for role, grey in greys.items()}
    inside = None if inside is None else inside[box]
    reference = greys[study.reference_role]
    mask = reference > 25 if inside is None else inside
    centre = _centre(mask)
    rows = []
    for role in (study.reference_role, *(r for r in study.volumes if r != study.reference_role)):
        cuts = [_cut(reference, greys[role], inside, axis, centre) for axis in range(3)]
        rows.append((_caption(study, role, alignments, brain is not None), _side_by_side(cuts)))
    width = max(picture.shape[1] for _, picture in rows)
    page = Image.new("RGB", (width, sum(picture.shape[0] + _CAPTION_HEIGHT for _, picture in rows)), "black")
    draw, top = ImageDraw.Draw(page), 0
    for caption, picture in rows:
        draw.text((4, top + 3), caption, fill="white")
        page.paste(Image.fromarray(picture), (0, top + _CAPTION_HEIGHT))
        top += picture.shape[0] + _CAPTION_HEIGHT
    try:
        page.save(path)
    except OSError as error:
        raise OutputRefused(
            f"{path.name} can't be written: check that its folder is writable and the disk is not full."
        ) from error


def chequerboard(shape: tuple[int, int], tile: int) -> npt.NDArray[np.bool_]:
    """Squares of ``tile`` pixels, the first False, (rows, columns).

    >>> chequerboard((2, 4), 2).astype(int).tolist()
    [[0, 0, 1, 1], [0, 0, 1, 1]]
    """
    rows, columns = np.indices(shape) // tile
    return np.asarray((rows + columns) % 2 == 1)


def thinned(volume: Volume) -> Volume:
    """Every n-th voxel along each axis, no further apart than the page's pixels.

    A picture needs no smoothing, which would take most of the page's time on volumes of 0.5 mm.
    """
    steps = [max(1, int(_SPACING_MM / spacing)) for spacing in volume.grid.spacing_mm]
    array = np.ascontiguousarray(volume.array[:: steps[2], :: steps[1], :: steps[0]])
    x, y, z = (spacing * step for spacing, step in zip(volume.grid.spacing_mm, steps, strict=True))
    shape = (array.shape[0], array.shape[1], array.shape[2])
    return replace(volume, array=array, grid=replace(volume.grid, shape=shape, spacing_mm=(x, y, z)))


def _grey(values: npt.NDArray[np.float32], inside: npt.NDArray[np.bool_] | None) -> Picture:
    """Values (z, y, x) as 0 to 255, from the 2nd percentile of all to the 99.5th of what matters.

    That is what is ``inside`` the brain, because the fat around it may be far brighter, or what stands out.
    """
    matters = values > values.mean() if inside is None or not inside.any() else inside
    low, high = float(np.percentile(values, 2)), float(np.percentile(values[matters], 99.5))
    return np.asarray(np.clip((values - low) / max(high - low, 1e-6), 0, 1) * 255, np.uint8)


def _head(brightest: Picture) -> tuple[slice, slice, slice]:
    """The part (slices z, y, x) that holds everything which stands out, with a narrow margin."""
    found = ndimage.find_objects((brightest > _DARK).astype(np.int8))
    if not found or found[0] is None:
        return slice(None), slice(None), slice(None)
    z, y, x = (slice(max(s.start - _MARGIN, 0), s.stop + _MARGIN) for s in found[0])
    return z, y, x


def _centre(mask: npt.NDArray[np.bool_]) -> tuple[int, int, int]:
    """The middle (z, y, x) of what is True, of the whole when nothing is."""
    found = np.argwhere(mask[::2, ::2, ::2]) * 2
    middle = found.mean(axis=0) if len(found) else np.asarray(mask.shape) / 2
    z, y, x = (int(v) for v in middle)
    # A little off the middle plane: the falx says nothing about alignment.
    return z, y, min(x + int(12 / _SPACING_MM), mask.shape[2] - 1)


def _cut(
    reference: Picture,
    other: Picture,
    mask: npt.NDArray[np.bool_] | None,
    axis: int,
    centre: tuple[int, int, int],
) -> Picture:
    """One slice in colour, head up and, for axial slices, the front up; (row, column, RGB)."""
    first, second = np.take(reference, centre[axis], axis), np.take(other, centre[axis], axis)
    mixed = np.where(chequerboard(first.shape, max(1, round(_TILE_MM / _SPACING_MM))), second, first)
    colour = np.repeat(_enlarged(mixed)[..., None], 3, axis=2)
    if mask is not None:
        inside = np.take(mask, centre[axis], axis).repeat(_ZOOM, axis=0).repeat(_ZOOM, axis=1)
        colour[inside & ~ndimage.binary_erosion(inside)] = _OUTLINE
    # Axial rows run from front to back already; the others run from feet to head.
    return colour if axis == 0 else colour[::-1]


def _enlarged(picture: Picture) -> Picture:
    """``picture`` (rows, columns) ``_ZOOM`` times as large, smooth."""
    from PIL import Image

    rows, columns = picture.shape
    size = (columns * _ZOOM, rows * _ZOOM)
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC))


def _side_by_side(cuts: list[Picture]) -> Picture:
    height = max(cut.shape[0] for cut in cuts)
    padded = [np.pad(cut, ((0, height - cut.shape[0]), (0, _GAP), (0, 0))) for cut in cuts]
    return np.concatenate(padded, axis=1)


def _caption(study: Study, role: str, alignments: Mapping[str, Alignment], outlined: bool) -> str:
    name = ROLE_NAMES[role]
    if role == study.reference_role:
        return f"{name} (reference)" + (", brain outlined" if outlined else "")
    found = alignments.get(role)
    if found is None:
        return f"{ROLE_NAMES[study.reference_role]} and {name}, as they came"
    moved = (
        f"moved by {found.shift_mm:.1f} mm, {found.angle_deg:.1f} degrees" if found.moved else "left in place"
    )
    return f"{ROLE_NAMES[study.reference_role]} and {name}, {moved}"
