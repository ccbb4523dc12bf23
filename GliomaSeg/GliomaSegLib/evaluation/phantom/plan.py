"""What a phantom's lesion is made of, before it has a shape: sizes and features, drawn from a seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class LesionPlan:
    """The parts of one simulated treated tumour. Volumes in ml; 0 means that the part is absent.

    ``cavity_ml``: resection cavity. ``nodule_ml``: enhancing lump on the cavity's wall (or alone, without
    one). ``ring``: 0 to 1, how much of the wall carries a sheet of enhancing tissue. ``necrotic``: share of
    a lump that is non-enhancing core. ``lump_ml``: non-enhancing tumour beside the rest. ``satellite_ml``: a
    second enhancing lump. ``oedema_ml``: hyperintensity around it all. ``protein``: 0 clear, 1 thick cavity
    fluid. ``sediment``: share of the cavity's height under a fluid level. Never labelled: ``scar``, a thin
    enhancing wall; ``blood`` on it; ``dura``, thickened; ``treated``, periventricular white matter change.
    """

    cavity_ml: float
    nodule_ml: float
    ring: float
    necrotic: float
    lump_ml: float
    satellite_ml: float
    oedema_ml: float
    protein: float
    sediment: float
    scar: bool
    blood: bool
    dura: bool
    treated: bool


TYPICAL_PLAN = LesionPlan(
    cavity_ml=22.0,
    nodule_ml=5.0,
    ring=0.15,
    necrotic=0.25,
    lump_ml=0.0,
    satellite_ml=0.0,
    oedema_ml=38.0,
    protein=0.08,
    sediment=0.0,
    scar=True,
    blood=False,
    dura=True,
    treated=False,
)
"""A recurrence as a textbook would show it: cavity, enhancing lump on its wall, hyperintensity around."""


def draw_plan(rng: np.random.Generator) -> LesionPlan:
    """A random plan: sizes over two orders of magnitude, each tissue absent in a good part of the cases."""
    has_cavity = rng.random() < 0.88
    enhancing = rng.random() < 0.66
    cavity_ml = _log_uniform(rng, 0.4, 70.0) if has_cavity else 0.0
    nodule_ml = _log_uniform(rng, 0.15, 25.0) if enhancing else 0.0
    has_lump = rng.random() < (0.35 if has_cavity or enhancing else 1.0)
    return LesionPlan(
        cavity_ml=cavity_ml,
        nodule_ml=nodule_ml,
        ring=float(rng.uniform(0.1, 0.6)) if enhancing and has_cavity and rng.random() < 0.5 else 0.0,
        necrotic=float(rng.uniform(0.15, 0.6)) if nodule_ml > 2.0 and rng.random() < 0.7 else 0.0,
        lump_ml=_log_uniform(rng, 0.3, 15.0) if has_lump else 0.0,
        satellite_ml=_log_uniform(rng, 0.15, 2.0) if enhancing and rng.random() < 0.2 else 0.0,
        oedema_ml=_log_uniform(rng, 3.0, 120.0) if rng.random() < 0.95 else 0.0,
        protein=float(rng.beta(0.5, 4.0)),
        sediment=float(rng.uniform(0.15, 0.4)) if cavity_ml > 8.0 and rng.random() < 0.12 else 0.0,
        scar=bool(rng.random() < 0.65),
        blood=bool(rng.random() < 0.12),
        dura=bool(rng.random() < 0.5),
        treated=bool(rng.random() < 0.4),
    )


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
