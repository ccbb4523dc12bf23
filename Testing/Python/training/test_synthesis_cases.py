"""Synthetic cases from the real scans: deterministic, well-formed, and true to what the labels say."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from GliomaSegLib.labels import CLASS_NAMES
from GliomaSegLib.training.synthesis import Sources, SyntheticCase, find_sources, synthesise_case

HELD_OUT = ("BraTS2021_01478", "BraTS2021_01481", "patient19")
NUMBER = {name: number for number, name in enumerate(CLASS_NAMES)}
pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def sources() -> Sources:
    folder = Path(os.environ.get("GLIOMASEG_DATA", Path(__file__).parents[4] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"the real scans are not there: {folder.name}")
    return find_sources(folder, HELD_OUT)


@pytest.fixture(scope="module")
def cases(sources: Sources) -> list[SyntheticCase]:
    return [synthesise_case(sources, seed, 4.0) for seed in range(24)]


def test_held_out_scans_are_left_out(sources: Sources) -> None:
    names = [source.name for source in sources.real]
    assert names and not any(word in name for name in names for word in HELD_OUT)


def test_same_seed_same_case_other_seed_another(sources: Sources, cases: list[SyntheticCase]) -> None:
    again = synthesise_case(sources, 3, 4.0)
    assert np.array_equal(again.labels, cases[3].labels)
    assert again.volumes.keys() == cases[3].volumes.keys()
    assert all(np.array_equal(again.volumes[r], cases[3].volumes[r]) for r in again.volumes)
    assert len({case.labels.tobytes() for case in cases}) > 20


def test_volumes_are_zero_outside_the_brain_and_finite(cases: list[SyntheticCase]) -> None:
    for case in cases:
        assert len(case.volumes) >= 3
        assert case.labels.dtype == np.uint8 and not case.labels[~case.brain].any()
        for volume in case.volumes.values():
            assert volume.shape == case.labels.shape == case.grid.shape
            assert volume.dtype == np.float32 and np.isfinite(volume).all() and volume.min() >= 0
            assert not volume[~case.brain].any()


def test_every_structure_is_there_in_some_and_missing_in_others(cases: list[SyntheticCase]) -> None:
    for name in ("NETC", "SNFH", "ET", "RC"):
        present = [bool((case.labels == NUMBER[name]).any()) for case in cases]
        assert any(present) and (name == "SNFH" or not all(present)), name
