"""How far simulated structures look from real ones: intensity statistics, side by side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ...evaluation.conspicuity import conspicuity, surroundings
from ...intake.volume import ROLES
from ...labels import STRUCTURES
from ...labels import structure as structure_named
from .anatomy import WHITE, classify
from .cases import SyntheticCase, synthesise_case
from .fields import BoolArray, FloatArray, distance_mm
from .sources import Sources, load_scan

AROUND = "flair, around"
"""Measure of hyperintensity alone: how it shows against the brain 4 to 10 mm around the lesion."""
MEASURES = (*ROLES, "t1c-t1", AROUND)
LEAST_ML = 0.3
"""Structures smaller than this are left out: their medians are mostly edge."""


@dataclass(frozen=True)
class GapRow:
    """One structure on one measure. Values are (median of the structure - median of white matter) over the
    brain's inter-quartile range, the scale that the network sees; "t1c-t1" is the difference of the two.
    `AROUND` is the difference of medians in standard deviations of the surroundings (`conspicuity`).

    ``real`` holds one value per real scan; ``synthetic`` the 5th, 50th and 95th percentile over simulated
    cases; ``covered`` the share of real values between the outer two (``None`` without real values).
    """

    structure: str
    measure: str
    real: tuple[float, ...]
    synthetic: tuple[float, float, float]
    cases: int
    covered: float | None


Statistics = dict[tuple[str, str], float]


def case_statistics(
    volumes: dict[str, FloatArray], labels: np.ndarray, brain: BoolArray, spacing_mm: float
) -> Statistics:
    """Value of every structure of at least `LEAST_ML` on every measure that the volumes allow.

    White matter is found the same way in real and simulated cases (`classify`), at least 6 mm from labels;
    without T1, T2 or FLAIR it can't be, and the result is empty.
    """
    if not {"t1", "t2", "flair"} <= volumes.keys():
        return {}
    spare = distance_mm(labels > 0, spacing_mm, 8.0) <= 6.0
    white = (classify(volumes, brain, spare) == WHITE) & ~spare
    core = ndimage.binary_erosion(white)
    white = core if core.sum() > 100 else white
    scaled = {}
    for role, volume in volumes.items():
        low, high = np.percentile(volume[brain], [25, 75])
        scaled[role] = (volume - np.median(volume[white])) / max(float(high - low), 1e-6)
    found: Statistics = {}
    for structure in STRUCTURES:
        mask = labels == structure.number
        if mask.sum() * spacing_mm**3 / 1000 < LEAST_ML:
            continue
        for role, values in scaled.items():
            found[structure.abbreviation, role] = float(np.median(values[mask]))
        if {"t1", "t1c"} <= scaled.keys():
            difference = scaled["t1c"][mask] - scaled["t1"][mask]
            found[structure.abbreviation, "t1c-t1"] = float(np.median(difference))
    ring = surroundings(labels > 0, brain, spacing_mm)
    hyperintense = labels == structure_named("SNFH").number
    if "flair" in volumes and (seen := conspicuity(volumes["flair"], hyperintense, ring)) is not None:
        found["SNFH", AROUND] = seen.contrast
    return found


def appearance_gap(sources: Sources, count: int, seed: int, spacing_mm: float = 2.0) -> list[GapRow]:
    """Real scans of ``sources`` against ``count`` simulated cases, structure by structure.

    There is no real resection cavity among the sources, so its rows have no real values.
    """
    real = []
    for source in sources.with_tumour:
        scan = load_scan(source, spacing_mm)
        real.append(case_statistics(scan.volumes, scan.labels, scan.brain, spacing_mm))
    made = []
    for number in range(count):
        case = synthesise_case(sources, seed + number, spacing_mm)
        made.append(case_statistics(case.volumes, case.labels, case.brain, spacing_mm))
    return compare(real, made)


def compare(real: Iterable[Statistics], synthetic: Iterable[Statistics]) -> list[GapRow]:
    """The rows for these statistics; what no simulated case has is left out."""
    real, synthetic = list(real), list(synthetic)
    rows = []
    for structure in STRUCTURES:
        for measure in MEASURES:
            key = (structure.abbreviation, measure)
            theirs = tuple(s[key] for s in real if key in s)
            ours = [s[key] for s in synthetic if key in s]
            if not ours:
                continue
            low, middle, high = (float(v) for v in np.percentile(ours, [5, 50, 95]))
            covered = float(np.mean([low <= v <= high for v in theirs])) if theirs else None
            rows.append(GapRow(*key, theirs, (low, middle, high), len(ours), covered))
    return rows


def gap_table(rows: Sequence[GapRow]) -> str:
    """The rows as a Markdown table."""
    lines = [
        "| structure | measure | real, each scan | simulated, 5 / 50 / 95 % | cases | real inside |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        real = ", ".join(f"{v:+.2f}" for v in sorted(row.real)) or "none"
        made = " / ".join(f"{v:+.2f}" for v in row.synthetic)
        inside = "-" if row.covered is None else f"{row.covered:.0%}"
        lines.append(f"| {row.structure} | {row.measure} | {real} | {made} | {row.cases} | {inside} |")
    return "\n".join(lines) + "\n"


def volume_table(cases: Iterable[SyntheticCase]) -> str:
    """Sizes of the simulated structures as a Markdown table: in how many cases, and 5 / 50 / 95 % ml."""
    cases = list(cases)
    lines = ["| structure | present in | ml, 5 / 50 / 95 % |", "|---|---|---|"]
    for structure in STRUCTURES:
        sizes = np.array([float((c.labels == structure.number).sum()) * c.grid.voxel_ml for c in cases])
        there = sizes[sizes > 0]
        spread = " / ".join(f"{v:.1f}" for v in np.percentile(there, [5, 50, 95])) if there.size else "-"
        lines.append(f"| {structure.abbreviation} | {there.size / max(len(cases), 1):.0%} | {spread} |")
    return "\n".join(lines) + "\n"
