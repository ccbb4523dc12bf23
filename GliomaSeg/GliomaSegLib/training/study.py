"""The dissertation's comparison: four networks, the same data, seed and budget, scored lesion-wise.

Every part is kept on disk as soon as it is done, so that an interrupted study goes on where it stopped. Under
torchrun the processes train together; the first one predicts, scores and writes the report.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import InputRefused, OutputRefused
from ..evaluation.lesionwise import score_case
from ..evaluation.summary import Row
from ..intake.label_maps import read_label_map
from ..intake.preparation import InputSpec, prepare
from ..intake.reading import read_study
from ..labels import CLASS_NAMES
from ..model.inference import InferenceOptions, predict
from ..model.network import GliomaNetwork, NetworkSpec, build_network, parameter_count
from ..outcome.labelling import labels_on_reference
from ..outcome.segmentation_file import write_nifti
from .cases import CaseFiles, TrainingCase, case_labels, find_cases, load_case, split_by_patient
from .checkpoint import BEST, read_history
from .config import Recipe
from .loop import Trainer
from .parallel import current_team, first_goes_ahead, joined, quiet_unless_first
from .pool import Pool
from .run import absent_names, split_cases
from .study_figures import require_matplotlib, write_figures
from .study_report import write_report

Report = Callable[[str], None]
STUDY_FILE = "study.json"
SIBLINGS: dict[str, tuple[bool, bool]] = {
    "unet": (False, False),
    "attention-unet": (False, True),
    "residual-unet": (True, False),
    "residual-attention-unet": (True, True),
}
"""The dissertation's four networks in its order: the name of a folder, ``residual``, ``attention``."""
_SHARE = 0.2


@dataclass(frozen=True)
class StudySplit:
    """Cases by use, split by patient. ``test`` is ``validation`` where a recipe names no test cases."""

    training: list[CaseFiles]
    validation: list[CaseFiles]
    test: list[CaseFiles]

    def to_dict(self) -> dict[str, list[str]]:
        """Names of the cases, for ``study.json``."""
        groups = {"training": self.training, "validation": self.validation, "test": self.test}
        return {group: [case.name for case in cases] for group, cases in groups.items()}


@dataclass(frozen=True)
class NetworkResult:
    """One network of the study: its scores on the test cases, and how training went.

    ``history`` holds a row for each validation: step, training_loss, seconds_per_step and scores.
    ``predictions`` are the files of the predicted label maps by case.
    """

    slug: str
    spec: NetworkSpec
    parameters: int
    rows: list[Row]
    history: list[dict[str, Any]]
    predictions: dict[str, Path]


def split_study(cases: Collection[CaseFiles], recipe: Recipe) -> StudySplit:
    """A fifth of the patients for the test, a fifth of the others for validation, by the recipe's seed.

    Where the recipe names validation cases, they are the test too, unless it names test cases as well.
    No patient of a test case is in another group. Raises ``InputRefused`` when no case is left to train on.
    """
    test = [case for case in cases if case.name in recipe.test]
    seen = {case.patient for case in test}
    cases = [case for case in cases if case.name in recipe.test or case.patient not in seen]
    if set(recipe.validation) & {case.name for case in cases}:
        training, held = split_cases(cases, recipe)
        split = StudySplit(training, held, test or held)
    elif test:
        split = StudySplit(*split_cases(cases, recipe), test)
    else:
        usable = [case for case in cases if case.name not in recipe.exclude]
        rest, test = split_by_patient(usable, _SHARE, recipe.seed)
        split = (
            StudySplit(*split_by_patient(rest, _SHARE, recipe.seed), test) if rest else StudySplit([], [], [])
        )
    if not split.training:
        raise InputRefused(
            f"{len({c.patient for c in cases})} patients are too few to train, validate and test on: "
            "give at least three, or name validation cases in the recipe."
        )
    return split


def compare(
    data: Sequence[Path],
    output: Path,
    recipe: Recipe,
    device: str = "cpu",
    report: Report = lambda line: None,
) -> list[NetworkResult]:
    """Train, predict and score the four networks, and write ``report.md``, ``scores.csv`` and three figures.

    ``data``: folders of cases in BraTS naming. ``recipe``: everything but the two switches of the network is
    the same for all four. Progress lines go to ``report``. Calling it again with the same arguments goes on
    with an interrupted study. Started by torchrun, all processes but the first return an empty list.

    Raises ``InputRefused`` for data that can't be used, ``OutputRefused`` where ``output`` holds another
    study, ``UsageError`` when MONAI or matplotlib is missing.
    """
    require_matplotlib()
    found = find_cases(data)
    split = split_study(found, recipe)
    with joined(device) as mine:
        report = quiet_unless_first(report)
        for note in absent_names(found, recipe):
            report(note)
        writes = current_team().writes
        with first_goes_ahead():
            _claim(output, recipe, split)
            training = _prepared(split.training, recipe.input, output, report)
            validation = _prepared(split.validation, recipe.input, output, report)
        report(f"cases: {json.dumps({group: len(names) for group, names in split.to_dict().items()})}")
        for slug in SIBLINGS:
            _train_one(slug, recipe, training, validation, output, mine, report)
    if not writes:
        return []
    results = _scored(recipe, split.test, output, mine, report)
    write_figures(output, results, [*training, *validation], len(training), split.test, recipe)
    write_report(output, results, split.to_dict(), recipe, device)
    report(f"report: {output.name}/report.md")
    return results


