"""Expert contours in another brain: placed where they were, operated on, and looking as MRI does."""

from __future__ import annotations

import numpy as np
import pytest

from GliomaSegLib.evaluation.phantom.anatomy import Anatomy, brats_grid
from GliomaSegLib.evaluation.phantom.expert_shape import moved, operated, painted

NETC, SNFH, ET, RC = 1, 2, 3, 4
SHAPE = (40, 44, 40)


def ball(centre: tuple[float, float, float], radius: float) -> np.ndarray:
    """A ball in an array of `SHAPE`."""
    grid = np.indices(SHAPE)
    return sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True)) < radius**2


@pytest.fixture
def labels() -> np.ndarray:
    """Core, enhancing shell, hyperintensity, left of the middle."""
    made = np.zeros(SHAPE, np.uint8)
    for number, radius in ((SNFH, 9), (ET, 6), (NETC, 4)):
        made[ball((20, 22, 26), radius)] = number
    return made


@pytest.fixture
def anatomy() -> Anatomy:
    """White matter with a ventricle of fluid, in intensities as of real sequences."""
    brain, fluid = ball((20, 22, 20), 18), ball((20, 22, 12), 3)
    wm = (brain & ~fluid).astype(np.float32)
    levels = {"t1": (100, 30), "t1c": (100, 30), "t2": (60, 200), "flair": (80, 15)}
    scans = {
        role: np.where(fluid, dark, np.where(brain, bright, 0)).astype(np.float32)
        for role, (bright, dark) in levels.items()
    }
    csf = fluid.astype(np.float32)
    return Anatomy(wm, np.zeros_like(wm), csf, brain, brats_grid(1.0), (0, 0, 0), scans)


def test_most_cores_become_cavities_and_a_third_does_not_enhance(labels: np.ndarray) -> None:
    made = [operated(labels, np.random.default_rng(seed)) for seed in range(300)]
    cavities = np.mean([(m == RC).any() for m in made])
    enhancing = np.mean([(m == ET).any() for m in made])
    assert 0.7 < cavities < 0.9 and 0.58 < enhancing < 0.75
    assert all(np.array_equal(m > 0, labels > 0) for m in made)
    assert all(np.array_equal(m == RC, labels == NETC) for m in made if (m == RC).any())


def test_a_tumour_without_core_is_hollowed_out(labels: np.ndarray) -> None:
    solid = np.where(labels == NETC, ET, labels).astype(np.uint8)
    made = next(m for s in range(20) if ((m := operated(solid, np.random.default_rng(s))) == RC).any())
    assert ((made == RC) <= (labels > 0)).all()


def test_the_shape_keeps_its_place_and_size_relative_to_the_brain(labels: np.ndarray) -> None:
    head = ball((20, 22, 20), 16)
    assert np.array_equal(moved(labels, head, head, False), np.where(head, labels, 0))
    mirrored = moved(labels, head, head, True)
    # The head lies half a voxel right of the middle, so its mirror image is a voxel further left.
    assert np.array_equal(mirrored, np.roll(labels[:, :, ::-1], 1, axis=2) * head)
    larger = ball((20, 22, 20), 19)
    grown = moved(labels, head, larger, False)
    assert (grown > 0).sum() / larger.sum() == pytest.approx((labels > 0).sum() / head.sum(), rel=0.15)


def test_contrasts_are_those_of_mri(labels: np.ndarray, anatomy: Anatomy) -> None:
    for seed in range(8):
        made = np.where(anatomy.brain, labels, 0).astype(np.uint8)
        made[ball((20, 22, 26), 3)] = RC
        volumes = painted(made, anatomy, np.random.default_rng(seed))

        def median(role: str, number: int, volumes: dict = volumes, made: np.ndarray = made) -> float:
            return float(np.median(volumes[role][made == number]))

        assert median("t1c", ET) > 1.15 * median("t1", ET), "enhancing tissue does not enhance"
        assert median("t1c", SNFH) == pytest.approx(median("t1", SNFH), rel=0.1)
        assert median("flair", SNFH) > 1.2 * 80 and median("t2", SNFH) > 1.3 * 60
        assert median("t1", RC) < 62 and median("t2", RC) > 150
        far = anatomy.brain & (volumes["t1"] == anatomy.scans["t1"])
        assert far.sum() > 0.5 * anatomy.brain.sum(), "the brain around the lesion changed"
        assert all((volume[~anatomy.brain] == 0).all() for volume in volumes.values())


def test_a_brain_without_scans_can_not_be_painted(labels: np.ndarray, anatomy: Anatomy) -> None:
    empty = Anatomy(anatomy.wm, anatomy.gm, anatomy.csf, anatomy.brain, anatomy.grid, (0, 0, 0))
    with pytest.raises(ValueError, match="scans"):
        painted(labels, empty, np.random.default_rng(0))
