"""Lesion-wise scores: hand-worked cases, edges, and properties that hold for every label map."""

from __future__ import annotations

from math import isnan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from GliomaSegLib.errors import InputRefused
from GliomaSegLib.evaluation.lesionwise import score_case, volume_diagonal_mm
from GliomaSegLib.labels import region_labels
from GliomaSegLib.outcome.lesions import REGION_ORDER

MM = (1.0, 1.0, 1.0)
ROW = (12, 12, 48)
DIAGONAL = volume_diagonal_mm(ROW, MM)


def test_one_found_one_missed_one_invented(build):
    reference = build(ROW, (4, 3, 8, 3, 8, 2, 7), (4, 3, 8, 3, 8, 20, 25))
    prediction = build(ROW, (4, 3, 8, 3, 8, 2, 6), (4, 3, 8, 3, 8, 40, 45))
    cavity = score_case(reference, prediction, MM)["RC"]
    assert (cavity.tp, cavity.fp, cavity.fn) == (1, 1, 1)
    assert cavity.lesion_dice == pytest.approx((2 * 100 / 225) / 3)
    assert cavity.lesion_hd95_mm == pytest.approx((1.0 + 2 * DIAGONAL) / 3)
    assert cavity.lesion_sensitivity == cavity.lesion_precision == 0.5
    assert cavity.voxel_dice == pytest.approx(2 * 100 / (250 + 225))
    assert cavity.voxel_sensitivity == pytest.approx(100 / 250)
    assert (cavity.reference_ml, cavity.prediction_ml) == (pytest.approx(0.25), pytest.approx(0.225))


def test_one_prediction_serves_two_references(build):
    reference = build(ROW, (3, 4, 8, 4, 8, 4, 8), (3, 4, 8, 4, 8, 16, 20))
    prediction = build(ROW, (3, 4, 8, 4, 8, 4, 20))
    enhancing = score_case(reference, prediction, MM)["ET"]
    assert (enhancing.tp, enhancing.fp, enhancing.fn) == (2, 0, 0)
    assert enhancing.lesion_dice == pytest.approx(2 * 64 / (64 + 256))


def test_several_predictions_share_one_reference(build):
    reference = build(ROW, (3, 4, 8, 4, 8, 4, 30))
    prediction = build(ROW, (3, 4, 8, 4, 8, 4, 8), (3, 4, 8, 4, 8, 26, 30))
    enhancing = score_case(reference, prediction, MM)["ET"]
    assert (enhancing.tp, enhancing.fp, enhancing.fn) == (1, 0, 0)
    assert enhancing.lesion_dice == pytest.approx(2 * 128 / (416 + 128))


@pytest.mark.parametrize(
    ("label", "region", "reach"), [(3, "ET", 3), (2, "SNFH", 3), (1, "NETC", 5), (4, "RC", 5)]
)
def test_a_prediction_beside_a_lesion_counts_as_far_as_the_dilation_reaches(build, label, region, reach):
    reference = build(ROW, (label, 4, 8, 4, 8, 4, 8))
    within = build(ROW, (label, 4, 8, 4, 8, 7 + reach, 12 + reach))
    beyond = build(ROW, (label, 4, 8, 4, 8, 8 + reach, 13 + reach))
    near, far = (score_case(reference, p, MM)[region] for p in (within, beyond))
    assert (near.tp, near.fp, near.fn, near.lesion_dice) == (1, 0, 0, 0.0)
    assert (far.tp, far.fp, far.fn, far.lesion_hd95_mm) == (0, 1, 1, DIAGONAL)


def test_meeting_only_a_dropped_lesion_is_no_false_positive(build):
    reference = build(ROW, (3, 4, 6, 4, 6, 4, 6))
    prediction = build(ROW, (3, 3, 7, 3, 7, 3, 7))
    enhancing = score_case(reference, prediction, MM)["ET"]
    assert (enhancing.tp, enhancing.fp, enhancing.fn, enhancing.reference_dropped) == (0, 0, 0, 1)
    assert (enhancing.lesion_dice, enhancing.lesion_hd95_mm) == (1.0, 0.0)
    assert not enhancing.has_structure and not enhancing.lacks_structure


def test_a_small_prediction_is_dropped_even_inside_a_lesion(build):
    reference = build(ROW, (3, 3, 9, 3, 9, 3, 9))
    prediction = build(ROW, (3, 5, 6, 5, 6, 3, 9))
    enhancing = score_case(reference, prediction, MM)["ET"]
    assert (enhancing.tp, enhancing.fp, enhancing.fn, enhancing.prediction_dropped) == (0, 0, 1, 1)
    assert enhancing.voxel_sensitivity == pytest.approx(6 / 216), "voxel scores drop nothing"


def test_both_empty():
    empty = np.zeros((5, 6, 7), np.uint8)
    scores = score_case(empty, empty, MM)
    assert tuple(scores) == REGION_ORDER == ("ET", "NETC", "RC", "SNFH", "TC", "WT")
    for score in scores.values():
        assert score.lesion_dice == score.lesion_nsd_05 == score.lesion_nsd_10 == score.voxel_dice == 1.0
        assert score.lesion_hd95_mm == 0.0
        assert score.lesion_sensitivity == score.lesion_precision == score.voxel_sensitivity == 1.0
        assert score.lacks_structure


