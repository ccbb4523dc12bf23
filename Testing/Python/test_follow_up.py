"""Two visits of made-up patients whose lesions are known to have grown, shrunk, come and gone."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image
from scipy import ndimage
from scipy.spatial.transform import Rotation

from GliomaSegLib.cli import main
from GliomaSegLib.intake.reading import read_volume
from GliomaSegLib.intake.volume import Grid, Volume
from GliomaSegLib.labels import ET, RC
from GliomaSegLib.outcome.follow_up import matched
from GliomaSegLib.outcome.measures import measure
from GliomaSegLib.outcome.pictures import subtraction_strip
from GliomaSegLib.outcome.segmentation_file import write_nifti
from GliomaSegLib.provenance import fingerprint

sys.path.insert(0, str(Path(__file__).resolve().parent / "outcome"))
from shapes import Ellipsoid, grid_of, points_of

Balls = list[tuple[tuple[float, float, float], float]]


def labelled(grid: Grid, nodules: Balls, matrix: np.ndarray | None = None) -> np.ndarray:
    """Enhancing balls (centre LPS mm, radius) and one cavity. ``matrix``: visit's space to the patient's."""
    labels = np.zeros(grid.shape, np.uint8)
    back = np.eye(4) if matrix is None else np.linalg.inv(matrix)
    for number, balls in ((RC.number, [((0.0, 0.0, 0.0), 8.0)]), (ET.number, nodules)):
        for centre, radius in balls:
            place = back[:3, :3] @ np.asarray(centre) + back[:3, 3]
            labels[Ellipsoid(place, np.full(3, radius), np.eye(3)).mask(grid)] = number
    return labels


def write_visit(folder: Path, labels: np.ndarray, grid: Grid, scan: Path | None = None, **more: Any) -> Path:
    """A result folder as ``segment`` leaves it."""
    folder.mkdir()
    write_nifti(folder / "segmentation.nii.gz", labels, grid)
    measures = measure(labels, grid, more.get("sequences", ["t1c", "flair"]))
    (folder / "measures.json").write_text(json.dumps(measures))
    run: dict[str, Any] = {
        "model": {"name": "m", "version": "1", "sha256": more.get("sha256", "0" * 64)},
        "reference": "t1c",
        "sequences": more.get("sequences", ["t1c", "flair"]),
    }
    if scan is not None:
        run["inputs_sha256"] = {"t1c": fingerprint(read_volume(scan, "t1c"))}
    (folder / "run.json").write_text(json.dumps(run))
    return folder


def compared(before: Path, after: Path, output: Path, *more: str) -> dict[str, Any]:
    words = ["follow-up", "--before", str(before), "--after", str(after), "--output", str(output)]
    assert main([*words, *more]) == 0
    data: dict[str, Any] = json.loads((output / "follow_up.json").read_text())
    return data


GRID = grid_of((44, 44, 44), (2.0, 2.0, 2.0), origin=(-43.0, -43.0, -43.0))


def test_each_lesion_gets_its_word_and_its_numbers(tmp_path: Path) -> None:
    before = write_visit(
        tmp_path / "a",
        labelled(GRID, [((20, 0, 0), 7), ((-22, 0, 4), 8), ((0, 25, 0), 7), ((0, -28, 0), 6)]),
        GRID,
    )
    after = write_visit(
        tmp_path / "b",
        labelled(GRID, [((20, 0, 0), 9), ((-22, 0, 4), 5), ((1, 25, 0), 7), ((0, 0, 30), 6.5)]),
        GRID,
        sha256="1" * 64,
    )
    changes = compared(before, after, tmp_path / "out")
    rows = {row["status"]: row for row in changes["lesions"]}
    assert set(rows) == {"growing", "shrinking", "stable", "gone", "new"} and len(changes["lesions"]) == 5
    grown = rows["growing"]
    assert grown["volume_change_percent"] == pytest.approx(100 * ((9 / 7) ** 3 - 1), abs=15)
    # Diameters are right within one voxel of 2 mm: the product's change is that of the two visits' tables.
    products = [
        json.loads((visit / "measures.json").read_text())["lesions"]["ET"][grown[side][0] - 1]["product_mm2"]
        for visit, side in ((before, "before"), (after, "after"))
    ]
    assert grown["product_change_percent"] == pytest.approx(100 * (products[1] / products[0] - 1), abs=0.1)
    assert 12**2 < products[0] < 16**2 and 16**2 < products[1] < 20**2
    assert grown["by_volume"] == grown["by_product"] == "growing"
    assert rows["shrinking"]["volume_change_percent"] == pytest.approx(100 * ((5 / 8) ** 3 - 1), abs=5)
    assert rows["new"]["measurable_now"] and rows["new"]["volume_change_percent"] is None
    assert rows["gone"]["after"] == [] and rows["gone"]["after_ml"] == 0
    thresholds = changes["thresholds_percent"]
    assert thresholds["product"] == {"response": -50.0, "progression": 25.0}
    assert thresholds["volume"] == {"response": -65.0, "progression": 40.0}
    table = list(csv.DictReader((tmp_path / "out/follow_up.csv").open(newline="")))
    assert len(table) == 6 + 5 and table[6]["what"].startswith("ET lesion")
    run = json.loads((tmp_path / "out/run.json").read_text())
    assert any("different models" in warning for warning in run["warnings"])


def test_the_same_visit_twice_is_stable(tmp_path: Path) -> None:
    labels = labelled(GRID, [((20, 0, 0), 7), ((-22, 0, 4), 5)])
    one, two = (write_visit(tmp_path / name, labels, GRID) for name in "ab")
    changes = compared(one, two, tmp_path / "out")
    assert [row["status"] for row in changes["lesions"]] == ["stable", "stable"]
    assert changes["sum_of_products"]["change_percent"] == 0.0
    assert all(row["change_ml"] == 0 for row in changes["structures"].values())


def test_lesions_that_merge_are_compared_together(tmp_path: Path) -> None:
    before = write_visit(tmp_path / "a", labelled(GRID, [((20, -10, 0), 5), ((20, 10, 0), 5)]), GRID)
    after = write_visit(tmp_path / "b", labelled(GRID, [((20, 0, 0), 12)]), GRID)
    (row,) = compared(before, after, tmp_path / "out")["lesions"]
    assert len(row["before"]) == 2 and len(row["after"]) == 1 and row["status"] == "growing"


def test_nadir_and_baseline_are_what_the_person_names(tmp_path: Path) -> None:
    visits = {
        name: write_visit(tmp_path / name, labelled(GRID, [((20, 0, 0), radius)]), GRID)
        for name, radius in (("baseline", 12.0), ("nadir", 6.0), ("before", 8.0), ("after", 8.0))
    }
    options = ["--nadir", str(visits["nadir"]), "--baseline", str(visits["baseline"])]
    changes = compared(visits["before"], visits["after"], tmp_path / "out", *options)
    assert changes["sum_of_products"]["trend"] == "stable"
    nadir, baseline = changes["against"]["nadir"], changes["against"]["baseline"]
    assert (nadir["kind"], baseline["kind"]) == ("progression", "response")
    assert nadir["product"]["reached"] is True and nadir["volume"]["threshold_percent"] == 40.0
    assert nadir["volume"]["change_percent"] == pytest.approx(100 * ((8 / 6) ** 3 - 1), abs=40)  # 2 mm voxels
    assert baseline["product"]["threshold_percent"] == -50.0 and baseline["product"]["reached"] is True
    page = (tmp_path / "out/follow_up.html").read_text(encoding="utf-8")
    assert "progression +25%" in page and "response -65%" in page and "reached" in page


def test_any_number_of_visits_in_one_plot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    visits = [
        write_visit(tmp_path / str(n), labelled(GRID, [((20, 0, 0), radius)]), GRID)
        for n, radius in enumerate((10.0, 7.0, 8.0, 9.0))
    ]
    earlier = ["--visit", str(visits[0]), "--visit", str(visits[1])]
    dates = ["2025-01-07", "2025-04-01", "2025-07-01", "2025-10-01"]
    more = [*earlier, "--title", "Case <7>", "--dates"]
    changes = compared(visits[2], visits[3], tmp_path / "out", *more, *dates)
    assert [row["date"] for row in changes["visits"]] == dates
    products = [row["sum_of_products_mm2"] for row in changes["visits"]]
    assert products[1] < products[2] < products[3] < products[0]
    plot = (tmp_path / "out/follow_up.svg").read_text(encoding="utf-8")
    page = (tmp_path / "out/follow_up.html").read_text(encoding="utf-8")
    assert plot.strip() in page and "2025-10-01" in plot and "Case &lt;7&gt;" in page
    assert "only a person can name them" in page and "Noise:" in page
    words = ["follow-up", "--before", str(visits[2]), "--after", str(visits[3]), *more]
    assert main([*words, *dates[:3], "--output", str(tmp_path / "x")]) == 2
    assert "4 visits but 3 dates" in capsys.readouterr().err
    assert main([*words, *dates[:2], dates[3], dates[2], "--output", str(tmp_path / "x")]) == 2
    assert "not in order" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_corrected_labels_are_measured_anew(tmp_path: Path) -> None:
    before = write_visit(tmp_path / "a", labelled(GRID, [((20, 0, 0), 7)]), GRID)
    after = write_visit(tmp_path / "b", labelled(GRID, [((20, 0, 0), 7)]), GRID)
    write_nifti(after / "segmentation.nii.gz", labelled(GRID, [((20, 0, 0), 10), ((-22, 0, 4), 8)]), GRID)
    changes = compared(before, after, tmp_path / "out")
    assert {row["status"] for row in changes["lesions"]} == {"growing", "new"}
    run = json.loads((tmp_path / "out/run.json").read_text())
    assert any("measured anew" in warning for warning in run["warnings"])


def test_without_t1c_lesions_are_not_compared(tmp_path: Path) -> None:
    labels = labelled(GRID, [((20, 0, 0), 7)])
    before = write_visit(tmp_path / "a", labels, GRID)
    after = write_visit(tmp_path / "b", labels, GRID, sequences=["flair"])
    changes = compared(before, after, tmp_path / "out")
    assert changes["lesions"] is None and changes["sum_of_products"]["change_percent"] is None
    assert changes["structures"]["ET"]["after_ml"] is None and changes["structures"]["RC"]["change_ml"] == 0


def test_matching_is_by_distance() -> None:
    first = [np.array([[0.0, 0, 0]]), np.array([[50.0, 0, 0]])]
    second = [np.array([[5.0, 0, 0], [9, 0, 0]]), np.array([[50.0, 5.1, 0]])]
    assert sorted(matched(first, second)) == [([], [1]), ([0], [0]), ([1], [])]
    assert matched([], []) == []


def head(grid: Grid, matrix: np.ndarray) -> np.ndarray:
    """A textured head without skull, seen from a position: ``matrix`` takes the visit's space to its own."""
    places = points_of(grid) @ matrix[:3, :3].T + matrix[:3, 3]
    rng = np.random.default_rng(6)
    texture = ndimage.gaussian_filter(rng.standard_normal((60, 60, 60)), 2.5)
    index = np.moveaxis(places / 3.0 + 30, -1, 0)
    values = ndimage.map_coordinates(texture / texture.std(), index, order=1, mode="nearest")
    radius = np.sqrt((places[..., 0] / 60) ** 2 + (places[..., 1] / 70) ** 2 + (places[..., 2] / 55) ** 2)
    return np.where(radius < 1, np.clip(100 + 25 * values, 1, None), 0).astype(np.float32)


