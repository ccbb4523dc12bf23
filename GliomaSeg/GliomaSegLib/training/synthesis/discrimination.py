"""Can a simple classifier tell simulated lesions from real ones? The area under its ROC curve says how well.

A linear classifier on a few statistics of small cubes: 0.5 means that it can't tell, 1 that it always can. It
sees contrast, spread and fine grain of the four sequences, nothing of shape or place, so a low value is no
proof that nothing else differs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.optimize import minimize
from scipy.stats import rankdata

from ...intake.volume import ROLES
from .fields import BoolArray, FloatArray

CUBE_MM = 12.0
CUBES_PER_CASE = 24
FOLDS = 5
SHUFFLES = 60
_RIDGE = 1.0


Features = npt.NDArray[np.float64]


@dataclass(frozen=True)
class LesionCubes:
    """Statistics (cube, feature) of cubes around tumour voxels of one case."""

    case: str
    kind: str
    features: Features


@dataclass(frozen=True)
class ToldApart:
    """``area`` under the ROC curve; ``chance`` holds 95 % of the areas of cases dealt out at random."""

    area: float
    chance: tuple[float, float]


def lesion_cubes(
    case: str,
    kind: str,
    volumes: dict[str, FloatArray],
    labels: npt.NDArray[np.uint8],
    brain: BoolArray,
    spacing_mm: float,
    seed: int,
) -> LesionCubes | None:
    """Cubes of `CUBE_MM` around random voxels of NETC, SNFH and ET; a cavity has no real counterpart here.

    ``volumes`` (z, y, x) by role are scaled by median and inter-quartile range inside ``brain``. Features:
    per sequence the mean, standard deviation and mean gradient inside the cube; the mean of T1c less T1.
    Drawn by ``seed``. ``None`` where a sequence is missing, or the tumour has fewer voxels than cubes.
    """
    tumour = np.argwhere((labels > 0) & (labels < 4))
    if set(volumes) != set(ROLES) or len(tumour) < CUBES_PER_CASE:
        return None
    scaled = {role: _scaled(volumes[role], brain) for role in ROLES}
    gradients = {role: ndimage.gaussian_gradient_magnitude(v, 0.7) for role, v in scaled.items()}
    half = max(round(CUBE_MM / spacing_mm / 2), 1)
    rng = np.random.default_rng(seed)
    rows = []
    for centre in tumour[rng.choice(len(tumour), CUBES_PER_CASE, replace=False)]:
        box = tuple(slice(max(int(c) - half, 0), int(c) + half) for c in centre)
        inside = brain[box]
        row = [float(np.mean(scaled["t1c"][box][inside] - scaled["t1"][box][inside]))]
        for role in ROLES:
            values = scaled[role][box][inside]
            row += [float(values.mean()), float(values.std()), float(gradients[role][box][inside].mean())]
        rows.append(row)
    return LesionCubes(case, kind, np.array(rows))


def _scaled(volume: FloatArray, brain: BoolArray) -> FloatArray:
    low, middle, high = np.percentile(volume[brain], [25, 50, 75])
    return ((volume - middle) / max(float(high - low), 1e-6)).astype(np.float32)


def area_under_curve(scores: npt.NDArray[np.float64], positive: BoolArray) -> float:
    """Probability that a positive scores above a negative; ties count half. NaN without either.

    >>> area_under_curve(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True]))
    0.75
    """
    ones = int(positive.sum())
    zeros = positive.size - ones
    if not ones or not zeros:
        return float("nan")
    ranks = rankdata(scores)[positive].sum()
    return float((ranks - ones * (ones + 1) / 2) / (ones * zeros))


def told_apart(
    real: Sequence[LesionCubes], simulated: Sequence[LesionCubes], seed: int = 0, shuffles: int = SHUFFLES
) -> ToldApart:
    """Area under the curve of a ridge-regularised logistic regression, cross-validated by case.

    All cubes of a case are in one fold, so that a scan can't be recognised by its other cubes. Raises
    ``ValueError`` with fewer than two cases on either side.
    """
    if min(len(real), len(simulated)) < 2:
        raise ValueError("telling apart needs at least two cases on each side")
    rng = np.random.default_rng(seed)
    cases = [*real, *simulated]
    area = _cross_validated(cases, len(real), rng)
    chance = [
        _cross_validated([cases[i] for i in rng.permutation(len(cases))], len(real), rng)
        for _ in range(shuffles)
    ]
    low, high = np.quantile(chance, [0.025, 0.975])
    return ToldApart(area, (float(low), float(high)))


def _cross_validated(cases: Sequence[LesionCubes], reals: int, rng: np.random.Generator) -> float:
    """The area over all cubes, each scored by a classifier that has not seen its case; the first are real."""
    simulated = np.arange(len(cases)) >= reals
    folds = np.empty(len(cases), int)
    for side in (~simulated, simulated):
        folds[side] = rng.permutation(int(side.sum())) % FOLDS
    scores, positive = [], []
    for number in np.unique(folds):
        train, test = np.flatnonzero(folds != number), np.flatnonzero(folds == number)
        known, asked = (np.concatenate([cases[i].features for i in part]) for part in (train, test))
        truth, wanted = (
            np.concatenate([np.full(len(cases[i].features), simulated[i]) for i in part])
            for part in (train, test)
        )
        scores.append(_scores(known, truth, asked))
        positive.append(wanted)
    return area_under_curve(np.concatenate(scores), np.concatenate(positive))


def _scores(train: Features, positive: BoolArray, test: Features) -> npt.NDArray[np.float64]:
    """Logits of logistic regression with both classes weighing the same."""
    centre, scale = train.mean(axis=0), train.std(axis=0) + 1e-9
    x = np.c_[(train - centre) / scale, np.ones(len(train))]
    sign = np.where(positive, 1.0, -1.0)
    weight = np.where(positive, 0.5 / positive.mean(), 0.5 / (1 - positive.mean()))

    def loss(beta: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        margin = sign * (x @ beta)
        value = float((weight * np.logaddexp(0.0, -margin)).sum() + 0.5 * _RIDGE * beta[:-1] @ beta[:-1])
        slope = x.T @ (-weight * sign / (1.0 + np.exp(np.clip(margin, -500, 500))))
        return value, slope + _RIDGE * np.r_[beta[:-1], 0.0]

    best = minimize(loss, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B").x
    logits: npt.NDArray[np.float64] = np.c_[(test - centre) / scale, np.ones(len(test))] @ best
    return logits
