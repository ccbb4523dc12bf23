"""Training recipes: those that are shipped, those that are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from GliomaSegLib.errors import UsageError
from GliomaSegLib.training.config import Recipe, load_recipe, recipe_from_dict

pytest.importorskip("yaml", reason="recipes need PyYAML (the extra train)")


def test_the_thesis_recipe_is_the_published_one() -> None:
    recipe = load_recipe("thesis")
    assert (recipe.optimiser.name, recipe.optimiser.learning_rate, recipe.batch_size) == ("adam", 1e-4, 1)
    assert recipe.schedule.name == "plateau" and recipe.early_stopping > 0
    assert recipe.input.normalisation == "zscore"
    assert recipe.loss.cross_entropy + recipe.loss.focal == 1 and recipe.loss.focal > 0
    assert recipe.loss.dice == recipe.loss.tversky == 0
    assert recipe.network.residual and recipe.network.attention and recipe.network.norm == "batch"
    assert recipe.network.depth == 4 and recipe.network.dropout > 0


def test_what_ships_is_validated_on_cases_that_it_never_trains_on() -> None:
    recipe = load_recipe("ship")
    assert set(recipe.validation) >= {"BraTS2021_01478", "BraTS2021_01481", "patient19"}
    assert "patient01" in recipe.exclude
    assert recipe.ema == 0.995 and recipe.optimiser.name == "adamw" and recipe.schedule.name == "cosine"


@pytest.mark.parametrize("name", ["thesis", "ship"])
def test_a_recipe_survives_plain_data(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe_from_dict(recipe.to_dict()) == recipe


def test_a_file_is_read_and_what_it_leaves_out_is_the_default(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("steps: 12\npatch: [8, 8, 8]\noptimiser: {learning_rate: 1e-4}\ninput: {clip: [-3, 3]}\n")
    recipe = load_recipe(str(path))
    assert (recipe.steps, recipe.patch, recipe.optimiser.learning_rate) == (12, (8, 8, 8), 1e-4)
    assert recipe.input.clip == (-3, 3) and recipe.input.spacing_mm == (2.0, 2.0, 2.0)
    assert recipe.loss == Recipe().loss


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("stepz: 10", "unknown setting stepz"),
        ("loss: {crossentropy: 1}", "loss: unknown setting crossentropy"),
        ("steps: 0", "steps must be at least 1"),
        ("steps: ten", "steps is 'ten'"),
        ("steps: 1.5", "steps is 1.5"),
        ("batch_size: true", "batch_size is True"),
        ("batch_size: 0", "batch_size must be at least 1"),
        ("patch: 96", "patch is 96, not a list"),
        ("patch: [96, 96]", "patch must be three numbers"),
        ("ema: 1.0", "ema must be"),
        ("mix: {}", "mix must give"),
        ("mix: {real: -1}", "mix must give"),
        ("optimiser: {name: sgd}", "neither adam nor adamw"),
        ("optimiser: {learning_rate: -1}", "learning_rate must be above 0"),
        ("optimiser: {learning_rate: fast}", "could not convert"),
        ("optimiser: 3", "recipe.yaml"),
        ("schedule: {name: step}", "neither cosine nor plateau"),
        ("loss: {cross_entropy: 0, dice: 0}", "one above 0"),
        ("augmentation: {flip: 2}", "flip is a probability"),
        ("network: {width: wide}", "width is 'wide'"),
        ("input: {channels: [t9]}", "channels must be"),
        ("- 1\n- 2", "does not hold settings"),
        ("steps: [", "is not valid YAML"),
        ("mix: {reel: 1.0}", "mix names reel"),
        ("mix: {real: 0}", "above 0"),
        ("mix: 3", "mix is 3, not settings"),
        ("patch: [1.5, 8, 8]", "patch, an entry, is 1.5"),
        ("patch: [a, 8, 8]", "patch, an entry, is 'a'"),
        ("validation: [1, 2]", "validation, an entry, is 1"),
        ("optimiser: {learning_rate: .inf}", "not a finite number"),
        ("loss: {dice: .nan}", "not a finite number"),
        ("loss: {class_weights: [1, 2]}", "class_weights must be 5 numbers"),
        ("loss: ship", "'ship' are no settings"),
        ("input: {spaccing: [2, 2, 2]}", "input: unknown setting spaccing"),
        ("input: {spacing_mm: 2}", "spacing_mm is 2, not a list"),
        ("input: {channels: [t1, flair]}", "in_channels must be 2"),
        ("network:", "network is None, not settings"),
        ("network: {classes: 3}", "classes must be 5"),
        ("network: {depth: 40}", "depth must be at most"),
        ("network: {width: 100000}", "depth must be at most"),
    ],
)
def test_a_wrong_recipe_is_refused_with_what_is_wrong(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(UsageError) as refusal:
        load_recipe(str(path))
    assert "recipe.yaml" in str(refusal.value) and words in str(refusal.value)
    assert refusal.value.exit_code == 2


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(UsageError, match=r"recipe\.yaml is not valid YAML"):
        load_recipe(str(tmp_path / "recipe.yaml"))


def test_a_missing_recipe_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no training recipe gone\.yaml"):
        load_recipe(str(tmp_path / "gone.yaml"))
    with pytest.raises(UsageError, match="no shipped training recipe gone"):
        load_recipe("gone")
