"""Where a simulated tumour was: its bed, the surgeon's way to it from the cortex, and landmarks around."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .anatomy import Anatomy
from .fields import BoolArray, FloatArray
from .plan import LesionPlan


@dataclass(frozen=True)
class Site:
    """``bed`` (z, y, x) voxel of the tumour's centre; ``corridor``, the voxels from it to the opened cortex.

    ``side``: the bed's hemisphere, falx excluded. ``supratentorial``: not cerebellum or brain stem, roughly.
    ``depth_mm``: distance to the outside of the brain. ``entry``: where the corridor meets the cortex.
    """

    bed: tuple[int, int, int]
    entry: tuple[int, int, int]
    corridor: BoolArray
    side: BoolArray
    supratentorial: BoolArray
    depth_mm: FloatArray
    spacing_mm: float

    def dura(self, thickness_mm: float, reach_mm: float) -> FloatArray:
        """The outermost layer of the brain mask around the craniotomy, as a soft mask."""
        axes = np.ogrid[tuple(slice(0, n) for n in self.depth_mm.shape)]
        squares = sum(((a - e) * self.spacing_mm) ** 2 for a, e in zip(axes, self.entry, strict=True))
        near = np.sqrt(squares) < reach_mm
        layer = (self.depth_mm > 0) & (self.depth_mm <= max(thickness_mm, self.spacing_mm))
        return (near & layer).astype(np.float32)


def choose_site(anatomy: Anatomy, plan: LesionPlan, rng: np.random.Generator) -> Site:
    """A place in a cerebral hemisphere with room for the plan's cavity, and the shortest way out of it."""
    brain, spacing_mm, depth_mm = anatomy.brain, anatomy.spacing_mm, anatomy.depth_mm
    supratentorial = _supratentorial(brain)
    z, y, x = np.ogrid[tuple(slice(0, n) for n in brain.shape)]
    middle = 0.5 * (np.nonzero(brain.any((0, 1)))[0][[0, -1]].sum())
    lateral_mm = np.abs(x - middle) * spacing_mm + 0 * (z + y)
    radius_mm = (239.0 * max(plan.cavity_ml, plan.nodule_ml, plan.lump_ml)) ** (1 / 3)
    # A small cavity lies under the cortex; a large one reaches deep and must not cross the midline.
    fits = supratentorial & brain & (anatomy.csf < 0.3) & (lateral_mm > min(0.7 * radius_mm + 5.0, 32.0))
    good = fits & (depth_mm > 0.6 * radius_mm + 3.0) & (depth_mm < 0.8 * radius_mm + 9.0)
    candidates = np.argwhere(good if good.any() else fits)
    bed = tuple(int(i) for i in candidates[rng.integers(len(candidates))])
    cortex = np.argwhere(brain & (depth_mm <= 1.5 * spacing_mm))
    entry = tuple(int(i) for i in cortex[((cortex - bed) ** 2).sum(1).argmin()])
    craniotomy = cortex[
        ((cortex - entry) ** 2).sum(1) < (rng.uniform(0.2, 0.6) * radius_mm / spacing_mm) ** 2
    ]
    corridor = _line(bed, entry, brain)
    corridor[tuple(craniotomy.T)] = True
    right = bed[2] < middle
    gap = 1.5 / spacing_mm
    side = np.broadcast_to((x < middle - gap) if right else (x > middle + gap), brain.shape)
    return Site(
        (bed[0], bed[1], bed[2]),
        (entry[0], entry[1], entry[2]),
        corridor,
        side,
        supratentorial,
        depth_mm,
        spacing_mm,
    )


def _supratentorial(brain: BoolArray) -> BoolArray:
    """The upper part of the brain, and in front also lower: by fractions of its box (z up, y backwards)."""
    (low_z, high_z), (front, back) = (
        np.nonzero(brain.any(tuple(k for k in range(3) if k != axis)))[0][[0, -1]] for axis in (0, 1)
    )
    z, y, _ = np.ogrid[tuple(slice(0, n) for n in brain.shape)]
    height = (z - low_z) / max(high_z - low_z, 1)
    backwards = (y - front) / max(back - front, 1)
    allowed = (height > 0.30 + 0.22 * (backwards > 0.5)) & (height < 0.97)
    return np.asarray(np.broadcast_to(allowed, brain.shape))


def _line(start: tuple[int, ...], end: tuple[int, ...], brain: BoolArray) -> npt.NDArray[np.bool_]:
    """The voxels of the straight line from ``start`` to ``end`` that lie in the brain."""
    steps = 2 * int(np.abs(np.subtract(end, start)).max()) + 2
    points = np.rint(np.linspace(start, end, steps)).astype(int)
    points = np.clip(points, 0, np.array(brain.shape) - 1)
    line = np.zeros(brain.shape, bool)
    line[tuple(points.T)] = True
    line &= brain
    line[start] = True
    return line
