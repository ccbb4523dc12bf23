"""Averaged weights, and batch-norm statistics that fit them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from GliomaSegLib.model.network import NetworkSpec, build_network
from GliomaSegLib.training.averaging import AveragedNetwork, batch_norms, recompute_norm

TINY = NetworkSpec(width=2, depth=1, dropout=0.0)


def filled(value: float) -> nn.Module:
    network = build_network(TINY, 0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(value)
        for norm in batch_norms(network):
            norm.running_mean.fill_(10 * value)
    return network


def test_the_average_is_the_one_worked_out_by_hand() -> None:
    averaged = AveragedNetwork(filled(0.0), 0.9)
    expected = 0.0
    for number, value in enumerate((1.0, 3.0, -2.0), 1):
        averaged.update(filled(value))
        decay = min(0.9, (1 + number) / (10 + number))
        expected = decay * expected + (1 - decay) * value
    weights = torch.cat([p.flatten() for p in averaged.network.parameters()])
    assert torch.allclose(weights, torch.full_like(weights, expected), atol=1e-6)
    assert all(float(norm.running_mean[0]) == -20.0 for norm in batch_norms(averaged.network))


def test_the_decay_ends_at_the_one_asked_for() -> None:
    averaged = AveragedNetwork(filled(0.0), 0.5)
    averaged.updates = 1000
    averaged.update(filled(1.0))
    assert float(next(averaged.network.parameters()).flatten()[0].detach()) == pytest.approx(0.5)


def test_the_average_is_a_copy() -> None:
    network = filled(1.0)
    averaged = AveragedNetwork(network, 0.9)
    with torch.no_grad():
        next(network.parameters()).fill_(7.0)
    assert float(next(averaged.network.parameters()).flatten()[0].detach()) == 1.0


def test_recomputed_statistics_are_the_means_over_the_images() -> None:
    network = build_network(TINY, 1)
    images = [
        torch.randn(1, 4, 8, 8, 8, generator=torch.Generator().manual_seed(n)) * (n + 1) for n in range(3)
    ]
    first = next(m for m in network.modules() if isinstance(m, nn.Sequential))
    outputs = [first[0](image).detach() for image in images]
    recompute_norm(network, iter(images))
    mean = torch.stack([o.mean(dim=(0, 2, 3, 4)) for o in outputs]).mean(0)
    variance = torch.stack([o.var(dim=(0, 2, 3, 4)) for o in outputs]).mean(0)
    assert torch.allclose(first[1].running_mean, mean, atol=1e-5)
    assert torch.allclose(first[1].running_var, variance, rtol=1e-4)
    assert not network.training and all(n.momentum == 0.1 and not n.training for n in batch_norms(network))


def test_recomputing_forgets_what_was_there_before() -> None:
    images = [torch.randn(1, 4, 8, 8, 8, generator=torch.Generator().manual_seed(4))]
    one, other = build_network(TINY, 1), build_network(TINY, 1)
    for norm in batch_norms(other):
        norm.running_mean.fill_(50.0)
    for network in (one, other):
        recompute_norm(network, images)
    assert all(
        torch.equal(a.running_mean, b.running_mean)
        for a, b in zip(batch_norms(one), batch_norms(other), strict=True)
    )
