"""The steps of a release, from weights to the files in their place."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from bench_model import SEED, Counts, held_out_brain, phantom_cases

from GliomaSegLib.locations import models_folder
from GliomaSegLib.model.network import build_network, parameter_count
from GliomaSegLib.model.weights import read_description
from GliomaSegLib.training.cases import find_cases, load_case

from . import card, failures, last_run, measuring, records, tuning
from .facts import read_facts
from .gap import gap_section
from .source import Source, export, read_last_run, read_source, recipe_differences

TUNING_SEED, TUNING_SEED_IN_REAL_BRAIN = 9100, 9200
TUNING_PHANTOMS, TUNING_IN_REAL_BRAIN, TUNING_SPACING_MM = 8, 4, 2.0
CHECKED_PHANTOMS = 8
"""Reported phantoms on which the calibration error is measured, none of them fitted on."""
AGREEMENT_CASES = 3
CARD = "MODEL_CARD.md"


class Release:
    """The steps of one release; ``arguments`` as :func:`main` reads them."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.given = arguments
        self.facts = read_facts(arguments.facts)
        self.source = read_source(arguments.weights, self.facts)
        self.last: Source | None = None
        if arguments.last_run is not None:
            last_run.needed_facts(self.facts, arguments.phantoms)
            self.last = read_last_run(arguments.last_run, self.source)
        self.work: Path = arguments.work / self.facts.name
        self.cache: Path = arguments.cache or arguments.work / "phantoms"
        self.output: Path = arguments.output or models_folder() / self.facts.name
        self.staged, self.made = self.work / "model", self.work / "last-run" / "model"
        self.brain = held_out_brain(arguments.data, self.facts.held_out)
        self.started = time.monotonic()

    def tell(self, line: str) -> None:
        """A line of progress with the minutes since the beginning."""
        sys.stdout.write(f"{(time.monotonic() - self.started) / 60:5.1f} min  {line}\n")
        sys.stdout.flush()

    def run(self) -> None:
        """Tune, measure, describe, and only then put everything in its place."""
        self.tell("tuning")
        choice, calibration = self._tune()
        counts = Counts(self.given.phantoms, self.given.in_real_brain, self.given.expert_shape)
        plan = measuring.Plan(counts, self.given.without_sequence, self.given.processes)
        measured = measuring.measure(
            self.given.data, self.staged, self.brain, self.work, self.cache, plan, self.tell
        )
        shipped = self._check_last_run(measured, choice, calibration.temperature)
        self.tell("writing")
        self._write(measured, calibration, shipped)
        self.tell(f"done: {self.output.name}")

    def _check_last_run(
        self, measured: measuring.Measured, choice: tuning.Choice, temperature: float
    ) -> last_run.Shipped | None:
        """The last run as a folder, with what tuning chose; its scores beside the measured run's."""
        if self.last is None:
            return None
        self.tell("scoring the last run on the simulated cases in ICBM152")
        told = last_run.needed_facts(self.facts, self.given.phantoms)
        export(self.last, self.facts, choice, temperature, self.made)
        differs = recipe_differences(self.source, self.last)
        shipped = last_run.compare(told, differs, self.made, measured, self.made.parent, self.given.processes)
        for region, (before, after, count) in shipped.dice.items():
            self.tell(f"{region}, n={count}: held-out run {before:.3f}, last run {after:.3f}")
        return shipped

    def _tune(self) -> tuple[tuning.Choice, card.Calibration]:
        spec = self.source.input
        start = tuning.Choice(self.facts.smallest_ml)
        held = [case for case in find_cases([self.given.data]) if case.name in self.facts.held_out]
        simulated = phantom_cases(self.cache, TUNING_PHANTOMS, TUNING_SEED, spacing_mm=TUNING_SPACING_MM)
        if self.brain is not None:
            simulated += phantom_cases(
                self.cache, TUNING_IN_REAL_BRAIN, TUNING_SEED_IN_REAL_BRAIN, self.brain
            )
        network = build_network(self.source.network, 0)
        network.load_state_dict(self.source.weights)
        network.eval()
        seen = tuning.seen_by(network, [load_case(case, spec) for case in (*held, *simulated)])
        choice, told = start, f"No threshold or island size was tuned: {_sizes(start)}."
        if self.given.tune:
            choice = tuning.tuned(seen, self.facts.smallest_ml, spec.spacing_mm[0])
            told = (
                f"Tuned on the same cases: {_sizes(choice)}; {_offsets(choice)}; mean lesion-wise Dice there "
                f"{choice.score[0]:.3f} before, {choice.score[1]:.3f} after."
            )
        if self.facts.mirror:
            told += " Fitted on single passes; the scores are means over each scan and its mirror image."
        temperature = tuning.temperature_of(tuning.shifted(seen, choice.offsets))
        export(self.source, self.facts, choice, temperature, self.staged)
        self.tell(f"temperature {temperature}; {told}")
        names = [*(case.name for case in held), f"{len(simulated)} simulated cases that are reported nowhere"]
        reported = phantom_cases(self.cache, self.given.phantoms, SEED)[:CHECKED_PHANTOMS]
        apart = tuning.seen_by(network, [load_case(case, spec) for case in reported])
        sets = {"cases fitted on": seen, f"{len(reported)} reported simulated cases, not fitted on": apart}
        errors = {
            name: tuple(
                tuning.calibration_error(tuning.shifted(cases, choice.offsets), t) for t in (1.0, temperature)
            )
            for name, cases in sets.items()
            if cases
        }
        return choice, card.Calibration(temperature, tuple(names), errors, told)

    def _inference(self, measured: measuring.Measured) -> dict[str, Any]:
        """What model.json says on inference, with the measured agreement of windows and one pass."""
        held = [job.case for job in measured.jobs if not job.seen][:AGREEMENT_CASES]
        told = read_description(self.staged).facts["inference"]
        return {**told, "window_agreement": measuring.window_agreement(self.staged, held)} if held else told

    def _write(
        self,
        measured: measuring.Measured,
        calibration: card.Calibration,
        shipped: last_run.Shipped | None,
    ) -> None:
        date = self.given.date
        picture = self.given.picture or self.output / "failures.png"
        description = records.update_description(
            self.staged,
            {
                "scores": measuring.score_entries(measured.rows),
                "without": measuring.costs_of_missing(measured.missing),
                "measured_on": date,
                "inference": self._inference(measured),
            },
        )
        parameters = parameter_count(build_network(self.source.network, 0))
        text = card.card_text(
            self.facts, description, parameters, measured, calibration,
            gap_section(self.given.gap, self.given.data, self.facts.held_out),
            card.relative_picture(self.output, picture), date, shipped,
        )  # fmt: skip
        (self.staged / CARD).write_text(text, encoding="utf-8")
        failures.draw_failures(failures.worst_cases(measured.rows, measured.jobs), picture)
        if shipped is not None:
            last_run.put_in_place(self.staged, self.made, self.facts, shipped)
        self.output.mkdir(parents=True, exist_ok=True)
        for path in self.staged.iterdir():
            beside = self.output / f".{path.name}.part"
            shutil.copyfile(path, beside)
            beside.replace(self.output / path.name)
        added = last_run.history_words(shipped) if shipped else ""
        records.add_to_history(self.output, records.history_row(self.facts, measured.rows, date, added))
        if self.given.readme:
            words = last_run.readme_words(self.facts, shipped) if shipped else ""
            records.put_into_readme(self.given.readme, card.readme_block(measured.rows, date, words))


def _sizes(choice: tuning.Choice) -> str:
    sizes = ", ".join(f"{ml:g} ml {name}" for name, ml in choice.smallest_ml.items())
    return f"islands below {sizes} are removed"


def _offsets(choice: tuning.Choice) -> str:
    offsets = ", ".join(f"{value:+g} {name}" for name, value in choice.offsets.items() if value)
    return f"offsets of the logits {offsets}" if offsets else "no offset of a logit helped"
