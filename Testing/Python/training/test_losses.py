"""Losses against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from GliomaSegLib.training.config import LossSpec
from GliomaSegLib.training.losses import SummedLoss, focal_loss, tversky_loss


def logits_of(*voxels: tuple[float, ...]) -> torch.Tensor:
    """Logits (1, classes, 1, 1, voxels) whose softmax is the given probabilities."""
    return torch.log(torch.tensor(voxels).T)[None, :, None, None, :]


def target_of(*classes: int) -> torch.Tensor:
    return torch.tensor(classes)[None, None, None, :]


def random_case(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, 5, 3, 4, 5, generator=generator)
    return logits, torch.randint(0, 5, (2, 3, 4, 5), generator=generator)


def test_focal_without_gamma_is_cross_entropy() -> None:
    logits, target = random_case()
    assert torch.allclose(focal_loss(logits, target, 0.0), functional.cross_entropy(logits, target))


def test_focal_by_hand() -> None:
    logits, target = logits_of((0.9, 0.1), (0.3, 0.7)), target_of(0, 0)
    expected = (0.1**2 * -math.log(0.9) + 0.7**2 * -math.log(0.3)) / 2
    assert float(focal_loss(logits, target, 2.0)) == pytest.approx(expected, rel=1e-5)


def test_focal_alpha_weighs_each_voxel_by_its_class() -> None:
    logits, target = logits_of((0.6, 0.4), (0.3, 0.7)), target_of(0, 1)
    expected = (0.25 * 0.4 * -math.log(0.6) + 0.75 * 0.3 * -math.log(0.7)) / 2
    made = focal_loss(logits, target, 1.0, torch.tensor([0.25, 0.75]))
    assert float(made) == pytest.approx(expected, rel=1e-5)


def test_tversky_and_dice_by_hand() -> None:
    # One foreground class. Soft counts: TP = .8 + .4 = 1.2, FP = .3, FN = .2 + .6 = .8; 1 voxel smooth.
    logits, target = logits_of((0.2, 0.8), (0.6, 0.4), (0.7, 0.3)), target_of(1, 1, 0)
    tversky = 1 - (1.2 + 1) / (1.2 + 0.3 * 0.3 + 0.7 * 0.8 + 1)
    dice = 1 - (2 * 1.2 + 2) / ((0.8 + 0.4 + 0.3) + 2 + 2)
    assert float(tversky_loss(logits, target, 0.3)) == pytest.approx(tversky, rel=1e-5)
    assert float(tversky_loss(logits, target, 0.5)) == pytest.approx(dice, rel=1e-5)


def test_tversky_alpha_prices_inventions_against_misses() -> None:
    target = target_of(*[1] * 10, *[0] * 10)
    inventing = logits_of(*[(0.05, 0.95)] * 15, *[(0.95, 0.05)] * 5)
    missing = logits_of(*[(0.05, 0.95)] * 5, *[(0.95, 0.05)] * 15)
    assert tversky_loss(inventing, target, 0.2) < tversky_loss(missing, target, 0.2)
    assert tversky_loss(inventing, target, 0.8) > tversky_loss(missing, target, 0.8)


def test_background_does_not_count_in_overlap_losses() -> None:
    nothing = torch.zeros(1, 2, 2, 2, dtype=torch.long)
    perfect = functional.one_hot(nothing, 3).movedim(-1, 1) * 100.0
    assert float(tversky_loss(perfect, nothing, 0.5)) == pytest.approx(0, abs=1e-6)


def test_structures_that_the_batch_lacks_do_not_count_in_overlap_losses() -> None:
    target = target_of(1, 1, 0)
    two = logits_of((0.2, 0.8), (0.6, 0.4), (0.7, 0.3))
    three = torch.cat([two, torch.full_like(two[:, :1], -30.0)], dim=1)
    expected = float(tversky_loss(two, target, 0.5))
    assert float(tversky_loss(three, target, 0.5)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("lam", [0.0, 0.3, 1.0])
def test_the_dissertations_loss_is_the_mixture(lam: float) -> None:
    logits, target = random_case(1)
    loss = SummedLoss(LossSpec(1 - lam, lam, dice=0.0, focal_gamma=2.0), 5)
    expected = (1 - lam) * functional.cross_entropy(logits, target) + lam * focal_loss(logits, target, 2.0)
    assert torch.allclose(loss(logits, target), expected)


def test_a_sum_has_every_term_at_its_weight() -> None:
    logits, target = random_case(2)
    weights = (0.1, 1.0, 1.0, 2.0, 2.0)
    loss = SummedLoss(LossSpec(0.5, 0.25, 2.0, 3.0, 1.5, 0.7, weights), 5)
    alpha = torch.tensor(weights)
    expected = 0.5 * functional.cross_entropy(logits, target, alpha)
    expected += 0.25 * focal_loss(logits, target, 1.5, alpha)
    expected += 2.0 * tversky_loss(logits, target, 0.5) + 3.0 * tversky_loss(logits, target, 0.7)
    assert torch.allclose(loss(logits, target), expected)


def test_class_weights_must_fit_the_classes() -> None:
    with pytest.raises(ValueError, match="2 class weights for 5 classes"):
        SummedLoss(LossSpec(class_weights=(1.0, 2.0)), 5)


@pytest.mark.parametrize("name", ["cross_entropy", "focal", "dice", "tversky"])
def test_following_any_loss_downhill_finds_the_target(name: str) -> None:
    _, target = random_case(3)
    loss = SummedLoss(LossSpec(**{"cross_entropy": 0.0, "dice": 0.0, name: 1.0}), 5)
    logits = torch.zeros(2, 5, 3, 4, 5, requires_grad=True)
    optimiser = torch.optim.Adam([logits], lr=0.3)
    for _ in range(40):
        optimiser.zero_grad()
        loss(logits, target).backward()
        optimiser.step()
    assert float((logits.argmax(1) == target).float().mean()) > 0.97
