"""The last run: the measured recipe, trained on every case, and shipped with the measured run's figures.

No case is left on which the shipped weights could be measured, so everything that is said about them must say
whose figures it quotes. Simulated cases that neither run was trained on tell at least whether it is broken.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import missing_sequences
from bench_model import run_jobs
from bench_scored import SIMULATED, Scored

from GliomaSegLib.errors import UsageError
from GliomaSegLib.model.weights import MODEL_FILE
from GliomaSegLib.training.export import WEIGHTS_FILE

from .facts import Facts, LastRun
from .measuring import SET_NAMES, Measured
from .records import update_description

MOST_LOST = 0.05
"""Mean lesion-wise Dice of the whole tumour that the last run may lack against the measured one."""
REGIONS = ("WT", "ET", "RC")
NOT_SHIPPED = "the held-out run, not the shipped weights"


@dataclass(frozen=True)
class Shipped:
    """A last run that passed: its facts, and its scores beside the measured run's on ``cases`` cases.

    ``dice``: by region, mean lesion-wise Dice of the measured run, of the last run, and the number of cases
    that have it. ``differs``: entries of the recipes other than cases (None: not told by the checkpoints).
    """

    facts: LastRun
    cases: int
    dice: dict[str, tuple[float, float, int]]
    differs: tuple[str, ...] | None


def needed_facts(facts: Facts, phantoms: int) -> LastRun:
    """What the facts say of the last run. Raises ``UsageError`` without, or with nothing to check it on."""
    if facts.last_run is None:
        raise UsageError(
            "--last-run needs last_run in the facts file: trained_on, training and hours of that run."
        )
    if phantoms < 1:
        raise UsageError("--last-run is checked on simulated cases: give --phantoms at least 1.")
    return facts.last_run


def compare(
    facts: LastRun,
    differs: tuple[str, ...] | None,
    model: Path,
    measured: Measured,
    output: Path,
    processes: int = 1,
) -> Shipped:
    """Score the folder ``model`` on the simulated cases in ICBM152 and set it beside the measured run.

    Raises ``UsageError`` when its whole tumour is worse by more than ``MOST_LOST``.
    """
    pairs = [p for p in zip(measured.rows, measured.jobs, strict=True) if p[1].group == SIMULATED]
    jobs = [replace(job, model=str(model), output=output) for _, job in pairs]
    return judged(facts, differs, [row for row, _ in pairs], list(run_jobs(jobs, processes)))


def judged(
    facts: LastRun, differs: tuple[str, ...] | None, measured: Sequence[Scored], last: Sequence[Scored]
) -> Shipped:
    """The two runs' scores of the same cases, beside each other; raises as :func:`compare` does."""
    dice = {}
    for region in REGIONS:
        (_, before, count), (_, after, _) = (missing_sequences.mean_dice(r, region) for r in (measured, last))
        if count:
            dice[region] = round(before, 3), round(after, 3), count
    if "WT" not in dice:
        raise UsageError("No simulated case has a whole tumour to check --last-run on: give more --phantoms.")
    before, after, count = dice["WT"]
    if before - after > MOST_LOST + 1e-9:
        raise UsageError(
            f"The last run is worse than the measured one on {count} simulated cases (whole tumour, mean "
            f"lesion-wise Dice: {after:.3f} against {before:.3f}) and will not ship: look for what went "
            "wrong in it."
        )
    return Shipped(facts, len(last), dice, differs)


def put_in_place(staged: Path, made: Path, facts: Facts, shipped: Shipped) -> None:
    """Replace the measured weights in the folder ``staged`` by those in ``made``; say so in its model.json.

    ``held_out`` becomes what the last run did not see either. What the measured run saw and held out moves
    to ``measured_run``.
    """
    old, new = (json.loads((f / MODEL_FILE).read_text(encoding="utf-8")) for f in (staged, made))
    shutil.copyfile(made / WEIGHTS_FILE, staged / WEIGHTS_FILE)
    seen = set(shipped.facts.trained_on)
    inference = old["inference"]
    if found := inference.get("window_agreement"):
        inference = {**inference, "window_agreement": {**found, "measured_with": NOT_SHIPPED}}
    without = old["without"]
    if without:
        without = {**without, "measured_on": f"{without['measured_on']}; by {NOT_SHIPPED}"}
    update_description(
        staged,
        {
            "weights": new["weights"],
            "training_data": list(shipped.facts.training_data),
            "trained_on": list(shipped.facts.trained_on),
            "held_out": [name for name in facts.held_out if name not in seen],
            "scores": [{**entry, "measured_with": NOT_SHIPPED} for entry in old["scores"]],
            "without": without,
            "inference": inference,
            "measured_run": _measured_run(facts, shipped, old["weights"]["sha256"]),
        },
    )


