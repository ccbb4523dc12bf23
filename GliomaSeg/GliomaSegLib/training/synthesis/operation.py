"""Operating on real tumours: part of the core becomes a cavity with a plausible wall."""

from __future__ import annotations

import numpy as np

from .anatomy import Background
from .fields import distance_mm, ellipsoid, fill_to_volume, rough_field, smoothed
from .geometry import Push, bend, sampling_points
from .layout import ET, NETC, RC, Layout, radius_mm


def relieved(rng: np.random.Generator, ground: Background) -> Background:
    """The background with the surroundings drawn in on the tumour's core, as they sink when it is taken out:
    a cavity does not press, which tells it from a cyst."""
    anatomy = ground.anatomy
    core = np.isin(ground.labels, (NETC, ET))
    core = core if core.any() else ground.labels > 0
    if not core.any():
        return ground
    radius = radius_mm(float(core.sum()) * anatomy.voxel_ml)
    push = Push(np.argwhere(core).mean(axis=0), 0.9 * radius, -float(rng.uniform(0.1, 0.5)) * radius)
    points = sampling_points(rng, core.shape, anatomy.spacing_mm, float(rng.uniform(0.5, 2.5)), push)
    return bend(ground, points)


def operate(rng: np.random.Generator, ground: Background) -> Layout:
    """A layout that holds a cavity in place of 30 to 100% of the real tumour's core, and now and then a new
    enhancing remnant at its wall. Empty when the tumour has hardly any core and hyperintensity.

    The rest of the real tumour is left as it is: its labels stand in ``ground.labels``.
    """
    anatomy, own = ground.anatomy, ground.labels
    spacing, voxel_ml = anatomy.spacing_mm, anatomy.voxel_ml
    core = np.isin(own, (NETC, ET))
    place = core if core.sum() * voxel_ml > 1.0 else own > 0
    layout = np.zeros_like(own)
    if place.sum() * voxel_ml < 0.3:
        return Layout(layout, np.zeros(3), np.full(own.shape, np.inf, dtype=np.float32))
    start = np.array(np.unravel_index(rng.choice(np.flatnonzero(place)), own.shape), dtype=float)
    whole_ml = float(place.sum() * voxel_ml)
    wanted = float(np.clip(whole_ml * rng.uniform(0.3, 1.1), 0.3, 80.0))
    radius = radius_mm(wanted)
    # A surgeon enters from the surface: cost grows from the start, with depth, and outside the tumour.
    cost = ellipsoid(rng, own.shape, start, spacing, 0.25) + anatomy.depth_mm * rng.uniform(0.1, 0.6)
    cost += np.float32(0.25 * radius) * rough_field(rng, own.shape, max(1.2 * radius, 4 * spacing), spacing)
    cost += np.float32(rng.uniform(1.5, 4.0)) * np.minimum(distance_mm(place, spacing), 30.0)
    room = anatomy.brain & (distance_mm(own > 0, spacing, 10.0) < 4.0)
    cavity = fill_to_volume(cost, room, wanted, voxel_ml)
    if cavity.sum() > 60:
        cavity = smoothed(cavity, 0.8 / spacing) & room
    layout[cavity] = RC
    if rng.random() < 0.5:
        gap = distance_mm(cavity, spacing, 10.0)
        remnant_ml = float(np.clip(1.5 * np.exp(rng.normal(0, 1.0)), 0.1, 0.5 * wanted + 0.1))
        cost = gap / 3.0 + 1.5 * rough_field(rng, own.shape, 18.0, spacing)
        allowed = anatomy.brain & ~cavity & (gap < 7.0)
        layout[fill_to_volume(cost, allowed, remnant_ml, voxel_ml, connected=False)] = ET
    return Layout(layout, start, np.zeros(own.shape, dtype=np.float32))
