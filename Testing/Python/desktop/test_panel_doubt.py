"""The real panel, clicked: *Next doubtful region*, and what painting the cavity may take."""

import numpy as np
import pytest
import slicer
import slicer.util
import vtk
from vtk.util.numpy_support import vtk_to_numpy
from workbench import SHAPE, add_volumes

from GliomaSegLib.desktop import display, doubts, scene


def labels_and_doubt():
    """A block with a large and a small doubtful region, on voxels of about 0.9 x 0.9 x 3 mm."""
    labels, doubt = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    labels[1:7, 1:9, 1:11] = 2
    doubt[2:5, 2:7, 1:5], doubt[2:5, 3:7, 7:11] = 80, 50
    return labels, doubt


def cross_views():
    """The three slice views at right angles, as Slicer opens them; the stand-in's are all alike."""
    planes = {
        "Red": ((0, 0, 1), (1, 0, 0)),
        "Green": ((0, 1, 0), (1, 0, 0)),
        "Yellow": ((1, 0, 0), (0, 1, 0)),
    }
    for name, (normal, across) in planes.items():
        view = slicer.app.layoutManager().sliceWidget(name).mrmlSliceNode()
        view.SetSliceToRASByNTP(*normal, *across, 0, 0, 0, 0)


def crossing():
    """The point (R, A, S mm) where the three slice views meet."""
    nodes = [
        slicer.app.layoutManager().sliceWidget(name).mrmlSliceNode() for name in ("Red", "Green", "Yellow")
    ]
    matrices = [slicer.util.arrayFromVTKMatrix(node.GetSliceToRAS()) for node in nodes]
    normals = np.array([matrix[:3, 2] for matrix in matrices])
    return np.linalg.solve(
        normals, [normal @ matrix[:3, 3] for normal, matrix in zip(normals, matrices, strict=True)]
    )


def outlines():
    nodes = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
    return [node for node in nodes if node.GetName() == "Doubtful region"]


def outlined(reference):
    (node,) = outlines()
    return slicer.util.arrayFromSegmentBinaryLabelmap(node, "doubt", reference) > 0


def test_clicks_visit_the_regions_from_the_largest_on(bench):
    cross_views()
    volumes = add_volumes()
    labels, doubt = labels_and_doubt()
    bench.result_without_process(volumes, labels, doubt)
    reference = volumes["t1c"]
    assert bench.ui.doubtButton.text == "Next dou&btful region"
    for value, number in ((80, 1), (50, 2)):
        bench.ui.doubtButton.click()
        assert bench.ui.correctLabel.text.startswith(f"Doubtful region {number} of 2, 0.")
        mask = outlined(reference)
        assert mask.any() and (doubt[mask] == value).all()
        at = display.voxel_at(reference, crossing())
        assert mask[at], "the slices meet inside the outlined region"
    bench.ui.doubtButton.click()
    assert "All 2 doubtful regions were shown" in bench.ui.correctLabel.text and outlines() == []
    bench.ui.doubtButton.click()
    assert bench.ui.correctLabel.text.startswith("Doubtful region 1 of 2")
    np.testing.assert_array_equal(scene.current_labels(bench.state.result, reference), labels)


def test_the_outline_is_no_part_of_the_result_and_goes_with_it(bench):
    volumes = add_volumes()
    bench.result_without_process(volumes, *labels_and_doubt())
    bench.ui.doubtButton.click()
    (node,) = outlines()
    assert node.GetHideFromEditors() and not node.GetSaveWithScene()
    shown = node.GetDisplayNode()
    assert shown.GetVisibility2DOutline() and not shown.GetVisibility2DFill()
    assert bench.state.result.GetSegmentation().GetNumberOfSegments() == 4
    bench.state.result = None
    assert outlines() == []


def test_a_moved_reference_is_jumped_to_where_it_lies(bench):
    cross_views()
    volumes = add_volumes()
    bench.result_without_process(volumes, *labels_and_doubt())
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = vtk.vtkMatrix4x4()
    matrix.SetElement(0, 3, 40.0)
    transform.SetMatrixTransformToParent(matrix)
    bench.ui.doubtButton.click()
    before = crossing()
    for node in (volumes["t1c"], bench.state.result):
        node.SetAndObserveTransformNodeID(transform.GetID())
    bench.state.result.SetAttribute(doubts._SHOWN, "0")
    bench.ui.doubtButton.click()
    np.testing.assert_allclose(crossing() - before, (40, 0, 0), atol=1e-6)


