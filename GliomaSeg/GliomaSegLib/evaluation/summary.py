"""Means, medians and their bootstrap intervals over cases, region by region.

Cases that have a structure and cases that don't are never averaged together: on the former a score says how
well it was found, on the latter only the volume that was invented means anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan

import numpy as np

from ..outcome.lesions import REGION_ORDER
from .lesionwise import RegionScore

METRICS: tuple[str, ...] = (
    "lesion_dice",
    "lesion_hd95_mm",
    "lesion_nsd_05",
    "lesion_nsd_10",
    "lesion_sensitivity",
    "lesion_precision",
    "voxel_dice",
    "voxel_sensitivity",
)
"""The fields of ``RegionScore`` that are averaged over cases."""

RESAMPLES = 2000
SEED = 20240717
LEVEL = 0.95

Interval = tuple[float, float]


@dataclass(frozen=True)
class Row:
    """One line of the table: the scores of one region in one case."""

    case: str
    score: RegionScore


@dataclass(frozen=True)
class Statistic:
    """Mean and median over ``count`` cases with percentile-bootstrap 95% intervals; NaN where none is."""

    count: int
    mean: float
    mean_interval: Interval
    median: float
    median_interval: Interval


@dataclass(frozen=True)
class RegionSummary:
    """One region over all cases.

    ``metrics`` are over the ``with_structure`` cases whose reference has a lesion that counts.
    ``false_positive_ml`` and ``worst_false_positive_ml`` are predicted volumes over the ``without_structure``
    cases whose reference has no voxel of it. ``specks_only`` cases, between the two, enter neither.
    """

    region: str
    with_structure: int
    without_structure: int
    specks_only: int
    metrics: dict[str, Statistic]
    false_positive_ml: Statistic
    worst_false_positive_ml: float


def statistic(values: Sequence[float], seed: int = SEED) -> Statistic:
    """Mean, median and their bootstrap intervals; NaN values are left out, and an interval needs two values.

    >>> s = statistic([0.5, 0.7, 0.9, nan])
    >>> s.count, round(s.mean, 3), s.median
    (3, 0.7, 0.7)
    """
    known = np.array([value for value in values if not np.isnan(value)], dtype=float)
    if not known.size:
        return Statistic(0, nan, (nan, nan), nan, (nan, nan))
    mean_interval = median_interval = (nan, nan)
    if known.size > 1:
        generator = np.random.default_rng(seed)
        samples = known[generator.integers(0, known.size, (RESAMPLES, known.size))]
        mean_interval = _percentiles(samples.mean(axis=1))
        median_interval = _percentiles(np.median(samples, axis=1))
    return Statistic(known.size, float(known.mean()), mean_interval, float(np.median(known)), median_interval)


def _percentiles(values: np.ndarray) -> Interval:
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def summarise(rows: Sequence[Row]) -> list[RegionSummary]:
    """One summary per region, in the order of the tables. ``rows`` may be in any order."""
    scores = [row.score for row in rows]
    return [_summarise_region(region, [s for s in scores if s.region == region]) for region in REGION_ORDER]


def _summarise_region(region: str, scores: list[RegionScore]) -> RegionSummary:
    having = [score for score in scores if score.has_structure]
    lacking = [score for score in scores if score.lacks_structure]
    invented = [score.prediction_ml for score in lacking]
    return RegionSummary(
        region=region,
        with_structure=len(having),
        without_structure=len(lacking),
        specks_only=len(scores) - len(having) - len(lacking),
        metrics={name: statistic([getattr(score, name) for score in having]) for name in METRICS},
        false_positive_ml=statistic(invented),
        worst_false_positive_ml=max(invented, default=nan),
    )
