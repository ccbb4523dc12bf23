"""Lesions, distances and tables of label maps made of shapes whose measures are known."""

from __future__ import annotations

import csv
import io
import time

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from shapes import Ellipsoid, centre_of, grid_of

from GliomaSegLib.labels import ET, NETC, RC, SNFH
from GliomaSegLib.outcome.lesions import find_lesions
from GliomaSegLib.outcome.measures import assessable, mark_unknown, measure
from GliomaSegLib.outcome.measures_table import COLUMNS, as_csv
from GliomaSegLib.outcome.uncertainty import volume_intervals_ml
from GliomaSegLib.result import StoredResult


def ball(grid, centre, radius_mm):  # type: ignore[no-untyped-def]
    return Ellipsoid(np.asarray(centre), np.full(3, radius_mm), np.eye(3)).mask(grid)


@pytest.fixture(scope="module")
def treated():  # type: ignore[no-untyped-def]
    """A cavity, two nodules of 7 and 4 mm radius, a speck of 4 voxels, hyperintensity around all of it."""
    grid = grid_of((30, 70, 70), (1.0, 1.0, 2.0), (8.0, -12.0, 20.0))
    middle = centre_of(grid)
    axes = np.reshape(grid.direction_lps, (3, 3))
    labels = np.zeros(grid.shape, np.uint8)
    labels[ball(grid, middle, 26)] = SNFH.number
    labels[ball(grid, middle - 10 * axes[:, 0], 8)] = RC.number
    labels[ball(grid, middle + 10 * axes[:, 0], 7)] = ET.number
    labels[ball(grid, middle + 18 * axes[:, 1], 4)] = ET.number
    labels[15, 10, 30:34] = ET.number
    return labels, grid, middle, axes


def test_lesions_have_volume_place_and_size(treated) -> None:  # type: ignore[no-untyped-def]
    labels, grid, middle, axes = treated
    measures = measure(labels, grid)
    large, small = measures["lesions"]["ET"]
    assert large["volume_ml"] == pytest.approx(4 / 3 * np.pi * 7**3 / 1000, rel=0.05)
    assert np.linalg.norm(large["centroid_lps_mm"] - (middle + 10 * axes[:, 0])) < 0.5
    assert np.linalg.norm(small["centroid_lps_mm"] - (middle + 18 * axes[:, 1])) < 0.5
    assert large["longest_mm"] == pytest.approx(14, abs=1) and large["perpendicular_mm"] == pytest.approx(
        14, abs=1
    )
    assert large["measurable"] and not small["measurable"]
    assert measures["sum_of_products_mm2"] == large["product_mm2"]
    assert measures["too_small"]["ET"] == {"count": 1, "volume_ml": 0.008}
    (cavity,) = measures["lesions"]["RC"]
    assert "longest_mm" not in cavity and "SNFH" not in measures["lesions"]


def test_lesions_add_up_to_the_structure(treated) -> None:  # type: ignore[no-untyped-def]
    labels, grid, *_ = treated
    measures = measure(labels, grid)
    for name in ("ET", "NETC", "RC"):
        parts = sum(lesion["voxels"] for lesion in measures["lesions"][name])
        rest = measures["too_small"][name]["volume_ml"] / grid.voxel_ml
        assert parts + rest == pytest.approx(measures["structures"][name]["voxels"])


def test_the_gap_between_cavity_and_enhancement(treated) -> None:  # type: ignore[no-untyped-def]
    labels, grid, *_ = treated
    measures = measure(labels, grid)
    large, small = measures["lesions"]["ET"]
    assert large["distance_to_cavity_mm"] == pytest.approx(20 - 8 - 7, abs=1)
    assert small["distance_to_cavity_mm"] == pytest.approx(np.hypot(10, 18) - 8 - 4, abs=1)
    assert measures["cavity_to_enhancement_mm"] == large["distance_to_cavity_mm"]


@pytest.mark.parametrize("gap", [0, 1, 3])
def test_flat_walls_are_as_far_apart_as_they_are(gap: int) -> None:
    grid = grid_of((10, 12, 20), (1.5, 1.0, 2.0), (30.0, 0.0, 0.0))
    labels = np.zeros(grid.shape, np.uint8)
    labels[2:8, 2:10, 2:8] = RC.number
    labels[2:8, 2:10, 8 + gap : 14] = ET.number
    assert measure(labels, grid)["cavity_to_enhancement_mm"] == pytest.approx(1.5 * gap)


def test_without_a_cavity_there_is_no_gap() -> None:
    grid = grid_of((10, 12, 20))
    labels = np.zeros(grid.shape, np.uint8)
    labels[2:8, 2:8, 2:8] = ET.number
    measures = measure(labels, grid)
    assert measures["cavity_to_enhancement_mm"] is None
    assert measures["lesions"]["ET"][0]["distance_to_cavity_mm"] is None


