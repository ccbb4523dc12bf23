"""What a simulated lesion is to be: sizes, styles and states, drawn before anything is shaped."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class LesionPlan:
    """One lesion to be laid out; volumes in millilitres, 0 where the structure is to be absent.

    ``style``: "treated" (cavity), "ring" (enhancing rim around a necrotic core), "solid" (non-enhancing core,
    as low-grade gliomas), "cystic" (fluid-filled core of an untreated tumour), "none".
    ``et_style``: "wall" (thin segments along the cavity), "nodule", "apart" (a nodule away from the cavity).
    """

    style: str
    cavity_ml: float = 0.0
    et_ml: float = 0.0
    netc_ml: float = 0.0
    snfh_ml: float = 0.0
    et_style: str = "nodule"
    satellites: int = 0
    superficial: bool = True
    mass_effect: float = 0.0
    heed_tissue: bool = True


STYLES: dict[str, float] = {"treated": 0.62, "ring": 0.15, "solid": 0.1, "cystic": 0.06, "none": 0.07}
"""Share of each style among painted lesions."""


def _volume(
    rng: np.random.Generator, median_ml: float, spread: float, low_ml: float, high_ml: float
) -> float:
    """A log-normal volume held between two bounds."""
    return float(np.clip(median_ml * np.exp(rng.normal(0.0, spread)), low_ml, high_ml))


def draw_plan(rng: np.random.Generator) -> LesionPlan:
    """A plan for a painted lesion. Medians follow the post-treatment volumes that BraTS 2024 is known for:
    cavity 10, hyperintensity 35, enhancing tissue 3, non-enhancing core 1 ml; ET and NETC each absent in a
    third of treated cases."""
    style = str(rng.choice(list(STYLES), p=list(STYLES.values())))
    if style == "treated":
        return _treated(rng)
    if style == "none":
        return LesionPlan("none")
    small = rng.random() < 0.3
    core = _volume(rng, 3.0, 0.9, 0.3, 20.0) if small else _volume(rng, 20.0, 1.0, 1.0, 120.0)
    snfh = _volume(rng, 8.0, 1.0, 0.5, 60.0) if small else _volume(rng, 30.0, 0.9, 1.0, 140.0)
    if rng.random() < 0.1:
        snfh = 0.0
    share = float(rng.uniform(0.25, 0.8)) if style == "ring" else 0.0
    if style == "cystic" and rng.random() < 0.5:
        share = float(rng.uniform(0.03, 0.25))
    if style == "solid" and rng.random() < 0.25:
        core *= 0.15
    return LesionPlan(
        style,
        et_ml=core * share,
        netc_ml=core * (1 - share),
        snfh_ml=snfh * (0.4 if style == "cystic" else 1.0),
        superficial=bool(rng.random() < 0.5),
        mass_effect=float(rng.uniform(0.25, 0.75)) if core > 4 else float(rng.uniform(0.0, 0.4)),
        heed_tissue=bool(rng.random() < 0.8),
    )


SECOND_LESION_CHANCE = 0.12
"""How often a case has a second, smaller lesion elsewhere."""


def draw_plans(rng: np.random.Generator) -> list[LesionPlan]:
    """The plans of one case: one lesion, now and then a smaller second one without push."""
    plans = [draw_plan(rng)]
    if rng.random() < SECOND_LESION_CHANCE:
        second, share = draw_plan(rng), float(rng.uniform(0.1, 0.5))
        plans.append(
            replace(
                second,
                cavity_ml=second.cavity_ml * share,
                et_ml=second.et_ml * share,
                netc_ml=second.netc_ml * share,
                snfh_ml=second.snfh_ml * share,
                mass_effect=0.0,
            )
        )
    return plans


def _rim_ml(rng: np.random.Generator, cavity_ml: float) -> float:
    """Hyperintensity that is but a rim of 1 to 5 mm along part of a round cavity's wall."""
    area_mm2 = 4.836 * (1000.0 * cavity_ml) ** (2 / 3)
    return float(area_mm2 * rng.uniform(1.0, 5.0) * rng.uniform(0.3, 1.0) / 1000.0)


def _treated(rng: np.random.Generator) -> LesionPlan:
    """A plan with a cavity (in nine of ten)."""
    cavity = 0.0 if rng.random() < 0.1 else _volume(rng, 9.0, 1.25, 0.2, 80.0)
    et = 0.0 if rng.random() < 0.34 else _volume(rng, 3.0, 1.3, 0.1, 50.0)
    netc = 0.0 if rng.random() < (0.25 if et > 0 else 0.75) else _volume(rng, 1.5, 1.2, 0.05, 20.0)
    snfh = _volume(rng, 6.0, 1.0, 0.3, 40.0) if rng.random() < 0.3 else _volume(rng, 35.0, 0.8, 1.0, 160.0)
    if cavity > 0 and rng.random() < 0.25:
        snfh = _rim_ml(rng, cavity)
    if rng.random() < 0.12:
        snfh = 0.0
    if rng.random() < 0.25:  # a small lesion altogether
        share = float(rng.uniform(0.1, 0.45))
        cavity, et, netc, snfh = (volume * share for volume in (cavity, et, netc, snfh))
    return LesionPlan(
        "treated",
        cavity_ml=cavity,
        et_ml=et,
        netc_ml=min(netc, 2.5 * et) if et > 0 else netc,
        snfh_ml=snfh,
        et_style=str(rng.choice(["wall", "nodule", "apart"], p=[0.45, 0.4, 0.15])),
        satellites=int(rng.choice([0, 1, 2], p=[0.75, 0.17, 0.08])) if et > 0 else 0,
        superficial=bool(rng.random() < 0.72),
        mass_effect=float(rng.uniform(-0.25, 0.1)),
        heed_tissue=bool(rng.random() < 0.5),
    )
