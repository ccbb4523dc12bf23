"""Phantoms: deterministic, true to their plan, shaped like treated tumours, sharing nothing with training."""

from __future__ import annotations

import ast
import os
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

import GliomaSegLib
from GliomaSegLib.errors import InputRefused
from GliomaSegLib.evaluation.conspicuity import conspicuity, surroundings
from GliomaSegLib.evaluation.phantom import PhantomCase, render_phantom, rendering
from GliomaSegLib.evaluation.phantom.plan import TYPICAL_PLAN, draw_plan
from GliomaSegLib.evaluation.phantom.rendering import LEAST_CONTRAST
from GliomaSegLib.intake.volume import ROLES

pytest.importorskip("nilearn", reason="the ICBM152 brain comes with nilearn")
COARSE_MM = 4.0
LIBRARY = Path(GliomaSegLib.__file__).parent
NETC, SNFH, ET, RC = 1, 2, 3, 4


@cache
def typical(seed: int = 5) -> PhantomCase:
    """A phantom with every usual part at 4 mm."""
    return render_phantom(seed, spacing_mm=COARSE_MM, plan=TYPICAL_PLAN)


def median_within(case: PhantomCase, role: str, mask: np.ndarray) -> float:
    """Median intensity of one contrast in a mask."""
    return float(np.median(case.volumes[role][mask]))


