"""The table: what is written, what is averaged with what, and that a failure leaves nothing behind."""

from __future__ import annotations

import csv
import importlib.util
from math import isnan, nan
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from GliomaSegLib.errors import InputRefused, OutputRefused, UsageError
from GliomaSegLib.evaluation.cases import label_map_files, read_case_labels
from GliomaSegLib.evaluation.lesionwise import score_case
from GliomaSegLib.evaluation.summary import Row, statistic, summarise
from GliomaSegLib.evaluation.table import COLUMNS, evaluate_folders

SHAPE = (20, 20, 40)


@pytest.fixture
def folders(tmp_path, build, save) -> tuple[Path, Path]:
    """Three cases: a cavity found, a cavity missed, and none but one invented (0.125 ml)."""
    cavity, core = (4, 4, 12, 4, 12, 4, 12), (3, 4, 12, 4, 12, 20, 30)
    reference = {"A": (cavity, core), "B": (cavity, core), "C": (core,)}
    prediction = {"A": (cavity, core), "B": (core,), "C": (core, (4, 14, 19, 14, 19, 4, 9))}
    for case in "ABC":
        save(build(SHAPE, *reference[case]), tmp_path / "reference" / f"{case}-seg.nii.gz")
        save(build(SHAPE, *prediction[case]), tmp_path / "prediction" / case / "segmentation.nii.gz")
    return tmp_path / "reference", tmp_path / "prediction"


def test_table_plot_and_rows(folders, tmp_path):
    seen = []
    rows = evaluate_folders(*folders, tmp_path / "out" / "scores.csv", lambda *step: seen.append(step))
    assert seen == [(0, 3, "A"), (1, 3, "B"), (2, 3, "C"), (3, 3, "")]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["scores.csv", "scores.md", "scores.png"]
    assert (tmp_path / "out" / "scores.png").read_bytes().startswith(b"\x89PNG")

    with (tmp_path / "out" / "scores.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert tuple(lines[0]) == COLUMNS
    assert len(lines) == len(rows) == 18
    cavity = {line["case"]: line for line in lines if line["region"] == "RC"}
    assert [cavity[case]["lesion_dice"] for case in "ABC"] == ["1", "0", "0"]
    assert cavity["C"]["prediction_ml"] == "0.125"
    assert cavity["C"]["lesion_sensitivity"] == "", "what is not defined stays empty"

    page = (tmp_path / "out" / "scores.md").read_text()
    assert "| RC | 2 | 0.500 [0.000, 1.000]; 0.500 |" in page
    assert "| RC | 1 | 0.12; 0.12 | 0.12 |" in page or "| RC | 1 | 0.13; 0.13 | 0.13 |" in page
    assert "| B | 1.000 | (0.00) | 0.000 |" in page


def test_cases_without_partner_are_named_in_the_page(folders, tmp_path):
    (folders[1] / "B" / "segmentation.nii.gz").unlink()
    rows = evaluate_folders(*folders, tmp_path / "scores.csv", plot=False)
    assert {row.case for row in rows} == {"A", "C"}
    assert "**Not scored, no prediction:** B." in (tmp_path / "scores.md").read_text()


def test_failure_leaves_nothing_and_keeps_an_older_table(folders, tmp_path, save):
    older = tmp_path / "scores.csv"
    older.write_text("older")
    save(np.zeros((20, 20, 41), np.uint8), folders[1] / "C" / "segmentation.nii.gz")
    with pytest.raises(InputRefused, match="prediction of C lies on another grid"):
        evaluate_folders(*folders, older)
    assert older.read_text() == "older"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["prediction", "reference", "scores.csv"]


def test_a_shifted_origin_is_another_grid(folders, tmp_path, build, save):
    save(build(SHAPE), folders[1] / "A" / "segmentation.nii.gz", origin=(0.0, 0.0, 1.0))
    with pytest.raises(InputRefused, match="another grid"):
        evaluate_folders(*folders, tmp_path / "scores.csv", plot=False)


def test_a_write_that_fails_halfway_leaves_nothing(folders, tmp_path, monkeypatch):
    def full(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OutputRefused, match="No space left"):
        evaluate_folders(*folders, tmp_path / "out" / "scores.csv", plot=False)
    assert list((tmp_path / "out").iterdir()) == []


def test_output_is_checked_before_anything_is_scored(folders, tmp_path):
    with pytest.raises(UsageError, match=r"must end in \.csv"):
        evaluate_folders(*folders, tmp_path / "scores.txt")
    (tmp_path / "taken.csv").mkdir()
    with pytest.raises(OutputRefused, match="is a folder"):
        evaluate_folders(*folders, tmp_path / "taken.csv")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputRefused, match="can't be written into file"):
        evaluate_folders(*folders, tmp_path / "file" / "scores.csv")


def test_without_matplotlib_the_sentence_says_what_to_install(folders, tmp_path, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "GliomaSegLib.evaluation.plot.find_spec", lambda name: None if name == "matplotlib" else found(name)
    )
    with pytest.raises(UsageError, match="matplotlib: install it with"):
        evaluate_folders(*folders, tmp_path / "scores.csv")
    assert not (tmp_path / "scores.csv").exists()
    assert evaluate_folders(*folders, tmp_path / "scores.csv", plot=False)


