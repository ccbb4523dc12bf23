"""What is chosen after training, on cases of its own: temperature, offsets of logits, smallest islands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import torch

from GliomaSegLib.evaluation.calibration import expected_calibration_error, fit_temperature, with_temperature
from GliomaSegLib.evaluation.lesionwise import score_case
from GliomaSegLib.labels import CLASS_NAMES
from GliomaSegLib.model.folding import folded
from GliomaSegLib.model.network import GliomaNetwork
from GliomaSegLib.outcome.labelling import clean_up
from GliomaSegLib.training.cases import TrainingCase

SCORED = ("WT", "SNFH", "NETC", "ET", "RC")
SMALLEST_ML = (0.0, 0.1, 0.2, 0.3, 0.5, 0.8, 1.2)
OFFSETS = (-1.0, -0.5, 0.5, 1.0)
LEAST_GAIN = 0.005
"""Mean lesion-wise Dice that a change must win: less than that is the tuning cases' own accident."""
_FITTED_VOXELS = 600_000

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Seen:
    """What the network made of one case: ``logits`` (class, z, y, x); ``labels``, ``brain`` (z, y, x)."""

    name: str
    logits: FloatArray
    labels: npt.NDArray[np.uint8]
    brain: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Choice:
    """What tuning found; ``offsets`` by structure are added to the logits (0 where none helps).

    ``score`` is the mean over cases and regions of lesion-wise Dice, before and after.
    """

    smallest_ml: dict[str, float]
    offsets: dict[str, float] = field(default_factory=dict)
    score: tuple[float, float] = (float("nan"), float("nan"))

    @property
    def changed(self) -> bool:
        """Whether anything was worth changing."""
        return self.score[1] > self.score[0]


def seen_by(network: GliomaNetwork, cases: Sequence[TrainingCase]) -> list[Seen]:
    """One pass of the network over each case, on the model's grid."""
    ready, made = folded(network), []
    for case in cases:
        with torch.inference_mode():
            logits = ready(torch.from_numpy(case.image.astype(np.float32))[None])[0].numpy()
        made.append(Seen(case.name, logits, case.labels, (case.image != 0).any(axis=0)))
    return made


def temperature_of(cases: Sequence[Seen]) -> float:
    """The temperature that fits these cases inside their brains (Guo et al. 2017), to three digits."""
    logits, labels = _joined(cases)
    kept = np.random.default_rng(0).permutation(labels.size)[:_FITTED_VOXELS]
    return round(fit_temperature(logits[:, kept], labels[kept]).temperature, 3)


def calibration_error(cases: Sequence[Seen], temperature: float) -> float:
    """Expected calibration error inside the brains of all cases together, at this temperature."""
    logits, labels = _joined(cases)
    return expected_calibration_error(with_temperature(logits, temperature), labels)


def _joined(cases: Sequence[Seen]) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    logits = np.concatenate([case.logits[:, case.brain] for case in cases], axis=1)
    return logits, np.concatenate([case.labels[case.brain] for case in cases]).astype(np.int64)


def shifted(cases: Sequence[Seen], offsets: dict[str, float]) -> list[Seen]:
    """The cases with the offsets added to their logits."""
    shift = np.array([offsets.get(name, 0.0) for name in CLASS_NAMES], np.float32)[:, None, None, None]
    return [replace(case, logits=case.logits + shift) for case in cases]


def with_offsets(weights: dict[str, torch.Tensor], offsets: dict[str, float]) -> dict[str, torch.Tensor]:
    """The weights with the offsets built into the last layer's bias, so that inference need not know."""
    changed = dict(weights)
    bias = changed["head.bias"].clone()
    for name, offset in offsets.items():
        bias[CLASS_NAMES.index(name)] += offset
    changed["head.bias"] = bias
    return changed


def mean_score(cases: Sequence[Seen], choice: Choice, spacing_mm: float) -> float:
    """Mean lesion-wise Dice over cases and regions; a structure invented in a case counts as 0 there.

    The rules count voxels of 1 mm, so labels are repeated up to about that size.
    """
    factor, values = max(round(spacing_mm), 1), []
    for case in shifted(cases, choice.offsets):
        labels = case.logits.argmax(0).astype(np.uint8)
        labels[~case.brain] = 0
        labels, _ = clean_up(labels, spacing_mm**3 / 1000, choice.smallest_ml)
        reference, predicted = (_repeated(a, factor) for a in (case.labels, labels))
        scores = score_case(reference, predicted, (spacing_mm / factor,) * 3)
        values.append(np.mean([scores[region].lesion_dice for region in SCORED]))
    return float(np.mean(values))


def _repeated(labels: npt.NDArray[np.uint8], factor: int) -> npt.NDArray[np.uint8]:
    for axis in range(3):
        labels = labels.repeat(factor, axis)
    return labels


def tuned(cases: Sequence[Seen], start: dict[str, float], spacing_mm: float) -> Choice:
    """One structure after the other: the offset, then the smallest island, that raise the mean score most."""
    best = Choice(dict(start))
    before = now = mean_score(cases, best, spacing_mm)
    for name in CLASS_NAMES[1:]:
        tried = [replace(best, offsets={**best.offsets, name: value}) for value in OFFSETS]
        best, now = _better(cases, best, now, tried, spacing_mm)
        known = best.smallest_ml.get(name, 0.0)
        sizes = [value for value in SMALLEST_ML if value != known]
        tried = [replace(best, smallest_ml={**best.smallest_ml, name: value}) for value in sizes]
        best, now = _better(cases, best, now, tried, spacing_mm)
    return replace(best, score=(before, now))


def _better(
    cases: Sequence[Seen], best: Choice, now: float, tried: Sequence[Choice], spacing_mm: float
) -> tuple[Choice, float]:
    scores = [mean_score(cases, choice, spacing_mm) for choice in tried]
    top = int(np.argmax(scores))
    return (tried[top], scores[top]) if scores[top] >= now + LEAST_GAIN else (best, now)
