"""The real panel, clicked: correct, revert, export, save and reopen a result."""

import numpy as np
import slicer
import slicer.util
import vtk
from fakes import expected_labels
from standins.application import timer_wait
from workbench import SHAPE, add_volumes

from GliomaSegLib.desktop import display, scene
from GliomaSegLib.desktop.record import RunRecord, keep


def _tag(node, segment_id):
    found = vtk.reference("")
    assert node.GetSegmentation().GetSegment(segment_id).GetTag("DICOM.SegmentAlgorithmType", found)
    return str(found)


def test_edit_revert_and_undo(bench):
    volumes = add_volumes()
    bench.result_without_process(volumes)
    node, reference = bench.state.result, volumes["t1c"]
    before = scene.current_labels(node, reference)
    bench.ui.correctSection.collapsed = False
    assert bench.panel.results.correct.editing.widget.currentSegmentID() == "RC"
    bench.ui.smoothButton.click()
    smoothed = scene.current_labels(node, reference)
    assert (smoothed != before).any() and bench.ui.correctLabel.text == ""
    assert (_tag(node, "RC"), _tag(node, "ET")) == ("SEMIAUTOMATIC", "AUTOMATIC")
    assert bench.ui.resultTable.item(3, 2).text().startswith("* ")
    bench.ui.undoButton.click()
    np.testing.assert_array_equal(scene.current_labels(node, reference), before)
    assert _tag(node, "RC") == "AUTOMATIC"
    bench.ui.redoButton.click()
    np.testing.assert_array_equal(scene.current_labels(node, reference), smoothed)
    for index in (3, 1):
        bench.ui.revertCombo.setCurrentIndex(index)
        bench.ui.revertButton.click()
    np.testing.assert_array_equal(scene.current_labels(node, reference), before)
    assert _tag(node, "SNFH") == "AUTOMATIC"


def test_painting_elsewhere_refreshes_the_table(bench):
    volumes = add_volumes()
    bench.result_without_process(volumes)
    scene.set_segment(bench.state.result, "ET", np.ones(SHAPE, bool), volumes["t1c"])
    bench.wait(lambda: bench.panel.results.rows[2].edited)
    assert _tag(bench.state.result, "ET") == "SEMIAUTOMATIC"


def press_at(view, reference, index_zyx):
    """Turn a slice view to a voxel and press the mouse there."""
    widget = slicer.app.layoutManager().sliceWidget(view)
    node = widget.mrmlSliceNode()
    x, y, z = display.point_of(reference, index_zyx)
    node.SetSliceToRASByNTP(0, 0, 1, 1, 0, 0, x + 3, y - 2, z, 0)
    inverse = vtk.vtkMatrix4x4()
    vtk.vtkMatrix4x4.Invert(node.GetXYToRAS(), inverse)
    across, up = inverse.MultiplyPoint((x, y, z, 1))[:2]
    widget.sliceView().interactorStyle().GetInteractor().press(round(across), round(up))


def test_the_island_under_a_click_in_a_slice_goes(bench):
    volumes = add_volumes()
    bench.result_without_process(volumes)
    node, reference = bench.state.result, volumes["t1c"]
    bench.ui.islandButton.click()
    assert bench.ui.islandButton.checked and "Click the piece" in bench.ui.correctLabel.text
    press_at("Red", reference, (3, 4, 7))
    bench.wait(lambda: not bench.ui.islandButton.checked)
    labels = scene.current_labels(node, reference)
    assert not (labels == 4).any() and (labels == 2).any()
    press_at("Red", reference, (2, 3, 3))
    timer_wait(20)
    np.testing.assert_array_equal(scene.current_labels(node, reference), labels, "one click, one island")
    bench.ui.islandButton.click()
    press_at("Green", reference, (0, 0, 0))
    bench.wait(lambda: not bench.ui.islandButton.checked)
    assert (
        bench.ui.correctLabel.text == "There is no segmented piece under the cursor: point at one in a slice."
    )


def test_by_its_key_the_button_takes_the_island_under_the_mouse(bench):
    volumes = add_volumes()
    bench.result_without_process(volumes)
    reference = volumes["t1c"]
    crosshair = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
    crosshair.SetCursorPositionRAS(display.point_of(reference, (3, 3, 3)))
    bench.ui.islandButton.click()
    crosshair.SetCursorPositionInvalid()
    labels = scene.current_labels(bench.state.result, reference)
    assert not (labels == 4).any() and (labels == 2).any() and not bench.ui.islandButton.checked


def test_waiting_for_a_click_ends_by_a_second_click_by_leaving_and_with_the_scene(bench):
    volumes = add_volumes()
    bench.result_without_process(volumes)
    before = scene.current_labels(bench.state.result, volumes["t1c"])
    pointing = bench.panel.results.correct.pointing
    for leave in (bench.ui.islandButton.click, bench.widget.exit, lambda: bench.ui.smoothButton.click()):
        bench.ui.islandButton.click()
        assert pointing.waiting
        leave()
        assert not pointing.waiting and not bench.ui.islandButton.checked
    bench.ui.undoButton.click()
    press_at("Red", volumes["t1c"], (3, 4, 7))
    timer_wait(20)
    np.testing.assert_array_equal(scene.current_labels(bench.state.result, volumes["t1c"]), before)
    bench.ui.islandButton.click()
    slicer.mrmlScene.Clear(0)
    assert not pointing.waiting


