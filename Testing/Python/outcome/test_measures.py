"""Millilitres of each structure and region."""

from __future__ import annotations

import json

import numpy as np

from GliomaSegLib.intake.volume import Grid
from GliomaSegLib.outcome.measures import volumes_ml

GRID = Grid((10, 10, 10), (2.0, 1.0, 3.0), (0.0, 0.0, 0.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))


def test_volumes_by_hand() -> None:
    labels = np.zeros(GRID.shape, np.uint8)
    labels.ravel()[:100] = np.repeat([1, 2, 3, 4], [10, 20, 30, 40])
    made = volumes_ml(labels, GRID)
    assert made["voxel_ml"] == 0.006 and made["unit"] == "ml"
    assert {k: v["voxels"] for k, v in made["structures"].items()} == {
        "NETC": 10,
        "SNFH": 20,
        "ET": 30,
        "RC": 40,
    }
    assert {k: v["volume_ml"] for k, v in made["structures"].items()} == {
        "NETC": 0.06,
        "SNFH": 0.12,
        "ET": 0.18,
        "RC": 0.24,
    }
    assert {k: v["volume_ml"] for k, v in made["regions"].items()} == {"TC": 0.24, "WT": 0.36}
    assert made["structures"]["RC"]["name"] == "Resection cavity"
    assert json.loads(json.dumps(made)) == made


def test_an_empty_label_map_measures_nothing() -> None:
    made = volumes_ml(np.zeros(GRID.shape, np.uint8), GRID)
    rows = [*made["structures"].values(), *made["regions"].values()]
    assert len(rows) == 6 and all(row["voxels"] == row["volume_ml"] == 0 for row in rows)