def test_only_one_side_empty(build):
    lesion, empty = build(ROW, (4, 3, 8, 3, 8, 3, 8)), np.zeros(ROW, np.uint8)
    missed, invented = score_case(lesion, empty, MM)["RC"], score_case(empty, lesion, MM)["RC"]
    assert missed.lesion_dice == invented.lesion_dice == missed.lesion_nsd_10 == invented.voxel_dice == 0.0
    assert missed.lesion_hd95_mm == invented.lesion_hd95_mm == DIAGONAL
    assert missed.lesion_sensitivity == missed.voxel_sensitivity == invented.lesion_precision == 0.0
    assert isnan(missed.lesion_precision) and isnan(invented.lesion_sensitivity)
    assert isnan(invented.voxel_sensitivity)
    assert missed.has_structure and invented.lacks_structure


def test_anisotropic_spacing_enters_distances_and_volumes(build):
    reference = build((20, 20, 20), (4, 4, 14, 4, 14, 4, 14))
    prediction = np.roll(reference, 1, axis=0)
    cavity = score_case(reference, prediction, (0.5, 1.0, 4.0))["RC"]
    assert cavity.reference_ml == pytest.approx(2.0)
    assert cavity.lesion_dice == pytest.approx(0.9)
    along_x = score_case(reference, np.roll(reference, 1, axis=2), (0.5, 1.0, 4.0))["RC"]
    assert along_x.lesion_hd95_mm == pytest.approx(0.5)
    assert along_x.lesion_nsd_05 == 1.0 > cavity.lesion_nsd_10
    penalty = score_case(reference, np.zeros_like(reference), (0.5, 1.0, 4.0))["RC"].lesion_hd95_mm
    assert penalty == round((10**2 + 20**2 + 80**2) ** 0.5)


def test_the_penalty_is_337_mm_on_the_grid_of_brats_2024(build):
    reference = build((182, 218, 182), (3, 80, 90, 80, 90, 80, 90))
    assert score_case(reference, np.zeros_like(reference), MM)["ET"].lesion_hd95_mm == 337.0


@pytest.mark.parametrize(
    ("prediction", "spacing", "sentence"),
    [
        (np.zeros((5, 5, 6), np.uint8), MM, "resample the prediction"),
        (np.full((5, 5, 5), 5, np.uint8), MM, "label 5"),
        (np.full((5, 5, 5), -1, np.int16), MM, "label -1"),
        (np.zeros((5, 5, 5), np.uint8), (1.0, 0.0, 1.0), "three positive numbers"),
        (np.zeros((5, 5, 5), np.uint8), (1.0, float("nan"), 1.0), "three positive numbers"),
    ],
)
def test_unfit_input_is_refused_with_a_sentence(prediction, spacing, sentence):
    with pytest.raises(InputRefused, match=sentence):
        score_case(np.zeros((5, 5, 5), np.uint8), prediction, spacing)


@st.composite
def label_maps(draw: st.DrawFn) -> np.ndarray:
    """A few boxes of any structure on a small grid."""
    label_map = np.zeros((14, 15, 18), np.uint8)
    for _ in range(draw(st.integers(0, 6))):
        start = [draw(st.integers(0, n - 1)) for n in label_map.shape]
        size = [draw(st.integers(1, 6)) for _ in range(3)]
        label_map[tuple(slice(a, a + b) for a, b in zip(start, size, strict=True))] = draw(st.integers(0, 4))
    return label_map


@settings(max_examples=40, deadline=None)
@given(label_maps())
def test_a_perfect_prediction_is_perfect(label_map):
    for region, score in score_case(label_map, label_map, MM).items():
        assert score.lesion_dice == score.lesion_nsd_05 == score.lesion_nsd_10 == score.voxel_dice == 1.0
        assert score.lesion_hd95_mm == 0.0
        assert score.fp == score.fn == 0
        assert score.reference_ml == pytest.approx(np.isin(label_map, region_labels(region)).sum() / 1000)


@settings(max_examples=40, deadline=None)
@given(label_maps(), label_maps())
def test_scores_stay_in_range_and_sides_can_be_swapped(first, second):
    forth, back = score_case(first, second, MM), score_case(second, first, MM)
    diagonal = volume_diagonal_mm(first.shape, MM)
    for region in REGION_ORDER:
        one, other = forth[region], back[region]
        for name in ("lesion_dice", "lesion_nsd_05", "lesion_nsd_10", "voxel_dice"):
            assert 0.0 <= getattr(one, name) <= 1.0
        assert one.lesion_nsd_05 <= one.lesion_nsd_10
        assert 0.0 <= one.lesion_hd95_mm <= diagonal
        assert one.voxel_dice == other.voxel_dice
        assert (one.reference_ml, one.reference_dropped) == (other.prediction_ml, other.prediction_dropped)
        # Every lesion that counts is found or missed, and unmatched ones can't outnumber the other side's.
        assert other.fp <= one.tp + one.fn and one.fp <= other.tp + other.fn


@settings(max_examples=25, deadline=None)
@given(label_maps(), label_maps(), st.permutations((0, 1, 2)), st.sampled_from((0, 1, 2)))
def test_regions_score_the_same_however_the_volume_lies(first, second, order, flipped):
    turned = [np.flip(m.transpose(order), flipped) for m in (first, second)]
    straight, other = score_case(first, second, MM), score_case(*turned, MM)
    for region in ("TC", "WT"):
        one, two = straight[region], other[region]
        assert (one.tp, one.fp, one.fn) == (two.tp, two.fp, two.fn)
        assert one.lesion_dice == pytest.approx(two.lesion_dice)
        assert one.lesion_hd95_mm == pytest.approx(two.lesion_hd95_mm)
        assert one.lesion_nsd_10 == pytest.approx(two.lesion_nsd_10)
