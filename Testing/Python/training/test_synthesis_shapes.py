"""Fields, shapes, layouts and paint on a phantom brain: no real scan needed."""

from __future__ import annotations

import numpy as np
import pytest

from GliomaSegLib.evaluation.conspicuity import conspicuity, surroundings
from GliomaSegLib.training.synthesis import materials, painting
from GliomaSegLib.training.synthesis.anatomy import (
    FLUID,
    GREY,
    WHITE,
    Anatomy,
    describe,
    find_midline,
    mirrored,
)
from GliomaSegLib.training.synthesis.artefacts import drop_sequence, fray_margin, spoil, thick_slices
from GliomaSegLib.training.synthesis.fields import (
    ellipsoid,
    facets,
    fill_to_volume,
    rough_field,
    smooth_field,
)
from GliomaSegLib.training.synthesis.layout import ET, NETC, RC, SNFH, choose_centre, lay_out, radius_mm
from GliomaSegLib.training.synthesis.materials import Material, cavity_fluid, cyst_fluid, solid_core
from GliomaSegLib.training.synthesis.painting import LEAST_CONTRAST, Palette, paint
from GliomaSegLib.training.synthesis.plan import LesionPlan, draw_plan

SHAPE, SPACING = (40, 44, 40), 4.0


@pytest.fixture(scope="module")
def phantom() -> Anatomy:
    """An ellipsoid of white matter with a grey shell and a ventricle in each half."""
    z, y, x = np.meshgrid(*[np.arange(n) - (n - 1) / 2 for n in SHAPE], indexing="ij")
    radius = np.sqrt((z / 16) ** 2 + (y / 19) ** 2 + (x / 16) ** 2)
    tissue = np.where(radius < 0.85, WHITE, GREY).astype(np.uint8)
    tissue[(np.abs(z) < 3) & (np.abs(y) < 6) & (np.abs(np.abs(x) - 3) < 2)] = FLUID
    brain = radius < 1
    tissue[~brain] = 0
    return describe(tissue, brain, None, SPACING)


def _volumes(phantom: Anatomy) -> tuple[dict[str, np.ndarray], Palette]:
    ratio = {"t1": (0.4, 0.8), "t1c": (0.4, 0.85), "t2": (3.0, 1.3), "flair": (0.25, 1.05)}
    volumes = {}
    for role, (fluid, grey) in ratio.items():
        table = np.array([0, fluid, grey, 1.0], dtype=np.float32) * 500
        volumes[role] = table[phantom.tissue]
    flat = dict.fromkeys(ratio, 500.0)
    return volumes, Palette(flat, {r: 500 * f for r, (f, _) in ratio.items()}, dict.fromkeys(ratio, 5.0))


def test_fields_have_mean_zero_and_unit_deviation() -> None:
    rng = np.random.default_rng(0)
    for make in (smooth_field, rough_field):
        values = np.stack([make(rng, SHAPE, 20.0, SPACING) for _ in range(12)])
        assert abs(values.mean()) < 0.1
        assert 0.8 < values.std() < 1.2


def test_smooth_field_is_smooth() -> None:
    field = smooth_field(np.random.default_rng(1), SHAPE, 40.0, 2.0)
    assert np.abs(np.diff(field, axis=0)).max() < 0.35


def test_fill_meets_the_volume_and_stays_in_one_piece() -> None:
    cost = ellipsoid(np.random.default_rng(2), SHAPE, np.array([20.0, 20.0, 20.0]), 2.0, 0.3)
    mask = fill_to_volume(cost, np.ones(SHAPE, dtype=bool), 10.0, 0.008)
    assert abs(int(mask.sum()) - 1250) <= 2  # ties at the level are kept
    assert fill_to_volume(cost, np.zeros(SHAPE, dtype=bool), 10.0, 0.008).sum() == 0


def test_facets_are_planes_of_equal_cost() -> None:
    cost = facets(np.random.default_rng(3), SHAPE, np.array([20.0, 22.0, 20.0]), 2.0, 6)
    second = np.diff(cost[5, 5], n=2)
    assert (np.abs(second) < 1e-3).mean() > 0.8


