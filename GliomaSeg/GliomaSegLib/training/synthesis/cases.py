"""One synthetic case per seed: which kind, from which brain, with which lesion."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from ...intake.volume import ROLES, Grid
from .anatomy import FLUID, GREY, Background, background
from .artefacts import drop_sequence, spoil
from .distractors import add_distractors, add_vessels
from .fields import FloatArray
from .geometry import Push, bend, sampling_points
from .label_maps import load_icbm, load_label_map
from .layout import Layout, choose_centre, lay_out, radius_mm
from .operation import operate, relieved
from .painting import paint, palette
from .plan import LesionPlan, draw_plans
from .rendering import rendered_background
from .sources import RealSource, Sources
from .transplant import graft, place_lesion, shape_only

KINDS: dict[str, float] = {"painted": 0.4, "operated": 0.14, "transplanted": 0.13, "label_map": 0.33}
"""Share of each kind of case."""

WIDE_VENTRICLE_CHANCE = 0.4
"""How often the ventricles are widened before a lesion is painted."""

MISSING_CHANCE = 0.12
"""How often one sequence is missing."""


@dataclass(frozen=True)
class SyntheticCase:
    """A simulated case.

    ``volumes``: role -> (z, y, x) float32, positive arbitrary units, 0 outside the brain; a missing sequence
    is absent. ``labels`` (z, y, x) uint8, BraTS 2024 numbers. ``brain`` (z, y, x) bool. ``grid``: LPS axes,
    isotropic. ``kind``: "painted", "operated", "transplanted" or "label_map". ``source`` names the anatomy.
    """

    volumes: dict[str, FloatArray]
    labels: np.ndarray
    brain: np.ndarray
    grid: Grid
    kind: str
    source: str


def synthesise_case(sources: Sources, seed: int, spacing_mm: float = 2.0) -> SyntheticCase:
    """The case of this ``seed`` at this isotropic spacing; same arguments, same case, bit for bit.

    Without a real scan every case is one of kind ``label_map``.
    """
    rng = np.random.default_rng([seed, round(spacing_mm * 1000)])
    kind = str(rng.choice(list(KINDS), p=list(KINDS.values())))
    if kind == "operated" and sources.with_tumour:
        return _operated_case(rng, sources, spacing_mm)
    if kind == "transplanted" and sources.with_tumour:
        return _transplanted_case(rng, sources, spacing_mm)
    if not sources.real or (kind == "label_map" and (sources.label_maps or sources.icbm)):
        return _label_map_case(rng, sources, spacing_mm)
    return _painted_case(rng, sources, spacing_mm)


def _isotropic_grid(shape: tuple[int, ...], spacing_mm: float) -> Grid:
    z, y, x = shape
    return Grid((z, y, x), (spacing_mm,) * 3, (0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))


def _pick(rng: np.random.Generator, options: tuple[RealSource, ...]) -> RealSource:
    return options[int(rng.integers(len(options)))]


def _finish(
    rng: np.random.Generator,
    ground: Background,
    volumes: dict[str, FloatArray],
    labels: np.ndarray,
    kind: str,
) -> SyntheticCase:
    """Mirror now and then, spoil, drop a sequence, wrap."""
    brain = ground.anatomy.brain
    volumes = spoil(rng, volumes, brain, ground.anatomy.spacing_mm, strength=0.5)
    if rng.random() < 0.5:
        volumes = {role: np.ascontiguousarray(v[:, :, ::-1]) for role, v in volumes.items()}
        labels, brain = np.ascontiguousarray(labels[:, :, ::-1]), np.ascontiguousarray(brain[:, :, ::-1])
    if len(volumes) == len(ROLES):
        volumes = drop_sequence(rng, volumes, MISSING_CHANCE)
    grid = _isotropic_grid(labels.shape, ground.anatomy.spacing_mm)
    return SyntheticCase(volumes, np.where(brain, labels, 0).astype(np.uint8), brain, grid, kind, ground.name)


def _painted_case(rng: np.random.Generator, sources: Sources, spacing_mm: float) -> SyntheticCase:
    """A simulated lesion in a real brain, away from or instead of the brain's own tumour.

    Four-contrast brains without a tumour are taken three times as often as each other one: nothing was
    filled in there.
    """
    whole = tuple(source for source in sources.complete if source.labels_path is None)
    source = _pick(rng, sources.real + 2 * whole)
    ground = background(source, spacing_mm, keep_tumour=bool(rng.random() < 0.15))
    if not source.native:
        return _with_simulated_lesion(rng, ground, "painted")
    if rng.random() < 0.25:
        return _finish(rng, ground, ground.volumes, ground.labels, "painted")
    made = _with_simulated_lesion(rng, _with_contrast(rng, ground), "painted")
    if rng.random() < 0.3 and len(made.volumes) == len(ROLES):
        made.volumes.pop("t1c")
    return made


def _with_contrast(rng: np.random.Generator, ground: Background) -> Background:
    """A scan taken without contrast with a T1c made of its T1: what enhances in a healthy head is added."""
    t1, anatomy = ground.volumes["t1"], ground.anatomy
    noise = palette(ground.volumes, anatomy, ground.medians).noise["t1"]
    grain = ndimage.gaussian_filter(rng.standard_normal(t1.shape, dtype=np.float32), 0.45)
    grey = 1 + float(rng.uniform(0.0, 0.08)) * (anatomy.tissue == GREY)
    made = np.maximum(t1 * grey + np.float32(1.5 * noise) * grain, 0) * anatomy.brain
    volumes = {**ground.volumes, "t1c": made.astype(np.float32)}
    ground = replace(ground, volumes=volumes, medians={**ground.medians, "t1c": ground.medians["t1"]})
    add_vessels(rng, volumes, anatomy, anatomy.brain, palette(volumes, anatomy, ground.medians))
    return ground


def _label_map_case(rng: np.random.Generator, sources: Sources, spacing_mm: float) -> SyntheticCase:
    """A simulated lesion in a brain rendered from labels alone."""
    number = int(rng.integers(len(sources.label_maps) + int(sources.icbm)))
    if number < len(sources.label_maps):
        anatomy = load_label_map(sources.label_maps[number], spacing_mm)
    else:
        anatomy = load_icbm(spacing_mm)
    return _with_simulated_lesion(rng, rendered_background(rng, anatomy), "label_map")


def _with_simulated_lesion(rng: np.random.Generator, ground: Background, kind: str) -> SyntheticCase:
    """A lesion planned, laid out and painted into ``ground``."""
    for number, plan in enumerate(draw_plans(rng)):
        centre = choose_centre(rng, ground.anatomy, plan, ground.labels > 0)
        if number == 0:
            ground = _bent(rng, ground, plan, centre)
        layout = lay_out(rng, ground.anatomy, plan, centre)
        labels = np.where(layout.labels > 0, layout.labels, ground.labels).astype(np.uint8)
        ground = replace(ground, volumes=_painted(rng, ground, layout, labels), labels=labels)
    return _finish(rng, ground, ground.volumes, ground.labels, kind)


def _painted(
    rng: np.random.Generator, ground: Background, layout: Layout, labels: np.ndarray
) -> dict[str, FloatArray]:
    """The background's volumes with distractors first, then the layout over them."""
    tones = palette(ground.volumes, ground.anatomy, ground.medians)
    volumes = {role: volume.copy() for role, volume in ground.volumes.items()}
    add_distractors(rng, volumes, ground.anatomy, tones, labels > 0)
    return paint(rng, volumes, ground.anatomy, tones, layout)