def test_a_head_that_lies_differently_is_found_again(tmp_path: Path) -> None:
    grid = grid_of((48, 52, 48), (3.0, 3.0, 3.0), origin=(-70.5, -76.5, -70.5))
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_euler("xyz", (4, -6, 9), degrees=True).as_matrix()
    turn[:3, 3] = (6.0, -9.0, 5.0)
    visits, scans = [], []
    for name, matrix, radius in (("a", turn, 8.0), ("b", np.eye(4), 8.0)):
        scan = tmp_path / f"{name}.nii.gz"
        sitk.WriteImage(grid.image(head(grid, matrix)), str(scan))
        # A nodule 45 mm off the middle: turned by 9 degrees and shifted, it would be missed without help.
        labels = labelled(grid, [((45.0, 10.0, 0.0), radius)], matrix)
        visits.append(write_visit(tmp_path / name, labels, grid, scan))
        scans.append(str(scan))
    options = ["--before-scan", scans[0], "--after-scan", scans[1]]
    (row,) = compared(*visits, tmp_path / "out", *options)["lesions"]
    assert Image.open(tmp_path / "out/subtraction.png").size == (3 * 360 + 12, 360)
    assert row["status"] == "stable"
    matrix = np.reshape(
        json.loads((tmp_path / "out/run.json").read_text())["registration"]["matrix_lps"], (4, 4)
    )
    there = np.linalg.inv(turn) @ [45.0, 10.0, 0.0, 1.0]
    assert np.linalg.norm(matrix[:3, :3] @ [45.0, 10.0, 0.0] + matrix[:3, 3] - there[:3]) < 1.0


