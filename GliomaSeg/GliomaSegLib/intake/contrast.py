"""Whether T1 and T1c were given the wrong way round: vessels, dura and plexus are brighter after contrast."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from .normalisation import channel_scale, foreground_mask
from .preparation import resample
from .volume import FloatArray, Grid, Study, Volume

_FINEST_MM = 1.0
_RIM_MM = 4.0
"""Depth below the surface that is left out: partial volume, and sinuses that a mask cuts by chance."""
_VESSEL_MM = 3.0
"""Bright things up to about twice this wide count."""
_TAIL = 0.005
"""Share of the brain's voxels that is looked at on either side: vessels, not noise and not a whole tumour."""
_LEAST_VOXELS = 1000
_SWAPPED_BELOW = 0.6
"""Measured on ten real cases: 2.7 to 6.3 the right way round, 0.16 to 0.37 swapped."""


def enhancement_ratio(study: Study, brain: Volume | None = None) -> float | None:
    """How many more small bright things appear in T1c than vanish, against T1, inside the brain.

    Small bright things are what a white top-hat of ``_VESSEL_MM`` leaves of each picture, both on the coarser
    one's resolution and on one scale of intensities. Mean of the most positive 0.5% of their differences over
    that of the most negative 0.5%; above 1 when T1c is the later one. None without both sequences,
    and where no two axes are fine enough to show vessels.
    """
    if not {"t1", "t1c"} <= set(study.volumes):
        return None
    t1, t1c = study.volumes["t1"], study.volumes["t1c"]
    grid = common_resolution(t1.grid, t1c.grid)
    before, after = resample(t1, grid), resample(t1c, grid)
    if sum(edge > 1 for edge in _edges(grid)) < 2:
        return None
    inside = _deep_inside(before, after, None if brain is None else resample(brain, grid) > 0.5, grid)
    boxes = ndimage.find_objects(inside.astype(np.int8))
    if not boxes:
        return None
    before, after, inside = before[boxes[0]], after[boxes[0]], inside[boxes[0]]
    if np.count_nonzero(inside) < _LEAST_VOXELS:
        return None
    change = (_small_and_bright(after, inside, grid) - _small_and_bright(before, inside, grid))[inside]
    change.sort()
    count = max(1, round(_TAIL * change.size))
    vanished, appeared = -change[:count].mean(), change[-count:].mean()
    return float(max(appeared, 0.0) / max(vanished, 1e-6))


def _deep_inside(
    before: FloatArray, after: FloatArray, brain: npt.NDArray[np.bool_] | None, grid: Grid
) -> npt.NDArray[np.bool_]:
    """Where both have a value, further than ``_RIM_MM`` below the surface of the brain, or of the head.

    The depth is worked out on every second voxel where voxels are fine: it need not be exact.
    """
    steps = [2 if spacing < 2 * _FINEST_MM else 1 for spacing in grid.spacing_mm[::-1]]
    spacing = [edge * step for edge, step in zip(grid.spacing_mm[::-1], steps, strict=True)]
    some = tuple(slice(None, None, step) for step in steps)
    head = foreground_mask([before[some], after[some]], spacing) if brain is None else brain[some]
    deep = ndimage.distance_transform_edt(np.pad(head, 1), sampling=spacing)[1:-1, 1:-1, 1:-1] > _RIM_MM
    for axis, step in enumerate(steps):
        deep = np.repeat(deep, step, axis=axis)
    deep = deep[tuple(slice(0, n) for n in before.shape)]
    return np.asarray(deep & (before != 0) & (after != 0))


def swap_warnings(study: Study, brain: Volume | None = None) -> tuple[str, ...]:
    """A sentence when T1 looks like the one after contrast."""
    ratio = enhancement_ratio(study, brain)
    if ratio is None or ratio >= _SWAPPED_BELOW:
        return ()
    first, second = study.volumes["t1"].name, study.volumes["t1c"].name
    return (f"Vessels are brighter in {first} than in {second}: check that T1 and T1c are not swapped.",)


def common_resolution(one: Grid, two: Grid) -> Grid:
    """The coarser grid's field of view, sampled along each axis as coarsely as either is, at least 1 mm.

    A sharper picture shows more small things; without this a thin T1 beside a thick T1c would look swapped.
    """
    coarse, other = (one, two) if max(one.spacing_mm) >= max(two.spacing_mm) else (two, one)
    axes, other_axes = (np.reshape(grid.direction_lps, (3, 3)) for grid in (coarse, other))
    nearest = np.abs(axes.T @ other_axes).argmax(axis=1)
    stored = np.asarray(coarse.spacing_mm)
    spacing = np.maximum(np.maximum(stored, np.asarray(other.spacing_mm)[nearest]), _FINEST_MM)
    size = np.maximum(np.floor(np.asarray(coarse.shape[::-1]) * stored / spacing + 1e-6).astype(int), 1)
    start = coarse.index_to_lps() @ [*(0.5 * spacing / stored - 0.5), 1.0]
    return Grid(
        (int(size[2]), int(size[1]), int(size[0])),
        (float(spacing[0]), float(spacing[1]), float(spacing[2])),
        (float(start[0]), float(start[1]), float(start[2])),
        coarse.direction_lps,
    )


def _small_and_bright(values: FloatArray, inside: npt.NDArray[np.bool_], grid: Grid) -> FloatArray:
    """White top-hat of the values on the scale of what is ``inside``; along thick slices nothing is small."""
    scaled = channel_scale(values[inside], "robust").apply(values)
    # scipy's, because SimpleITK 2.5's top-hat with a box crashed on thick slices.
    picture = np.where(inside, scaled, np.float32(0))
    return np.asarray(ndimage.white_tophat(picture, size=_edges(grid)), dtype=np.float32)


def _edges(grid: Grid) -> list[int]:
    """Edges (z, y, x) in voxels of the box that vessels fit into; 1 where voxels are as large as vessels."""
    return [2 * int(_VESSEL_MM / spacing + 1e-6) + 1 for spacing in grid.spacing_mm[::-1]]
