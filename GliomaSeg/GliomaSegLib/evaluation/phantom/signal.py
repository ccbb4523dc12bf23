"""The physics of contrast: signal equations, relaxation times, and what gadolinium does to them.

Signal equations: spin echo, spoiled gradient echo (Ernst angle formula), inversion recovery; Haacke et al.,
*Magnetic Resonance Imaging: Physical Principles and Sequence Design*, 1999. Healthy relaxation times at 1.5
and 3 T: Stanisz et al., Magn Reson Med 2005;54:507, but T1 at 1.5 T and that of cerebrospinal fluid, about
4.3 s, after Rooney et al., Magn Reson Med 2007;57:308; the T2 of that fluid is about 2 s. Relaxivity of
gadobutrol in plasma, 4.8 at 1.5 T and 5.0 at 3 T: Szomolanyi et al., Invest Radiol 2019;54:559. Protein-rich
fluid loses its FLAIR suppression: Melhem et al., AJR 1997;169:859.

No single table covers lesions: their relaxation times here are ranges of ours. Oedema and tumour lie between
white matter and fluid, as relaxometry of gliomas finds (Blystad et al., Sci Rep 2020;10:17986, for one).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import cos, exp, radians, sin

import numpy as np

from ...intake.volume import ROLES

R2_PER_R1 = 1.25
"""Transverse over longitudinal relaxivity of gadolinium chelates in plasma at clinical fields, rounded."""


@dataclass(frozen=True)
class Tissue:
    """Relaxation times in ms, proton density relative to water, contrast agent taken up in mmol/l."""

    t1_ms: float
    t2_ms: float
    proton_density: float
    gadolinium_mm: float = 0.0

    def enhanced(self, relaxivity: float) -> Tissue:
        """The tissue after injection; ``relaxivity`` r1 in l/(mmol s).

        >>> Tissue(1000.0, 100.0, 0.8, gadolinium_mm=0.2).enhanced(5.0).t1_ms
        500.0
        """
        r1 = 1000.0 / self.t1_ms + relaxivity * self.gadolinium_mm
        r2 = 1000.0 / self.t2_ms + R2_PER_R1 * relaxivity * self.gadolinium_mm
        return replace(self, t1_ms=1000.0 / r1, t2_ms=1000.0 / r2)


@dataclass(frozen=True)
class Sequence:
    """One acquisition: ``kind`` is ``se`` (spin echo), ``spgr`` or ``ir`` (inversion recovery, magnitude)."""

    kind: str
    tr_ms: float
    te_ms: float
    ti_ms: float = 0.0
    flip_deg: float = 90.0


@dataclass(frozen=True)
class Protocol:
    """One scanner's way of making the four contrasts. T1c is T1 repeated after injection."""

    field_t: float
    relaxivity: float
    sequences: dict[str, Sequence]

    def signal(self, tissue: Tissue, role: str) -> float:
        """Signal of a tissue in the contrast ``role``, relative to fully relaxed water (0 to 1)."""
        seen = tissue.enhanced(self.relaxivity) if role == "t1c" else tissue
        return signal(seen, self.sequences[role])


def signal(tissue: Tissue, sequence: Sequence) -> float:
    """Magnitude of the signal of ``tissue`` under ``sequence``.

    >>> water = Tissue(4300.0, 2000.0, 1.0)
    >>> nulled = Sequence("ir", tr_ms=1e6, te_ms=0.0, ti_ms=4300.0 * 0.6931471805599453)
    >>> round(signal(water, nulled), 6)
    0.0

    Raises ``ValueError`` for an unknown kind of sequence.
    """
    decay = tissue.proton_density * exp(-sequence.te_ms / tissue.t2_ms)
    recovery = exp(-sequence.tr_ms / tissue.t1_ms)
    if sequence.kind == "se":
        return decay * (1.0 - recovery)
    if sequence.kind == "spgr":
        flip = radians(sequence.flip_deg)
        return decay * sin(flip) * (1.0 - recovery) / (1.0 - cos(flip) * recovery)
    if sequence.kind == "ir":
        return decay * abs(1.0 - 2.0 * exp(-sequence.ti_ms / tissue.t1_ms) + recovery)
    raise ValueError(f"unknown sequence {sequence.kind!r}")


