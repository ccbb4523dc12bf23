"""The classifier that tells simulated lesions from real ones: it can't when there is no difference."""

from __future__ import annotations

import numpy as np
import pytest

from GliomaSegLib.intake.volume import ROLES
from GliomaSegLib.training.synthesis.discrimination import (
    CUBES_PER_CASE,
    LesionCubes,
    area_under_curve,
    lesion_cubes,
    told_apart,
)


def cubes(seed: int, shift: float = 0.0, of_case: float = 0.5) -> LesionCubes:
    """A case whose cubes resemble each other, the third feature moved by ``shift``."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(CUBES_PER_CASE, 13)) + of_case * rng.normal(size=13)
    features[:, 2] += shift
    return LesionCubes(f"case-{seed}", "made", features)


def test_alike_cases_are_not_told_apart_but_different_ones_are() -> None:
    real = [cubes(1000 + n) for n in range(20)]
    alike, other = [cubes(1100 + n) for n in range(30)], [cubes(200 + n, shift=3.0) for n in range(30)]
    found = told_apart(real, alike)
    assert found.chance[0] < found.area < found.chance[1]
    assert 0.2 < found.chance[0] < 0.5 < found.chance[1] < 0.8
    told = told_apart(real, other)
    assert told.area > 0.95 > told.chance[1]


def test_a_scan_is_not_recognised_by_its_other_cubes() -> None:
    # Every case is far from every other: with its own cubes in training, each would be known at once.
    areas = []
    for seed in range(0, 4000, 1000):
        real = [cubes(seed + n, of_case=30.0) for n in range(5)]
        areas.append(
            told_apart(real, [cubes(seed + 50 + n, of_case=30.0) for n in range(5)], shuffles=1).area
        )
    assert np.mean(areas) < 0.8


def test_two_cases_a_side_are_needed() -> None:
    with pytest.raises(ValueError, match="two cases"):
        told_apart([cubes(1)], [cubes(2), cubes(3)])


def test_the_area_under_the_curve_counts_ties_half() -> None:
    assert area_under_curve(np.zeros(6), np.array([True] * 2 + [False] * 4)) == 0.5
    assert np.isnan(area_under_curve(np.zeros(2), np.array([True, True])))


def test_cubes_do_not_depend_on_the_scanners_gain() -> None:
    rng = np.random.default_rng(4)
    brain = np.ones((20, 20, 20), bool)
    labels = np.zeros(brain.shape, np.uint8)
    labels[6:14, 6:14, 6:14] = 2
    volumes = {role: rng.normal(100, 10, brain.shape).astype(np.float32) for role in ROLES}
    louder = {role: 7 * values + 3 for role, values in volumes.items()}
    first, second = (lesion_cubes("a", "real", v, labels, brain, 2.0, 5) for v in (volumes, louder))
    assert first is not None and second is not None
    assert first.features.shape == (CUBES_PER_CASE, 13)
    assert np.allclose(first.features, second.features, atol=1e-3)
    assert lesion_cubes("a", "real", {"t1": volumes["t1"]}, labels, brain, 2.0, 5) is None
    assert (
        lesion_cubes("a", "real", volumes, np.where(labels == 2, 4, 0).astype(np.uint8), brain, 2.0, 5)
        is None
    )
