"""Scores of a model on the real scans in reach and on phantoms, as the guidance table of its card.

    python Testing/Benchmarks/bench_model.py --data ../shared/data --phantoms 24 --output out/bench-model

Real cases are marked seen or held out, as ``model.json`` says. Phantoms are simulated by the second renderer,
which shares no code with the synthesis that training uses.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from GliomaSegLib.evaluation.lesionwise import RegionScore, score_case
from GliomaSegLib.evaluation.phantom import write_phantoms
from GliomaSegLib.intake.label_maps import read_label_map
from GliomaSegLib.model.weights import DEFAULT_MODEL, find_model, read_description
from GliomaSegLib.pipeline import NIFTI, SegmentOptions, segment
from GliomaSegLib.training.cases import CaseFiles, case_labels, find_cases

REGIONS = ("WT", "TC", "SNFH", "NETC", "ET", "RC")


@dataclass(frozen=True)
class Scored:
    """One case: which set it belongs to, whether training saw it, and its scores by region."""

    name: str
    group: str
    seen: bool
    scores: dict[str, RegionScore]


def score(case: CaseFiles, group: str, seen: bool, model: str, output: Path) -> Scored:
    """Segment one case through the same pipeline as ``gliomaseg segment`` and score it at full resolution."""
    folder = output / "results" / case.name
    reference = "t1c" if "t1c" in case.images else "flair"
    options = SegmentOptions(reference=reference, model=model, device="cpu", overwrite=True, progress="none")
    result = segment(case.images, folder, options)
    _, grid = read_label_map(folder / NIFTI)
    return Scored(case.name, group, seen, score_case(case_labels(case, grid), result.labels, grid.spacing_mm))


def cell(value: RegionScore) -> str:
    """Lesion-wise (voxel-wise) Dice where the case has the structure, else the millilitres invented."""
    if value.has_structure:
        return f"{value.lesion_dice:.2f} ({value.voxel_dice:.2f})"
    return f"+{value.prediction_ml:.2f} ml" if value.prediction_ml else "0"


def case_table(rows: list[Scored]) -> str:
    """One line a case."""
    lines = ["| case | set | " + " | ".join(REGIONS) + " |", "|---" * (2 + len(REGIONS)) + "|"]
    for row in rows:
        kind = f"{row.group}, {'seen in training' if row.seen else 'held out'}"
        cells = " | ".join(cell(row.scores[r]) for r in REGIONS)
        lines.append(f"| {row.name} | {kind} | {cells} |")
    return "\n".join(lines)


def summary_table(rows: list[Scored]) -> str:
    """Means over cases that have a structure, and invented volume over cases that don't, by set."""
    lines = [
        "| set | cases | region | lesion-wise Dice | voxel Dice | lesion sensitivity | "
        "invented, mean ml (largest) |",
        "|---|---|---|---|---|---|---|",
    ]
    for group in dict.fromkeys((row.group, row.seen) for row in rows):
        members = [row for row in rows if (row.group, row.seen) == group]
        for region in REGIONS:
            have = [r.scores[region] for r in members if r.scores[region].has_structure]
            lack = [r.scores[region].prediction_ml for r in members if r.scores[region].lacks_structure]
            means = [
                f"{np.mean([getattr(s, name) for s in have]):.3f} (n={len(have)})" if have else "-"
                for name in ("lesion_dice", "voxel_dice", "lesion_sensitivity")
            ]
            invented = f"{np.mean(lack):.2f} ({max(lack):.2f}, n={len(lack)})" if lack else "-"
            name = f"{group[0]}, {'seen' if group[1] else 'held out'}"
            lines.append(f"| {name} | {len(members)} | {region} | " + " | ".join(means) + f" | {invented} |")
    return "\n".join(lines)


def main() -> None:
    """Score everything and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--phantoms", type=int, default=24)
    parser.add_argument("--seed", type=int, default=9000)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    facts = read_description(find_model(arguments.model)).facts
    seen = set(facts.get("trained_on", ()))
    rows = [
        score(
            case,
            "real" if case.labels else "real without tumour",
            case.name in seen,
            arguments.model,
            arguments.output,
        )
        for case in find_cases([arguments.data])
    ]
    if arguments.phantoms:
        phantoms = arguments.output / "phantoms"
        write_phantoms(phantoms, arguments.phantoms, arguments.seed)
        rows += [
            score(case, "simulated (second renderer)", False, arguments.model, arguments.output)
            for case in find_cases([phantoms])
        ]
    report = f"{case_table(rows)}\n\n{summary_table(rows)}\n"
    (arguments.output / "scores.md").write_text(report)
    plain = [
        {"case": r.name, "set": r.group, "seen": r.seen} | {k: vars(v) for k, v in r.scores.items()}
        for r in rows
    ]
    (arguments.output / "scores.json").write_text(json.dumps(plain, indent=1, default=float))
    print(report)


if __name__ == "__main__":
    main()