def test_export_writes_what_is_seen(bench, tmp_path):
    import SimpleITK as sitk

    volumes = add_volumes()
    bench.result_without_process(volumes)
    bench.ui.smoothButton.click()
    bench.answers.path = str(tmp_path / "exporté.nii.gz")
    bench.ui.exportImageButton.click()
    written = sitk.GetArrayFromImage(sitk.ReadImage(bench.answers.path))
    np.testing.assert_array_equal(written, scene.current_labels(bench.state.result, volumes["t1c"]))
    assert "Absent: Non-enhancing tumour core, Enhancing tissue." in bench.ui.exportLabel.text
    bench.answers.path = str(tmp_path / "measurements.csv")
    bench.ui.exportTableButton.click()
    assert "RC,Resection cavity," in (tmp_path / "measurements.csv").read_text(encoding="utf-8")
    bench.answers.path = str(tmp_path / "no folder" / "x.nii.gz")
    bench.ui.exportImageButton.click()
    assert len(bench.answers.errors) == 1
    assert bench.answers.errors[0].startswith("x.nii.gz could not be written. x.nii.gz can't be written: ")


def shown_numbers(bench):
    """The table without the last digits that a saved geometry rounds away."""
    rows = bench.panel.results.rows
    return [(row.abbreviation, f"{row.model_ml:.4f}", f"{row.current_ml:.4f}", row.edited) for row in rows]


def test_a_saved_result_opens_with_its_table_and_can_still_be_reverted(bench, tmp_path):
    volumes = add_volumes()
    bench.result_without_process(volumes)
    scene.set_segment(bench.state.result, "ET", expected_labels(SHAPE) == 2, volumes["t1c"])
    bench.panel.results.refresh()
    before = shown_numbers(bench)
    (tmp_path / "bundle").mkdir()
    assert slicer.mrmlScene.SaveSceneToSlicerDataBundleDirectory(str(tmp_path / "bundle"), None)
    slicer.mrmlScene.Clear(0)
    assert bench.panel.results.rows == []
    (saved,) = (tmp_path / "bundle").glob("*.mrml")
    slicer.mrmlScene.SetURL(str(saved))
    slicer.mrmlScene.Import()
    assert shown_numbers(bench) == before and before[2][3]
    bench.ui.revertCombo.setCurrentIndex(2)
    bench.ui.revertButton.click()
    reference = bench.ui.t1cSelector.currentNode()
    np.testing.assert_array_equal(scene.current_labels(bench.state.result, reference), expected_labels(SHAPE))


def test_surfaces_are_there_at_once_and_come_and_go_with_the_check_box(bench):
    bench.result_without_process(add_volumes())
    node = bench.state.result
    assert bench.ui.show3dCheckBox.checked
    assert node.GetSegmentation().ContainsRepresentation("Closed surface")
    bench.ui.show3dCheckBox.checked = False
    bench.ui.show3dCheckBox.checked = True
    assert node.GetSegmentation().ContainsRepresentation("Closed surface")
    assert slicer.app.layoutManager().threeDWidget(0).threeDView().focal_point_resets > 0
    bench.ui.show3dCheckBox.checked = False
    assert not node.GetSegmentation().ContainsRepresentation("Closed surface")


def test_leaving_and_entering_the_module_keeps_everything(bench):
    bench.result_without_process(add_volumes())
    bench.ui.correctSection.collapsed = False
    result = bench.state.result
    bench.widget.exit()
    bench.widget.enter()
    assert bench.state.result is result and len(bench.panel.results.rows) == 6
    assert bench.panel.results.correct.editing.widget.segmentationNode() is result


def test_the_editors_keys_are_taken_only_while_it_is_in_sight(bench, monkeypatch):
    monkeypatch.setattr(slicer.util, "mainWindow", lambda verbose=True: "the main window")
    bench.ui.correctSection.collapsed = False
    bench.result_without_process(add_volumes())
    editor = bench.panel.results.correct.editing.widget._native
    assert not editor.hasKeyboardShortcuts(), "a result may come while another module is shown"
    bench.widget.enter()
    assert editor.hasKeyboardShortcuts()
    bench.ui.correctSection.collapsed = True
    assert not editor.hasKeyboardShortcuts()
    bench.ui.correctSection.collapsed = False
    assert editor.hasKeyboardShortcuts()
    bench.widget.exit()
    assert not editor.hasKeyboardShortcuts()
    monkeypatch.setattr(slicer.util, "mainWindow", lambda verbose=True: None)
    bench.widget.enter()
    assert not editor.hasKeyboardShortcuts()


def test_folding_the_section_puts_the_tool_away(bench):
    bench.ui.correctSection.collapsed = False
    bench.result_without_process(add_volumes())
    editor = bench.panel.results.correct.editing.widget
    editor.setActiveEffectByName("Paint")
    assert editor.activeEffect() == "Paint"
    bench.ui.correctSection.collapsed = True
    assert editor.activeEffect() is None


def test_what_can_not_be_seen_is_not_shown_as_zero(bench):
    bench.result_without_process(add_volumes())
    keep(bench.state.result, RunRecord(assessable={"ET": False, "RC": True}))
    bench.panel.results.refresh()
    table = bench.ui.resultTable
    assert [table.item(2, column).text() for column in (1, 2, 3)] == ["", "not assessable", ""]
    assert table.item(3, 2).text() != "not assessable"


def test_the_models_own_interval_is_told_where_it_gave_one(bench):
    bench.result_without_process(add_volumes())
    keep(bench.state.result, RunRecord(intervals_ml={"RC": [0.041, 0.066]}, interval_level=0.8))
    bench.panel.results.refresh()
    table = bench.ui.resultTable
    assert "Resection cavity: 0.04 to 0.07 ml (80% interval of the model)" in table.item(3, 1).toolTip()
    assert "interval" not in table.item(2, 1).toolTip()