def _claim(output: Path, recipe: Recipe, split: StudySplit) -> None:
    """Write down what this study is. Raises ``OutputRefused`` when the folder is another study's."""
    description = {"recipe": json.loads(json.dumps(recipe.to_dict())), "split": split.to_dict()}
    path = output / STUDY_FILE
    if path.is_file():
        if json.loads(path.read_text(encoding="utf-8")) == description:
            return
        raise OutputRefused(
            f"The folder {output.name} holds a study of another recipe or other cases: take another --output."
        )
    try:
        (output / "cases").mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(description, indent=1), encoding="utf-8")
    except OSError as error:
        raise OutputRefused(f"The study can't be written into {output.name}: {error.strerror}.") from error


def _prepared(
    cases: Sequence[CaseFiles], spec: InputSpec, output: Path, report: Report
) -> list[TrainingCase]:
    made = []
    for number, case in enumerate(cases, 1):
        made.append(prepared_case(case, spec, output / "cases"))
        report(f"prepared {number} of {len(cases)}")
    return made


def prepared_case(case: CaseFiles, spec: InputSpec, folder: Path) -> TrainingCase:
    """The case as the networks see it, prepared once, then mapped from disk: data sets exceed memory."""
    image, labels = folder / f"{case.name}.image.npy", folder / f"{case.name}.labels.npy"
    if not labels.is_file():
        loaded = load_case(case, spec)
        for path, array in ((image, loaded.image), (labels, loaded.labels)):
            beside = path.with_suffix(".part.npy")
            np.save(beside, array)
            beside.replace(path)
    return TrainingCase(case.name, "real", np.load(image, mmap_mode="r"), np.load(labels, mmap_mode="r"))


def recipe_of(slug: str, recipe: Recipe) -> Recipe:
    """The study's recipe for one of the four networks: only the two switches differ."""
    residual, attention = SIBLINGS[slug]
    spec = replace(recipe.network, residual=residual, attention=attention)
    return replace(recipe, name=f"{recipe.name}, {spec.display_name}", network=spec, mix={"real": 1.0})


def _train_one(
    slug: str,
    recipe: Recipe,
    training: Sequence[TrainingCase],
    validation: Sequence[TrainingCase],
    output: Path,
    device: str,
    report: Report,
) -> None:
    def told(row: dict[str, Any]) -> None:
        report(json.dumps({"network": slug, **row}))

    own = recipe_of(slug, recipe)
    Trainer(own, Pool.of(training, own.mix), validation, output / slug, device, told).run()


def _best_network(slug: str, recipe: Recipe, output: Path) -> GliomaNetwork:
    network = build_network(recipe_of(slug, recipe).network, recipe.seed)
    network.load_state_dict(torch.load(output / slug / BEST, map_location="cpu", weights_only=True))
    return network.eval()


def _scored(
    recipe: Recipe, cases: Sequence[CaseFiles], output: Path, device: str, report: Report
) -> list[NetworkResult]:
    """Predict what is not predicted yet, on each case's own grid, and score it lesion-wise."""
    networks = {slug: _best_network(slug, recipe, output) for slug in SIBLINGS}
    rows: dict[str, list[Row]] = {slug: [] for slug in SIBLINGS}
    predictions: dict[str, dict[str, Path]] = {slug: {} for slug in SIBLINGS}
    for number, case in enumerate(cases, 1):
        report(f"scoring {case.name}, {number} of {len(cases)}")
        # A name that `gliomaseg evaluate` pairs with the case.
        paths = {slug: output / slug / "predictions" / f"{case.name}-seg.nii.gz" for slug in SIBLINGS}
        missing = {paths[slug]: network for slug, network in networks.items() if not paths[slug].is_file()}
        if missing:
            _predict(case, missing, recipe.input, InferenceOptions(torch.device(device)))
        for slug, path in paths.items():
            predictions[slug][case.name] = path
            predicted, grid = read_label_map(path)
            scores = score_case(case_labels(case, grid), predicted, grid.spacing_mm)
            rows[slug] += [Row(case.name, score) for score in scores.values()]
    return [
        NetworkResult(
            slug,
            network.spec,
            parameter_count(network),
            rows[slug],
            read_history(output / slug),
            predictions[slug],
        )
        for slug, network in networks.items()
    ]


def _predict(
    case: CaseFiles, networks: dict[Path, GliomaNetwork], spec: InputSpec, options: InferenceOptions
) -> None:
    """Write each network's label map of one case to the path that it stands under."""
    study = read_study(case.images, case.reference_role)
    prepared, grid = prepare(study, spec), study.reference.grid
    for path, network in networks.items():
        made = predict(network, prepared, options)
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".part-{path.name}")
        write_nifti(beside, labels_on_reference(made.probabilities, prepared.grid, CLASS_NAMES, grid), grid)
        beside.replace(path)
