"""Scores of a network on whole validation cases, on the model's grid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ..labels import REGIONS, STRUCTURES, region_labels
from .cases import TrainingCase
from .losses import SummedLoss

SCORED: tuple[str, ...] = (*(s.abbreviation for s in STRUCTURES), *(r.abbreviation for r in REGIONS))


def voxel_dice(reference: np.ndarray, prediction: np.ndarray, region: str) -> float:
    """Dice of one structure or region over two label maps of one shape; 1 when both are empty.

    >>> voxel_dice(np.array([4, 4, 0]), np.array([4, 0, 0]), "RC")
    0.6666666666666666
    """
    members = region_labels(region)
    a, b = np.isin(reference, members), np.isin(prediction, members)
    total = int(a.sum()) + int(b.sum())
    return 2 * int((a & b).sum()) / total if total else 1.0


@torch.no_grad()
def validate(network: torch.nn.Module, cases: Sequence[TrainingCase], loss: SummedLoss) -> dict[str, float]:
    """Mean loss, and mean voxel Dice of each region over the cases that have it.

    ``score``, which training maximises, is the mean over cases of the Dice of the regions that a case has,
    less the share of the brain invented where it has none.
    """
    network.eval()
    device = next(network.parameters()).device
    losses: list[float] = []
    dice: dict[str, list[float]] = {region: [] for region in SCORED}
    scores: list[float] = []
    for case in cases:
        logits = network(torch.from_numpy(case.image.astype(np.float32))[None].to(device))
        target = torch.from_numpy(case.labels.astype(np.int64))[None].to(device)
        losses.append(float(loss(logits, target)))
        predicted = logits.argmax(1)[0].cpu().numpy()
        brain = max(int((case.image != 0).any(axis=0).sum()), 1)
        of_case = []
        for region in SCORED:
            members = region_labels(region)
            if np.isin(case.labels, members).any():
                value = voxel_dice(case.labels, predicted, region)
                dice[region].append(value)
                of_case.append(value)
            else:
                of_case.append(1 - min(1.0, 100 * float(np.isin(predicted, members).sum()) / brain))
        scores.append(float(np.mean(of_case)))
    means = {f"dice_{region}": float(np.mean(values)) for region, values in dice.items() if values}
    return {"loss": float(np.mean(losses)), "score": float(np.mean(scores)), **means}