def test_a_result_without_a_map_or_without_doubt_says_so(bench):
    volumes = add_volumes()
    bench.result_without_process(volumes)
    bench.ui.doubtButton.click()
    assert "no uncertainty map" in bench.ui.correctLabel.text
    scene.keep_uncertainty(bench.state.result, np.zeros(SHAPE, np.uint8), volumes["t1c"])
    bench.ui.doubtButton.click()
    assert bench.ui.correctLabel.text == "The model is in doubt nowhere but along edges."


def test_the_map_is_hidden_and_is_saved_with_the_scene(bench, tmp_path):
    labels, doubt = labels_and_doubt()
    bench.result_without_process(add_volumes(), labels, doubt)
    bench.ui.doubtButton.click()
    (tmp_path / "bundle").mkdir()
    assert slicer.mrmlScene.SaveSceneToSlicerDataBundleDirectory(str(tmp_path / "bundle"), None)
    slicer.mrmlScene.Clear(0)
    assert outlines() == []
    (saved,) = (tmp_path / "bundle").glob("*.mrml")
    slicer.mrmlScene.SetURL(str(saved))
    slicer.mrmlScene.Import()
    np.testing.assert_array_equal(scene.uncertainty(bench.state.result), doubt)
    assert bench.state.result.GetNodeReference(scene.UNCERTAINTY_ROLE).GetHideFromEditors()
    bench.ui.doubtButton.click()
    assert bench.ui.correctLabel.text.startswith("Doubtful region 2 of 2")


def paint(bench, reference, segment_id, where):
    """A stroke by Slicer's own editor logic, with the modes that the panel set in the editor's node."""
    editor = bench.panel.results.correct.editing.widget
    editor._native.clickSegment(segment_id)
    logic = editor._native._logic
    assert logic.UpdateReferenceGeometryImage() and logic.ResetModifierLabelmapToDefault()
    assert logic.UpdateMaskLabelmap()
    stroke = slicer.vtkSlicerSegmentationsModuleLogic.CreateOrientedImageDataFromVolumeNode(reference)
    stroke.UnRegister(None)
    brush = slicer.vtkOrientedImageData()
    brush.DeepCopy(stroke)
    brush.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    vtk_to_numpy(brush.GetPointData().GetScalars())[:] = where.ravel()
    logic.SaveStateForUndo()
    logic.ModifySegmentByLabelmap(
        bench.state.result, segment_id, brush, logic.ModificationModeAdd, False, False
    )


@pytest.fixture
def painted(bench):
    """A result with all four structures, its editor open; (bench, reference, labels)."""
    volumes = add_volumes()
    labels = np.zeros(SHAPE, np.uint8)
    labels[1:7, 1:9, 1:11] = 2
    labels[2:5, 2:5, 2:5], labels[2:5, 6:8, 2:5], labels[2:5, 2:5, 7:10] = 3, 1, 4
    bench.result_without_process(volumes, labels)
    bench.ui.correctSection.collapsed = False
    return bench, volumes["t1c"], labels


def test_a_stroke_with_the_cavity_takes_hyperintensity_and_no_tumour(painted):
    bench, reference, labels = painted
    everywhere = np.ones(SHAPE, bool)
    paint(bench, reference, "RC", everywhere)
    bench.wait(lambda: bench.ui.correctLabel.text)
    assert bench.ui.correctLabel.text.startswith("The cavity took no enhancing tissue and no core")
    expected = np.where(np.isin(labels, (1, 3)), labels, 4)
    np.testing.assert_array_equal(scene.current_labels(bench.state.result, reference), expected)
    assert {row.abbreviation for row in bench.panel.results.rows if row.edited} == {"SNFH", "RC", "WT"}