def test_the_subtraction_shows_what_became_brighter_and_darker(tmp_path: Path) -> None:
    grid = grid_of((48, 52, 48), (3.0, 3.0, 3.0), origin=(-70.5, -76.5, -70.5))
    quiet = head(grid, np.eye(4))
    changed = quiet.copy()
    brighter = Ellipsoid(np.array([25.0, 0.0, 0.0]), np.full(3, 9.0), np.eye(3)).mask(grid)
    darker = Ellipsoid(np.array([-25.0, 0.0, 0.0]), np.full(3, 9.0), np.eye(3)).mask(grid)
    changed[brighter] += 120
    changed[darker] -= 90
    before = Volume(3 * quiet + 50, grid, "t1c", "before")  # another scale, as another scanner has
    png = subtraction_strip(before, Volume(np.maximum(changed, 0), grid, "t1c", "after"), np.zeros(3))
    axial = np.asarray(Image.open(io.BytesIO(png))).astype(int)[:, :360]
    red, blue = axial[..., 0] - axial[..., 1] > 60, axial[..., 2] - axial[..., 1] > 60
    # 120 mm on 360 pixels, the patient's left on the right.
    assert red[150:210, 225:285].mean() > 0.5 and blue[150:210, 75:135].mean() > 0.5
    assert red.sum() < 1.3 * np.pi * 30**2 and not red[:, :180].any() and not blue[:, 180:].any()


def test_refusals(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = labelled(GRID, [((20, 0, 0), 7)])
    one, two = (write_visit(tmp_path / name, labels, GRID) for name in "ab")
    words = ["follow-up", "--before", str(one), "--after", str(two), "--output", str(tmp_path / "out")]
    scan = tmp_path / "scan.nii.gz"
    sitk.WriteImage(GRID.image(head(GRID, np.eye(4))), str(scan))
    assert main([*words, "--before-scan", str(scan)]) == 2
    assert "both scans" in capsys.readouterr().err
    assert main([*words, "--before-scan", str(scan), "--after-scan", str(scan)]) == 3
    assert "is not the T1c that a was made on" in capsys.readouterr().err
    (two / "measures.json").write_text("{")
    assert main(words) == 3
    assert "measures.json of b can't be read" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