def draw_protocol(rng: np.random.Generator) -> Protocol:
    """A clinical protocol at 1.5 or 3 T: T1 as spin echo, spoiled gradient echo or MPRAGE-like."""
    field_t = float(rng.choice([1.5, 3.0]))
    t1 = (
        Sequence("se", rng.uniform(450, 700), rng.uniform(8, 15)),
        Sequence("spgr", rng.uniform(7, 12), rng.uniform(2, 4), flip_deg=rng.uniform(15, 22)),
        Sequence("ir", rng.uniform(1800, 2300), rng.uniform(2, 4), rng.uniform(1050, 1250)),
    )[rng.choice(3, p=[0.4, 0.35, 0.25])]
    t2 = Sequence("se", rng.uniform(3500, 6500), rng.uniform(80, 110))
    tr = rng.uniform(8000, 10000)
    # A little off the null point, either way: fluid on FLAIR is dark, seldom black.
    ti = _null_time_ms(4300.0, tr) * rng.uniform(0.93, 0.98)
    flair = Sequence("ir", tr, rng.uniform(75, 105), ti)
    relaxivity = 4.8 if field_t < 2 else 5.0
    return Protocol(field_t, relaxivity, dict(zip(ROLES, (t1, t1, t2, flair), strict=True)))


def _null_time_ms(t1_ms: float, tr_ms: float) -> float:
    """Inversion time at which a tissue of this T1 gives no signal."""
    return float(-t1_ms * np.log((1.0 + exp(-tr_ms / t1_ms)) / 2.0))


def healthy_tissues(field_t: float) -> dict[str, Tissue]:
    """White matter, grey matter and cerebrospinal fluid at 1.5 or 3 T (sources above)."""
    fluid = Tissue(4300.0, 2000.0, 1.0)
    if field_t < 2:
        return {"wm": Tissue(656.0, 72.0, 0.70), "gm": Tissue(1188.0, 95.0, 0.82), "csf": fluid}
    return {"wm": Tissue(1084.0, 69.0, 0.70), "gm": Tissue(1820.0, 99.0, 0.82), "csf": fluid}


def fluid_tissue(protein: float) -> Tissue:
    """Cavity fluid between cerebrospinal fluid (``protein`` 0) and a thick proteinaceous one (1).

    Relaxation rates grow in proportion to the protein.
    """
    r1 = 1.0 / 4300.0 + protein * (1.0 / 1500.0 - 1.0 / 4300.0)
    r2 = 1.0 / 2000.0 + protein * (1.0 / 220.0 - 1.0 / 2000.0)
    return Tissue(1.0 / r1, 1.0 / r2, 1.0 - 0.04 * protein)


def draw_lesion_tissues(rng: np.random.Generator, field_t: float, protein: float) -> dict[str, Tissue]:
    """Relaxation times of one patient's lesion compartments; ``protein`` 0 to 1 is the cavity fluid's.

    ``et_low`` and ``et_high`` bound the uptake within enhancing tissue; ``scar`` is the thin enhancing wall,
    ``vessel`` blood after injection, ``blood`` subacute (methaemoglobin), ``sediment`` what settles.
    """
    slow = 1.0 if field_t < 2 else 1.2
    tumour = Tissue(slow * rng.uniform(1250, 1700), rng.uniform(105, 165), rng.uniform(0.82, 0.88))
    uptake_mm = rng.uniform(0.08, 0.22)
    oedema = Tissue(slow * rng.uniform(1200, 1550), rng.uniform(120, 170), rng.uniform(0.76, 0.82))
    return {
        "oedema": oedema,
        "treated": Tissue(slow * rng.uniform(1100, 1300), rng.uniform(95, 120), 0.78),
        "et_low": replace(tumour, gadolinium_mm=0.6 * uptake_mm),
        "et_high": replace(tumour, gadolinium_mm=1.7 * uptake_mm),
        "necrosis": Tissue(slow * rng.uniform(1600, 2400), rng.uniform(150, 330), rng.uniform(0.88, 0.95)),
        "scar": replace(oedema, gadolinium_mm=rng.uniform(0.05, 0.15)),
        "vessel": Tissue(1500.0, 60.0, 0.75, rng.uniform(0.2, 0.6)),
        "blood": Tissue(rng.uniform(350, 550), rng.uniform(80, 200), 0.85),
        "fluid": fluid_tissue(protein),
        "sediment": fluid_tissue(min(1.0, protein + rng.uniform(0.3, 0.8))),
    }