@pytest.mark.parametrize("seed", range(4))
def test_volume_and_centroid_of_tilted_ellipsoids(seed: int) -> None:
    rng = np.random.default_rng(seed)
    grid = grid_of((16, 50, 44), (0.9, 0.8, 2.6), (12.0, 25.0, -18.0))
    axes = Rotation.random(random_state=seed).as_matrix()
    shape = Ellipsoid(centre_of(grid, (1.3, -0.4, 0.2)), rng.uniform(7, 15, 3), axes)
    labels = np.where(shape.mask(grid), NETC.number, 0).astype(np.uint8)
    (lesion,) = measure(labels, grid)["lesions"]["NETC"]
    assert lesion["volume_ml"] == pytest.approx(shape.volume_ml, rel=0.03)
    assert np.linalg.norm(lesion["centroid_lps_mm"] - shape.centre) < 0.3


def test_an_empty_map_measures_nothing() -> None:
    measures = measure(np.zeros((4, 5, 6), np.uint8), grid_of((4, 5, 6)))
    assert measures["lesions"] == {"ET": [], "NETC": [], "RC": []}
    assert measures["sum_of_products_mm2"] == 0.0 and measures["regions"]["WT"]["volume_ml"] == 0.0


def test_one_core_joins_the_pieces_of_its_rim() -> None:
    grid = grid_of((12, 12, 30))
    labels = np.zeros(grid.shape, np.uint8)
    labels[4:8, 4:8, 2:6] = labels[4:8, 4:8, 20:24] = ET.number
    assert len(measure(labels, grid)["lesions"]["ET"]) == 2
    labels[4:8, 4:8, 6:20] = NETC.number
    (one,) = measure(labels, grid)["lesions"]["ET"]
    assert one["voxels"] == 128 and one["longest_mm"] < 8  # the line does not run through the core


def test_lesions_merge_by_millimetres_not_by_slices() -> None:
    labels = np.zeros((9, 20, 20), np.uint8)
    labels[1, 5:15, 5:15] = labels[4, 5:15, 5:15] = ET.number
    assert find_lesions(labels)["ET"].count == 1  # two voxels between: 2 mm for the challenge ...
    assert find_lesions(labels, spacing_zyx_mm=(5.0, 1.0, 1.0))["ET"].count == 2  # ... but 10 mm here
    beside = np.zeros((3, 20, 60), np.uint8)
    beside[1, 5:15, 5:15] = beside[1, 5:15, 25:35] = ET.number
    assert find_lesions(beside)["ET"].count == 2
    assert find_lesions(beside, spacing_zyx_mm=(1.0, 0.4, 0.4))["ET"].count == 1  # ten voxels are 4 mm


def test_a_regions_part_of_the_rule_is_the_rule() -> None:
    rng = np.random.default_rng(8)
    labels = (rng.integers(0, 5, (14, 14, 14)) * (rng.random((14, 14, 14)) < 0.08)).astype(np.uint8)
    whole, part = find_lesions(labels), find_lesions(labels, regions=["ET"])
    assert set(part) == {"ET"} and np.array_equal(part["ET"].labels, whole["ET"].labels)


def test_what_no_sequence_shows_is_not_assessable_rather_than_zero(treated) -> None:  # type: ignore[no-untyped-def]
    labels, grid, *_ = treated
    measures = measure(labels, grid, ["flair", "t1"], {"ET": (1.0, 2.0), "RC": (1.0, 3.0)})
    enhancing = measures["structures"]["ET"]
    assert enhancing["assessable"] is False and enhancing["volume_ml"] is None
    assert "volume_interval_ml" not in enhancing and measures["lesions"]["ET"] is None
    assert measures["regions"]["TC"]["assessable"] is False
    assert measures["structures"]["RC"]["volume_interval_ml"] == [1.0, 3.0]
    assert measures["structures"]["SNFH"]["assessable"] and measures["regions"]["WT"]["volume_ml"] > 0
    assert measures["sum_of_products_mm2"] is None
    assert assessable("SNFH", ["t1c", "t2"]) and not assessable("SNFH", ["t1c", "t1"])


