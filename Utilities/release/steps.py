"""The steps of a release, from weights to the files in their place."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from bench_model import SEED, Counts, held_out_brain, phantom_cases

from GliomaSegLib.errors import UsageError
from GliomaSegLib.intake.preparation import InputSpec
from GliomaSegLib.locations import models_folder
from GliomaSegLib.model.network import NetworkSpec, build_network, parameter_count
from GliomaSegLib.model.weights import MODEL_FILE, load_network, read_description
from GliomaSegLib.training.cases import find_cases, load_case
from GliomaSegLib.training.checkpoint import read_state
from GliomaSegLib.training.config import load_recipe, recipe_from_dict
from GliomaSegLib.training.export import export_model, read_weights

from . import card, failures, measuring, records, tuning
from .facts import Facts, read_facts
from .gap import gap_section

TUNING_SEED, TUNING_SEED_IN_REAL_BRAIN = 9100, 9200
TUNING_PHANTOMS, TUNING_IN_REAL_BRAIN, TUNING_SPACING_MM = 8, 4, 2.0
CHECKED_PHANTOMS = 8
"""Reported phantoms on which the calibration error is measured, none of them fitted on."""
AGREEMENT_CASES = 3
CARD = "MODEL_CARD.md"


@dataclass(frozen=True)
class Source:
    """Trained weights and what they need: the network, and the input that it was trained on."""

    weights: dict[str, torch.Tensor]
    network: NetworkSpec
    input: InputSpec


def read_source(path: Path, facts: Facts) -> Source:
    """From a model folder, or a checkpoint: by its own recipe, else by that of the facts."""
    if (path / MODEL_FILE).is_file():
        description = read_description(path)
        return Source(load_network(description).state_dict(), description.network, description.input)
    weights = read_weights(path)
    told = (read_state(path) or {}).get("recipe")
    recipe = recipe_from_dict(json.loads(told)) if told else load_recipe(facts.recipe)
    try:
        build_network(recipe.network, 0).load_state_dict(weights, strict=True)
    except (RuntimeError, TypeError) as error:
        raise UsageError(
            f"The weights {path.name} do not fit the network of the recipe {recipe.name}: name their own "
            "recipe in the facts file."
        ) from error
    return Source(weights, recipe.network, recipe.input)


def export(source: Source, facts: Facts, choice: tuning.Choice, temperature: float, folder: Path) -> None:
    """The model folder as it will ship, but for its scores."""
    export_model(
        tuning.with_offsets(source.weights, choice.offsets),
        source.network,
        source.input,
        folder,
        {
            "name": facts.name,
            "title": facts.title,
            "version": facts.version,
            "licence": facts.licence,
            "training_data": list(facts.training_data),
            "trained_on": list(facts.trained_on),
            "held_out": list(facts.held_out),
            "scores": [],
            "temperature": temperature,
            "clean_up": {"smallest_ml": choice.smallest_ml},
        },
    )


class Release:
    """The steps of one release; ``arguments`` as :func:`main` reads them."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.given = arguments
        self.facts = read_facts(arguments.facts)
        self.source = read_source(arguments.weights, self.facts)
        self.work: Path = arguments.work / self.facts.name
        self.cache: Path = arguments.cache or arguments.work / "phantoms"
        self.output: Path = arguments.output or models_folder() / self.facts.name
        self.staged = self.work / "model"
        self.brain = held_out_brain(arguments.data, self.facts.held_out)
        self.started = time.monotonic()

    def tell(self, line: str) -> None:
        """A line of progress with the minutes since the beginning."""
        sys.stdout.write(f"{(time.monotonic() - self.started) / 60:5.1f} min  {line}\n")
        sys.stdout.flush()

    def run(self) -> None:
        """Tune, measure, describe, and only then put everything in its place."""
        self.tell("tuning")
        calibration = self._tune()
        counts = Counts(self.given.phantoms, self.given.in_real_brain, self.given.expert_shape)
        plan = measuring.Plan(counts, self.given.without_sequence, self.given.processes)
        measured = measuring.measure(
            self.given.data, self.staged, self.brain, self.work, self.cache, plan, self.tell
        )
        self.tell("writing")
        self._write(measured, calibration)
        self.tell(f"done: {self.output.name}")

    def _tune(self) -> card.Calibration:
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
        return card.Calibration(temperature, tuple(names), errors, told)

    def _inference(self, measured: measuring.Measured) -> dict[str, Any]:
        """What model.json says on inference, with the measured agreement of windows and one pass."""
        held = [job.case for job in measured.jobs if not job.seen][:AGREEMENT_CASES]
        told = read_description(self.staged).facts["inference"]
        return {**told, "window_agreement": measuring.window_agreement(self.staged, held)} if held else told

    def _write(self, measured: measuring.Measured, calibration: card.Calibration) -> None:
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
            card.relative_picture(self.output, picture), date,
        )  # fmt: skip
        (self.staged / CARD).write_text(text, encoding="utf-8")
        failures.draw_failures(failures.worst_cases(measured.rows, measured.jobs), picture)
        self.output.mkdir(parents=True, exist_ok=True)
        for path in self.staged.iterdir():
            beside = self.output / f".{path.name}.part"
            shutil.copyfile(path, beside)
            beside.replace(self.output / path.name)
        records.add_to_history(self.output, records.history_row(self.facts, measured.rows, date))
        if self.given.readme:
            records.put_into_readme(self.given.readme, card.readme_block(measured.rows, date))


def _sizes(choice: tuning.Choice) -> str:
    sizes = ", ".join(f"{ml:g} ml {name}" for name, ml in choice.smallest_ml.items())
    return f"islands below {sizes} are removed"


def _offsets(choice: tuning.Choice) -> str:
    offsets = ", ".join(f"{value:+g} {name}" for name, value in choice.offsets.items() if value)
    return f"offsets of the logits {offsets}" if offsets else "no offset of a logit helped"