def test_shapes_types_and_background() -> None:
    case = typical()
    assert case.grid.shape == (46, 55, 46) and case.grid.spacing_mm == (4.0, 4.0, 4.0)
    assert case.grid.direction_lps == (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    assert tuple(case.volumes) == ROLES
    for volume in case.volumes.values():
        assert volume.dtype == np.float32 and volume.shape == case.grid.shape
        assert np.isfinite(volume).all() and (volume[~case.brain] == 0).all()
    assert case.labels.dtype == np.uint8 and case.brain.dtype == bool
    assert not case.labels[~case.brain].any()


def test_the_brain_has_a_brains_size() -> None:
    millilitres = typical().brain.sum() * typical().grid.voxel_ml
    assert 1300 < millilitres < 2300


def test_the_same_seed_gives_the_same_voxels() -> None:
    again = render_phantom(5, spacing_mm=COARSE_MM, plan=TYPICAL_PLAN)
    assert np.array_equal(again.labels, typical().labels)
    for role in ROLES:
        assert np.array_equal(again.volumes[role], typical().volumes[role])


def test_another_seed_gives_another_case() -> None:
    other = typical(6)
    assert not np.array_equal(other.labels, typical().labels)
    assert not np.array_equal(other.brain, typical().brain)


@pytest.mark.parametrize("seed", [5, 6, 7])
def test_volumes_follow_the_plan(seed: int) -> None:
    case = typical(seed)
    voxel_ml = case.grid.voxel_ml
    assert (case.labels == RC).sum() * voxel_ml == pytest.approx(TYPICAL_PLAN.cavity_ml, rel=0.25)
    assert (case.labels == SNFH).sum() * voxel_ml == pytest.approx(TYPICAL_PLAN.oedema_ml, rel=0.35)
    assert (case.labels == ET).any()


@pytest.mark.parametrize("seed", [5, 6, 7])
def test_the_cavity_is_one_piece_that_opens_to_the_outside_of_the_brain(seed: int) -> None:
    case = typical(seed)
    cavity = case.labels == RC
    _, pieces = ndimage.label(cavity, np.ones((3, 3, 3)))
    assert pieces == 1
    rim = case.brain & ~ndimage.binary_erosion(case.brain, iterations=1)
    assert (cavity & rim).any()


def test_absent_parts_are_absent() -> None:
    bare = replace(TYPICAL_PLAN, nodule_ml=0.0, ring=0.0, necrotic=0.0)
    assert set(np.unique(render_phantom(5, spacing_mm=COARSE_MM, plan=bare).labels)) == {0, SNFH, RC}
    untreated = replace(TYPICAL_PLAN, cavity_ml=0.0, ring=0.0)
    assert RC not in render_phantom(5, spacing_mm=COARSE_MM, plan=untreated).labels


def test_contrast_of_the_structures() -> None:
    case = typical()
    healthy = case.brain & (case.labels == 0)
    enhancing = case.labels == ET
    gain = {role: median_within(case, role, healthy) for role in ROLES}
    brighter = median_within(case, "t1c", enhancing) / gain["t1c"]
    assert brighter > 1.1 * median_within(case, "t1", enhancing) / gain["t1"]
    assert median_within(case, "flair", case.labels == SNFH) > 1.05 * gain["flair"]
    assert median_within(case, "t2", case.labels == RC) > 1.4 * gain["t2"]
    assert median_within(case, "t1", case.labels == RC) < 0.9 * gain["t1"]


@pytest.mark.parametrize("seed", [5, 8, 11])
def test_hyperintensity_that_would_hardly_show_is_made_to(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def contrast(case: PhantomCase) -> float:
        ring = surroundings(case.labels > 0, case.brain, COARSE_MM)
        seen = conspicuity(case.volumes["flair"], case.labels == SNFH, ring)
        assert seen is not None
        return seen.contrast

    assert contrast(typical(seed)) >= LEAST_CONTRAST
    monkeypatch.setattr(rendering, "LEAST_CONTRAST", -np.inf)
    as_drawn = render_phantom(seed, spacing_mm=COARSE_MM, plan=TYPICAL_PLAN)
    assert contrast(as_drawn) < LEAST_CONTRAST
    assert np.array_equal(as_drawn.labels, typical(seed).labels)
    untouched = as_drawn.brain & ~ndimage.binary_dilation(as_drawn.labels > 0, iterations=4)
    closely = np.isclose(as_drawn.volumes["t2"], typical(seed).volumes["t2"], rtol=0.02)
    assert closely[untouched].mean() > 0.99


def test_hyperintensity_that_shows_stays_as_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "LEAST_CONTRAST", -np.inf)
    as_drawn = render_phantom(6, spacing_mm=COARSE_MM, plan=TYPICAL_PLAN)
    assert all(np.array_equal(as_drawn.volumes[role], typical(6).volumes[role]) for role in ROLES)


def test_sediment_makes_the_hind_part_of_the_cavity_differ() -> None:
    plan = replace(TYPICAL_PLAN, cavity_ml=60.0, protein=0.0, sediment=0.4, scar=False)
    case = render_phantom(5, spacing_mm=COARSE_MM, plan=plan)
    cavity = ndimage.binary_erosion(case.labels == RC)
    rows = np.nonzero(cavity.any((0, 2)))[0]
    behind = np.arange(cavity.shape[1])[None, :, None] >= rows[-1] - 1
    front = np.arange(cavity.shape[1])[None, :, None] <= rows[0] + 1
    assert median_within(case, "flair", cavity & behind) > 1.3 * median_within(case, "flair", cavity & front)


def test_plans_vary_as_promised() -> None:
    plans = [draw_plan(np.random.default_rng(seed)) for seed in range(600)]
    without_enhancement = np.mean([p.nodule_ml == 0 and p.ring == 0 and p.satellite_ml == 0 for p in plans])
    assert 0.27 < without_enhancement < 0.42
    cavities = np.array([p.cavity_ml for p in plans if p.cavity_ml])
    assert 0.82 < len(cavities) / len(plans) < 0.94
    assert cavities.min() < 1.0 and cavities.max() > 50.0
    assert all(p.cavity_ml or p.nodule_ml or p.lump_ml for p in plans)


def test_nothing_is_shared_with_trainings_synthesis() -> None:
    def modules(path: Path) -> set[str]:
        found: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                found |= {f"{node.module or ''}.{alias.name}" for alias in node.names}
            elif isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
        return found

    for path in (LIBRARY / "evaluation" / "phantom").glob("*.py"):
        assert not any("training" in name or "synthesis" in name for name in modules(path)), path.name
    for path in (LIBRARY / "training" / "synthesis").glob("*.py"):
        assert not any("phantom" in name for name in modules(path)), path.name


@pytest.fixture
def real_folder(tmp_path: Path) -> Path:
    """A folder as a real four-contrast exam would be: a phantom's own healthy brain, axes turned to RAS."""
    case = render_phantom(9, spacing_mm=COARSE_MM, plan=replace(TYPICAL_PLAN, cavity_ml=0.0, nodule_ml=0.2))
    for role in ROLES:
        image = sitk.DICOMOrient(case.grid.image(case.volumes[role]), "RAS")
        sitk.WriteImage(image, str(tmp_path / f"{role}.nii.gz"))
    return tmp_path


def test_a_real_brain_keeps_its_own_voxels_away_from_the_lesion(real_folder: Path) -> None:
    case = render_phantom(3, real_folder, plan=TYPICAL_PLAN)
    assert case.grid.direction_lps == (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    original = sitk.GetArrayFromImage(sitk.DICOMOrient(sitk.ReadImage(str(real_folder / "t2.nii.gz")), "LPS"))
    far = case.brain & ~ndimage.binary_dilation(case.labels > 0, iterations=3)
    assert far.sum() > 5000
    assert np.mean(np.isclose(case.volumes["t2"][far], original[far], rtol=1e-5)) > 0.97
    cavity = case.labels == RC
    assert np.median(case.volumes["t2"][cavity]) > 1.3 * np.median(original[case.brain])


def test_a_real_brain_without_all_contrasts_is_refused(real_folder: Path) -> None:
    (real_folder / "t1c.nii.gz").unlink()
    with pytest.raises(InputRefused, match=r"t1c\.nii\.gz"):
        render_phantom(3, real_folder)


def test_a_real_brain_on_voxels_that_are_not_cubes_is_refused(real_folder: Path) -> None:
    image = sitk.ReadImage(str(real_folder / "t2.nii.gz"))
    image.SetSpacing((4.0, 4.0, 5.0))
    sitk.WriteImage(image, str(real_folder / "t2.nii.gz"))
    with pytest.raises(InputRefused, match=r"t2\.nii\.gz"):
        render_phantom(3, real_folder)


@pytest.mark.data
@pytest.mark.long
def test_a_lesion_in_a_real_contrast_enhanced_brain() -> None:
    root = Path(os.environ.get("GLIOMASEG_DATA", Path(__file__).parents[4] / "shared" / "data"))
    folder = root / "openms" / "cross_sectional" / "patient19"
    if not folder.is_dir():
        pytest.skip("the real scans are not here (set GLIOMASEG_DATA to the folder that holds openms)")
    case = render_phantom(12, folder, plan=TYPICAL_PLAN)
    healthy = case.brain & (case.labels == 0)
    assert median_within(case, "t2", case.labels == RC) > 1.8 * median_within(case, "t2", healthy)
    assert median_within(case, "flair", case.labels == SNFH) > 1.1 * median_within(case, "flair", healthy)