def test_brats2021_references_meet_predictions_in_brats2024_numbers(tmp_path, build, save):
    box = (4, 12, 4, 12, 4, 12)
    save(build(SHAPE, (4, *box)), tmp_path / "reference" / "BraTS2021_00001_seg.nii.gz")
    save(build(SHAPE, (3, *box)), tmp_path / "prediction" / "BraTS2021_00001.nii.gz")
    arguments = tmp_path / "reference", tmp_path / "prediction", tmp_path / "scores.csv"
    scores = {row.score.region: row.score for row in evaluate_folders(*arguments, plot=False)}
    assert (scores["ET"].lesion_dice, scores["RC"].reference_ml) == (1.0, 0.0)
    told = evaluate_folders(*arguments, reference_labels="brats2024", plot=False)
    assert {row.score.region: row.score.lesion_dice for row in told}["RC"] == 0.0


def test_the_table_is_the_same_twice(folders, tmp_path):
    for name in ("one", "two"):
        evaluate_folders(*folders, tmp_path / name / "scores.csv")
    for suffix in ("csv", "md", "png"):
        first, second = ((tmp_path / n / f"scores.{suffix}").read_bytes() for n in ("one", "two"))
        assert first == second


def test_cases_with_without_and_with_specks_are_counted_apart(build):
    lesion, speck, empty = (
        build(SHAPE, (3, 2, 8, 2, 8, 2, 8)),
        build(SHAPE, (3, 2, 4, 2, 4, 2, 4)),
        build(SHAPE),
    )
    rows = []
    for name, reference, prediction in [("A", lesion, lesion), ("B", speck, lesion), ("C", empty, lesion)]:
        rows += [Row(name, score) for score in score_case(reference, prediction, (1, 1, 1)).values()]
    enhancing = summarise(rows)[0]
    counts = enhancing.with_structure, enhancing.without_structure, enhancing.specks_only
    assert (enhancing.region, counts) == ("ET", (1, 1, 1))
    assert enhancing.metrics["lesion_dice"].mean == 1.0
    assert enhancing.false_positive_ml.mean == enhancing.worst_false_positive_ml == pytest.approx(0.216)


def test_bootstrap_interval_of_a_mean_is_near_its_normal_one():
    values = np.random.default_rng(1).normal(0.7, 0.1, 400).tolist()
    result = statistic(values)
    half = 1.96 * np.std(values) / 20
    assert result.mean_interval == pytest.approx((result.mean - half, result.mean + half), abs=0.002)
    assert result.median_interval[0] < result.median < result.median_interval[1]
    assert statistic(values) == result
    assert statistic(values, seed=2).mean_interval != result.mean_interval


def test_statistics_of_one_and_of_no_case():
    one, none = statistic([0.4, nan]), statistic([nan])
    assert (one.count, one.mean, one.median) == (1, 0.4, 0.4)
    assert isnan(one.mean_interval[0])
    assert none.count == 0 and isnan(none.mean)


@pytest.mark.data
def test_real_references_score_perfectly_against_themselves(brats2021_folder, tmp_path, save):
    case, path = next((c, p) for c, p in label_map_files(brats2021_folder).items() if c.endswith("01481"))
    save(read_case_labels(path)[0], tmp_path / "prediction" / f"{case}.nii.gz")
    source = tmp_path / "reference" / case / path.name
    source.parent.mkdir(parents=True)
    source.symlink_to(path)
    predicted = sitk.ReadImage(str(tmp_path / "prediction" / f"{case}.nii.gz"))
    predicted.CopyInformation(sitk.ReadImage(str(path)))
    sitk.WriteImage(predicted, str(tmp_path / "prediction" / f"{case}.nii.gz"))
    rows = evaluate_folders(
        tmp_path / "reference", tmp_path / "prediction", tmp_path / "scores.csv", plot=False
    )
    scores = {row.score.region: row.score for row in rows}
    assert all(score.lesion_dice == 1.0 for score in scores.values())
    assert scores["ET"].reference_ml == pytest.approx(2.575)
    assert scores["RC"].lacks_structure


def test_a_reader_is_told_what_was_not_scored(folders, tmp_path):
    (folders[0] / "B-seg.nii.gz").unlink()
    (folders[1] / "C" / "segmentation.nii.gz").unlink()
    told = []
    evaluate_folders(*folders, tmp_path / "scores.csv", plot=False, warn=told.append)
    assert told == ["not scored, no prediction: C.", "not scored, no reference: B."]


def test_predictions_that_seem_to_be_numbered_as_brats_2021_are_doubted(tmp_path, build, save):
    label_map = build(SHAPE, (4, 4, 12, 4, 12, 4, 12), (2, 4, 12, 4, 12, 20, 30))
    for folder in ("reference", "prediction"):
        save(label_map, tmp_path / folder / "BraTS2021_00001_seg.nii.gz")
    arguments = tmp_path / "reference", tmp_path / "prediction", tmp_path / "scores.csv"
    told = []
    rows = evaluate_folders(*arguments, plot=False, warn=told.append)
    assert {row.score.region: row.score.lesion_dice for row in rows}["ET"] == 0.0
    assert len(told) == 1 and "--prediction-labels brats2021" in told[0]
    rows = evaluate_folders(*arguments, plot=False, warn=told.append, prediction_labels="brats2021")
    assert len(told) == 1 and {row.score.lesion_dice for row in rows} == {1.0}


def test_a_folder_of_slicer_segmentations_alone_is_refused_with_the_reason(tmp_path):
    (tmp_path / "A.seg.nrrd").write_bytes(b"NRRD0004")
    with pytest.raises(InputRefused, match=r"Export \.seg\.nrrd files as label maps"):
        label_map_files(tmp_path)