def test_midline_of_a_symmetric_brain_is_its_middle(phantom: Anatomy) -> None:
    assert phantom.midline == pytest.approx((SHAPE[2] - 1) / 2, abs=0.5)
    assert np.array_equal(mirrored(phantom.brain, find_midline(phantom.brain)), phantom.brain)


@pytest.mark.parametrize("et_style", ["wall", "nodule", "apart"])
def test_treated_plan_becomes_all_four_structures(phantom: Anatomy, et_style: str) -> None:
    plan = LesionPlan("treated", 20.0, 8.0, 3.0, 40.0, et_style)
    rng = np.random.default_rng(4)
    layout = lay_out(rng, phantom, plan, choose_centre(rng, phantom, plan, np.zeros(SHAPE, dtype=bool)))
    ml = {number: (layout.labels == number).sum() * phantom.voxel_ml for number in (NETC, SNFH, ET, RC)}
    assert ml[RC] == pytest.approx(20, rel=0.4)
    assert ml[ET] == pytest.approx(8, rel=0.5)
    assert ml[SNFH] == pytest.approx(40, rel=0.5)
    assert ml[NETC] > 0
    assert not layout.labels[~phantom.brain].any()
    assert not ((layout.labels == SNFH) & (phantom.tissue == FLUID)).any() or not plan.heed_tissue


def test_absent_structures_stay_absent(phantom: Anatomy) -> None:
    plan = LesionPlan("treated", 15.0, 0.0, 0.0, 20.0)
    rng = np.random.default_rng(5)
    labels = lay_out(rng, phantom, plan, np.array([25.0, 20.0, 12.0])).labels
    assert set(np.unique(labels)) == {0, SNFH, RC}


@pytest.mark.parametrize("style", ["ring", "solid", "cystic"])
def test_untreated_tumours_have_no_cavity(phantom: Anatomy, style: str) -> None:
    plan = LesionPlan(style, 0.0, 6.0 if style == "ring" else 0.0, 14.0, 20.0)
    rng = np.random.default_rng(6)
    labels = lay_out(rng, phantom, plan, np.array([25.0, 20.0, 12.0])).labels
    assert not (labels == RC).any() and (labels == NETC).any()
    assert (labels == ET).any() == (style == "ring")


def test_plans_leave_structures_out_in_a_third_and_cover_sizes() -> None:
    rng = np.random.default_rng(7)
    plans = [draw_plan(rng) for _ in range(4000)]
    treated = [p for p in plans if p.style == "treated"]
    assert 0.55 < len(treated) / len(plans) < 0.7
    assert 0.28 < np.mean([p.et_ml == 0 for p in treated]) < 0.4
    cavities = [p.cavity_ml for p in treated if p.cavity_ml > 0]
    assert min(cavities) < 0.5 and max(cavities) > 60
    assert 6 < np.median(cavities) < 14
    assert all(p.cavity_ml == 0 for p in plans if p.style != "treated")


def test_paint_makes_cavity_dark_on_flair_and_bright_on_t2_most_of_the_time(phantom: Anatomy) -> None:
    volumes, tones = _volumes(phantom)
    dark, bright, lit = 0, 0, 0
    for seed in range(24):
        rng = np.random.default_rng(seed)
        plan = LesionPlan("treated", 25.0, 0.0, 0.0, 20.0)
        layout = lay_out(rng, phantom, plan, np.array([25.0, 20.0, 12.0]))
        painted = paint(rng, volumes, phantom, tones, layout)
        cavity = layout.labels == RC
        dark += int(np.median(painted["flair"][cavity]) < 450)
        bright += int(np.median(painted["t2"][cavity]) > 900)
        rim = layout.labels == SNFH
        lit += int(np.median(painted["flair"][rim]) > np.median(volumes["flair"][rim]))
    # Now and then hyperintensity is faint and fades outwards to nothing.
    assert dark > 12 and bright > 14 and lit >= 21, (dark, bright, lit)


