"""What counts as noise between two visits."""

from __future__ import annotations

import numpy as np
import pytest
from shapes import Ellipsoid, centre_of, grid_of

from GliomaSegLib.labels import ET, RC, SNFH
from GliomaSegLib.outcome.follow_up import Visit, against, compare
from GliomaSegLib.outcome.measures import measure
from GliomaSegLib.outcome.noise import EDGE_NOISE_MM, NEW_NOISE_ML, edge_noise_mm, statement, surface_mm2

GRID = grid_of((48, 48, 48))


def visit(*balls: tuple[tuple[float, float, float], float], number: int = ET.number) -> Visit:
    """Balls (centre in voxels from the middle, radius mm) of one structure."""
    labels = np.zeros(GRID.shape, np.uint8)
    for offset, radius in balls:
        labels[Ellipsoid(centre_of(GRID, offset), np.full(3, radius), np.eye(3)).mask(GRID)] = number
    return Visit(labels, GRID, measure(labels, GRID, ["t1c", "flair"]))


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.8, 1.2, 1.0)])
def test_the_surface_of_a_ball(spacing: tuple[float, float, float]) -> None:
    grid = grid_of((40, 40, 40), spacing)
    mask = Ellipsoid(centre_of(grid), np.full(3, 13.0), np.eye(3)).mask(grid)
    assert surface_mm2(mask, spacing) == pytest.approx(4 * np.pi * 13**2, rel=0.06)


def test_edge_noise_grows_with_the_voxel_and_a_region_has_its_worst_member() -> None:
    assert edge_noise_mm("ET", GRID) == EDGE_NOISE_MM["ET"]
    assert edge_noise_mm("ET", GRID, grid_of((9, 9, 9), (2.0, 2.0, 2.0))) == 2 * EDGE_NOISE_MM["ET"]
    assert edge_noise_mm("WT", GRID) == max(EDGE_NOISE_MM[name] for name in ("ET", "NETC", "SNFH"))
    assert statement(GRID)["new_lesion_ml"] == NEW_NOISE_ML


def test_a_change_smaller_than_the_moved_edge_is_no_change() -> None:
    edge = EDGE_NOISE_MM["ET"]
    # A ball of 4 mm whose radius grows by half the edge noise: a large percentage, and noise all the same.
    radius = 4.0
    quiet = compare(visit(((0, 0, 0), radius)), visit(((0, 0, 0), radius + edge / 2)), np.eye(4))
    assert quiet["lesions"][0]["status"] == "stable"
    assert quiet["structures"]["ET"]["above_noise"] is False
    loud = compare(visit(((0, 0, 0), radius)), visit(((0, 0, 0), radius + 2 * edge + 2)), np.eye(4))
    assert loud["lesions"][0]["status"] == "growing" and loud["structures"]["ET"]["above_noise"] is True
    assert loud["structures"]["RC"]["change_ml"] == 0 and loud["structures"]["RC"]["above_noise"] is False


def test_what_the_model_saw_doubtfully_is_no_change() -> None:
    one, two = visit(((0, 0, 0), 5.0), number=RC.number), visit(((0, 0, 0), 11.0), number=RC.number)
    assert compare(one, two, np.eye(4))["structures"]["RC"]["above_noise"] is True
    one.measures["structures"]["RC"]["volume_interval_ml"] = [0.0, 2.1]
    two.measures["structures"]["RC"]["volume_interval_ml"] = [1.7, 57.0]
    row = compare(one, two, np.eye(4))["structures"]["RC"]
    assert row["above_noise"] is False and row["intervals_overlap"] is True
    two.measures["structures"]["RC"]["volume_interval_ml"] = [2.2, 57.0]
    assert compare(one, two, np.eye(4))["structures"]["RC"]["above_noise"] is True


def test_a_lesion_of_the_size_of_noise_is_not_called_new() -> None:
    radius = (NEW_NOISE_ML * 1000 * 3 / 4 / np.pi) ** (1 / 3)
    before = visit(((-12, 0, 0), 7.0))
    small = visit(((-12, 0, 0), 7.0), ((14, 0, 0), 0.9 * radius))
    (_, one) = compare(before, small, np.eye(4))["lesions"]
    assert one["status"] == "within noise" and one["before"] == []
    large = visit(((-12, 0, 0), 7.0), ((14, 0, 0), max(1.4 * radius, 5.5)))
    changes = compare(before, large, np.eye(4))
    assert {row["status"] for row in changes["lesions"]} == {"stable", "new"}
    assert changes["new_measurable_lesions"] == 1
    back = compare(large, before, np.eye(4))
    assert {row["status"] for row in back["lesions"]} == {"stable", "gone"}
    assert back["new_measurable_lesions"] == 0


@pytest.mark.parametrize("number", [SNFH.number, RC.number])
def test_nothing_enhancing_reaches_no_threshold(number: int) -> None:
    one, two = visit(((0, 0, 0), 8.0), number=number), visit(((0, 0, 0), 12.0), number=number)
    told = against(one, two, "progression")
    assert told["product"] == {
        "then": 0.0, "now": 0.0, "change_percent": None, "threshold_percent": 25.0, "reached": None,
        "unit": "mm2",
    }  # fmt: skip
    assert told["volume"]["reached"] is None
    assert compare(one, two, np.eye(4))["lesions"] == []


def test_thresholds_are_reached_at_the_number_itself() -> None:
    then, now = visit(((0, 0, 0), 8.0)), visit(((0, 0, 0), 9.0))
    then.measures["sum_of_products_mm2"], now.measures["sum_of_products_mm2"] = 200.0, 250.0
    assert against(then, now, "progression")["product"]["reached"] is True
    now.measures["sum_of_products_mm2"] = 249.0
    assert against(then, now, "progression")["product"]["reached"] is False
    now.measures["sum_of_products_mm2"] = 100.0
    assert against(then, now, "response")["product"]["reached"] is True
