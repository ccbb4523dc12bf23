"""The training loop: it learns, resumes to the bit, stops when it should, and keeps what is best."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from GliomaSegLib.errors import InputRefused
from GliomaSegLib.model.network import build_network
from GliomaSegLib.training import loop
from GliomaSegLib.training.averaging import batch_norms, recompute_norm
from GliomaSegLib.training.cases import TrainingCase
from GliomaSegLib.training.checkpoint import BEST, CHECKPOINT, load_checkpoint, read_history
from GliomaSegLib.training.config import AugmentationSpec, LossSpec, OptimiserSpec, Recipe, ScheduleSpec
from GliomaSegLib.training.loop import Trainer
from GliomaSegLib.training.pool import Pool

pytest.importorskip("monai", reason="training needs MONAI (the extra train)")

MakeCase = Callable[..., TrainingCase]
Weights = dict[str, torch.Tensor]
BUSY = AugmentationSpec(0.5, 0.5, 15.0, 0.15, 0.5, 0.3, 0.5, 0.3, 0.0, 0.3)


@pytest.fixture
def trainer(make_case: MakeCase, tmp_path: Path) -> Callable[..., Trainer]:
    """``trainer(recipe, folder, validation=1)``: three training cases, and some for validation."""
    pool = Pool.of([make_case(seed) for seed in range(3)], {"real": 1.0})

    def make(recipe: Recipe, folder: str = "run", validation: int = 1) -> Trainer:
        return Trainer(recipe, pool, [make_case(50 + n) for n in range(validation)], tmp_path / folder)

    return make


def weights(trainer: Trainer) -> Weights:
    made = {f"network.{k}": v.clone() for k, v in trainer.network.state_dict().items()}
    if trainer.averaged is not None:
        made.update({f"averaged.{k}": v.clone() for k, v in trainer.averaged.network.state_dict().items()})
    return made


def differing(one: Weights, other: Weights) -> list[str]:
    assert one.keys() == other.keys()
    return [name for name in one if not torch.equal(one[name], other[name])]


def test_a_short_run_learns(trainer: Callable[..., Trainer], tiny_recipe: Recipe) -> None:
    recipe = replace(tiny_recipe, steps=40, validate_every=10, freeze_norm_from=0.7)
    trainer(recipe).run()
    rows = read_history(trainer(recipe).folder)
    assert [row["step"] for row in rows] == [10, 20, 30, 40]
    assert rows[-1]["training_loss"] < 0.6 * rows[0]["training_loss"]
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert rows[-1]["dice_RC"] > 0.7 and rows[-1]["dice_SNFH"] > 0.7


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"ema": 0.0, "schedule": ScheduleSpec("plateau", patience=0), "validate_every": 1},
        {"freeze_norm_from": 0.5},
        {"batch_size": 2, "patch": (12, 12, 12)},
    ],
    ids=["averaged", "plateau", "frozen", "patches"],
)
def test_a_resumed_run_is_the_run_to_the_bit(
    trainer: Callable[..., Trainer], tiny_recipe: Recipe, change: dict[str, Any]
) -> None:
    settings: dict[str, Any] = {"steps": 6, "augmentation": BUSY, **change}
    recipe = replace(tiny_recipe, **settings, network=replace(tiny_recipe.network, dropout=0.2))
    whole = trainer(recipe, "whole")
    whole.run()
    first = trainer(recipe, "parts")
    first.run(stop_after=3)
    torch.manual_seed(12345)
    second = trainer(recipe, "parts")
    second.run()
    assert (first.step, second.step, whole.step) == (3, 6, 6)
    assert differing(weights(whole), weights(second)) == []
    assert differing(weights(first), weights(second)) != []
    optimisers = [t.optimiser.state_dict()["state"] for t in (whole, second)]
    assert all(torch.equal(optimisers[0][i]["exp_avg"], optimisers[1][i]["exp_avg"]) for i in optimisers[0])
    rows = [[{**r, "seconds_per_step": 0} for r in read_history(t.folder)] for t in (whole, second)]
    assert rows[0] == rows[1]


def test_an_interrupted_run_goes_on_from_its_last_checkpoint(
    trainer: Callable[..., Trainer], tiny_recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = trainer(tiny_recipe, "whole")
    whole.run()
    broken = trainer(tiny_recipe, "broken")
    step = broken._train_step

    def killed() -> float:
        if broken.step == 6:
            raise KeyboardInterrupt
        return step()

    monkeypatch.setattr(broken, "_train_step", killed)
    with pytest.raises(KeyboardInterrupt):
        broken.run()
    resumed = trainer(tiny_recipe, "broken")
    resumed.run()
    assert differing(weights(whole), weights(resumed)) == []


def test_a_finished_run_does_nothing_more(trainer: Callable[..., Trainer], tiny_recipe: Recipe) -> None:
    trainer(tiny_recipe).run()
    again = trainer(tiny_recipe)
    again.run()
    assert again.step == 8 and len(read_history(again.folder)) == 2


def scripted(monkeypatch: pytest.MonkeyPatch, rows: Sequence[dict[str, float]]) -> None:
    """Validation gives these rows, one after the other."""
    given = iter(rows)
    monkeypatch.setattr(loop, "validate", lambda network, cases, loss: dict(next(given)))


def test_early_stopping_waits_for_as_many_validations_as_asked(
    trainer: Callable[..., Trainer], tiny_recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = [0.5, 0.6, 0.55, 0.6, 0.1, 0.9]
    scripted(monkeypatch, [{"loss": 1.0, "score": score} for score in scores])
    stopped = trainer(replace(tiny_recipe, steps=50, validate_every=1, early_stopping=3))
    stopped.run()
    assert stopped.step == 5 and stopped.best == 0.6
    again = trainer(stopped.recipe)
    again.run()
    assert again.step == 5


def test_the_plateau_schedule_follows_the_validation_loss(
    trainer: Callable[..., Trainer], tiny_recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = [1.0, 0.9, 0.95, 0.95, 0.95, 0.8]
    scripted(monkeypatch, [{"loss": loss, "score": 0.1} for loss in losses])
    recipe = replace(
        tiny_recipe,
        steps=6,
        validate_every=1,
        schedule=ScheduleSpec("plateau", factor=0.1, patience=1),
        optimiser=OptimiserSpec("adam", 1e-3),
    )
    run = trainer(recipe)
    run.run()
    rates = [row["learning_rate"] for row in read_history(run.folder)]
    assert rates == pytest.approx([1e-3, 1e-3, 1e-3, 1e-3, 1e-4, 1e-4])


def test_the_cosine_schedule_warms_up_and_comes_down(
    trainer: Callable[..., Trainer], tiny_recipe: Recipe
) -> None:
    recipe = replace(tiny_recipe, steps=6, validate_every=1, schedule=ScheduleSpec("cosine", warm_up=2))
    run = trainer(recipe, validation=0)
    assert run.optimiser.param_groups[0]["lr"] == pytest.approx(2.5e-3)
    run.run()
    rates = [row["learning_rate"] for row in read_history(run.folder)]
    assert rates[0] == pytest.approx(5e-3) and rates[1:] == sorted(rates[1:], reverse=True)
    assert rates[-1] == pytest.approx(5e-5)


def test_the_best_weights_are_kept(
    trainer: Callable[..., Trainer], tiny_recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted(monkeypatch, [{"loss": 1.0, "score": score} for score in (0.2, 0.8, 0.4)])
    recipe = replace(tiny_recipe, steps=3, validate_every=1, ema=0.0)
    run, at_best = trainer(recipe), {}
    run.report = lambda row: at_best.update({row["step"]: weights(run)})
    run.run()
    best = torch.load(run.folder / BEST, weights_only=True)
    assert all(torch.equal(value, at_best[2][f"network.{name}"]) for name, value in best.items())
    assert differing(at_best[2], at_best[3]) != []


def test_a_folder_of_another_recipe_is_refused(trainer: Callable[..., Trainer], tiny_recipe: Recipe) -> None:
    trainer(tiny_recipe).run(stop_after=1)
    with pytest.raises(InputRefused, match="a run of another recipe"):
        trainer(replace(tiny_recipe, loss=LossSpec(focal=0.5))).run()


@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x03\x04 cut short"])
def test_a_damaged_checkpoint_is_refused(
    trainer: Callable[..., Trainer], tiny_recipe: Recipe, content: bytes
) -> None:
    run = trainer(tiny_recipe)
    (run.folder / CHECKPOINT).write_bytes(content)
    with pytest.raises(InputRefused, match=r"checkpoint\.pt in run is damaged: delete it"):
        run.run()


def test_given_weights_are_the_start(trainer: Callable[..., Trainer], tiny_recipe: Recipe) -> None:
    start = build_network(tiny_recipe.network, 99).state_dict()
    run = trainer(tiny_recipe)
    run.start_from(start)
    made = weights(run)
    assert all(
        torch.equal(made[f"{where}.{k}"], v) for k, v in start.items() for where in ("network", "averaged")
    )


def test_norm_statistics_are_fixed_from_the_share_asked_for(
    trainer: Callable[..., Trainer], tiny_recipe: Recipe
) -> None:
    run = trainer(replace(tiny_recipe, freeze_norm_from=0.5), validation=0)
    run.run(stop_after=4)
    expected = build_network(tiny_recipe.network)
    expected.load_state_dict(run.network.state_dict())
    recompute_norm(expected, run._norm_images())
    run.run(stop_after=1)
    fixed = [norm.running_mean.clone() for norm in batch_norms(run.network)]
    assert all(
        torch.allclose(a, b.running_mean, atol=1e-5)
        for a, b in zip(fixed, batch_norms(expected), strict=True)
    )
    run.run()
    assert all(torch.equal(a, b.running_mean) for a, b in zip(fixed, batch_norms(run.network), strict=True))


def test_what_is_validated_has_averaged_weights_and_statistics_that_fit_them(
    trainer: Callable[..., Trainer], tiny_recipe: Recipe
) -> None:
    run = trainer(tiny_recipe, validation=0)
    run.run(stop_after=3)
    shipped = run.evaluated()
    assert run.averaged is not None and shipped is run.averaged.network
    expected = build_network(tiny_recipe.network)
    expected.load_state_dict(shipped.state_dict())
    recompute_norm(expected, run._norm_images())
    for mine, theirs in zip(batch_norms(shipped), batch_norms(expected), strict=True):
        assert torch.allclose(mine.running_mean, theirs.running_mean, atol=1e-5)
    raw = [norm.running_mean for norm in batch_norms(run.network)]
    assert any(not torch.allclose(a, b.running_mean) for a, b in zip(raw, batch_norms(shipped), strict=True))


def test_gradients_are_clipped_and_batches_are_padded_to_one_size(
    make_case: MakeCase, tiny_recipe: Recipe, tmp_path: Path
) -> None:
    pool = Pool.of([make_case(0, 12), make_case(1, 16)], {"real": 1.0})
    recipe = replace(tiny_recipe, batch_size=6, optimiser=OptimiserSpec(clip=1e-3))
    run = Trainer(recipe, pool, [], tmp_path / "run")
    images, targets = run._batch()
    assert images.shape == (6, 4, 16, 16, 16) and targets.shape == (6, 16, 16, 16)
    run._train_step()
    norm = torch.cat([p.grad.flatten() for p in run.network.parameters()]).norm()
    assert float(norm) == pytest.approx(1e-3, rel=1e-3)


def test_the_checkpoint_is_plain_data(trainer: Callable[..., Trainer], tiny_recipe: Recipe) -> None:
    run = trainer(tiny_recipe)
    run.run(stop_after=1)
    state = load_checkpoint(run.folder)
    assert state is not None and state["step"] == 1
    assert json.loads(state["recipe"])["name"] == "tiny"
    assert not list(run.folder.glob("*.part"))
