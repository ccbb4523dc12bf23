"""How hyperintensity spreads from a lesion: along white matter, hardly into cortex, not over fluid."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .anatomy import FLUID, GREY, OUTSIDE, WHITE, Anatomy
from .fields import BoolArray, FloatArray, fill_to_volume, rough_field, smoothed, without_crumbs

SPREAD_SPEED = {OUTSIDE: 0.0, FLUID: 0.05, GREY: 0.35, WHITE: 1.0}
"""How fast hyperintensity spreads, relative to white matter: along it, hardly into cortex, not over fluid."""


def spread_cost(anatomy: Anatomy, tissue: np.ndarray, core: BoolArray, centre: np.ndarray) -> FloatArray:
    """Cost (millimetres of white matter) of spreading to each voxel from the core, by fast marching.

    Worked out on a lattice of at least 2 mm, because it is smooth and marching is slow.
    """
    import SimpleITK as sitk

    stride = max(1, round(2.0 / anatomy.spacing_mm))
    coarse = tissue[::stride, ::stride, ::stride]
    speed = np.array([SPREAD_SPEED[t] for t in range(4)], dtype=np.float32)[coarse]
    seeds = core[::stride, ::stride, ::stride]
    starts = np.argwhere(seeds & ~ndimage.binary_erosion(seeds))
    if len(starts) == 0:
        starts = np.clip(np.rint(centre / stride).astype(int), 0, np.array(coarse.shape) - 1)[None]
    speed[seeds] = 1.0
    step = stride * anatomy.spacing_mm
    image = sitk.GetImageFromArray(np.maximum(speed, 1e-4) / step)
    marching = sitk.FastMarchingImageFilter()
    marching.SetTrialPoints([tuple(int(v) for v in p[::-1]) for p in starts])
    marching.SetStoppingValue(70.0)
    arrival = np.minimum(sitk.GetArrayFromImage(marching.Execute(image)), 200.0).astype(np.float32)
    arrival[seeds] = 0
    if stride == 1:
        return arrival
    zoomed = ndimage.zoom(arrival, stride, order=1, grid_mode=True, mode="nearest")
    return np.asarray(
        np.pad(
            zoomed, [(0, max(0, n - m)) for n, m in zip(tissue.shape, zoomed.shape, strict=True)], mode="edge"
        )[tuple(slice(0, n) for n in tissue.shape)]
    )


def hyperintensity(
    rng: np.random.Generator,
    anatomy: Anatomy,
    volume_ml: float,
    tissue: np.ndarray,
    arrival: FloatArray,
    core: BoolArray,
) -> BoolArray:
    """Hyperintensity around the core, uneven in reach, following white matter, sparing fluid."""
    spacing = anatomy.spacing_mm
    uneven = rough_field(rng, core.shape, rng.uniform(14.0, 35.0), spacing)
    cost = (arrival + 2.0) * np.exp(np.float32(rng.uniform(0.25, 0.7)) * uneven)
    allowed = anatomy.brain & ~core & (tissue != FLUID) & (arrival < 150)
    mask = fill_to_volume(cost, allowed, volume_ml, anatomy.voxel_ml, connected=False)
    mask = smoothed(mask | core, 0.7 / spacing) & allowed
    return without_crumbs(mask, 0.15 / anatomy.voxel_ml)