def _measured_run(facts: Facts, shipped: Shipped, sha256: str) -> dict[str, Any]:
    return {
        "about": (
            "Scores, temperature and smallest islands in this file are those of a held-out run. The shipped "
            "weights come from a last run on more cases and were not measured on any real scan that they had "
            "not seen."
        ),
        "trained_on": list(facts.trained_on),
        "held_out": list(facts.held_out),
        "hours": facts.hours,
        "weights_sha256": sha256,
        "recipes_differ_in": _differs(shipped),
        "shipped_weights_beside_it": {
            "data": SET_NAMES[SIMULATED],
            "cases": shipped.cases,
            "lesion_wise_dice": {
                region: {"measured_run": before, "shipped_weights": after, "cases_with_it": count}
                for region, (before, after, count) in shipped.dice.items()
            },
        },
    }


def history_words(shipped: Shipped) -> str:
    """What a row of HISTORY.md adds to the change."""
    told = ", ".join(f"{name} {after:.2f}" for name, (_, after, _) in shipped.dice.items())
    return (
        f"; shipped: a last run on all {len(shipped.facts.trained_on)} cases "
        f"({shipped.facts.hours:g} h; simulated in ICBM152: {told}), while the figures of this row are the "
        "held-out run's"
    )


def readme_words(facts: Facts, shipped: Shipped) -> str:
    """The README's paragraph above its table."""
    return (
        "**These are figures of a held-out run.** The bundled weights come from a last run,\n"
        f"trained on {', '.join(_added(facts, shipped))} as well.\n"
        "No figure of theirs on a real scan that they have not seen exists."
    )


def _added(facts: Facts, shipped: Shipped) -> list[str]:
    return [name for name in shipped.facts.trained_on if name not in facts.trained_on]


def provenance(facts: Facts, shipped: Shipped | None) -> dict[str, str]:
    """The card's words on who was trained on what and whose figures it quotes, by name in ``card.md``."""
    held = ", ".join(facts.held_out)
    measured = f"{facts.training.strip()} Hours of training: {facts.hours:g}."
    if shipped is None:
        return {
            "cases_trained_on": "",
            "held_out": f"Held out, never trained on nor painted into for training: {held}.",
            "training": measured,
            "measured_with": "these very weights",
            "commands": "`make release-model`, `make bench-model`",
            "last_run": "",
            "by_run": "",
        }
    last = f"{shipped.facts.training.strip()} Hours of training: {shipped.facts.hours:g}."
    return {
        "cases_trained_on": f"\nReal cases of the shipped weights: {', '.join(shipped.facts.trained_on)}.\n",
        "held_out": (
            "Held out from the run that was measured, never trained on nor painted into while anything was "
            f"chosen: {held}."
        ),
        "training": f"Measured run: {measured}\n\nLast run, which is shipped: {last}",
        "measured_with": "the weights of the held-out run, **not the shipped ones**,",
        "commands": "`make release-model`; `make bench-model` scores the shipped weights, on what they saw",
        "last_run": _paragraph(facts, shipped),
        "by_run": " by the held-out run",
    }


def _paragraph(facts: Facts, shipped: Shipped) -> str:
    """Which run was measured, which is shipped, what differs, and that the rest is not known."""
    sentences = [
        f"**Two runs.** Measured: the held-out run, trained on {', '.join(facts.trained_on)}.",
        f"Shipped: the last run, trained on these and on {', '.join(_added(facts, shipped))},",
        f"{_recipe(shipped)}.",
        "Temperature, offsets of logits and smallest islands were chosen with the held-out run, and kept.",
        "Every figure, limit and picture on this card but the table that follows is the held-out run's, and",
        "*seen* and *held out* are said of it. **No figure of the shipped weights on a real case that they "
        "have not seen exists.**",
    ]
    if still := [name for name in facts.held_out if name not in shipped.facts.trained_on]:
        sentences.append(f"They have not seen {', '.join(still)} either, but were not measured there.")
    lines = [
        " ".join(sentences),
        "",
        "Mean lesion-wise Dice of both on simulated cases (second renderer, ICBM152) that neither has seen,",
        "lest a broken last run ships:",
        "",
        "| region | cases that have it | held-out run | shipped weights |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {r} | {n} of {shipped.cases} | {a:.3f} | {b:.3f} |" for r, (a, b, n) in shipped.dice.items()
    ]
    return "\n".join([*lines, "", ""])


def _differs(shipped: Shipped) -> list[str] | None:
    """In what but the cases the recipes differ: as the checkpoints tell, else as the facts file does."""
    if shipped.differs is None and not shipped.facts.differs:
        return None
    return list(shipped.differs or shipped.facts.differs)


def _recipe(shipped: Shipped) -> str:
    if shipped.differs is None and shipped.facts.differs:
        told = ", ".join(shipped.facts.differs)
        return f"by the same recipe, but for {told}, as those who trained them say"
    if shipped.differs:
        return f"by a recipe that differs in {', '.join(shipped.differs)}, as the checkpoints tell"
    source = "those who trained them say" if shipped.differs is None else "both checkpoints tell"
    return f"by the same recipe and number of steps; the cases differ and nothing else, as {source}"
