"""A tumour's expert contours, as after an operation, painted into another real brain by ratios of intensity.

A third look beside the two renderers: shapes come from people's contours instead of random fields, appearance
from ratios to the brain's own white matter and fluid instead of signal equations. The ratios are ranges of
ours, read off scans by eye; no code is shared with training's synthesis.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ...intake.volume import ROLES
from ...labels import structure
from .anatomy import Anatomy, real_anatomy
from .fields import BoolArray, FloatArray, smooth_field
from .plan import LesionPlan
from .rendering import PhantomCase

LabelArray = npt.NDArray[np.uint8]
NETC, SNFH, ET, RC = (structure(name).number for name in ("NETC", "SNFH", "ET", "RC"))

CAVITY_SHARE, NO_ENHANCEMENT_SHARE = 0.8, 1 / 3
"""In how many cases the core was taken out, and in how many nothing enhances any more."""

Range = tuple[float, float]
_TOWARDS_FLUID: dict[int, dict[str, Range]] = {
    SNFH: {"t1": (0.12, 0.4), "t2": (0.25, 0.65)},
    NETC: {"t1": (0.3, 0.7), "t2": (0.35, 0.85)},
    ET: {"t1": (0.12, 0.4), "t2": (0.2, 0.55)},
}
"""Where a tissue lies between white matter (0) and fluid (1)."""
_TIMES_WHITE: dict[int, dict[str, Range]] = {
    SNFH: {"flair": (1.35, 1.9)},
    NETC: {"flair": (0.9, 1.6)},
    ET: {"flair": (1.1, 1.6), "t1c": (1.3, 2.0)},
}
"""Intensity as a multiple of white matter's."""
_PAINTED = (SNFH, NETC, ET, RC)
_PLAN = LesionPlan(0, 0, 0, 0, 0, 0, 0, 0, 0, False, False, False, False)


def operated(labels: LabelArray, rng: np.random.Generator) -> LabelArray:
    """The map as after an operation: in most cases the core becomes cavity; in a third nothing enhances.

    A tumour without a core of its own is hollowed out from inside its enhancing part, or the whole of it.
    """
    made = labels.copy()
    if rng.random() < CAVITY_SHARE:
        core = labels == NETC
        if not core.any():
            solid = labels == ET if (labels == ET).sum() > 500 else labels > 0
            core = ndimage.binary_erosion(solid, iterations=int(rng.integers(2, 6)))
        made[core] = RC
    if rng.random() < NO_ENHANCEMENT_SHARE:
        made[made == ET] = SNFH
    return made


def moved(labels: LabelArray, head: BoolArray, brain: BoolArray, mirrored: bool) -> LabelArray:
    """``labels`` (z, y, x) of the brain ``head`` at the same place of another ``brain``, box onto box.

    Both run along L, P, S. ``mirrored`` exchanges left and right. Outside ``brain`` the result is 0.
    """
    if mirrored:
        labels, head = labels[:, :, ::-1], head[:, :, ::-1]
    boxes = [ndimage.find_objects(mask.astype(np.uint8))[0] for mask in (head, brain)]
    scale = [(a.stop - a.start) / (b.stop - b.start) for a, b in zip(*boxes, strict=True)]
    shift = [a.start - b.start * s for a, b, s in zip(*boxes, scale, strict=True)]
    placed = ndimage.affine_transform(labels, np.array(scale), shift, brain.shape, order=0)
    return np.where(brain, placed, 0).astype(np.uint8)


def painted(labels: LabelArray, anatomy: Anatomy, rng: np.random.Generator) -> dict[str, FloatArray]:
    """The anatomy's own scans (z, y, x) by role with the structures of ``labels`` painted over them.

    Raises ``ValueError`` for an anatomy without scans.
    """
    if anatomy.scans is None:
        raise ValueError("painting needs a real brain's scans")
    spacing_mm, shape = anatomy.spacing_mm, labels.shape
    softness = rng.uniform(0.5, 0.9) / spacing_mm
    covers = {n: ndimage.gaussian_filter((labels == n).astype(np.float32), softness) for n in _PAINTED}
    textures = {n: smooth_field(rng, shape, 6.0, spacing_mm) for n in _PAINTED}
    places = {n: {role: rng.random() for role in ROLES} for n in _PAINTED}
    thick = rng.uniform(0.3, 0.8) if rng.random() < 0.25 else 0.0
    volumes = {}
    for role in ROLES:
        scan = anatomy.scans[role]
        white = float(np.median(scan[anatomy.wm > 0.8]))
        fluid = float(np.median(scan[anatomy.csf > 0.8]))
        picture = scan.copy()
        for number in _PAINTED:
            level = _level(number, role, places[number], white, fluid, thick)
            rough = 0.02 if number == RC else 0.07
            colour = level * (1.0 + rough * textures[number])
            if number == SNFH:
                colour = 0.7 * colour + 0.3 * level / white * scan
            picture = (1.0 - covers[number]) * picture + covers[number] * colour
        grain = 0.03 * white * rng.standard_normal(shape).astype(np.float32)
        picture += grain * np.maximum.reduce(list(covers.values()))
        volumes[role] = np.where(anatomy.brain, np.maximum(picture, 0.0), 0.0).astype(np.float32)
    return volumes


def _level(
    number: int, role: str, place: dict[str, float], white: float, fluid: float, thick: float
) -> float:
    """Intensity of a structure in one sequence. ``thick`` fluid (0 to 1) is not suppressed on FLAIR."""
    if number == RC:
        clear = fluid * (0.9 + 0.3 * place[role])
        return clear + thick * (1.3 * white - clear) if role == "flair" else clear
    if role in _TIMES_WHITE[number]:
        low, high = _TIMES_WHITE[number][role]
        return white * (low + place[role] * (high - low))
    # What does not enhance looks on T1c as it does on T1.
    low, high = _TOWARDS_FLUID[number]["t1" if role == "t1c" else role]
    share = low + place["t1" if role == "t1c" else role] * (high - low)
    return white + share * (fluid - white)


def render_expert_shape(seed: int, anatomy: str | Path, labels: LabelArray, head: BoolArray) -> PhantomCase:
    """The tumour of an expert's ``labels`` (z, y, x, BraTS 2024 numbers), operated on, in a real brain.

    ``head``: the brain from which the labels come, same shape, along L, P, S. ``anatomy``: folder as for
    :func:`render_phantom`. The same seed and arguments give the same voxels. Raises ``InputRefused`` for an
    unfit folder.
    """
    rng = np.random.default_rng(seed)
    brain = real_anatomy(Path(anatomy))
    made = moved(operated(labels, rng), head, brain.brain, mirrored=bool(rng.random() < 0.5))
    volumes = painted(made, brain, rng)
    return PhantomCase(
        {role: brain.uncropped(volumes[role]) for role in ROLES},
        brain.uncropped(made),
        brain.uncropped(brain.brain),
        brain.grid,
        _PLAN,
    )
