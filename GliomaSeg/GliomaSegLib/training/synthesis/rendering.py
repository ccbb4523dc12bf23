"""Four sequences rendered from tissue shares: a brain that nobody scanned, to paint lesions into.

White matter is 1 on every sequence; other tissues are drawn as ratios to it. Ranges come from the real scans
named in `materials` (medians at 2 mm over each scan's own white matter), widened by about a tenth:

==================  ==========  ==========  ==========  ==========
measured            T1          T1c         T2          FLAIR
==================  ==========  ==========  ==========  ==========
grey / white        0.60-0.88   0.61-0.96   1.11-1.32   0.90-1.12
deep fluid / white  0.09-0.54   0.09-0.67   1.84-4.64   0.14-0.39
==================  ==========  ==========  ==========  ==========

Deep nuclei have no atlas here: they are placed between white and grey matter; the pallidum's iron darkens T2.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ...intake.volume import ROLES
from .anatomy import FLUID, GREY, OUTSIDE, WHITE, Background, describe
from .fields import FloatArray, Shape, distance_mm, rough_field, smooth_field
from .geometry import bend
from .label_maps import PARTS, LabelAnatomy

GREY_RATIO = {"t1": (0.58, 0.9), "t1c": (0.6, 0.96), "t2": (1.08, 1.45), "flair": (0.88, 1.2)}
FLUID_RATIO = {"t1": (0.08, 0.55), "t1c": (0.08, 0.6), "t2": (1.8, 4.7), "flair": (0.08, 0.42)}
TISSUE_OF_PART = {
    "fluid": FLUID,
    "cortex": GREY,
    "white": WHITE,
    "deep_grey": GREY,
    "pallidum": GREY,
    "cerebellar_grey": GREY,
    "cerebellar_white": WHITE,
    "brainstem": WHITE,
    "plexus": FLUID,
}


def rendered_background(rng: np.random.Generator, anatomy: LabelAnatomy) -> Background:
    """A rendered brain, strongly warped, ventricles and folds varied, ready to be painted like a real one."""
    spacing = anatomy.grid.spacing_mm[0]
    shares = _aged(rng, anatomy)
    tissue_of = np.array([TISSUE_OF_PART[part] for part in PARTS], dtype=np.uint8)
    tissue = np.where(anatomy.brain, tissue_of[shares.argmax(axis=0)], OUTSIDE).astype(np.uint8)
    ratios = draw_ratios(rng)
    volumes = {role: _render(rng, shares, anatomy.brain, ratios[role], spacing) for role in ROLES}
    brain = _with_remnants(rng, volumes, anatomy.brain, spacing) if rng.random() < 0.5 else anatomy.brain
    tissue[brain & ~anatomy.brain] = FLUID
    plain = describe(tissue, brain, anatomy.cerebrum, spacing)
    medians = {role: {FLUID: r["fluid"], GREY: r["cortex"], WHITE: r["white"]} for role, r in ratios.items()}
    ground = Background(anatomy.name, volumes, np.zeros_like(tissue), plain, medians)
    return bend(ground, _strong_warp(rng, ground, spacing))


def draw_ratios(rng: np.random.Generator) -> dict[str, dict[str, float]]:
    """Brightness of each part over white matter, by role; T1c follows T1, as the same head does."""
    grey = {role: float(rng.uniform(*GREY_RATIO[role])) for role in ROLES}
    fluid = {role: float(rng.uniform(*FLUID_RATIO[role])) for role in ROLES}
    grey["t1c"] = float(np.clip(grey["t1"] + rng.uniform(-0.03, 0.12), 0.55, 1.0))
    fluid["t1c"] = max(0.05, fluid["t1"] + float(rng.uniform(-0.08, 0.1)))
    ratios: dict[str, dict[str, float]] = {}
    for role in ROLES:
        toward = rng.uniform(0.2, 0.9, 3)
        step = grey[role] - 1
        ratios[role] = {
            "fluid": fluid[role],
            "cortex": grey[role],
            "white": 1.0,
            "deep_grey": 1 + float(toward[0]) * step,
            "pallidum": 1 + 0.3 * step - (float(rng.uniform(0.05, 0.3)) if role in ("t2", "flair") else 0.0),
            "cerebellar_grey": grey[role] * float(rng.uniform(0.95, 1.08)),
            "cerebellar_white": float(rng.uniform(0.92, 1.05)),
            "brainstem": 1 + 0.4 * float(toward[1]) * step,
            "plexus": float(rng.uniform(1.0, 1.8)) if role == "t1c" else 0.5 * (1 + fluid[role]),
        }
    return ratios


def _aged(rng: np.random.Generator, anatomy: LabelAnatomy) -> FloatArray:
    """Tissue shares summing to 1 inside the brain; fluid more or less prominent (atrophy)."""
    shares = anatomy.shares.astype(np.float32) / 255.0
    fluid = np.clip(shares[0], 0, 1) ** np.float32(rng.uniform(0.6, 1.6))
    rest = shares[1:].sum(axis=0)
    gap = rest < 0.02
    shares[1:] *= np.where(gap, 0, (1 - fluid) / np.maximum(rest, 0.02))
    shares[0] = np.where(gap, 1, fluid)
    return shares * anatomy.brain


def _render(
    rng: np.random.Generator,
    shares: FloatArray,
    brain: np.ndarray,
    ratios: dict[str, float],
    spacing_mm: float,
) -> FloatArray:
    """One sequence: mean of the parts by share, uneven from place to place, grained."""
    means = np.array([ratios[part] for part in PARTS], dtype=np.float32)
    volume = np.tensordot(means, shares, axes=1)
    shape: Shape = volume.shape
    uneven = 0.03 * smooth_field(rng, shape, 25.0, spacing_mm) + 0.02 * rough_field(
        rng, shape, 6.0, spacing_mm
    )
    grain = ndimage.gaussian_filter(rng.standard_normal(shape, dtype=np.float32), 0.6)
    volume = volume * (1 + uneven) + np.float32(rng.uniform(0.0, 0.12)) * grain
    return np.asarray(np.maximum(volume, 0.01) * brain, dtype=np.float32)


def _with_remnants(
    rng: np.random.Generator, volumes: dict[str, FloatArray], brain: np.ndarray, spacing_mm: float
) -> np.ndarray:
    """Patches of dura and skull base that stripping left on the brain, painted in; gives the wider mask."""
    gap = distance_mm(brain, spacing_mm, 8.0)
    patchy = rng.uniform(-1.5, 3.0) + 2.0 * smooth_field(rng, brain.shape, 35.0, spacing_mm)
    rim = (gap > 0) & (gap <= np.minimum(patchy, 6.0))
    grain = rough_field(rng, brain.shape, 6.0, spacing_mm)
    for role, volume in volumes.items():
        level = float(rng.uniform(0.15, 1.3 if role == "t1c" else 0.8))
        volume[rim] = np.maximum(level * (1 + 0.4 * grain[rim]), 0.02)
    return np.asarray(brain | rim)


def _strong_warp(rng: np.random.Generator, ground: Background, spacing_mm: float) -> FloatArray:
    """Sampling points: anisotropic scaling, a small turn, a smooth warp, and ventricles wider or narrower."""
    shape: Shape = ground.anatomy.brain.shape
    points = np.stack(np.meshgrid(*[np.arange(n, dtype=np.float32) for n in shape], indexing="ij"))
    middle = (np.array(shape, dtype=np.float32) - 1)[:, None, None, None] / 2
    turn, _ = np.linalg.qr(np.eye(3) + rng.normal(0, 0.06, (3, 3)))
    turn = turn * np.sign(np.diag(turn))
    matrix = (turn * np.exp(rng.normal(0.0, 0.06, 3))).astype(np.float32)
    points = (np.tensordot(matrix, points - middle, axes=1) + middle).astype(np.float32)
    for axis in range(3):
        points[axis] += np.float32(rng.uniform(1.0, 4.0) / spacing_mm) * smooth_field(
            rng, shape, 45.0, spacing_mm
        )
    ventricle = ndimage.binary_opening((ground.anatomy.tissue == FLUID) & (ground.anatomy.depth_mm > 16))
    if ventricle.any():
        gap = ndimage.gaussian_filter(np.minimum(distance_mm(ventricle, spacing_mm), 40.0), 2.0 / spacing_mm)
        amount = float(rng.uniform(-1.5, 4.0)) / spacing_mm
        reach = np.exp(-gap / 12.0).astype(np.float32)
        for axis, slope in enumerate(np.gradient(gap, spacing_mm)):
            points[axis] -= np.float32(amount) * reach * slope.astype(np.float32)
    return points
