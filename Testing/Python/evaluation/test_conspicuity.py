"""How a structure shows against what surrounds it, against figures worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from GliomaSegLib.evaluation.conspicuity import FAR_MM, NEAR_MM, conspicuity, surroundings


@pytest.mark.parametrize("spacing_mm", [1.0, 2.0])
def test_the_surroundings_lie_between_four_and_ten_millimetres(spacing_mm: float) -> None:
    lesion = np.zeros((9, 9, 41), bool)
    lesion[:, :, 20] = True
    brain = np.ones_like(lesion)
    brain[:, :, :20] = False
    ring = surroundings(lesion, brain, spacing_mm)
    away_mm = (np.arange(41) - 20) * spacing_mm
    assert np.array_equal(ring[4, 4], (away_mm > NEAR_MM) & (away_mm <= FAR_MM))
    assert not surroundings(np.zeros_like(lesion), brain, spacing_mm).any()


def test_contrast_is_the_difference_of_medians_in_deviations_of_the_surroundings() -> None:
    rng = np.random.default_rng(0)
    volume = rng.normal(100.0, 20.0, (20, 20, 20)).astype(np.float32)
    place = np.zeros(volume.shape, bool)
    place[:6] = True
    volume[place] = 150.0
    seen = conspicuity(volume, place, ~place)
    assert seen is not None
    assert seen.contrast == pytest.approx(2.5, abs=0.1) and seen.spread == pytest.approx(20.0, rel=0.03)
    darker = conspicuity(-volume, place, ~place)
    assert darker is not None and darker.contrast == pytest.approx(-seen.contrast)


def test_too_few_voxels_or_even_surroundings_say_nothing() -> None:
    volume = np.random.default_rng(1).normal(size=(10, 10, 10)).astype(np.float32)
    few = np.zeros(volume.shape, bool)
    few[0, 0, :] = True
    assert conspicuity(volume, few, ~few) is None and conspicuity(volume, ~few, few) is None
    half = np.zeros(volume.shape, bool)
    half[:5] = True
    assert conspicuity(np.ones_like(volume), half, ~half) is None
