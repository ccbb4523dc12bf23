"""Calibration, on data whose true answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

from GliomaSegLib.evaluation.calibration import (
    class_reliability,
    expected_calibration_error,
    fit_temperature,
    interval_coverage,
    logits_of,
    negative_log_likelihood,
    pooled,
    reliability,
    top_label_reliability,
    with_temperature,
)
from GliomaSegLib.outcome.uncertainty import volume_interval_ml


@pytest.fixture(scope="module")
def calibrated() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits (3, n), their probabilities, and labels drawn from just these probabilities."""
    rng = np.random.default_rng(3)
    logits = rng.normal(0, 1.5, (3, 60_000))
    probabilities = softmax(logits, axis=0)
    labels = (rng.random(60_000) > np.cumsum(probabilities, axis=0)[:2]).sum(axis=0)
    return logits, probabilities, labels


def test_calibrated_probabilities_have_almost_no_error(calibrated):
    _, probabilities, labels = calibrated
    # With 60,000 draws in 15 bins, chance alone leaves about 0.005.
    assert expected_calibration_error(probabilities, labels) < 0.01
    assert class_reliability(probabilities, labels, 2).expected_calibration_error < 0.01


def test_overconfidence_is_measured_exactly():
    probabilities = np.full((2, 1000), 0.1)
    probabilities[1] = 0.9
    labels = np.repeat([1, 0], [700, 300])
    assert expected_calibration_error(probabilities, labels) == pytest.approx(0.2)
    assert class_reliability(probabilities, labels, 0).expected_calibration_error == pytest.approx(0.2)


def test_bins_of_opposite_error_do_not_cancel():
    diagram = reliability(np.repeat([0.25, 0.75], 100), np.repeat([True, False], [100, 100]), bins=2)
    assert diagram.count.tolist() == [100, 100]
    assert diagram.accuracy.tolist() == [1.0, 0.0]
    assert diagram.expected_calibration_error == pytest.approx(0.75)


def test_certain_predictions_fall_into_the_last_bin():
    diagram = reliability(np.ones(4), np.array([True, True, True, False]), bins=10)
    assert diagram.count[-1] == 4 and np.isnan(diagram.accuracy[0])
    assert diagram.expected_calibration_error == pytest.approx(0.25)


def test_the_mask_decides_which_voxels_count():
    probabilities = np.stack([np.full((2, 2, 2), 0.2), np.full((2, 2, 2), 0.8)])
    labels = np.ones((2, 2, 2), int)
    labels[0] = 0
    mask = labels == 1
    assert expected_calibration_error(probabilities, labels) == pytest.approx(0.3)
    assert expected_calibration_error(probabilities, labels, mask=mask) == pytest.approx(0.2)


@pytest.mark.parametrize("true_temperature", [0.5, 1.0, 2.5])
def test_the_temperature_is_found_again(calibrated, true_temperature):
    logits, _, labels = calibrated
    fit = fit_temperature(logits * true_temperature, labels)
    assert fit.temperature == pytest.approx(true_temperature, rel=0.03)
    assert fit.nll_after <= fit.nll_before
    after = with_temperature(logits * true_temperature, fit.temperature)
    assert expected_calibration_error(after, labels) < 0.01
    assert np.array_equal(after.argmax(axis=0), logits.argmax(axis=0)), "no label may change"


def test_temperature_lowers_the_error_of_overconfident_probabilities(calibrated):
    logits, _, labels = calibrated
    sharp = softmax(3 * logits, axis=0).reshape(3, 30, 40, 50)
    shaped = labels.reshape(30, 40, 50)
    fit = fit_temperature(logits_of(sharp), shaped)
    softened = with_temperature(logits_of(sharp), fit.temperature)
    before, after = (expected_calibration_error(p, shaped) for p in (sharp, softened))
    assert before > 0.1 and after < 0.02


def test_temperatures_stay_within_bounds():
    logits = np.array([[0.0, 0.0], [0.5, 0.5]])
    assert negative_log_likelihood(logits * 0, np.array([0, 1])) == pytest.approx(np.log(2))
    # Always right asks for the sharpest temperature, right half of the time for the flattest.
    assert fit_temperature(logits, np.array([1, 1])).temperature == pytest.approx(0.05, rel=0.01)
    assert fit_temperature(logits, np.array([0, 1])).temperature == pytest.approx(20.0, rel=0.01)


def test_logits_of_probabilities_give_them_back(calibrated):
    _, probabilities, _ = calibrated
    assert np.allclose(with_temperature(logits_of(probabilities), 1.0), probabilities)
    assert np.isfinite(logits_of(np.array([0.0, 1.0]))).all()


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="do not fit"):
        expected_calibration_error(np.zeros((2, 3, 3)), np.zeros((3, 4), int))
    with pytest.raises(ValueError, match="between 0 and 1"):
        reliability(np.array([1.5]), np.array([True]))
    with pytest.raises(ValueError, match="no voxel"):
        fit_temperature(np.zeros((2, 3)), np.zeros(3, int), np.zeros(3, bool))
    with pytest.raises(ValueError, match="2 intervals for 1"):
        interval_coverage([(0, 1), (0, 1)], [1.0])


def test_volume_intervals_cover_what_they_claim():
    # Where one threshold decides for all voxels, the interval's claim is exact.
    rng = np.random.default_rng(8)
    intervals, volumes = [], []
    for _ in range(1500):
        probability = rng.beta(0.6, 1.4, 300)
        intervals.append(volume_interval_ml(probability, 0.001))
        volumes.append(np.count_nonzero(probability >= rng.random()) * 0.001)
    coverage = interval_coverage(intervals, volumes)
    assert coverage.fraction == pytest.approx(0.8, abs=0.03)
    assert coverage.interval[0] < 0.8 < coverage.interval[1]
    assert coverage.mean_width_ml > 0


def test_narrow_intervals_are_seen_to_cover_too_little():
    rng = np.random.default_rng(9)
    truth = rng.normal(10, 1, 2000)
    half = 0.5 * 1.2816  # an 80% interval of half the true spread covers 2 Phi(0.6408) - 1 = 47.8%
    coverage = interval_coverage([(10 - half, 10 + half)] * 2000, truth.tolist())
    assert coverage.fraction == pytest.approx(0.478, abs=0.03)
    assert coverage.interval[1] < 0.8


def test_exact_interval_at_the_ends():
    everything = interval_coverage([(0, 1)] * 10, [0.5] * 10)
    assert everything.interval == (pytest.approx(0.025 ** (1 / 10)), 1.0)
    nothing = interval_coverage([(0, 1)] * 10, [2.0] * 10)
    assert nothing.interval == (0.0, pytest.approx(1 - 0.025 ** (1 / 10)))


def test_pooled_cases_are_as_one(calibrated):
    _, probabilities, labels = calibrated
    parts = np.array_split(np.arange(1000), [10, 400])
    diagrams = [top_label_reliability(probabilities[:, part], labels[part]) for part in parts]
    whole = top_label_reliability(probabilities[:, :1000], labels[:1000])
    together = pooled(diagrams)
    assert together.count.tolist() == whole.count.tolist()
    assert np.allclose(together.accuracy, whole.accuracy, equal_nan=True)
    assert together.expected_calibration_error == pytest.approx(whole.expected_calibration_error)
    with pytest.raises(ValueError, match="same bins"):
        pooled([whole, top_label_reliability(probabilities, labels, bins=10)])