def test_hyperintensity_is_painted_so_that_it_can_be_seen(
    phantom: Anatomy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def contrasts() -> list[float]:
        found = []
        for seed in range(12):
            layout = lay_out(np.random.default_rng(seed), phantom, plan, np.array([25.0, 20.0, 12.0]))
            painted = paint(np.random.default_rng(seed), volumes, phantom, tones, layout)
            ring = surroundings(layout.labels > 0, phantom.brain, SPACING)
            seen = conspicuity(painted["flair"], layout.labels == SNFH, ring)
            assert seen is not None
            found.append(seen.contrast)
        return found

    plan = LesionPlan("treated", 6.0, 0.0, 0.0, 12.0)
    volumes, tones = _volumes(phantom)
    faint = Material({"t1": 0.95, "t1c": 0.95, "t2": 1.1, "flair": 1.02}, 0.02)
    monkeypatch.setattr(materials, "hyperintensity", lambda rng: faint)
    # What lies deeper is painted over its edge afterwards.
    assert min(contrasts()) > 0.85 * LEAST_CONTRAST[0]
    monkeypatch.setattr(painting, "LEAST_CONTRAST", (-9.0, -9.0))
    assert max(contrasts()) < 0.85 * LEAST_CONTRAST[0]


@pytest.mark.parametrize("fluid_t1", [0.1, 0.3, 0.55])
def test_on_t1_a_core_is_never_as_dark_as_fluid_and_plain_cavity_fluid_is(fluid_t1: float) -> None:
    fluid = {"t1": fluid_t1, "t1c": fluid_t1, "t2": 3.0, "flair": 0.3}
    rng = np.random.default_rng(3)

    def place(material: Material) -> float:
        return (material.ratio["t1"] - fluid_t1) / (1 - fluid_t1)

    cores = [place(made(rng, fluid)) for made in (solid_core, cyst_fluid) for _ in range(400)]
    assert min(cores) >= 0.2 - 1e-9
    cavities = [place(cavity_fluid(rng, fluid)) for _ in range(1000)]
    assert 0.78 < np.mean(np.array(cavities) < 0.2) < 0.92


def test_paint_leaves_its_arguments_alone(phantom: Anatomy) -> None:
    volumes, tones = _volumes(phantom)
    before = {role: volume.copy() for role, volume in volumes.items()}
    plan = LesionPlan("ring", 0.0, 6.0, 10.0, 20.0)
    layout = lay_out(np.random.default_rng(8), phantom, plan, np.array([25.0, 20.0, 12.0]))
    painted = paint(np.random.default_rng(8), volumes, phantom, tones, layout)
    assert all(np.array_equal(volumes[r], before[r]) for r in volumes)
    assert (painted["t1c"] != volumes["t1c"]).any()


def test_artefacts_keep_the_outside_at_zero(phantom: Anatomy) -> None:
    volumes, _ = _volumes(phantom)
    spoilt = spoil(np.random.default_rng(9), volumes, phantom.brain, SPACING, 1.0)
    for volume in spoilt.values():
        assert not volume[~phantom.brain].any() and volume.min() >= 0 and np.isfinite(volume).all()


def test_thick_slices_blur_one_axis_only() -> None:
    volume = np.zeros((24, 24, 24), dtype=np.float32)
    volume[12, 12, 12] = 1
    thick = thick_slices(volume, 0, 4.0, 1.0)
    assert (thick > 0).any(axis=(1, 2)).sum() > 3
    assert (thick > 0).any(axis=(0, 2)).sum() == 1


def test_frayed_brain_is_smaller_but_mostly_there(phantom: Anatomy) -> None:
    frayed = fray_margin(np.random.default_rng(10), phantom.brain, SPACING)
    assert not (frayed & ~phantom.brain).any()
    assert 0.5 < frayed.sum() / phantom.brain.sum() <= 1


def test_one_sequence_is_dropped_at_most(phantom: Anatomy) -> None:
    volumes, _ = _volumes(phantom)
    assert len(drop_sequence(np.random.default_rng(0), volumes, 1.0)) == 3
    assert len(drop_sequence(np.random.default_rng(0), volumes, 0.0)) == 4


def test_radius_of_a_ball() -> None:
    assert radius_mm(4 / 3 * np.pi) == pytest.approx(10.0)
