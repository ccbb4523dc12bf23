"""The study's report: one Markdown page and the table of all scores behind it."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ..evaluation.summary import RegionSummary, Statistic, summarise
from ..evaluation.table import COLUMNS
from .config import Recipe
from .study_figures import CLASS_IMBALANCE, CONTOURS, DICE_OVER_EPOCHS

if TYPE_CHECKING:
    from .study import NetworkResult

_FEW_PATIENTS = 20
"""Below as many test cases a difference between networks says little."""
_PUBLISHED = (
    ("3D U-Net", "0.75", "0.99", "0.56", "0.56"),
    ("3D U-Net with attention", "0.73", "1.00", "0.56", "0.58"),
    ("residual 3D U-Net", "0.84", "0.98", "0.54", "0.54"),
    ("residual 3D U-Net with attention", "0.87", "0.96", "0.63", "0.61"),
)
"""Bora 2024, own split of BraTS 2024: lesion-wise Dice and sensitivity, whole tumour and cavity."""


def write_report(
    output: Path,
    results: Sequence[NetworkResult],
    split: Mapping[str, Sequence[str]],
    recipe: Recipe,
    device: str,
) -> None:
    """Write ``report.md`` and ``scores.csv`` (a line per network, case and region) into ``output``."""
    (output / "scores.csv").write_text(scores_csv(results), encoding="utf-8")
    (output / "report.md").write_text(report_page(results, split, recipe, device), encoding="utf-8")


def scores_csv(results: Sequence[NetworkResult]) -> str:
    """All scores as CSV; a value that is not defined is left empty."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["network", *COLUMNS])
    for result in results:
        for row in result.rows:
            values = asdict(row.score).values()
            cells = ["" if isinstance(v, float) and math.isnan(v) else v for v in values]
            writer.writerow([result.spec.display_name, row.case, *cells])
    return text.getvalue()


def report_page(
    results: Sequence[NetworkResult], split: Mapping[str, Sequence[str]], recipe: Recipe, device: str
) -> str:
    """The page: setting, scores by region, false positives, figures, the published numbers."""
    summaries = [(result, summarise(result.rows)) for result in results]
    parts = [
        "# Four networks compared",
        *_setting(results, split, recipe, device),
        "## Lesion-wise scores on the test cases that have the structure",
        "BraTS 2024 glioma rules. Mean [95% bootstrap interval over cases]; median [its interval].",
        _scores(summaries),
        "## Volume predicted where the reference has none",
        _inventions(summaries),
        "## Figures",
        f"![Share of the voxels of each class]({CLASS_IMBALANCE})",
        f"![Mean validation Dice over epochs]({DICE_OVER_EPOCHS})",
        f"![Reference and predicted contours, a row for each case]({CONTOURS})",
        "## As published",
        "V. Bora, MSc dissertation, University of Birmingham, 2024, on its own split of BraTS 2024: other "
        "data, so these are no baseline for the table above.",
        table(["network", "WT Dice", "WT sensitivity", "RC Dice", "RC sensitivity"], _PUBLISHED),
        "Not a medical device.",
    ]
    return "\n\n".join(parts) + "\n"


def _setting(
    results: Sequence[NetworkResult], split: Mapping[str, Sequence[str]], recipe: Recipe, device: str
) -> list[str]:
    notes = []
    if len(split["test"]) < _FEW_PATIENTS:
        notes.append(
            f"**Illustrative only:** {len(split['training'])} training and {len(split['test'])} test cases "
            "can't tell the networks apart."
        )
    if split["test"] == split["validation"]:
        notes.append(
            "The weights of each network were chosen by validation on the very cases that are scored here, "
            "which flatters all four."
        )
    steps = max((row["step"] for result in results for row in result.history), default=0)
    loss = ", ".join(f"{name} {value:g}" for name, value in _loss_terms(recipe))
    notes.append(
        f"Same data, seed ({recipe.seed}) and budget (at most {recipe.steps} steps, batch size "
        f"{recipe.batch_size}; the longest run took {steps}) for all four; split by patient: "
        f"{len(split['training'])} cases for training, {len(split['validation'])} for validation, "
        f"{len(split['test'])} for the test. Recipe: {recipe.optimiser.name}, learning rate "
        f"{recipe.optimiser.learning_rate:g}, {recipe.schedule.name}; loss: {loss}. Device: {device}."
    )
    head = ["network", "parameters", "steps", "best step", "seconds a step"]
    return [*notes, table(head, [_training_row(result) for result in results])]


def _loss_terms(recipe: Recipe) -> list[tuple[str, float]]:
    names = ("cross_entropy", "focal", "dice", "tversky")
    return [
        (name.replace("_", "-"), getattr(recipe.loss, name)) for name in names if getattr(recipe.loss, name)
    ]


def _training_row(result: NetworkResult) -> list[str]:
    rows = result.history
    best = max(rows, key=lambda row: row.get("score", -row["training_loss"]))
    seconds = sum(row["seconds_per_step"] for row in rows) / len(rows)
    name = result.spec.display_name
    return [name, f"{result.parameters:,}", str(rows[-1]["step"]), str(best["step"]), f"{seconds:.2f}"]


def _scores(summaries: Sequence[tuple[NetworkResult, list[RegionSummary]]]) -> str:
    lines = []
    for position in range(len(summaries[0][1])):
        for result, regions in summaries:
            region = regions[position]
            metrics = [region.metrics[name] for name in ("lesion_dice", "lesion_sensitivity")]
            head = [region.region, result.spec.display_name, str(region.with_structure)]
            lines.append([*head, *(statistic(metric) for metric in metrics)])
    return table(["region", "network", "cases", "lesion-wise Dice", "lesion sensitivity"], lines)


def _inventions(summaries: Sequence[tuple[NetworkResult, list[RegionSummary]]]) -> str:
    lines = []
    for position in range(len(summaries[0][1])):
        for result, regions in summaries:
            region = regions[position]
            volume = region.false_positive_ml
            cells = ["-", "-"]
            if volume.count:
                cells = [f"{volume.mean:.2f}", f"{region.worst_false_positive_ml:.2f}"]
            lines.append([region.region, result.spec.display_name, str(region.without_structure), *cells])
    return table(["region", "network", "cases", "mean ml", "worst ml"], lines)


def statistic(value: Statistic) -> str:
    """Mean and median with their intervals; a dash where there is no case."""
    if value.count == 0:
        return "-"
    mean = f"{value.mean:.3f}{_interval(value.mean_interval)}"
    return f"{mean}; {value.median:.3f}{_interval(value.median_interval)}"


def _interval(bounds: tuple[float, float]) -> str:
    return "" if math.isnan(bounds[0]) else f" [{bounds[0]:.3f}, {bounds[1]:.3f}]"


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in rows)
