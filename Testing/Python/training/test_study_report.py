"""The page of the study: its numbers, and what it admits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from GliomaSegLib.evaluation.lesionwise import score_case
from GliomaSegLib.evaluation.summary import Row
from GliomaSegLib.model.network import NetworkSpec
from GliomaSegLib.training.config import Recipe
from GliomaSegLib.training.study import NetworkResult
from GliomaSegLib.training.study_figures import dice_over_epochs
from GliomaSegLib.training.study_report import report_page, scores_csv, write_report

pytest.importorskip("matplotlib", reason="the study draws with matplotlib (the extra train)")

SPLIT = {"training": ["a", "b", "c"], "validation": ["d"], "test": ["e", "f", "g"]}


def result_of(spec: NetworkSpec, shifts: tuple[int, ...], invented: int = 0) -> NetworkResult:
    """A cavity of 6 mm in each test case, predicted ``shifts`` voxels off; ET invented in the first."""
    rows: list[Row] = []
    for case, shift in zip("efg", shifts, strict=True):
        reference = np.zeros((30, 30, 30), np.uint8)
        reference[10:16, 10:16, 10:16] = 4
        prediction = np.roll(reference, shift, axis=0)
        prediction[25:29, 2:6, 2 : 2 + (invented if case == "e" else 0)] = 3
        rows += [Row(case, score) for score in score_case(reference, prediction, (1.0, 1.0, 1.0)).values()]
    history = [
        {"step": 10, "training_loss": 1.0, "seconds_per_step": 0.5, "score": 0.7, "dice_RC": 0.4},
        {"step": 20, "training_loss": 0.5, "seconds_per_step": 1.5, "score": 0.6, "dice_RC": 0.3},
    ]
    return NetworkResult("slug", spec, 1234567, rows, history, {})


@pytest.fixture
def results() -> list[NetworkResult]:
    return [
        result_of(NetworkSpec(residual=False, attention=False), (0, 0, 0)),
        result_of(NetworkSpec(), (0, 3, 12), invented=4),
    ]


def line_of(page: str, *beginning: str) -> list[str]:
    (line,) = [line for line in page.splitlines() if line.startswith("| " + " | ".join(beginning) + " |")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_scores_are_means_medians_and_intervals_over_cases(results: list[NetworkResult]) -> None:
    page = report_page(results, SPLIT, Recipe(), "cpu")
    assert line_of(page, "RC", "3D U-Net", "3") == [
        "RC",
        "3D U-Net",
        "3",
        "1.000 [1.000, 1.000]; 1.000 [1.000, 1.000]",
        "1.000 [1.000, 1.000]; 1.000 [1.000, 1.000]",
    ]
    # Dice 1, 0.5, 0 (missed, with an invention as well); sensitivity 1, 1, 0.
    dice, sensitivity = line_of(page, "RC", "residual 3D U-Net with attention", "3")[3:]
    assert dice.startswith("0.500 [0.000, 1.000]; 0.500 [")
    assert sensitivity.startswith("0.667 [0.000, 1.000]; 1.000 [")


def test_structures_that_no_case_has_get_no_score_but_their_inventions(results: list[NetworkResult]) -> None:
    page = report_page(results, SPLIT, Recipe(), "cpu")
    lines = [
        line for line in page.splitlines() if line.startswith("| ET | residual 3D U-Net with attention |")
    ]
    assert lines[0].endswith("| 0 | - | - |")
    assert lines[1].endswith("| 3 | 0.02 | 0.06 |"), "4 x 4 x 4 mm in one case of three"


def test_the_training_of_each_network_is_told(results: list[NetworkResult]) -> None:
    page = report_page(results, SPLIT, replace(Recipe(), steps=300, seed=77), "cpu")
    assert line_of(page, "3D U-Net", "1,234,567") == ["3D U-Net", "1,234,567", "20", "10", "1.00"]
    assert "seed (77)" in page and "at most 300 steps" in page and "the longest run took 20" in page
    assert "3 cases for training, 1 for validation, 3 for the test" in page


def test_few_cases_are_called_illustrative_and_chosen_weights_are_admitted(
    results: list[NetworkResult],
) -> None:
    few = report_page(results, SPLIT, Recipe(), "cpu")
    assert "**Illustrative only:** 3 training and 3 test cases" in few and "flatters" not in few
    same = report_page(results, {**SPLIT, "validation": SPLIT["test"]}, Recipe(), "cpu")
    assert "the very cases that are scored here, which flatters all four" in same
    many = report_page(results, {**SPLIT, "test": [str(n) for n in range(40)]}, Recipe(), "cpu")
    assert "Illustrative" not in many
    assert all("Not a medical device" in page and "0.63" in page for page in (few, same, many))


def test_the_table_of_all_scores_leaves_undefined_values_empty(
    tmp_path: Path, results: list[NetworkResult]
) -> None:
    lines = scores_csv(results).splitlines()
    assert len(lines) == 1 + 2 * 3 * 6 and lines[0].startswith("network,case,region,lesion_dice")
    assert "nan" not in scores_csv(results)
    write_report(tmp_path, results, SPLIT, Recipe(), "cpu")
    assert (tmp_path / "scores.csv").read_text() == scores_csv(results)
    assert (tmp_path / "report.md").read_text() == report_page(results, SPLIT, Recipe(), "cpu")


def test_cases_without_any_structure_leave_the_curve_empty(results: list[NetworkResult]) -> None:
    bare = replace(results[0], history=[{"step": 10, "training_loss": 1.0, "score": 1.0}])
    (line, other, *_) = dice_over_epochs([bare, results[1]], 3, Recipe()).axes[0].lines
    assert len(line.get_xdata()) == 0 and len(other.get_xdata()) == 2
