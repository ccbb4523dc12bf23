"""The comparison of the four networks: fair, split by patient, resumable, reported."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from GliomaSegLib.errors import InputRefused, OutputRefused, UsageError
from GliomaSegLib.intake.label_maps import read_label_map
from GliomaSegLib.intake.preparation import InputSpec
from GliomaSegLib.training import study
from GliomaSegLib.training.cases import CaseFiles, TrainingCase, find_cases, load_case
from GliomaSegLib.training.config import OptimiserSpec, Recipe
from GliomaSegLib.training.study import SIBLINGS, compare, prepared_case, recipe_of, split_study
from GliomaSegLib.training.study_figures import best_slice, class_shares, mean_dice

pytest.importorskip("monai", reason="training needs MONAI (the extra train)")
pytest.importorskip("matplotlib", reason="the study draws with matplotlib (the extra train)")

WriteCase = Callable[..., Path]
MakeCase = Callable[..., TrainingCase]
PNG = b"\x89PNG\r\n"


@pytest.fixture
def study_recipe(tiny_recipe: Recipe) -> Recipe:
    """Three steps of width-4 networks on 16-voxel patches of 4 mm."""
    return replace(
        tiny_recipe,
        steps=3,
        validate_every=2,
        ema=0.0,
        patch=(16, 16, 16),
        input=InputSpec(spacing_mm=(4.0, 4.0, 4.0)),
        optimiser=OptimiserSpec("adam", 1e-3),
    )


@pytest.fixture
def data(tmp_path: Path, write_case: WriteCase) -> Path:
    """Five patients, one of them with two visits and one without a cavity."""
    for number in range(5):
        labels = (1, 2, 3) if number == 2 else (1, 2, 3, 4)
        write_case(tmp_path / "data", f"BraTS-GLI-{number:05d}-100", labels=labels)
    write_case(tmp_path / "data", "BraTS-GLI-00001-101")
    return tmp_path / "data"


def cases_of(*visits: int) -> list[CaseFiles]:
    """As many visits of each patient as given."""
    return [
        CaseFiles(f"BraTS-GLI-{patient:05d}-{100 + visit}", {}, None, "brats2024")
        for patient, count in enumerate(visits)
        for visit in range(count)
    ]


def test_the_four_recipes_differ_in_the_two_switches_alone(study_recipe: Recipe) -> None:
    recipes = [recipe_of(slug, study_recipe) for slug in SIBLINGS]
    names = [recipe.network.display_name for recipe in recipes]
    assert names == [
        "3D U-Net",
        "3D U-Net with attention",
        "residual 3D U-Net",
        "residual 3D U-Net with attention",
    ]
    same = [replace(recipe, name="", network=study_recipe.network) for recipe in recipes]
    assert all(recipe == same[0] for recipe in same)
    assert {replace(r.network, residual=True, attention=True) for r in recipes} == {study_recipe.network}


def test_a_study_is_split_into_three_by_patient(study_recipe: Recipe) -> None:
    cases = cases_of(*[1, 2, 3] * 10)
    split = split_study(cases, study_recipe)
    groups = [split.training, split.validation, split.test]
    patients = [{case.patient for case in group} for group in groups]
    assert [len(p) for p in patients] == [19, 5, 6]
    assert sum(len(group) for group in groups) == len(cases) == len({c.name for g in groups for c in g})
    assert not patients[0] & patients[1] and not patients[0] & patients[2] and not patients[1] & patients[2]
    assert split_study(cases[::-1], study_recipe) == split


def test_named_validation_patients_are_held_out_with_all_their_visits(study_recipe: Recipe) -> None:
    recipe = replace(study_recipe, validation=("BraTS-GLI-00001-100",), exclude=("BraTS-GLI-00003-100",))
    split = split_study(cases_of(1, 2, 1, 1), recipe)
    assert [c.name for c in split.training] == ["BraTS-GLI-00000-100", "BraTS-GLI-00002-100"]
    assert [c.name for c in split.validation] == ["BraTS-GLI-00001-100"]
    assert split.test == split.validation


def test_named_test_cases_are_scored_alone_and_their_patients_seen_nowhere_else(study_recipe: Recipe) -> None:
    recipe = replace(study_recipe, test=("BraTS-GLI-00001-100",))
    for named in (("BraTS-GLI-00000-100",), ()):
        split = split_study(cases_of(1, 2, 1, 1), replace(recipe, validation=named))
        assert [c.name for c in split.test] == ["BraTS-GLI-00001-100"]
        others = [c.patient for c in (*split.training, *split.validation)]
        assert sorted(others) == ["BraTS-GLI-00000", "BraTS-GLI-00002", "BraTS-GLI-00003"]
        assert split.training and split.validation


def test_a_recipe_without_test_cases_is_told_as_before_there_were_any(study_recipe: Recipe) -> None:
    assert "test" not in study_recipe.to_dict()
    assert replace(study_recipe, test=("a",)).to_dict()["test"] == ("a",)


@pytest.mark.parametrize("visits", [(1,), (4,), (1, 3)])
def test_too_few_patients_are_refused(study_recipe: Recipe, visits: tuple[int, ...]) -> None:
    with pytest.raises(InputRefused, match="patients are too few to train, validate and test on"):
        split_study(cases_of(*visits), study_recipe)


def test_a_prepared_case_is_mapped_from_disk(tmp_path: Path, data: Path) -> None:
    case, spec = find_cases([data])[0], InputSpec(spacing_mm=(4.0, 4.0, 4.0))
    expected = load_case(case, spec)
    for _ in range(2):
        made = prepared_case(case, spec, tmp_path)
        assert isinstance(made.image, np.memmap)
        assert np.array_equal(made.image, expected.image) and np.array_equal(made.labels, expected.labels)
    assert sorted(p.name for p in tmp_path.glob("*.npy")) == [
        f"{case.name}.image.npy",
        f"{case.name}.labels.npy",
    ]


def test_a_study_ends_with_a_report_and_is_not_done_twice(
    tmp_path: Path, data: Path, study_recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "study"
    told: list[str] = []
    results = compare([data], output, study_recipe, "cpu", told.append)
    assert [result.slug for result in results] == list(SIBLINGS)
    assert all([row["step"] for row in result.history] == [2, 3] for result in results)
    split = json.loads((output / "study.json").read_text())["split"]
    (test,) = split["test"]
    with (output / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4 * 6 and {row["case"] for row in rows} == {test}
    assert len({row["network"] for row in rows}) == 4
    for result in results:
        labels, grid = read_label_map(result.predictions[test])
        reference, its_grid = read_label_map(data / test / f"{test}-seg.nii.gz")
        assert grid.matches(its_grid) and labels.shape == reference.shape
    for name in ("class_imbalance.png", "dice_over_epochs.png", "contours.png"):
        assert (output / name).read_bytes().startswith(PNG)
        assert f"]({name})" in (output / "report.md").read_text()

    monkeypatch.setattr(study, "_predict", lambda *arguments: pytest.fail("predicted again"))
    monkeypatch.setattr(study, "write_figures", lambda *arguments: None)
    again = compare([data], output, study_recipe)
    assert [r.rows for r in again] == [r.rows for r in results]
    assert [r.history for r in again] == [r.history for r in results]


def test_an_interrupted_study_goes_on_where_it_stopped(
    tmp_path: Path, data: Path, study_recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(study_recipe, steps=2)
    monkeypatch.setattr(study, "write_figures", lambda *arguments: None)
    whole = compare([data], tmp_path / "whole", recipe)
    train, trained = study._train_one, []

    def killed(slug: str, *arguments: object) -> None:
        if slug == "residual-unet" and not trained.count("killed"):
            trained.append("killed")
            raise KeyboardInterrupt
        trained.append(slug)
        train(slug, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(study, "_train_one", killed)
    with pytest.raises(KeyboardInterrupt):
        compare([data], tmp_path / "parts", recipe)
    resumed = compare([data], tmp_path / "parts", recipe)
    assert trained[:3] == ["unet", "attention-unet", "killed"] and len(trained) == 7
    assert [[r.score for r in result.rows] for result in resumed] == [
        [r.score for r in result.rows] for result in whole
    ]


def test_a_folder_of_another_study_is_refused(tmp_path: Path, data: Path, study_recipe: Recipe) -> None:
    split = split_study(find_cases([data]), study_recipe)
    study._claim(tmp_path / "study", study_recipe, split)
    study._claim(tmp_path / "study", study_recipe, split)
    with pytest.raises(OutputRefused, match="another recipe or other cases"):
        study._claim(tmp_path / "study", replace(study_recipe, seed=4), split)
    with pytest.raises(OutputRefused, match="another recipe or other cases"):
        study._claim(tmp_path / "study", study_recipe, replace(split, test=[]))


def test_without_matplotlib_the_study_says_so_before_it_trains(
    tmp_path: Path, data: Path, study_recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UsageError, match=r"study's figures needs? .* matplotlib: install it with"):
        compare([data], tmp_path / "study", study_recipe)
    assert not (tmp_path / "study").exists()


def test_class_shares_count_every_voxel(make_case: MakeCase) -> None:
    cases = [make_case(0, labels=(2, 4)), make_case(1, labels=(2,))]
    shares = class_shares(cases)
    assert shares.sum() == pytest.approx(1)
    together = np.concatenate([case.labels.ravel() for case in cases])
    assert shares.tolist() == pytest.approx([(together == n).mean() for n in range(5)])


def test_mean_dice_is_over_structures_not_regions() -> None:
    assert mean_dice({"dice_ET": 0.4, "dice_RC": 0.8, "dice_WT": 0.0}) == pytest.approx(0.6)
    assert mean_dice({"loss": 1.0}) is None


def test_the_slice_shown_has_most_reference_tissue() -> None:
    reference, prediction = np.zeros((2, 9, 4, 4), np.uint8)
    head = np.ones(reference.shape, bool)
    head[:, 0] = False
    head[5] = head[8] = False
    head[5, 0, 0] = True
    prediction[7, 1, 1] = 1
    prediction[8] = 1
    assert best_slice(reference, [reference], np.zeros_like(head)) == 4
    assert best_slice(reference, [reference], head) == 0
    assert best_slice(reference, [reference, prediction], head) == 7, (
        "what is predicted in the air is not shown"
    )
    reference[3, :2] = 4
    assert best_slice(reference, [prediction], head) == 3
