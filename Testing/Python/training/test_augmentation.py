"""Augmentation: a function of case and seed; what is outside or missing stays zero."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from GliomaSegLib.training.augmentation import build_augmentation, drop_sequence
from GliomaSegLib.training.cases import TrainingCase
from GliomaSegLib.training.config import AugmentationSpec

pytest.importorskip("monai", reason="training needs MONAI (the extra train)")

MakeCase = Callable[..., TrainingCase]
STILL = AugmentationSpec(*[0.0] * 10)
ALL = AugmentationSpec(1.0, 1.0, 15.0, 0.15, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0)


def test_a_seed_gives_the_same_sample_whatever_was_drawn_before(make_case: MakeCase) -> None:
    augment, case = build_augmentation(ALL, (12, 12, 12), 5), make_case()
    image, target = augment(case, 5)
    for seed in (6, 7):
        assert not torch.equal(augment(case, seed)[0], image)
    np.random.seed(0)  # noqa: NPY002  the global state that MONAI must not draw from
    torch.manual_seed(99)
    again = augment(case, 5)
    other_instance = build_augmentation(ALL, (12, 12, 12), 5)(case, 5)
    for made in (again, other_instance):
        assert torch.equal(made[0], image) and torch.equal(made[1], target)


def test_without_augmentation_the_case_comes_through_as_it_is(make_case: MakeCase) -> None:
    case = make_case()
    image, target = build_augmentation(STILL, (), 5)(case, 1)
    assert image.dtype == torch.float32 and target.dtype == torch.int64
    assert np.array_equal(image.numpy(), case.image.astype(np.float32))
    assert np.array_equal(target.numpy(), case.labels)


def test_flipping_mirrors_left_and_right_only(make_case: MakeCase) -> None:
    case = make_case(labels=(1, 2, 4))
    image, target = build_augmentation(AugmentationSpec(1.0, *[0.0] * 9), (), 5)(case, 1)
    assert np.array_equal(target.numpy(), case.labels[:, :, ::-1])
    assert np.array_equal(image.numpy(), case.image[..., ::-1].astype(np.float32))


@pytest.mark.parametrize("seed", range(4))
def test_labels_stay_labels_and_lie_where_the_image_shows_them(make_case: MakeCase, seed: int) -> None:
    case = make_case(size=32)
    image, target = build_augmentation(AugmentationSpec(1.0, 1.0, 15.0, 0.15, *[0.0] * 6), (), 5)(case, seed)
    assert set(target.unique().tolist()) <= {0, 2, 4}
    for label in (2, 4):
        bright = image[label - 1] > 2
        overlap = 2 * int((bright & (target == label)).sum()) / int(bright.sum() + (target == label).sum())
        assert overlap > 0.7


def test_intensity_changes_leave_the_outside_and_missing_sequences_at_zero(make_case: MakeCase) -> None:
    case = make_case()
    case.image[2] = 0
    spec = AugmentationSpec(0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0)
    image, target = build_augmentation(spec, (), 5)(case, 3)
    outside = ~(case.image != 0).any(axis=0)
    assert not image[:, torch.from_numpy(outside)].any()
    assert not image[2].any() and image[0].any()
    assert not np.allclose(image[0].numpy(), case.image[0].astype(np.float32), atol=0.01)
    assert np.array_equal(target.numpy(), case.labels)


def test_patches_have_their_size_and_show_rare_classes_often(make_case: MakeCase) -> None:
    case = make_case(size=24, labels=(3,))
    augment = build_augmentation(STILL, (8, 10, 6), 5)
    samples = [augment(case, seed) for seed in range(30)]
    assert {tuple(i.shape) for i, _ in samples} == {(4, 8, 10, 6)}
    assert {tuple(t.shape) for _, t in samples} == {(8, 10, 6)}
    assert sum(bool((t == 3).any()) for _, t in samples) >= 12


def test_a_case_smaller_than_the_patch_is_padded(make_case: MakeCase) -> None:
    image, target = build_augmentation(STILL, (20, 24, 16), 5)(make_case(size=16), 0)
    assert image.shape == (4, 20, 24, 16) and target.shape == (20, 24, 16)
    assert image.any() and target.any()


def test_a_dropped_sequence_is_zero_and_the_last_one_stays() -> None:
    image = np.ones((4, 2, 2, 2), np.float32)
    rng = np.random.default_rng(0)
    assert [int(c.any()) for c in drop_sequence(image, 1.0, rng)].count(0) == 1
    assert image.all()
    assert drop_sequence(image, 0.0, rng).all()
    dropped = {tuple(int(c.any()) for c in drop_sequence(image, 1.0, rng)) for _ in range(60)}
    assert len(dropped) == 4
    only = image * np.array([0, 1, 0, 0], np.float32)[:, None, None, None]
    assert drop_sequence(only, 1.0, rng)[1].all()


def test_sequences_go_missing_as_often_as_asked(make_case: MakeCase) -> None:
    augment, case = build_augmentation(AugmentationSpec(*[0.0] * 9, 0.4), (), 5), make_case(size=8)
    missing = sum(not augment(case, seed)[0].any(dim=(1, 2, 3)).all() for seed in range(200))
    assert 55 <= missing <= 105
