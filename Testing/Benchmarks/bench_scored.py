"""The scores of one case, as benchmarks keep them, and the tables of many."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from GliomaSegLib.evaluation.lesionwise import RegionScore

REGIONS = ("WT", "TC", "SNFH", "NETC", "ET", "RC")
REAL, WITHOUT_TUMOUR = "real", "real without tumour"
SIMULATED = "simulated (second renderer)"
IN_REAL_BRAIN = "simulated in a real brain (second renderer)"
EXPERT_SHAPE = "expert contours in a real brain (third renderer)"


@dataclass(frozen=True)
class Scored:
    """One case: which set it belongs to, whether training saw it, its scores and 80 % intervals by region.

    ``missing`` is the role that was left out, if any; ``engine`` is what ran the network.
    """

    name: str
    group: str
    seen: bool
    scores: dict[str, RegionScore]
    intervals_ml: dict[str, tuple[float, float]] = field(default_factory=dict)
    missing: str = ""
    engine: str = ""


def plain(scored: Scored) -> dict[str, Any]:
    """As JSON can hold it; :func:`from_plain` undoes it."""
    return {
        "case": scored.name,
        "set": scored.group,
        "seen": scored.seen,
        "missing": scored.missing,
        "engine": scored.engine,
        "intervals_ml": scored.intervals_ml,
        **{region: vars(value) for region, value in scored.scores.items()},
    }


def from_plain(values: dict[str, Any]) -> Scored:
    """The scores behind :func:`plain`."""
    scores = {region: RegionScore(**values[region]) for region in REGIONS}
    intervals = {region: (low, high) for region, (low, high) in values["intervals_ml"].items()}
    told = {"missing": values["missing"], "engine": values["engine"]}
    return Scored(values["case"], values["set"], values["seen"], scores, intervals, **told)


def cell(value: RegionScore) -> str:
    """Lesion-wise (voxel-wise) Dice where the case has the structure, else the millilitres invented."""
    if value.has_structure:
        return f"{value.lesion_dice:.2f} ({value.voxel_dice:.2f})"
    return f"+{value.prediction_ml:.2f} ml" if value.prediction_ml else "0"


def status(group: str, seen: bool) -> str:
    """What a table says of training: simulated cases themselves are never seen, but their brain may be."""
    if seen and group in (IN_REAL_BRAIN, EXPERT_SHAPE):
        return "in a brain it was trained on"
    return "seen in training" if seen else "held out"


def case_table(rows: Iterable[Scored]) -> str:
    """One line a case."""
    lines = ["| case | set | " + " | ".join(REGIONS) + " |", "|---" * (2 + len(REGIONS)) + "|"]
    for row in rows:
        kind = f"{row.group}, {status(row.group, row.seen)}"
        cells = " | ".join(cell(row.scores[r]) for r in REGIONS)
        lines.append(f"| {row.name} | {kind} | {cells} |")
    return "\n".join(lines)


def by_set(rows: Iterable[Scored]) -> dict[tuple[str, bool], list[Scored]]:
    """The cases of each set, seen ones apart from held-out ones."""
    sets: dict[tuple[str, bool], list[Scored]] = {}
    for row in rows:
        sets.setdefault((row.group, row.seen), []).append(row)
    return sets


def summary_table(rows: Iterable[Scored]) -> str:
    """Means over cases that have a structure, and invented volume over cases that don't, by set."""
    lines = [
        "| set | cases | region | lesion-wise Dice (median) | voxel Dice | lesion sensitivity | "
        "invented, mean ml (largest) |",
        "|---|---|---|---|---|---|---|",
    ]
    for (group, seen), members in by_set(rows).items():
        for region in REGIONS:
            have = [r.scores[region] for r in members if r.scores[region].has_structure]
            lack = [r.scores[region].prediction_ml for r in members if r.scores[region].lacks_structure]
            means = ["-"] * 3
            if have:
                dice, voxel, found = (
                    [getattr(s, name) for s in have]
                    for name in ("lesion_dice", "voxel_dice", "lesion_sensitivity")
                )
                means = [
                    f"{np.mean(dice):.3f} ({np.median(dice):.3f}), n={len(have)}",
                    f"{np.mean(voxel):.3f}",
                    f"{np.mean(found):.3f}",
                ]
            invented = f"{np.mean(lack):.2f} ({max(lack):.2f}), n={len(lack)}" if lack else "-"
            name = f"{group}, {status(group, seen).removesuffix(' in training')}"
            lines.append(f"| {name} | {len(members)} | {region} | " + " | ".join(means) + f" | {invented} |")
    return "\n".join(lines)
