"""Whether probabilities mean what they say: calibration error, temperature scaling, coverage of intervals.

Arrays are channel first: probabilities and logits (class, ...), labels (...) with class numbers. Pass
held-out cases only, or the numbers flatter the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log, nan

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from scipy.stats import beta

FloatArray = npt.NDArray[np.floating]
IntArray = npt.NDArray[np.integer]
BoolArray = npt.NDArray[np.bool_]

_SMALLEST_PROBABILITY = 1e-7
_TEMPERATURES = (0.05, 20.0)


@dataclass(frozen=True)
class Reliability:
    """A reliability diagram over equal-width confidence bins with these ``edges`` (bins + 1,).

    Per bin: how many predictions fell into it (``count``), their mean ``confidence`` and the fraction that
    was right (``accuracy``); the latter two are NaN in empty bins.
    """

    edges: npt.NDArray[np.float64]
    count: npt.NDArray[np.int64]
    confidence: npt.NDArray[np.float64]
    accuracy: npt.NDArray[np.float64]

    @property
    def expected_calibration_error(self) -> float:
        """Mean of |accuracy - confidence| over all predictions, 0 to 1; NaN without predictions."""
        total = int(self.count.sum())
        if not total:
            return nan
        gaps = np.abs(self.accuracy - self.confidence)
        return float(np.nansum(gaps * self.count) / total)


def reliability(confidence: FloatArray, correct: BoolArray, bins: int = 15) -> Reliability:
    """Bins predictions by confidence (0 to 1, any shape) and compares with how many were ``correct``.

    Equal-width bins (Guo et al. 2017, arXiv:1706.04599). Raises ``ValueError`` for shapes that differ or
    values outside 0 to 1.
    """
    confidence, correct = np.asarray(confidence, float).ravel(), np.asarray(correct, bool).ravel()
    if confidence.shape != correct.shape:
        raise ValueError(f"{confidence.size} confidences but {correct.size} outcomes")
    if confidence.size and not (confidence.min() >= 0 and confidence.max() <= 1 + 1e-6):
        raise ValueError("confidences must lie between 0 and 1")
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    count = np.bincount(place, minlength=bins)
    divisor = np.where(count > 0, count, nan)
    return Reliability(
        edges=np.linspace(0.0, 1.0, bins + 1, dtype=np.float64),
        count=count,
        confidence=np.bincount(place, confidence, bins) / divisor,
        accuracy=np.bincount(place, correct.astype(float), bins) / divisor,
    )


def pooled(diagrams: Sequence[Reliability]) -> Reliability:
    """One diagram of all predictions behind several with the same bins, as of one case each.

    Raises ``ValueError`` without a diagram or for bins that differ.
    """
    if not diagrams or any(not np.array_equal(d.edges, diagrams[0].edges) for d in diagrams):
        raise ValueError("pooling needs diagrams of the same bins")
    count = np.sum([d.count for d in diagrams], axis=0)
    divisor = np.where(count > 0, count, nan)
    confidence = np.nansum([d.confidence * d.count for d in diagrams], axis=0) / divisor
    accuracy = np.nansum([d.accuracy * d.count for d in diagrams], axis=0) / divisor
    return Reliability(diagrams[0].edges, count, confidence, accuracy)


def top_label_reliability(
    probabilities: FloatArray, labels: IntArray, bins: int = 15, mask: BoolArray | None = None
) -> Reliability:
    """Reliability of the likeliest class's probability: ``probabilities`` (class, ...), ``labels`` (...).

    ``mask`` (...) restricts it, for example to the brain: a background of certain voxels would hide the rest.
    Raises ``ValueError`` for shapes that do not fit.
    """
    probabilities, labels = _flattened(probabilities, labels, mask)
    return reliability(probabilities.max(axis=0), probabilities.argmax(axis=0) == labels, bins)


def class_reliability(
    probabilities: FloatArray,
    labels: IntArray,
    class_number: int,
    bins: int = 15,
    mask: BoolArray | None = None,
) -> Reliability:
    """Reliability of one class's own probability: does 0.3 of RC mean RC in 30% of voxels? As above."""
    probabilities, labels = _flattened(probabilities, labels, mask)
    return reliability(probabilities[class_number], labels == class_number, bins)


def expected_calibration_error(
    probabilities: FloatArray, labels: IntArray, bins: int = 15, mask: BoolArray | None = None
) -> float:
    """Top-label expected calibration error of one case, see :func:`top_label_reliability`.

    >>> p = np.array([[0.2, 0.2, 0.2, 0.2], [0.8, 0.8, 0.8, 0.8]])      # four voxels, 80% sure of class 1 ...
    >>> round(expected_calibration_error(p, np.array([1, 1, 1, 0])), 3)  # ... and three of them right
    0.05
    """
    return top_label_reliability(probabilities, labels, bins, mask).expected_calibration_error


