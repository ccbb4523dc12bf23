"""Averaged weights, and batch-norm statistics that fit them."""

from __future__ import annotations

import copy
from collections.abc import Iterable

import torch
from torch import nn

from ..model.network import GliomaNetwork


class AveragedNetwork:
    """Exponential moving average of a network's parameters; its buffers are the latest.

    The decay warms up as ``(1 + n) / (10 + n)``, so that the random start is soon forgotten.
    """

    def __init__(self, network: GliomaNetwork, decay: float) -> None:
        self.network = copy.deepcopy(network).eval()
        self.decay = decay
        self.updates = 0

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Take one step of ``network`` in."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for mine, theirs in zip(self.network.parameters(), network.parameters(), strict=True):
            mine.lerp_(theirs, 1 - decay)
        for kept, current in zip(self.network.buffers(), network.buffers(), strict=True):
            kept.copy_(current)


def batch_norms(network: nn.Module) -> list[nn.BatchNorm3d]:
    """Every batch norm of a network."""
    return [m for m in network.modules() if isinstance(m, nn.BatchNorm3d)]


@torch.no_grad()
def recompute_norm(network: nn.Module, images: Iterable[torch.Tensor]) -> None:
    """Set batch norm's running statistics to the mean over ``images`` (each (batch, channel, z, y, x)).

    At batch size 1 the usual running average follows the last few cases; the mean over many is what the
    weights expect in evaluation and when folded. Leaves the network in evaluation mode.
    """
    norms = batch_norms(network)
    momenta = [norm.momentum for norm in norms]
    network.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    for image in images:
        network(image)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.eval()
