"""One intensity scale for every scanner."""

from __future__ import annotations

import numpy as np
import pytest

from GliomaSegLib.intake.normalisation import METHODS, channel_scale, foreground_mask, normalise

SCALED = tuple(method for method in METHODS if method != "none")


def brain_like(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    z, y, x = np.indices((30, 32, 28)) - np.array([14.5, 15.5, 13.5])[:, None, None, None]
    brain = z**2 + y**2 + x**2 < 12**2
    return (rng.normal(300, 40, brain.shape) * brain).astype(np.float32), brain


def test_robust_scale_of_normal_values_is_their_mean_and_deviation() -> None:
    values = np.random.default_rng(0).normal(50, 7, 200_000).astype(np.float32)
    for method in SCALED:
        scale = channel_scale(values, method)
        assert scale.centre == pytest.approx(50, abs=0.1) and scale.scale == pytest.approx(7, rel=0.02)


def test_a_large_cavity_moves_the_robust_scale_less() -> None:
    rng = np.random.default_rng(1)
    healthy = rng.normal(300, 30, 90_000).astype(np.float32)
    treated = np.concatenate([healthy, rng.normal(40, 5, 10_000).astype(np.float32)])
    moved = {m: channel_scale(treated, m).centre - channel_scale(healthy, m).centre for m in SCALED}
    widened = {m: channel_scale(treated, m).scale / channel_scale(healthy, m).scale for m in SCALED}
    assert abs(moved["robust"]) < 6 < 20 < abs(moved["zscore"])
    assert widened["robust"] < 1.25 < 2 < widened["zscore"]


@pytest.mark.parametrize("method", SCALED)
def test_units_do_not_matter(method: str) -> None:
    volume, brain = brain_like()
    one = normalise({"t1": volume}, brain, method, (-6, 12))[0]["t1"]
    other = normalise({"t1": volume * 0.013 + 5}, brain, method, (-6, 12))[0]["t1"]
    assert np.allclose(one, other, atol=2e-3)
    assert not one[~brain].any() and one.dtype == np.float32


@pytest.mark.parametrize("method", SCALED)
def test_a_scale_undoes_itself(method: str) -> None:
    volume, brain = brain_like()
    scale = channel_scale(volume[brain], method)
    assert np.allclose(scale.undo(scale.apply(volume)), volume, atol=1e-2)


def test_mostly_constant_values_do_not_explode() -> None:
    values = np.full(1000, 10.0, np.float32)
    values[:100] = 20
    scale = channel_scale(values, "robust")
    assert scale.scale == pytest.approx(0.1) and np.isfinite(scale.apply(values)).all()
    assert channel_scale(np.full(10, 3.0, np.float32), "robust").scale > 0


def test_wrong_words_and_an_empty_brain_are_refused() -> None:
    volume, brain = brain_like()
    with pytest.raises(ValueError, match="unknown normalisation 'minmax'"):
        channel_scale(volume[brain], "minmax")
    with pytest.raises(ValueError, match="empty"):
        normalise({"t1": volume}, np.zeros_like(brain), "robust", (-6, 12))


def test_the_foreground_is_one_filled_piece() -> None:
    volume, brain = brain_like()
    holed = volume.copy()
    holed[12:18, 12:18, 12:18] = 0
    holed[0:3, 0:3, 0:3] = 300
    found = foreground_mask([holed], (1.0, 1.0, 1.0))
    assert found[14, 15, 14], "a dark cavity inside the brain belongs to it"
    assert not found[0:3, 0:3, 0:3].any(), "a bright speck outside does not"
    assert 2 * (found & brain).sum() / (found.sum() + brain.sum()) > 0.97


def test_a_sequence_that_misses_part_of_the_head_leaves_it_to_the_others() -> None:
    volume, brain = brain_like()
    cut_off = volume.copy()
    cut_off[:12] = 0
    found = foreground_mask([cut_off, volume], (1.0, 1.0, 1.0))
    assert 2 * (found & brain).sum() / (found.sum() + brain.sum()) > 0.97


def test_nothing_stands_out_of_nothing() -> None:
    assert not foreground_mask([np.zeros((8, 8, 8), np.float32)], (1.0, 1.0, 1.0)).any()


def test_values_that_are_zero_stay_zero_where_only_the_others_are_scaled() -> None:
    """As MONAI's NormalizeIntensity(nonzero=True, channel_wise=True) does."""
    volume, brain = brain_like()
    volume[15, 10:20, 10:20] = 0
    told = volume[volume != 0]
    made = normalise({"t1": volume}, brain, "zscore-nonzero", None)[0]["t1"]
    assert np.array_equal(made == 0, volume == 0)
    assert np.allclose(made[volume != 0], (told - told.mean()) / told.std(), atol=1e-4)


def test_without_normalisation_and_clip_the_brain_is_left_as_it_is() -> None:
    volume, brain = brain_like()
    assert np.array_equal(
        normalise({"t1": volume + 7}, brain, "none", None)[0]["t1"][brain], (volume + 7)[brain]
    )
