"""The lesion-wise metric against other people's programs, where their rules coincide with ours."""

from __future__ import annotations

import random
import warnings
from importlib.resources import files
from typing import Any

import numpy as np
import pytest

from GliomaSegLib.evaluation.lesionwise import score_case, volume_diagonal_mm
from GliomaSegLib.outcome.lesions import REGION_ORDER

MM = (1.0, 1.0, 1.0)

OFFICIAL: dict[tuple[int, str], tuple[float, ...]] = {
    (3, "ET"): (1, 0, 0, 0.457399, 3.0, 0.14027, 0.631213),
    (3, "NETC"): (1, 2, 1, 0.116466, 254.096291, 0.031197, 0.156011),
    (3, "RC"): (1, 0, 0, 0.221968, 7.0, 0.231014, 0.528031),
    (3, "SNFH"): (0, 1, 1, 0.0, 337.0, 0.0, 0.0),
    (3, "TC"): (1, 2, 1, 0.118352, 253.780776, 0.034496, 0.160423),
    (3, "WT"): (1, 3, 2, 0.078902, 281.520518, 0.022997, 0.106949),
    (8, "ET"): (0, 1, 0, 0.0, 337.0, 0.0, 0.0),
    (8, "NETC"): (2, 0, 0, 0.38616, 5.5, 0.130726, 0.579514),
    (8, "RC"): (2, 0, 0, 0.343944, 3.179587, 0.162233, 0.554796),
    (8, "SNFH"): (1, 2, 0, 0.182857, 225.333333, 0.11857, 0.254432),
    (8, "TC"): (3, 0, 0, 0.402348, 4.333333, 0.136835, 0.592575),
    (8, "WT"): (2, 1, 0, 0.260346, 118.314757, 0.105109, 0.388241),
    (11, "ET"): (3, 1, 0, 0.265805, 87.309017, 0.18682, 0.458171),
    (11, "NETC"): (3, 0, 0, 0.270833, 2.157379, 0.243116, 0.571558),
    (11, "RC"): (1, 1, 0, 0.259259, 173.647815, 0.148152, 0.349258),
    (11, "SNFH"): (1, 2, 0, 0.088889, 225.333333, 0.088889, 0.222222),
    (11, "TC"): (6, 0, 0, 0.272013, 7.572767, 0.211937, 0.528465),
    (11, "WT"): (6, 1, 0, 0.169431, 59.066369, 0.155196, 0.393315),
    (21, "ET"): (1, 0, 1, 0.188144, 169.618034, 0.08499, 0.311629),
    (21, "NETC"): (1, 1, 0, 0.169935, 169.5, 0.130141, 0.354167),
    (21, "RC"): (3, 0, 0, 0.191749, 6.745242, 0.139032, 0.466764),
    (21, "SNFH"): (1, 0, 0, 0.0, 2.236068, 0.0, 0.540936),
    (21, "TC"): (2, 1, 0, 0.232425, 113.745356, 0.138494, 0.439171),
    (21, "WT"): (2, 0, 0, 0.390559, 6.830952, 0.197241, 0.599815),
}
"""TP, FP, FN and lesion-wise Dice, HD95, NSD at 0.5 and 1.0 mm, as the challenge's own metrics_GLI.py (commit
f1131e3) gave them for the label maps of ``boxes``; its HD95 penalty is 337 mm on every grid."""


def boxes(seed: int, count: int, start: np.ndarray | None = None) -> np.ndarray:
    """A label map (36, 32, 40) with ``count`` boxes of any structure painted over ``start``."""
    dice = random.Random(seed)
    label_map = np.zeros((36, 32, 40), np.uint8) if start is None else start.copy()
    for _ in range(count):
        size = [dice.randint(1, 8) for _ in range(3)]
        corner = [dice.randint(0, n - 1) for n in label_map.shape]
        place = tuple(slice(a, a + b) for a, b in zip(corner, size, strict=True))
        label_map[place] = dice.randint(1, 4)
    return label_map


@pytest.mark.parametrize("seed", sorted({seed for seed, _ in OFFICIAL}))
def test_numbers_of_the_official_script(seed):
    reference = boxes(seed, 14)
    prediction = boxes(seed + 1000, 5, np.roll(reference, (1, -1, 2), (0, 1, 2)))
    scores = score_case(reference, prediction, MM, official_order=True)
    excess_mm = 337.0 - volume_diagonal_mm(reference.shape, MM)
    for region in REGION_ORDER:
        ours, theirs = scores[region], OFFICIAL[seed, region]
        unmatched = (ours.fp + ours.fn) / (ours.tp + ours.fp + ours.fn)
        hd95 = ours.lesion_hd95_mm + unmatched * excess_mm
        numbers = ours.lesion_dice, hd95, ours.lesion_nsd_05, ours.lesion_nsd_10
        assert (ours.tp, ours.fp, ours.fn) == theirs[:3], region
        assert numbers == pytest.approx(theirs[3:], abs=2e-6), region


@pytest.fixture(scope="module")
def brats_evaluator() -> Any:
    """The evaluator that brats-evaluation sets up for gliomas: plain components, one-to-one matching."""
    panoptica = pytest.importorskip("panoptica", reason="panoptica is not installed")
    pytest.importorskip("brats_evaluation", reason="brats-evaluation is not installed")
    config = files("brats_evaluation").joinpath("configs", "config_gli.yaml")
    return panoptica.Panoptica_Evaluator.load_from_config(str(config))


def apart(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Reference and prediction whose lesions neither merge nor touch, each found once at most."""
    rng = np.random.default_rng(seed)
    reference, prediction = np.zeros((2, 42, 42, 42), np.uint8)
    for z, y, x in np.ndindex(2, 2, 2):
        label, corner = rng.integers(1, 5), np.array([z, y, x]) * 22 + rng.integers(2, 4, 3)
        place = tuple(slice(a, a + b) for a, b in zip(corner, rng.integers(4, 7, 3), strict=True))
        moved = tuple(
            slice(s.start + d, s.stop + d) for s, d in zip(place, rng.integers(-1, 2, 3), strict=True)
        )
        fate = rng.random()
        if fate > 0.2:
            reference[place] = label
        if fate < 0.8:
            prediction[moved] = label
    return reference, prediction


@pytest.mark.filterwarnings("ignore")
def test_brats_evaluation_agrees_where_nothing_merges(brats_evaluator):
    compared = 0
    for seed in range(3):
        reference, prediction = apart(seed)
        scores = score_case(reference, prediction, MM)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = brats_evaluator.evaluate(prediction, reference)
        for region in ("ET", "NETC", "RC", "SNFH", "TC", "WT"):
            ours, other = scores[region], theirs[region.lower()].to_dict()
            assert (ours.tp, ours.fp, ours.fn) == (other["tp"], other["fp"], other["fn"])
            lesions = ours.tp + ours.fp + ours.fn
            if not ours.tp:
                continue
            compared += 1
            assert ours.lesion_dice == pytest.approx(other["sq_dsc"] * ours.tp / lesions)
            # Its tolerance is the voxel's edge, here 1 mm.
            assert ours.lesion_nsd_10 == pytest.approx(other["sq_nsd"] * ours.tp / lesions)
            assert ours.lesion_sensitivity == pytest.approx(other["rec"])
            assert ours.lesion_precision == pytest.approx(other["prec"])
            assert ours.voxel_dice == pytest.approx(other["global_bin_dsc"])
            if lesions == ours.tp:  # its surface runs through voxels, ours between them
                assert ours.lesion_hd95_mm == pytest.approx(other["sq_hd95"], abs=1.0)
    assert compared >= 12
