"""How bright simulated structures are, as ratios to the brain's own white matter.

Ranges are the 10th to 90th percentiles measured on the real scans of the data folder that may be looked at
(BraTS2021 01476, 01477, 01479, 01484, 01485 and TCGA-DU-7294, each over its own white-matter median at 2 mm),
widened by about a fifth, because seven scans are few:

=========================  ==========  ===========  ==========  ===========
measured, ratio to WM      T1          T1c          T2          FLAIR
=========================  ==========  ===========  ==========  ===========
necrosis, solid core       0.28-1.05   0.28-1.06    1.02-3.34   0.94-1.93
cyst (01484, lower half)   0.53-0.71   0.44-0.63    1.93-2.93   0.44-1.13
hyperintensity             0.46-1.12   0.45-1.19    1.13-2.55   1.18-2.01
enhancing (01479, 01485)   0.80-1.31   1.07-1.50    1.10-2.19   0.94-1.76
brain fluid (whole class)  0.37-0.70   0.40-0.84    1.60-2.12   0.44-0.80
=========================  ==========  ===========  ==========  ===========

There is no real cavity among them. Its fluid starts from the brain's own fluid; protein shortens T1 and lifts
FLAIR, blood lifts T1 and darkens or brightens T2 with its age (Bradley 1993).

What tells the fluid of a cavity from a core or a cyst is T1: the medians of the seven real cores (of at least
1 ml) lie 31 to 100 % of the way from their brain's own deep fluid to its white matter. Cores and cysts are
drawn from a fifth of that way upwards, a cavity's fluid, unless there is protein or blood in it, below.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...intake.volume import ROLES


@dataclass(frozen=True)
class Material:
    """Mean ratio to white matter by role, and the relative strength of its own ``texture``."""

    ratio: dict[str, float]
    texture: float


Ranges = dict[str, tuple[float, float]]


def _draw(rng: np.random.Generator, ranges: Ranges, texture: tuple[float, float]) -> Material:
    return Material({role: float(rng.uniform(*ranges[role])) for role in ROLES}, float(rng.uniform(*texture)))


def _follow(rng: np.random.Generator, material: Material, low: float, high: float) -> Material:
    """The material with T1c equal to its T1 plus a uptake between ``low`` and ``high``."""
    ratio = dict(material.ratio)
    ratio["t1c"] = ratio["t1"] + float(rng.uniform(low, high))
    return Material(ratio, material.texture)


def _as_dark(
    rng: np.random.Generator, material: Material, fluid: dict[str, float], low: float, high: float
) -> Material:
    """The material with a T1 between ``low`` and ``high`` of the way from the brain's ``fluid`` to its white
    matter, and hardly any uptake."""
    ratio = dict(material.ratio)
    dark = fluid.get("t1", fluid.get("t1c", 0.4))
    ratio["t1"] = max(0.05, dark + float(rng.uniform(low, high)) * (1 - dark))
    ratio["t1c"] = max(0.05, ratio["t1"] + float(rng.uniform(-0.05, 0.1)))
    return Material(ratio, material.texture)


def cavity_fluid(rng: np.random.Generator, brain_fluid: dict[str, float]) -> Material:
    """Cavity fluid: like the brain's own ``brain_fluid`` (ratios by role), as dark as that on T1 but hardly
    suppressed on FLAIR, with protein, or bloody."""
    kind = rng.choice(["clear", "unsuppressed", "protein", "bloody"], p=[0.6, 0.22, 0.12, 0.06])
    if kind == "clear":
        if rng.random() < 0.7:
            ratio = {role: brain_fluid[role] * float(rng.uniform(0.85, 1.15)) for role in brain_fluid}
            return Material(ratio, float(rng.uniform(0.0, 0.05)))
        clear = {"t1": (0.0, 0.0), "t1c": (0.0, 0.0), "t2": (2.0, 4.2), "flair": (0.08, 0.55)}
        return _as_dark(rng, _draw(rng, clear, (0.0, 0.05)), brain_fluid, -0.1, 0.15)
    if kind == "unsuppressed":
        dark = {"t1": (0.0, 0.0), "t1c": (0.0, 0.0), "t2": (1.7, 4.2), "flair": (0.3, 1.35)}
        return _as_dark(rng, _draw(rng, dark, (0.0, 0.06)), brain_fluid, -0.15, 0.15)
    if kind == "protein":
        protein = {"t1": (0.0, 0.0), "t1c": (0.0, 0.0), "t2": (1.8, 3.6), "flair": (0.35, 1.2)}
        return _as_dark(rng, _draw(rng, protein, (0.02, 0.1)), brain_fluid, 0.1, 0.45)
    bloody = {"t1": (0.7, 1.5), "t1c": (0.7, 1.5), "t2": (0.6, 2.8), "flair": (0.4, 1.7)}
    return _follow(rng, _draw(rng, bloody, (0.05, 0.2)), -0.08, 0.08)


def sediment(rng: np.random.Generator) -> Material:
    """What sinks to the bottom of a cavity: blood or protein, often bright on FLAIR."""
    layer = {"t1": (0.45, 1.4), "t1c": (0.45, 1.4), "t2": (0.6, 3.6), "flair": (0.4, 2.2)}
    return _follow(rng, _draw(rng, layer, (0.0, 0.12)), -0.05, 0.1)


def solid_core(rng: np.random.Generator, brain_fluid: dict[str, float]) -> Material:
    """Necrosis or non-enhancing tumour; on T1 never as dark as the brain's own fluid."""
    core = {"t1": (0.42, 0.95), "t1c": (0.42, 1.0), "t2": (1.15, 3.3), "flair": (0.8, 2.2)}
    drawn = _draw(rng, core, (0.04, 0.22))
    fluid = brain_fluid.get("t1", 0.4)
    least = fluid + float(rng.uniform(0.2, 0.4)) * (1 - fluid)
    ratio = {**drawn.ratio, "t1": max(drawn.ratio["t1"], least)}
    return _follow(rng, Material(ratio, drawn.texture), -0.12, 0.12)