@pytest.mark.parametrize(("segment_id", "number"), [("NETC", 1), ("SNFH", 2), ("ET", 3)])
def test_a_stroke_with_another_structure_replaces_all_but_the_cavity(painted, segment_id, number):
    bench, reference, labels = painted
    paint(bench, reference, segment_id, np.ones(SHAPE, bool))
    bench.wait(lambda: bench.ui.correctLabel.text)
    assert bench.ui.correctLabel.text == "The resection cavity kept its voxels: erase it there first."
    now = scene.current_labels(bench.state.result, reference)
    np.testing.assert_array_equal(now, np.where(labels == 4, 4, number))
    for other in {"NETC", "SNFH", "ET"} - {segment_id}:
        mask = slicer.util.arrayFromSegmentBinaryLabelmap(bench.state.result, other, reference)
        assert not mask.any(), "no voxel belongs to two structures"


@pytest.mark.parametrize("segment_id", ["RC", "SNFH"])
@pytest.mark.parametrize("by", ["panel", "key"])
def test_undo_after_voxels_were_given_back_brings_the_state_before_the_stroke(painted, segment_id, by):
    """The editor's own undo (key Z) does not pass through the panel: it must not be taken for a stroke."""
    bench, reference, labels = painted
    editor = bench.panel.results.correct.editing.widget
    paint(bench, reference, segment_id, np.ones(SHAPE, bool))
    bench.wait(lambda: bench.ui.correctLabel.text)
    settled = scene.current_labels(bench.state.result, reference)
    assert (settled != labels).any()
    editor._native.clickSegment("SNFH")
    if by == "panel":
        bench.ui.undoButton.click()
    else:
        editor.undo()
    bench.wait(lambda: not any(row.edited for row in bench.panel.results.rows))
    np.testing.assert_array_equal(scene.current_labels(bench.state.result, reference), labels)
    if by == "panel":
        bench.ui.redoButton.click()
    else:
        editor.redo()
    bench.wait(lambda: any(row.edited for row in bench.panel.results.rows))
    np.testing.assert_array_equal(scene.current_labels(bench.state.result, reference), settled)


def test_surfaces_follow_corrections_and_their_undo(painted):
    bench, _reference, _labels = painted
    segmentation = bench.state.result.GetSegmentation()

    def points():
        surfaces = [
            segmentation.GetSegment(name).GetRepresentation("Closed surface") for name in ("RC", "ET")
        ]
        return [surface.GetNumberOfPoints() if surface else None for surface in surfaces]

    bench.ui.show3dCheckBox.checked = True
    before = points()
    scene.set_segment(bench.state.result, "RC", np.zeros(SHAPE, bool), bench.ui.t1cSelector.currentNode())
    bench.wait(lambda: bench.panel.results.rows[3].edited)
    assert points()[0] == 0 and points()[1] == before[1] and bench.ui.show3dCheckBox.checked
    bench.ui.revertCombo.setCurrentIndex(3)
    bench.ui.revertButton.click()
    assert points() == before


def test_segments_of_other_names_are_told_and_a_deleted_one_comes_back(painted):
    bench, reference, labels = painted
    segmentation = bench.state.result.GetSegmentation()
    segmentation.AddEmptySegment("Segment_1", "Eye")
    segmentation.RemoveSegment("RC")
    bench.wait(lambda: bench.panel.results.rows[3].edited)
    assert "Not counted and not exported: Eye." in bench.ui.warningsLabel.text
    assert bench.panel.results.rows[3].current_ml == 0
    bench.ui.revertCombo.setCurrentIndex(3)
    bench.ui.revertButton.click()
    np.testing.assert_array_equal(scene.current_labels(bench.state.result, reference), labels)
    tag = vtk.reference("")
    assert segmentation.GetSegment("RC").GetTag("DICOM.SegmentAlgorithmName", tag) and str(tag).startswith(
        "Glioma"
    )
    assert segmentation.GetSegment("RC").GetName() == "Resection cavity"


def test_erasing_with_the_cavity_selected_and_undo_are_left_alone(painted):
    bench, reference, labels = painted
    scene.set_segment(bench.state.result, "RC", np.zeros(SHAPE, bool), reference)
    bench.wait(lambda: bench.panel.results.rows[3].edited)
    assert not (scene.current_labels(bench.state.result, reference) == 4).any()
    bench.ui.revertCombo.setCurrentIndex(3)
    bench.ui.revertButton.click()
    np.testing.assert_array_equal(scene.current_labels(bench.state.result, reference), labels)
    bench.ui.undoButton.click()
    assert not (scene.current_labels(bench.state.result, reference) == 4).any()