@dataclass(frozen=True)
class TemperatureFit:
    """The temperature that divides the logits, and the mean negative log-likelihood without and with it."""

    temperature: float
    nll_before: float
    nll_after: float


def fit_temperature(logits: FloatArray, labels: IntArray, mask: BoolArray | None = None) -> TemperatureFit:
    """The one temperature (0.05 to 20) that makes ``logits`` (class, ...) likeliest given ``labels`` (...).

    Guo et al. 2017. The arg-max, and with it every label map, stays as it was. For probabilities pass
    :func:`logits_of`. The likelihood has one optimum in 1 / temperature, so the search can't get stuck.

    Raises ``ValueError`` for shapes that do not fit, or without a voxel to fit on.
    """
    logits, labels = _flattened(logits, labels, mask)
    if not labels.size:
        raise ValueError("no voxel to fit the temperature on")

    def loss(log_temperature: float) -> float:
        return negative_log_likelihood(logits / exp(log_temperature), labels)

    low, high = _TEMPERATURES
    best = minimize_scalar(loss, bounds=(log(low), log(high)), method="bounded", options={"xatol": 1e-4})
    before = loss(0.0)
    if best.fun >= before:
        return TemperatureFit(1.0, before, before)
    return TemperatureFit(exp(float(best.x)), before, float(best.fun))


def negative_log_likelihood(logits: FloatArray, labels: IntArray) -> float:
    """Mean over voxels of -log p(label), with p the softmax of ``logits`` (class, n); ``labels`` (n,)."""
    log_probabilities = log_softmax(logits, axis=0)
    return float(-np.take_along_axis(log_probabilities, labels[None], axis=0).mean())


def with_temperature(logits: FloatArray, temperature: float) -> FloatArray:
    """Probabilities (class, ...) of ``logits`` (class, ...) divided by ``temperature``."""
    probabilities: FloatArray = softmax(logits / temperature, axis=0)
    return probabilities


def logits_of(probabilities: FloatArray) -> FloatArray:
    """Logits (class, ...) whose softmax is ``probabilities`` (class, ...); zeros are taken as 1e-7."""
    logits: FloatArray = np.log(np.maximum(probabilities, _SMALLEST_PROBABILITY))
    return logits


def _flattened(scores: FloatArray, labels: IntArray, mask: BoolArray | None) -> tuple[FloatArray, IntArray]:
    """Scores as (class, n) and labels as (n,), inside the mask."""
    if scores.shape[1:] != labels.shape or (mask is not None and mask.shape != labels.shape):
        raise ValueError(f"scores of shape {scores.shape} do not fit labels of shape {labels.shape}")
    if mask is not None:
        return scores[:, mask], labels[mask]
    return scores.reshape(scores.shape[0], -1), labels.reshape(-1)


@dataclass(frozen=True)
class Coverage:
    """How many of ``count`` true volumes lay inside their intervals, with the rate's exact 95% interval."""

    covered: int
    count: int
    fraction: float
    interval: tuple[float, float]
    mean_width_ml: float


def interval_coverage(intervals_ml: Sequence[tuple[float, float]], true_ml: Sequence[float]) -> Coverage:
    """Which fraction of ``true_ml`` lies inside its interval, ends included: near the level when calibrated.

    With few cases the fraction says little: the Clopper-Pearson interval is given with it.

    >>> c = interval_coverage([(1, 3), (4, 6), (0, 1), (2, 5)], [2.0, 5.0, 7.0, 5.0])
    >>> c.covered, c.fraction
    (3, 0.75)

    Raises ``ValueError`` for lengths that differ, or without a case.
    """
    if len(intervals_ml) != len(true_ml) or not len(true_ml):
        raise ValueError(f"{len(intervals_ml)} intervals for {len(true_ml)} volumes")
    limits, truth = np.asarray(intervals_ml, float), np.asarray(true_ml, float)
    covered = int(np.count_nonzero((limits[:, 0] <= truth) & (truth <= limits[:, 1])))
    missed = truth.size - covered
    low = float(beta.ppf(0.025, covered, missed + 1)) if covered else 0.0
    high = float(beta.ppf(0.975, covered + 1, missed)) if missed else 1.0
    width = float((limits[:, 1] - limits[:, 0]).mean())
    return Coverage(covered, truth.size, covered / truth.size, (low, high), width)
