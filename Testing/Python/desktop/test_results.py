"""The table's numbers are counts of voxels, model and corrected apart."""

import numpy as np
import pytest

from GliomaSegLib.desktop import results
from GliomaSegLib.intake.volume import Grid
from GliomaSegLib.outcome.measures import measure

SPACING = (5.0, 10.0, 10.0)
"""Voxels of half a millilitre."""
MODEL = np.zeros((6, 6, 6), np.uint8)
MODEL[0:2, 0:2, 0:2] = 3
MODEL[4, 4, 4] = 3
MODEL[2, 0:3, 0] = 2
EDITED = MODEL.copy()
EDITED[4, 4, 4] = 0
EDITED[5, 5, 3:6] = 4


def _rows(**more):
    return {row.abbreviation: row for row in results.table(EDITED, MODEL, SPACING, **more)}


def test_structures_come_in_label_order_then_regions():
    assert list(_rows()) == ["NETC", "SNFH", "ET", "RC", "TC", "WT"]


def test_model_and_corrected_volumes_stand_side_by_side():
    rows = _rows()
    assert (rows["ET"].model_ml, rows["ET"].current_ml) == (4.5, 4.0)
    assert (rows["RC"].model_ml, rows["RC"].current_ml) == (0.0, 1.5)
    assert (rows["WT"].model_ml, rows["WT"].current_ml) == (6.0, 5.5)


def test_only_what_a_person_changed_is_edited():
    edited = {name for name, row in _rows().items() if row.edited}
    assert edited == {"ET", "RC", "TC", "WT"}


def test_lesions_are_counted_now_by_the_rule_of_the_measures_file():
    assert _rows()["ET"].lesions == 1
    assert results.count_lesions(MODEL, SPACING) == {"ET": 2, "NETC": 0, "RC": 0}
    assert _rows()["NETC"].lesions == 0
    assert [_rows()[name].lesions for name in ("SNFH", "TC", "WT")] == [None, None, None]


def test_lesion_counts_are_those_of_the_measures_file():
    labels = np.zeros((30, 40, 40), np.uint8)
    labels[4:9, 4:9, 4:9] = labels[4:9, 4:9, 30:35] = 3  # two nodules far apart ...
    labels[4:9, 4:9, 12:16] = 3  # ... a third that merges with the first one ...
    labels[25, 35, 35] = 3  # ... and one too small to count
    labels[15:25, 15:25, 15:25], labels[17:19, 17:19, 17:19] = 4, 1
    grid = Grid(labels.shape, (1.0, 0.9, 1.2), (0.0, 0.0, 0.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))
    told = measure(labels, grid)["lesions"]
    counted = {row.abbreviation: row.lesions for row in results.table(labels, None, grid.spacing_mm)}
    assert {name: len(rows) for name, rows in told.items()} == {
        name: counted[name] for name in ("ET", "NETC", "RC")
    }
    assert counted["ET"] == 2, "26-connected pieces would be four"


def test_what_can_not_be_seen_gets_no_number_in_the_csv():
    text = results.as_csv(results.table(EDITED, MODEL, SPACING, {"ET": False}))
    lines = text.splitlines()
    assert lines[0].startswith("structure,name,model_ml,corrected_ml")
    assert "ET,Enhancing tissue,,,,no,no" in lines
    assert "RC,Resection cavity,0.000,1.500,1,yes,yes" in lines


def test_without_the_models_version_nothing_counts_as_edited():
    rows = results.table(EDITED, None, SPACING)
    assert all(row.model_ml is None and not row.edited for row in rows)
    assert rows[3].current_ml == pytest.approx(1.5)


def test_no_labels_at_all_are_zeros():
    rows = results.table(np.zeros((4, 5, 6), np.uint8), np.zeros((4, 5, 6), np.uint8), SPACING)
    assert {(row.current_ml, row.model_ml, row.lesions or 0, row.edited) for row in rows} == {
        (0.0, 0.0, 0, False)
    }
