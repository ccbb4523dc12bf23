"""Everything that the card quotes, measured with the very folder that will ship."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import missing_sequences
import numpy as np
import torch
from bench_model import SEED, Counts, Job, phantom_cases, real_jobs, run_jobs, simulated_jobs
from bench_scored import (
    EXPERT_SHAPE,
    IN_REAL_BRAIN,
    REAL,
    REGIONS,
    SIMULATED,
    WITHOUT_TUMOUR,
    Scored,
    by_set,
)

from GliomaSegLib.evaluation.calibration import Coverage, interval_coverage
from GliomaSegLib.intake.preparation import prepare
from GliomaSegLib.intake.reading import read_study
from GliomaSegLib.intake.volume import ROLES
from GliomaSegLib.model.inference import InferenceOptions, predict
from GliomaSegLib.model.weights import load_network, read_description
from GliomaSegLib.training.cases import CaseFiles

WINDOW = 64
SET_NAMES = {
    REAL: "BraTS 2021 and TCGA pre-operative",
    WITHOUT_TUMOUR: "MS brains, no tumour",
    SIMULATED: "simulated post-treatment, second renderer",
    IN_REAL_BRAIN: "simulated post-treatment in a held-out real brain, second renderer",
    EXPERT_SHAPE: "expert contours, operated on, in a held-out real brain, third renderer",
}


@dataclass(frozen=True)
class Plan:
    """How much to measure: simulated cases by set, and how many of them without each sequence."""

    counts: Counts
    without_sequence: int = 4
    processes: int = 1


@dataclass(frozen=True)
class Measured:
    """Scores of every case, with its job; and, by the role left out, of the cases scored without it."""

    rows: list[Scored]
    jobs: list[Job]
    missing: dict[str, list[Scored]]


def measure(
    data: Path,
    model: Path,
    brain: Path | None,
    output: Path,
    cache: Path,
    plan: Plan,
    tell: Callable[[str], None],
) -> Measured:
    """Score the model on all sets, simulated cases in ICBM152 and in the scans of the real ``brain``.

    Results of an interrupted call with the same model are used again.
    """
    name = str(model)
    tell("rendering the phantoms that are not there yet")
    jobs = real_jobs(data, name, output)
    jobs += simulated_jobs(cache, plan.counts, data, brain, name, output)
    rows = []
    for number, row in enumerate(run_jobs(jobs, plan.processes), 1):
        rows.append(row)
        tell(f"scored {number} of {len(jobs)}: {row.name}")
    held = [job.case for job in jobs if job.group == REAL and not job.seen]
    tell("scoring without each sequence")
    parts = [(missing_sequences.complete(held), REAL)]
    parts.append((phantom_cases(cache, plan.counts.phantoms, SEED)[: plan.without_sequence], SIMULATED))
    missing: dict[str, list[Scored]] = {role: [] for role in (missing_sequences.COMPLETE, *ROLES)}
    for cases, group in parts:
        found = missing_sequences.scored(cases, group, (), name, output, plan.processes)
        for role, scored in found.items():
            missing[role] += scored
    return Measured(rows, jobs, missing)


def window_agreement(model: Path, cases: Sequence[CaseFiles], window: int = WINDOW) -> dict[str, Any]:
    """Smallest share of brain voxels with the same label in sliding windows as in one pass, over ``cases``.

    A network with instance norm sees other statistics in every window, so this can't be promised, only told.
    """
    description = read_description(model)
    network, shares = load_network(description), []
    for case in cases:
        prepared = prepare(read_study(case.images, case.reference_role), description.input)
        options = InferenceOptions(torch.device("cpu"), bytes_per_voxel=description.bytes_per_voxel)
        labels = [
            predict(network, prepared, one).probabilities.argmax(axis=0)
            for one in (options, replace(options, window=window))
        ]
        shares.append(float((labels[0] == labels[1])[prepared.brain].mean()))
    return {"window": window, "cases": [case.name for case in cases], "least": round(min(shares), 5)}


def score_entries(rows: Sequence[Scored]) -> list[dict[str, Any]]:
    """The ``scores`` of ``model.json``: means by set and region, each with its number of cases."""
    entries = []
    for (group, seen), members in by_set(rows).items():
        for region in REGIONS:
            scores = [row.scores[region] for row in members]
            entry = {
                "data": SET_NAMES[group], "seen_in_training": seen, "region": region, "cases": len(members),
            }  # fmt: skip
            if have := [score for score in scores if score.has_structure]:
                entry |= {
                    "cases_with_it": len(have),
                    "lesion_wise_dice": _mean([score.lesion_dice for score in have]),
                    "voxel_dice": _mean([score.voxel_dice for score in have]),
                }
            if lack := [score.prediction_ml for score in scores if score.lacks_structure]:
                entry |= {
                    "cases_without_it": len(lack),
                    "invented_ml_mean": _mean(lack),
                    "invented_ml_largest": round(max(lack), 3),
                }
            entries.append(entry)
    return entries


def _mean(values: Sequence[float]) -> float:
    return round(float(np.mean(values)), 3)


def costs_of_missing(missing: dict[str, list[Scored]]) -> dict[str, Any]:
    """The ``without`` of ``model.json``, from which ``segment`` warns: change of mean voxel Dice by role.

    Measured on held-out real scans; empty without any.
    """
    real = {role: [row for row in rows if row.group == REAL] for role, rows in missing.items()}
    whole = real[missing_sequences.COMPLETE]
    if not whole:
        return {}
    names = ", ".join(row.name for row in whole)
    found: dict[str, Any] = {"measured_on": f"held-out real scans ({names}): change of mean voxel Dice"}
    for role in ROLES:
        found[role] = {}
        for region in ("WT", "ET"):
            before, _, count = missing_sequences.mean_dice(whole, region)
            if count:
                after, _, _ = missing_sequences.mean_dice(real[role], region)
                found[role][region] = round(after - before, 3)
    return found


def coverages(rows: Sequence[Scored]) -> list[tuple[str, str, Coverage]]:
    """By held-out set and region: how many true volumes lay inside their 80 % intervals.

    Only cases that have the structure count: where there is none, an interval from 0 is no achievement.
    """
    found = []
    for (group, seen), members in by_set(rows).items():
        for region in REGIONS:
            have = [r for r in members if r.scores[region].has_structure and region in r.intervals_ml]
            if have and not seen:
                truth = [row.scores[region].reference_ml for row in have]
                intervals = [row.intervals_ml[region] for row in have]
                found.append((group, region, interval_coverage(intervals, truth)))
    return found
