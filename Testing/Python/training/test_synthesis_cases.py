"""Synthetic cases from the real scans: deterministic, well-formed, and true to what the labels say."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from GliomaSegLib.errors import InputRefused
from GliomaSegLib.labels import CLASS_NAMES
from GliomaSegLib.training.synthesis import Sources, SyntheticCase, find_sources, synthesise_case
from GliomaSegLib.training.synthesis.anatomy import background
from GliomaSegLib.training.synthesis.cases import KINDS
from GliomaSegLib.training.synthesis.distractors import add_sclerosis
from GliomaSegLib.training.synthesis.fields import distance_mm
from GliomaSegLib.training.synthesis.painting import palette

HELD_OUT = ("BraTS2021_01478", "BraTS2021_01481", "patient19", "patient01")
NUMBER = {name: number for number, name in enumerate(CLASS_NAMES)}


@pytest.fixture(scope="module")
def all_sources() -> Sources:
    folder = Path(os.environ.get("GLIOMASEG_DATA", Path(__file__).parents[4] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"the real scans are not there: {folder.name}")
    return find_sources(folder, HELD_OUT)


@pytest.fixture(scope="module")
def sources(all_sources: Sources) -> Sources:
    """One brain with a tumour, one without, one label map: quick to load."""
    real = tuple(s for s in all_sources.complete if "01484" in s.name or "MS" in s.name)
    return replace(all_sources, real=real, label_maps=all_sources.label_maps[:1], icbm=False)


@pytest.fixture(scope="module")
def cases(sources: Sources) -> list[SyntheticCase]:
    return [synthesise_case(sources, seed, 4.0) for seed in range(24)]


@pytest.mark.data
def test_held_out_scans_are_left_out(all_sources: Sources) -> None:
    names = [source.name for source in all_sources.real]
    assert len(names) >= 7 and not any(word in name for name in names for word in HELD_OUT)
    assert all(path.is_file() for source in all_sources.real for _, path in source.paths)


@pytest.mark.data
def test_same_seed_same_case_other_seed_another(sources: Sources, cases: list[SyntheticCase]) -> None:
    again = synthesise_case(sources, 3, 4.0)
    assert np.array_equal(again.labels, cases[3].labels)
    assert again.volumes.keys() == cases[3].volumes.keys()
    assert all(np.array_equal(again.volumes[r], cases[3].volumes[r]) for r in again.volumes)
    assert len({case.labels.tobytes() for case in cases}) > 20


@pytest.mark.data
def test_volumes_are_zero_outside_the_brain_and_finite(cases: list[SyntheticCase]) -> None:
    for case in cases:
        assert len(case.volumes) >= 3
        assert case.labels.dtype == np.uint8 and not case.labels[~case.brain].any()
        assert case.grid.spacing_mm == (4.0, 4.0, 4.0)
        for volume in case.volumes.values():
            assert volume.shape == case.labels.shape == case.grid.shape
            assert volume.dtype == np.float32 and np.isfinite(volume).all() and volume.min() >= 0
            assert not volume[~case.brain].any()


@pytest.mark.data
def test_every_kind_and_structure_turns_up(cases: list[SyntheticCase]) -> None:
    assert {case.kind for case in cases} == set(KINDS)
    for name in ("NETC", "SNFH", "ET", "RC"):
        present = [bool((case.labels == NUMBER[name]).any()) for case in cases]
        assert any(present) and (name == "SNFH" or not all(present)), name


@pytest.mark.data
def test_enhancing_tissue_is_brighter_after_contrast(cases: list[SyntheticCase]) -> None:
    """Against the rest of the brain, wherever there is enough of it: what ET means. At 4 mm a thin rim may be
    drowned by what lies beside it, once."""
    checked, drowned = 0, []
    for case in cases:
        et = case.labels == NUMBER["ET"]
        if et.sum() < 8 or not {"t1", "t1c"} <= case.volumes.keys():
            continue
        plain = case.brain & (case.labels == 0)
        ratio = {r: np.median(case.volumes[r][et]) / np.median(case.volumes[r][plain]) for r in ("t1", "t1c")}
        assert ratio["t1c"] > 0.9 * ratio["t1"], case.source
        drowned += [case.source] if ratio["t1c"] <= ratio["t1"] else []
        checked += 1
    assert checked >= 4 and len(drowned) <= 1, drowned


@pytest.mark.long
@pytest.mark.data
def test_scans_without_contrast_get_a_t1c_or_go_without(all_sources: Sources) -> None:
    native = tuple(s for s in all_sources.real if s.native)
    only = replace(all_sources, real=native[:1], label_maps=(), icbm=False)
    made = [synthesise_case(only, seed, 4.0) for seed in range(12)]
    assert {case.source for case in made} == {native[0].name}
    assert {len(case.volumes) for case in made} == {3, 4}
    assert all("t1c" in c.volumes for c in made if len(c.volumes) == 4)
    assert any(not case.labels.any() for case in made) and any(case.labels.any() for case in made)


@pytest.mark.data
def test_sclerosis_brightens_white_matter_and_stays_off_the_lesion(sources: Sources) -> None:
    source = next(s for s in sources.real if s.labels_path is None)
    ground = background(source, 4.0, keep_tumour=False)
    tones = palette(ground.volumes, ground.anatomy, ground.medians)
    lesion = np.zeros_like(ground.labels, dtype=bool)
    lesion[tuple(n // 2 for n in lesion.shape)] = True
    volumes = {role: volume.copy() for role, volume in ground.volumes.items()}
    free = ground.anatomy.brain & (distance_mm(lesion, 4.0, 12.0) > 6.0)
    add_sclerosis(np.random.default_rng(3), volumes, ground.anatomy, free, tones)
    brighter = volumes["flair"] > ground.volumes["flair"] + 0.1 * tones.white["flair"]
    assert 0.5 < brighter.sum() * 0.064 < 80.0
    assert not brighter[~free].any()
    assert (volumes["t1"] <= ground.volumes["t1"]).all() and (volumes["t1"] < ground.volumes["t1"]).any()


def test_a_folder_without_scans_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputRefused, match="no case in BraTS naming"):
        find_sources(tmp_path, ())