def test_the_table_has_every_lesion_and_leaves_the_unknown_empty(treated) -> None:  # type: ignore[no-untyped-def]
    labels, grid, *_ = treated
    measures = measure(labels, grid, ["t1c", "flair"], {"ET": (1.0, 2.0)})
    rows = list(csv.DictReader(io.StringIO(as_csv(measures))))
    assert tuple(rows[0]) == COLUMNS
    assert [(r["structure"], r["lesion"]) for r in rows] == [
        ("NETC", ""), ("SNFH", ""), ("ET", ""), ("ET", "1"), ("ET", "2"), ("RC", ""), ("RC", "1"),
        ("TC", ""), ("WT", ""),
    ]  # fmt: skip
    lesion = measures["lesions"]["ET"][0]
    assert float(rows[3]["longest_mm"]) == lesion["longest_mm"] and rows[3]["measurable"] == "yes"
    assert float(rows[3]["centroid_superior_mm"]) == lesion["centroid_lps_mm"][2]
    assert (rows[2]["volume_low_ml"], rows[2]["volume_high_ml"]) == ("1.0", "2.0")
    assert rows[5]["volume_low_ml"] == "" and rows[6]["longest_mm"] == ""
    unseen = list(csv.DictReader(io.StringIO(as_csv(measure(labels, grid, ["flair"])))))
    assert unseen[2] == {**dict.fromkeys(COLUMNS, ""), "structure": "ET", "name": ET.name, "assessable": "no"}


def test_intervals_follow_the_probabilities() -> None:
    classes = ("background", "NETC", "SNFH", "ET", "RC")
    probabilities = np.zeros((5, 1, 1, 4), np.float32)
    probabilities[3, 0, 0] = [0.95, 0.5, 0.05, 0.0]
    probabilities[1, 0, 0] = [0.0, 0.45, 0.06, 0.0]
    probabilities[0] = 1 - probabilities.sum(axis=0)
    intervals = volume_intervals_ml(probabilities, classes, 0.1)
    assert intervals["ET"] == pytest.approx((0.1, 0.2))
    assert intervals["TC"] == pytest.approx((0.2, 0.3))  # members' probabilities add up
    assert intervals["RC"] == (0.0, 0.0) and set(intervals) == {"NETC", "SNFH", "ET", "RC", "TC", "WT"}


def test_a_full_volume_takes_half_a_second() -> None:
    grid = grid_of((155, 240, 240))
    labels = np.zeros(grid.shape, np.uint8)
    middle = centre_of(grid)
    for structure, radius in ((SNFH, 34.0), (ET, 26.0), (NETC, 19.0), (RC, 12.0)):
        box = tuple(slice(n // 2 - 36, n // 2 + 37) for n in grid.shape)
        z, y, x = (
            np.arange(part.start, part.stop) - (n - 1) / 2 for part, n in zip(box, grid.shape, strict=True)
        )
        inside = np.sqrt(z[:, None, None] ** 2 + y[:, None] ** 2 + x**2) <= radius
        labels[box][inside] = structure.number
    measure(labels[::4, ::4, ::4], grid_of((39, 60, 60)))  # the first call pays for imports
    started = time.process_time()
    measures = measure(labels, grid)
    # Processor time, because tests share the machine; the bar of 0.5 s gets room for its load.
    assert time.process_time() - started < 1.0
    assert np.linalg.norm(measures["lesions"]["ET"][0]["centroid_lps_mm"] - middle) < 0.2


def test_many_islands_and_a_large_ring_are_quick_too() -> None:
    grid = grid_of((155, 240, 240))
    z, y, x = (np.arange(n, dtype=np.float32) - (n - 1) / 2 for n in grid.shape)
    radius = np.sqrt((z[:, None, None] / 60) ** 2 + (y[:, None] / 80) ** 2 + (x / 60) ** 2)
    labels = np.zeros(grid.shape, np.uint8)
    for structure, limit in ((SNFH, 1.0), (ET, 0.8), (NETC, 0.7), (RC, 0.4)):
        labels[radius < limit] = structure.number
    places = np.random.default_rng(3).integers(8, 140, (90, 3))
    for z0, y0, x0 in places:  # nodules of 27 voxels everywhere, in the tumour and around it
        labels[z0 : z0 + 3, y0 : y0 + 3, x0 : x0 + 3] = ET.number
    started = time.process_time()
    measures = measure(labels, grid)
    assert time.process_time() - started < 2.0  # half a second to a second on an idle core
    assert len(measures["lesions"]["ET"]) > 10


def test_a_result_read_back_keeps_what_its_model_does_not_know(treated) -> None:  # type: ignore[no-untyped-def]
    labels, grid, *_ = treated
    labels = np.where(labels == RC.number, 0, labels).astype(np.uint8)
    stored = measure(labels, grid, ["t1c", "flair"])
    mark_unknown(stored, ["NETC", "SNFH", "ET"])
    run = {"sequences": ["t1c", "flair"]}
    again = StoredResult("r", labels, grid, stored, run)
    assert again.current_measures["structures"]["RC"]["volume_ml"] is None and not again.edited
    assert again.current_measures["cavity_to_enhancement_mm"] is None
    drawn = labels.copy()
    drawn[2, 2:8, 2:8] = RC.number
    by_hand = StoredResult("r", drawn, grid, stored, run)
    assert by_hand.current_measures["structures"]["RC"]["voxels"] == 36 and by_hand.edited
