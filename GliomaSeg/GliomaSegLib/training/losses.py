"""The four losses of the dissertation, alone or summed.

Cross-entropy; focal, ``-alpha_t (1 - p_t)^gamma log p_t`` (Lin et al. 2017); soft Dice (Milletari et al.
2016); Tversky (Salehi et al. 2017). ``(1 - lambda) CE + lambda focal`` is what the dissertation trained with.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from .config import LossSpec

_SMOOTH = 1.0
"""Voxels added above and below in overlap losses, so that a structure of few voxels does not jump about."""


def focal_loss(
    logits: torch.Tensor, target: torch.Tensor, gamma: float, alpha: torch.Tensor | None = None
) -> torch.Tensor:
    """Mean focal loss of ``logits`` (batch, classes, z, y, x) and ``target`` (batch, z, y, x) int64.

    ``alpha`` (classes,) weighs each voxel by its class. With ``gamma`` 0 and no ``alpha`` it is
    cross-entropy.
    """
    log_p = functional.log_softmax(logits, dim=1)
    log_pt = log_p.gather(1, target.unsqueeze(1)).squeeze(1)
    loss = -((1 - log_pt.exp()) ** gamma) * log_pt
    if alpha is not None:
        loss = loss * alpha[target]
    return loss.mean()


def tversky_loss(logits: torch.Tensor, target: torch.Tensor, alpha: float) -> torch.Tensor:
    """``1 - TP / (TP + alpha FP + (1 - alpha) FN)``, mean over the structures in ``target``; soft counts.

    ``alpha`` 0.5 is the soft Dice loss. Counts are over the whole batch. A structure that the batch lacks is
    left to cross-entropy: with one brain a batch, the pull of absent structures towards "never" kept rare
    ones from being learnt at all (500 steps, enhancing tissue and cavity at Dice 0).
    """
    p = functional.softmax(logits, dim=1)[:, 1:]
    g = functional.one_hot(target, logits.shape[1]).movedim(-1, 1)[:, 1:].to(p.dtype)
    axes = (0, 2, 3, 4)
    tp, predicted, actual = (p * g).sum(axes), p.sum(axes), g.sum(axes)
    denominator = tp + alpha * (predicted - tp) + (1 - alpha) * (actual - tp)
    present = (actual > 0).to(p.dtype)
    each = present * (1 - (tp + _SMOOTH) / (denominator + _SMOOTH))
    return each.sum() / present.sum().clamp_min(1)


class SummedLoss(nn.Module):
    """The weighted sum that a ``LossSpec`` names."""

    def __init__(self, spec: LossSpec, classes: int) -> None:
        super().__init__()
        self.spec = spec
        if spec.class_weights and len(spec.class_weights) != classes:
            raise ValueError(f"{len(spec.class_weights)} class weights for {classes} classes")
        weights = torch.tensor(spec.class_weights) if spec.class_weights else None
        self.class_weights: torch.Tensor | None
        self.register_buffer("class_weights", weights)

    def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """``logits`` (batch, classes, z, y, x) and ``target`` (batch, z, y, x) int64 to one number."""
        spec = self.spec
        total = logits.new_zeros(())
        if spec.cross_entropy:
            total = total + spec.cross_entropy * functional.cross_entropy(logits, target, self.class_weights)
        if spec.focal:
            total = total + spec.focal * focal_loss(logits, target, spec.focal_gamma, self.class_weights)
        if spec.dice:
            total = total + spec.dice * tversky_loss(logits, target, 0.5)
        if spec.tversky:
            total = total + spec.tversky * tversky_loss(logits, target, spec.tversky_alpha)
        return total
