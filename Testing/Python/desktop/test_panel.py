"""The real panel, clicked: choose, run, watch, cancel, close, reload."""

import numpy as np
import pytest
import slicer
import slicer.util
from fakes import expected_labels
from standins.module_file import load_module
from standins.scripted import ModuleParent
from workbench import MODULE, SHAPE, add_volumes

from GliomaSegLib.desktop import scene

NO_BRAIN_FINDER = "This scan shows the skull: choose a brain mask, or let deepbet be installed."


def visible(widget):
    """Whether the widget would be seen if its window were on a screen."""
    return not widget.isHidden()


def scene_contents():
    nodes = [slicer.mrmlScene.GetNthNode(i) for i in range(slicer.mrmlScene.GetNumberOfNodes())]
    return sorted(node.GetID() for node in nodes if not node.IsA("vtkMRMLScriptedModuleNode"))


def test_the_button_works_only_when_a_run_can(bench):
    assert not bench.ui.runButton.enabled
    assert bench.ui.readinessLabel.text == "Choose the sequences of one scan."
    volumes = add_volumes()
    bench.choose({role: volumes[role] for role in ("t1", "t2")})
    assert "T1c or for FLAIR" in bench.ui.runButton.toolTip and not bench.ui.runButton.enabled
    bench.choose(volumes)
    assert bench.ui.runButton.enabled and bench.ui.readinessLabel.text == "Ready."


def test_a_missing_sequence_is_a_note_not_an_obstacle(bench):
    volumes = add_volumes()
    bench.choose({role: volumes[role] for role in ("t1", "t2", "flair")})
    assert bench.ui.runButton.enabled
    assert bench.ui.readinessLabel.text == (
        "Ready, but without T1c the result is less certain. The result comes on the grid of FLAIR."
    )
    bench.run_to_end()
    np.testing.assert_array_equal(
        scene.current_labels(bench.state.result, volumes["flair"]), expected_labels(SHAPE)
    )


def test_a_deleted_volume_empties_its_selector(bench):
    volumes = add_volumes()
    bench.choose(volumes)
    slicer.mrmlScene.RemoveNode(volumes["t2"])
    assert bench.ui.t2Selector.currentNode() is None
    assert "without T2" in bench.ui.readinessLabel.text
    slicer.mrmlScene.RemoveNode(volumes["t1c"])
    slicer.mrmlScene.RemoveNode(volumes["flair"])
    assert not bench.ui.runButton.enabled


def test_auto_assign_fills_what_is_empty_and_says_why(bench):
    volumes = add_volumes(("AX T1", "AX T1 +C", "AX T2", "AX FLAIR"))
    other = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "chosen by hand")
    bench.ui.t2Selector.setCurrentNode(other)
    bench.ui.autoAssignButton.click()
    assert bench.ui.t1cSelector.currentNode() is volumes["t1c"]
    assert bench.ui.t2Selector.currentNode() is other
    assert "T1c: AX T1 +C (" in bench.ui.assignLabel.text


def test_a_run_ends_in_a_segmentation_equal_to_the_file(bench):
    volumes = add_volumes()
    bench.choose(volumes)
    bench.click_run()
    assert bench.ui.runButton.text == "&Cancel" and visible(bench.ui.progressBar)
    bench.wait(lambda: not bench.panel.run.running)
    assert bench.ui.messageLabel.text == ""
    node = bench.state.result
    np.testing.assert_array_equal(scene.current_labels(node, volumes["t1c"]), expected_labels(SHAPE))
    assert bench.ui.runButton.text == "&Segment" and not visible(bench.ui.progressBar)
    assert "a library talks" in bench.ui.logText.plainText
    assert list(bench.work.iterdir()) == []
    slices = slicer.mrmlScene.GetNodesByClass("vtkMRMLSliceCompositeNode")
    assert slices.GetItemAsObject(0).GetBackgroundVolumeID() == volumes["t1c"].GetID()


def test_the_table_and_the_warnings_of_the_run_are_shown(bench):
    bench.choose(add_volumes())
    bench.run_to_end()
    table = bench.ui.resultTable
    texts = [[table.item(row, column).text() for column in range(4)] for row in range(table.rowCount)]
    snfh_ml = f"{148 * 0.85 * 3 / 1000:.2f}"
    assert texts[1][0].startswith("SNFH ") and texts[1][1:] == [snfh_ml, snfh_ml, ""]
    assert texts[3][0].startswith("RC ") and texts[3][3] == "1"
    assert [row[0].split()[0] for row in texts] == ["NETC", "SNFH", "ET", "RC", "TC", "WT"]
    assert bench.ui.warningsLabel.text == "\u26a0 A warning of the run."


def test_a_second_run_makes_a_new_node_and_keeps_edits(bench):
    volumes = add_volumes()
    bench.choose(volumes)
    bench.run_to_end()
    first = bench.state.result
    scene.set_segment(first, "ET", np.ones(SHAPE, bool), volumes["t1c"])
    edited = scene.current_labels(first, volumes["t1c"])
    bench.run_to_end()
    assert bench.state.result is not first
    np.testing.assert_array_equal(scene.current_labels(first, volumes["t1c"]), edited)
    assert first.GetName() != bench.state.result.GetName()


