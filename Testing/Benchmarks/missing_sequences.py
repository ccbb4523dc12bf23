"""What each missing sequence costs: Dice with all four sequences and without each one, for the model's card.

    python Testing/Benchmarks/missing_sequences.py --data ../shared/data --phantoms 12 --output out/missing

Only cases with a label map and all four sequences count. Every case goes through ``gliomaseg segment`` five
times; without T1c the reference is FLAIR, whose grid must be that of the label map (BraTS data: it is).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import numpy as np
from bench_model import SEED, Job, phantom_cases, run_jobs
from bench_scored import REAL, SIMULATED, Scored, plain

from GliomaSegLib.intake.volume import ROLE_NAMES, ROLES
from GliomaSegLib.model.weights import DEFAULT_MODEL, find_model, read_description
from GliomaSegLib.training.cases import CaseFiles, find_cases

REGIONS = ("WT", "ET", "RC")
COMPLETE = ""
"""The missing role of a run that has all four."""


def complete(cases: Collection[CaseFiles]) -> list[CaseFiles]:
    """The cases with a label map and all four sequences."""
    return [case for case in cases if case.labels is not None and set(case.images) == set(ROLES)]


def without(case: CaseFiles, missing: str) -> CaseFiles:
    """The case without one sequence; ``COMPLETE`` leaves all."""
    return replace(case, images={role: path for role, path in case.images.items() if role != missing})


def scored(
    cases: Collection[CaseFiles],
    group: str,
    seen: Collection[str],
    model: str,
    output: Path,
    processes: int = 1,
) -> dict[str, list[Scored]]:
    """Scores of ``cases`` by the role that was missing, ``COMPLETE`` first; results go below ``output``."""
    jobs = [
        Job(without(case, missing), group, case.name in seen, model, output, missing)
        for missing in (COMPLETE, *ROLES)
        for case in cases
    ]
    rows = list(run_jobs(jobs, processes))
    return {missing: [row for row in rows if row.missing == missing] for missing in (COMPLETE, *ROLES)}


def mean_dice(rows: Collection[Scored], region: str) -> tuple[float, float, int]:
    """Mean voxel-wise and lesion-wise Dice over the cases that have the region, and their number."""
    have = [row.scores[region] for row in rows if row.scores[region].has_structure]
    if not have:
        return float("nan"), float("nan"), 0
    voxel, lesion = (np.mean([getattr(s, name) for s in have]) for name in ("voxel_dice", "lesion_dice"))
    return float(voxel), float(lesion), len(have)


def cost_table(found: dict[str, list[Scored]]) -> str:
    """Markdown: a row for each missing sequence and set of cases, with the loss against all four."""
    heads = [f"{region} Dice (lesion-wise), change" for region in REGIONS]
    lines = ["| set | given | " + " | ".join(heads) + " |", "|---" * (2 + len(REGIONS)) + "|"]
    for group, seen in dict.fromkeys((row.group, row.seen) for row in found[COMPLETE]):
        for missing, rows in found.items():
            members = [row for row in rows if (row.group, row.seen) == (group, seen)]
            whole = [row for row in found[COMPLETE] if (row.group, row.seen) == (group, seen)]
            cells = " | ".join(_cell(members, whole, region) for region in REGIONS)
            given = f"without {ROLE_NAMES[missing]}" if missing else "all four"
            lines.append(f"| {group}, {'seen in training' if seen else 'held out'} | {given} | {cells} |")
    return "\n".join(lines)


def _cell(rows: list[Scored], whole: list[Scored], region: str) -> str:
    voxel, lesion, count = mean_dice(rows, region)
    if not count:
        return "-"
    return f"{voxel:.3f} ({lesion:.3f}), {voxel - mean_dice(whole, region)[0]:+.3f}, n={count}"


def main() -> None:
    """Score everything, print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--phantoms", type=int, default=12)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    seen = set(read_description(find_model(arguments.model)).facts.get("trained_on", ()))
    found = scored(complete(find_cases([arguments.data])), REAL, seen, arguments.model, arguments.output)
    phantoms = phantom_cases(arguments.output, arguments.phantoms, SEED)
    simulated = scored(phantoms, SIMULATED, (), arguments.model, arguments.output)
    found = {missing: rows + simulated[missing] for missing, rows in found.items()}
    table = cost_table(found)
    (arguments.output / "missing_sequences.md").write_text(table + "\n")
    rows = [plain(row) for members in found.values() for row in members]
    (arguments.output / "missing_sequences.json").write_text(json.dumps(rows, indent=1, default=float))
    print(table)


if __name__ == "__main__":
    main()
