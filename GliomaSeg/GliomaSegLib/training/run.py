"""What ``gliomaseg train`` does: load cases, synthesise, train, write a model folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from ..model.weights import find_model, load_network, read_description
from .cases import CaseFiles, TrainingCase, find_cases, iter_loaded, split_by_patient
from .config import Recipe
from .loop import Trainer
from .parallel import first_goes_ahead, joined, quiet_unless_first
from .pool import Pool, fill_cache, read_cached

Report = Callable[[str], None]
_VALIDATION_SHARE = 0.2


def absent_names(cases: Sequence[CaseFiles], recipe: Recipe) -> list[str]:
    """Sentences on what the recipe names and the data lacks: misspelt, it would be trained on unnoticed."""
    known = {case.name for case in cases}
    notes = []
    for group in ("validation", "test", "exclude"):
        absent = [name for name in getattr(recipe, group) if name not in known]
        if absent:
            notes.append(f"Note: the recipe's {group} names cases that the data lacks: {', '.join(absent)}")
    return notes


def split_cases(cases: Sequence[CaseFiles], recipe: Recipe) -> tuple[list[CaseFiles], list[CaseFiles]]:
    """Training and validation cases: by the names in the recipe, else a fifth of the patients by its seed.

    No patient is in both: other visits of a named case's patient are left out of training.
    """
    usable = [c for c in cases if c.name not in {*recipe.exclude, *recipe.test}]
    held = [c for c in usable if c.name in recipe.validation]
    if held:
        patients = {c.patient for c in held}
        return [c for c in usable if c.patient not in patients], held
    return split_by_patient(usable, _VALIDATION_SHARE, recipe.seed)


def _patients(found: Sequence[CaseFiles], held: Sequence[CaseFiles], recipe: Recipe) -> set[str]:
    """Whose scans synthesis must not see: all visits of the patients held out, by name or by the split.

    Names stay beside the patients: the recipe may name a scan that only synthesis uses."""
    named = {*recipe.validation, *recipe.exclude, *recipe.test}
    return named | {case.patient for case in found if case in held or case.name in named}


def _synthetic(
    data: Sequence[Path], recipe: Recipe, held: Collection[str], cache: Path, report: Report
) -> list[TrainingCase]:
    """The recipe's simulated cases, made in and from no scan of the ``held`` patients."""

    def told(done: int) -> None:
        if done % 20 == 0:
            report(f"synthesised {done} of {recipe.synthetic_cases}")

    seeds = range(recipe.seed * 100_000, recipe.seed * 100_000 + recipe.synthetic_cases)
    paths = fill_cache(data[0], held, recipe.input, cache, seeds, progress=told)
    return [read_cached(path) for path in paths]


def train(
    data: Sequence[Path],
    recipe: Recipe,
    output: Path,
    device: str = "cpu",
    cache: Path | None = None,
    report: Report = lambda line: None,
) -> Trainer:
    """Train ``recipe`` on the cases below ``data``; a run in ``output`` is resumed.

    The first folder also feeds synthesis. ``cache`` keeps synthetic cases, by default inside ``output``.
    Progress lines go to ``report``. Under torchrun the processes train together; the first one writes.
    """
    with joined(device) as mine:
        trainer = _trainer(data, recipe, output, mine, cache, quiet_unless_first(report))
        trainer.run()
    return trainer


def _trainer(
    data: Sequence[Path], recipe: Recipe, output: Path, device: str, cache: Path | None, report: Report
) -> Trainer:
    found = find_cases(data)
    for note in absent_names(found, recipe):
        report(note)
    training, held = split_cases(found, recipe)
    report(f"{len(training)} training cases, {len(held)} held out: {', '.join(c.name for c in held)}")
    cases = list(iter_loaded(training, recipe.input))
    if recipe.synthetic_cases:
        with first_goes_ahead():
            cases += _synthetic(data, recipe, _patients(found, held, recipe), cache or output, report)
    validation = list(iter_loaded(held, recipe.input))

    def told(row: dict[str, Any]) -> None:
        report(json.dumps(row))

    trainer = Trainer(recipe, Pool.of(cases, recipe.mix), validation, output, device, told)
    if recipe.initial:
        source = load_network(read_description(find_model(recipe.initial)))
        trainer.start_from(source.state_dict())
    return trainer