def cyst_fluid(rng: np.random.Generator, brain_fluid: dict[str, float]) -> Material:
    """Fluid of an untreated cystic tumour: bright on T2, partly suppressed on FLAIR, less dark on T1 than the
    brain's own fluid."""
    cyst = {"t1": (0.0, 0.0), "t1c": (0.0, 0.0), "t2": (1.9, 3.8), "flair": (0.5, 1.6)}
    return _as_dark(rng, _draw(rng, cyst, (0.03, 0.15)), brain_fluid, 0.2, 0.5)


def hyperintensity(rng: np.random.Generator) -> Material:
    """Oedema, infiltration or treatment change."""
    bright = {"t1": (0.65, 1.02), "t1c": (0.65, 1.02), "t2": (1.25, 2.6), "flair": (1.22, 2.2)}
    faint = {"t1": (0.75, 1.02), "t1c": (0.75, 1.02), "t2": (1.12, 1.6), "flair": (1.14, 1.35)}
    ranges = faint if rng.random() < 0.2 else bright
    return _follow(rng, _draw(rng, ranges, (0.02, 0.2)), -0.06, 0.06)


def enhancing(rng: np.random.Generator) -> Material:
    """Enhancing tissue: at least an eighth of white matter brighter after contrast than before."""
    bright = {"t1": (0.75, 1.12), "t1c": (1.08, 2.1), "t2": (1.1, 2.4), "flair": (1.05, 2.0)}
    # One in four hardly shows before contrast on T2 and FLAIR, or is as dark on T1 as core.
    plain = {"t1": (0.5, 1.05), "t1c": (0.95, 2.4), "t2": (0.9, 1.6), "flair": (0.75, 1.3)}
    material = _draw(rng, plain if rng.random() < 0.25 else bright, (0.03, 0.25))
    ratio = dict(material.ratio)
    ratio["t1c"] = max(ratio["t1c"], ratio["t1"] + float(rng.uniform(0.12, 0.4)))
    return Material(ratio, material.texture)


def scar(rng: np.random.Generator) -> Material:
    """The thin, faintly enhancing rim that surgery leaves: not tumour."""
    rim = {"t1": (0.75, 1.15), "t1c": (1.05, 1.45), "t2": (0.8, 1.6), "flair": (0.9, 1.6)}
    return _draw(rng, rim, (0.05, 0.15))