@pytest.mark.parametrize("bench", ["deaf"], indirect=True)
def test_cancel_leaves_the_scene_and_the_disk_as_they_were(bench):
    bench.choose(add_volumes())
    before = scene_contents()
    bench.click_run()
    bench.wait(lambda: bench.ui.progressBar.value == 500)
    bench.click_run()
    assert bench.ui.stageLabel.text == "Cancelling..." and not bench.ui.runButton.enabled
    bench.wait(lambda: not bench.panel.run.running)
    assert scene_contents() == before
    assert list(bench.work.iterdir()) == []
    assert bench.ui.messageLabel.text == "Cancelled. Nothing was changed."
    assert bench.ui.runButton.enabled


@pytest.mark.parametrize("bench", ["refuses"], indirect=True)
def test_a_refusal_stands_in_plain_sight(bench):
    bench.choose(add_volumes())
    before = scene_contents()
    bench.run_to_end()
    assert bench.ui.messageLabel.text == "t1 is constant: load the right series."
    assert visible(bench.ui.messageLabel)
    assert scene_contents() == before and bench.ui.runButton.enabled


@pytest.mark.parametrize("bench", ["deaf"], indirect=True)
def test_closing_the_scene_ends_the_run(bench):
    bench.choose(add_volumes())
    bench.click_run()
    bench.wait(lambda: bench.ui.progressBar.value == 500)
    slicer.mrmlScene.Clear(0)
    bench.wait(lambda: not bench.panel.run.running)
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0
    assert list(bench.work.iterdir()) == []
    assert bench.ui.readinessLabel.text == "Choose the sequences of one scan."


def test_a_reference_deleted_during_the_run_is_told(bench):
    volumes = add_volumes()
    bench.choose(volumes)
    bench.click_run()
    slicer.mrmlScene.RemoveNode(volumes["t1c"])
    bench.wait(lambda: not bench.panel.run.running)
    assert "reference volume was removed" in bench.ui.messageLabel.text
    assert bench.state.result is None


def test_without_torch_nothing_starts_until_the_person_agrees(bench):
    bench.choose(add_volumes())
    bench.missing = ["torch"]
    bench.answers.agrees = False
    bench.click_run()
    assert not bench.panel.run.running
    assert "torch" in bench.answers.questions[0] and "GB" in bench.answers.questions[0]
    assert "packages are still missing" in bench.ui.messageLabel.text
    bench.answers.agrees = True
    bench.panel.dependencies.online = lambda names: bench.missing.clear()
    bench.click_run()
    assert bench.panel.run.running, bench.ui.messageLabel.text
    bench.wait(lambda: not bench.panel.run.running)
    assert bench.state.result is not None


def test_a_saved_scene_opens_with_the_same_panel(bench, tmp_path):
    volumes = add_volumes()
    bench.choose(volumes)
    bench.ui.referenceCombo.setCurrentIndex(bench.ui.referenceCombo.findText("FLAIR"))
    bench.ui.mirrorCheckBox.checked = True
    assert bench.state.reference == "flair" and bench.state.mirror is True
    slicer.mrmlScene.SetURL(str(tmp_path / "scene.mrml"))
    assert slicer.mrmlScene.Commit(str(tmp_path / "scene.mrml"))
    slicer.mrmlScene.Clear(0)
    assert bench.state.reference == "t1c" and not bench.ui.mirrorCheckBox.checked
    slicer.mrmlScene.SetURL(str(tmp_path / "scene.mrml"))
    slicer.mrmlScene.Import()
    assert bench.state.reference == "flair" and bench.ui.mirrorCheckBox.checked
    assert bench.ui.referenceCombo.currentText == "FLAIR"
    assert bench.ui.t2Selector.currentNode().GetName() == "t2"


def test_the_module_can_be_reloaded(bench):
    bench.choose(add_volumes())
    bench.widget.cleanup()
    again = load_module(MODULE).GliomaSegWidget(ModuleParent(str(MODULE)))
    again.setup()
    assert again.ui.t1Selector.currentNode().GetName() == "t1"
    assert again.ui.runButton.enabled
    again.cleanup()
    bench.widget.panel = bench.panel


def test_the_modules_own_self_test_passes(desktop):
    test = load_module(MODULE).GliomaSegTest()
    test.runTest()


def test_terminology_is_loaded_at_start_up(desktop):
    module = load_module(MODULE)
    parent = ModuleParent(str(MODULE))
    module.GliomaSeg(parent)
    assert slicer.app.connected["startupCompleted()"]
    slicer.app.connected["startupCompleted()"][-1]()
    logic = slicer.modules.terminologies.logic()
    assert logic.GetNumberOfCategoriesInTerminology("GliomaSeg") == 1
    assert parent.title == "Glioma Segmentation" and parent.categories == ["Segmentation"]


def test_the_panel_fits_slicers_width(bench):
    assert bench.parent.widget.minimumSizeHint().width() <= 380
    for name in ("correctSection", "exportSection", "advancedSection", "logSection"):
        getattr(bench.ui, name).collapsed = False
    assert bench.parent.widget.minimumSizeHint().width() <= 380


@pytest.mark.parametrize("bench", ["wants deepbet"], indirect=True)
@pytest.mark.parametrize("agrees", [True, False])
def test_the_package_that_finds_the_brain_is_offered_only_when_needed(bench, agrees):
    bench.answers.agrees = agrees
    bench.without("deepbet")
    bench.choose(add_volumes())
    bench.click_run()
    bench.wait(lambda: bench.answers.questions)
    bench.wait(lambda: not bench.panel.run.running)
    assert "shows the skull" in bench.answers.questions[0]
    assert (bench.state.result is not None) is agrees
    assert bench.ui.messageLabel.text == ("" if agrees else NO_BRAIN_FINDER)
