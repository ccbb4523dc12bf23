"""One seed, one simulated post-treatment exam: volumes, labels, brain, grid."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ...intake.volume import ROLES, Grid
from ...labels import structure
from ..conspicuity import conspicuity, surroundings
from .acquisition import Acquisition
from .anatomy import Anatomy, icbm152_anatomy, real_anatomy
from .fields import BoolArray, FloatArray, smooth_field
from .lesion import Lesion, LesionShaper
from .plan import LesionPlan, draw_plan
from .signal import Tissue, draw_lesion_tissues

ICBM152 = "icbm152"
"""Name of the anatomy that comes with ``nilearn``."""
LEAST_CONTRAST = 1.2
"""Hyperintensity shows on FLAIR at least this much (`conspicuity`), as on the faintest of eight real tumours,
measured at 1 mm: 1.20 to 2.70 (seven of BraTS 2021, TCGA-DU-7294)."""
_LONGEST_T2_MS = 600.0


@dataclass(frozen=True)
class PhantomCase:
    """One simulated exam. All arrays are (z, y, x) on ``grid``, whose axes run along L, P, S.

    ``volumes``: float32 by role, 0 outside the brain. ``labels``: uint8, BraTS 2024 numbers. ``brain``: bool.
    """

    volumes: dict[str, FloatArray]
    labels: npt.NDArray[np.uint8]
    brain: BoolArray
    grid: Grid
    plan: LesionPlan


def render_phantom(
    seed: int, anatomy: str | Path = ICBM152, spacing_mm: float = 1.0, plan: LesionPlan | None = None
) -> PhantomCase:
    """A simulated post-treatment exam; the same seed and arguments give the same voxels.

    ``anatomy``: ``"icbm152"``, or a folder with a real skull-stripped ``t1``, ``t1c``, ``t2``, ``flair``
    (.nii.gz), whose own voxels are then kept and only the lesion is computed. ``spacing_mm`` (at least 1)
    applies to ICBM152. ``plan`` fixes the lesion's parts, which the seed otherwise decides.

    Raises ``InputRefused`` for an unfit folder, ``UsageError`` when nilearn is missing.
    """
    rng = np.random.default_rng(seed)
    is_template = str(anatomy) == ICBM152
    brain = icbm152_anatomy(rng, spacing_mm) if is_template else real_anatomy(Path(anatomy))
    plan = plan or draw_plan(rng)
    lesion = LesionShaper(brain, plan, rng).shape()
    if is_template:
        lesion = replace(lesion, parts=_vessels(brain, rng) | lesion.parts)
    volumes = _visibly_rendered(brain, lesion, plan, rng)
    return PhantomCase(
        {role: brain.uncropped(volumes[role]) for role in ROLES},
        brain.uncropped(lesion.labels),
        brain.uncropped(brain.brain),
        brain.grid,
        plan,
    )


def _visibly_rendered(
    brain: Anatomy, lesion: Lesion, plan: LesionPlan, rng: np.random.Generator
) -> dict[str, FloatArray]:
    """The four contrasts by role. Where hyperintensity shows less than `LEAST_CONTRAST` there is more water
    in it, step by step: a longer T2, and less of the tissue that it lies in; all else stays as drawn."""
    acquisition = Acquisition(brain, lesion, rng)
    tissues = draw_lesion_tissues(rng, acquisition.protocol.field_t, plan.protein)
    settled, drawn = _sediment(lesion, plan), rng.bit_generator.state
    place = lesion.labels == structure("SNFH").number
    ring = surroundings(lesion.labels > 0, brain.brain, brain.spacing_mm)
    while True:
        rng.bit_generator.state = drawn
        acquisition.textures.clear()
        volumes = acquisition.render(tissues, settled)
        seen = conspicuity(volumes["flair"], place, ring)
        oedema = tissues["oedema"]
        if seen is None or seen.contrast >= LEAST_CONTRAST or oedema.t2_ms >= _LONGEST_T2_MS:
            return volumes
        tissues = {**tissues, "oedema": _wetter(oedema)}
        part = lesion.parts["oedema"]
        lesion.parts["oedema"] = part + 0.25 * (np.minimum(part / max(float(part.max()), 1e-3), 1.0) - part)


def _wetter(oedema: Tissue) -> Tissue:
    return replace(oedema, t2_ms=1.15 * oedema.t2_ms)


def _sediment(lesion: Lesion, plan: LesionPlan) -> FloatArray | None:
    """0 to 1: where the cavity's fluid has settled; the patient lay on the back, so it lies behind."""
    fluid = lesion.parts["fluid"]
    rows = np.nonzero((fluid > 0.5).any((0, 2)))[0]
    if not plan.sediment or not len(rows):
        return None
    level = rows[-1] - plan.sediment * (rows[-1] - rows[0])
    behind = np.arange(fluid.shape[1], dtype=np.float32)[None, :, None]
    return np.broadcast_to(np.clip(behind - level + 0.5, 0.0, 1.0), fluid.shape).astype(np.float32)


def _vessels(anatomy: Anatomy, rng: np.random.Generator) -> dict[str, FloatArray]:
    """What enhances in every healthy head: sulcal vessels, the great sinus, choroid plexus. Unlabelled."""
    shape, spacing_mm = anatomy.brain.shape, anatomy.spacing_mm
    csf, depth_mm = anatomy.csf, anatomy.depth_mm
    # Where two smooth fields are both near 0 there is a line: a random net of thin tubes.
    nets = [smooth_field(rng, shape, 11.0, spacing_mm) for _ in range(2)]
    tubes = np.exp(-((nets[0] ** 2 + nets[1] ** 2) / 0.012))
    sulcal = tubes * np.clip(1.8 * csf, 0.0, 1.0) * (depth_mm < 30.0)
    deep = tubes * 0.35 * (csf < 0.3)
    z, y, x = np.ogrid[tuple(slice(0, n) for n in shape)]
    middle = 0.5 * np.nonzero(anatomy.brain.any((0, 1)))[0][[0, -1]].sum()
    upper = z > 0.45 * shape[0]
    sinus = (np.abs(x - middle) * spacing_mm < 3.0) & (depth_mm < 4.0) & upper & (y > 0)
    plexus = (csf > 0.7) & (depth_mm > 30.0) & (smooth_field(rng, shape, 7.0, spacing_mm) > 1.1)
    cover = np.maximum(np.maximum(sulcal, deep), 0.7 * sinus * (csf > 0.3) + 0.55 * plexus)
    return {"vessel": (np.clip(cover, 0.0, 0.95) * anatomy.brain).astype(np.float32)}
