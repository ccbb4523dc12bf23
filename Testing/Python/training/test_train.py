"""What ``gliomaseg train`` does, from folders of cases to checkpoints."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from GliomaSegLib.cli import main
from GliomaSegLib.errors import Cancelled, UsageError
from GliomaSegLib.intake.preparation import InputSpec
from GliomaSegLib.training import run
from GliomaSegLib.training.cases import CaseFiles, TrainingCase
from GliomaSegLib.training.checkpoint import BEST, read_history
from GliomaSegLib.training.config import Recipe
from GliomaSegLib.training.run import split_cases, train

pytest.importorskip("monai", reason="training needs MONAI (the extra train)")

WriteCase = Callable[..., Path]
MakeCase = Callable[..., TrainingCase]


@pytest.fixture
def short_recipe(tiny_recipe: Recipe) -> Recipe:
    """Two steps on 8-voxel patches of 6 mm, one named case held out."""
    return replace(
        tiny_recipe,
        steps=2,
        validate_every=2,
        patch=(8, 8, 8),
        input=InputSpec(spacing_mm=(6.0, 6.0, 6.0)),
        validation=("BraTS-GLI-00001-100",),
    )


@pytest.fixture
def data(tmp_path: Path, write_case: WriteCase) -> Path:
    for number in range(3):
        write_case(tmp_path / "data", f"BraTS-GLI-{number:05d}-100")
    return tmp_path / "data"


def test_named_cases_are_held_out_and_excluded_ones_are_nowhere(short_recipe: Recipe) -> None:
    names = [f"BraTS-GLI-{n:05d}-100" for n in range(10)]
    cases = [CaseFiles(name, {}, None, "brats2024") for name in [*names, "BraTS-GLI-00001-101"]]
    recipe = replace(short_recipe, exclude=(names[2],))
    training, held = split_cases(cases, recipe)
    assert [c.name for c in held] == [names[1]]
    assert [c.name for c in training] == [names[0], *names[3:]], "nor another visit of the held patient"
    training, held = split_cases(cases, replace(recipe, validation=("elsewhere",)))
    assert len({c.patient for c in held}) == 2 and len({c.patient for c in training}) == 7


def test_names_that_the_data_lacks_are_told(tmp_path: Path, data: Path, short_recipe: Recipe) -> None:
    told: list[str] = []
    recipe = replace(short_recipe, exclude=("BraTS-GLI-0000-100",))
    train([data], recipe, tmp_path / "out", report=told.append)
    assert told[0] == "Note: the recipe's exclude names cases that the data lacks: BraTS-GLI-0000-100"


def test_a_stopped_run_says_that_it_can_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*arguments: object) -> None:
        raise Cancelled("Cancelled: nothing was written.")

    monkeypatch.setattr("GliomaSegLib.training.run.train", stopped)
    monkeypatch.setattr("GliomaSegLib.training.study.compare", stopped)
    for verb in ("train", "compare"):
        assert main([verb, "--data", str(tmp_path), "--output", str(tmp_path / "out")]) == 130
        assert "goes on from the last checkpoint" in capsys.readouterr().err
        words = [verb, "--data", str(tmp_path), "--output", str(tmp_path / "out"), "--device", "banana"]
        assert main(words) == 2
        assert "no device 'banana'" in capsys.readouterr().err


def test_a_run_trains_validates_and_reports(tmp_path: Path, data: Path, short_recipe: Recipe) -> None:
    told: list[str] = []
    trainer = train([data], short_recipe, tmp_path / "out", report=told.append)
    assert trainer.step == 2 and [case.name for case in trainer.validation] == ["BraTS-GLI-00001-100"]
    assert told[0] == "2 training cases, 1 held out: BraTS-GLI-00001-100"
    assert json.loads(told[-1]) == read_history(tmp_path / "out")[0]
    best = torch.load(tmp_path / "out" / BEST, weights_only=True)
    assert best.keys() == trainer.network.state_dict().keys()


def test_synthetic_cases_join_the_real_ones(
    tmp_path: Path, data: Path, short_recipe: Recipe, make_case: MakeCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, object] = {}

    def filled(
        folder: Path, exclude: set[str], spec: InputSpec, top: Path, seeds: range, **_: object
    ) -> range:
        asked.update(exclude=exclude, top=top)
        return seeds

    monkeypatch.setattr(run, "fill_cache", filled)
    monkeypatch.setattr(run, "read_cached", lambda seed: make_case(seed, 8, kind="painted"))
    recipe = replace(short_recipe, synthetic_cases=4, mix={"real": 1.0, "painted": 1.0})
    trainer = train([data], recipe, tmp_path / "out", cache=tmp_path / "cache")
    assert {kind: len(cases) for kind, cases in trainer.pool.cases.items()} == {"real": 2, "painted": 4}
    # The patient too: another visit must not feed synthesis either.
    assert asked == {"exclude": {"BraTS-GLI-00001-100", "BraTS-GLI-00001"}, "top": tmp_path / "cache"}
    trainer = train([data], replace(recipe, validation=("elsewhere",)), tmp_path / "split")
    assert asked["exclude"] == {"elsewhere", *(case.name[:-4] for case in trainer.validation)}
    assert len(trainer.validation) == 1


def test_without_a_case_to_train_on_the_run_is_refused(
    tmp_path: Path, data: Path, short_recipe: Recipe
) -> None:
    everyone = tuple(f"BraTS-GLI-{n:05d}-100" for n in range(3))
    with pytest.raises(UsageError, match="no training case"):
        train([data], replace(short_recipe, validation=everyone), tmp_path / "out")
