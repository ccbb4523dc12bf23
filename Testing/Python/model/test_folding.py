"""Folding batch norm into the convolutions changes the number of steps, not the function."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from GliomaSegLib.model.folding import folded
from GliomaSegLib.model.network import GliomaNetwork, NetworkSpec, build_network


@pytest.mark.parametrize(
    ("residual", "attention"), [(False, False), (False, True), (True, False), (True, True)]
)
def test_a_folded_network_gives_the_same_logits_without_norms(
    trained: Callable[..., GliomaNetwork], residual: bool, attention: bool
) -> None:
    network = trained(NetworkSpec(residual, attention, width=4, depth=2))
    ready = folded(network)
    assert not any(isinstance(m, nn.BatchNorm3d) for m in ready.modules())
    assert any(isinstance(m, nn.BatchNorm3d) for m in network.modules())
    x = torch.randn(1, 4, 16, 12, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = network(x)
        assert torch.allclose(ready(x), expected, atol=1e-4 * float(expected.abs().max()))


def test_instance_norm_is_left_as_it_is() -> None:
    network = build_network(NetworkSpec(width=2, depth=1, norm="instance"), 0)
    assert folded(network) is network
    assert not network.training