def _bent(rng: np.random.Generator, ground: Background, plan: LesionPlan, centre: np.ndarray) -> Background:
    """The background warped at random and pushed (or pulled) by the lesion to come."""
    spacing = ground.anatomy.spacing_mm
    radius = radius_mm(max(plan.cavity_ml, plan.et_ml + plan.netc_ml, 0.1))
    push = Push(centre, 0.8 * radius, plan.mass_effect * radius) if abs(plan.mass_effect) > 0.05 else None
    warp_mm = float(rng.uniform(0.5, 2.5))
    if rng.random() < WIDE_VENTRICLE_CHANCE:
        ground = _with_wide_ventricle(rng, ground)
    return bend(ground, sampling_points(rng, ground.anatomy.brain.shape, spacing, warp_mm, push))


def _with_wide_ventricle(rng: np.random.Generator, ground: Background) -> Background:
    """The background with the ventricles widened around one place, as beside old damage: no cavity."""
    anatomy = ground.anatomy
    ventricle = ndimage.binary_opening((anatomy.tissue == FLUID) & (anatomy.depth_mm > 16))
    if not ventricle.any():
        return ground
    places = np.argwhere(ventricle)
    centre = places[int(rng.integers(len(places)))].astype(float)
    push = Push(centre, float(rng.uniform(6.0, 18.0)), float(rng.uniform(2.0, 11.0)))
    return bend(ground, sampling_points(rng, anatomy.brain.shape, anatomy.spacing_mm, 0.0, push))


def _operated_case(rng: np.random.Generator, sources: Sources, spacing_mm: float) -> SyntheticCase:
    """A real tumour with part of its core turned into a cavity."""
    ground = background(_pick(rng, sources.with_tumour), spacing_mm, keep_tumour=True)
    return _operated(rng, ground, "operated")


def _operated(rng: np.random.Generator, ground: Background, kind: str) -> SyntheticCase:
    ground = relieved(rng, ground)
    layout = operate(rng, ground)
    labels = np.where(layout.labels > 0, layout.labels, ground.labels)
    return _finish(rng, ground, _painted(rng, ground, layout, labels), labels, kind)


def _transplanted_case(rng: np.random.Generator, sources: Sources, spacing_mm: float) -> SyntheticCase:
    """A real lesion in another brain: grafted as it is, its shape painted afresh, or grafted and operated."""
    donor = background(_pick(rng, sources.with_tumour), spacing_mm, keep_tumour=True)
    host = background(_pick(rng, sources.complete), spacing_mm, keep_tumour=False)
    warp_mm = float(rng.uniform(0.5, 2.5))
    host = bend(host, sampling_points(rng, host.anatomy.brain.shape, spacing_mm, warp_mm, None))
    own, lesion = place_lesion(rng, donor, host)
    labels = np.where(own > 0, own, host.labels).astype(np.uint8)
    if rng.random() < 0.4:
        volumes = _painted(rng, host, shape_only(own, spacing_mm), labels)
        return _finish(rng, host, volumes, labels, "transplanted")
    volumes = graft(rng, host, own, lesion)
    ground = replace(host, volumes=volumes, labels=labels)
    if rng.random() < 0.5:
        return _operated(rng, ground, "transplanted")
    return _finish(rng, ground, volumes, labels, "transplanted")
