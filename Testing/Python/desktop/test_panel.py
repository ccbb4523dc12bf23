"""The real panel, clicked: choose, run, watch, look, edit, revert, export, cancel, save, close."""

import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import slicer
import slicer.util
import vtk
from fakes import expected_labels, launcher
from standins.application import timer_wait
from standins.module_file import load_module
from standins.scripted import ModuleParent

from GliomaSegLib.desktop import scene
from GliomaSegLib.desktop.dependencies import Dependencies
from GliomaSegLib.desktop.geometry import volume_grid
from GliomaSegLib.desktop.panel import Panel
from GliomaSegLib.desktop.process import QtProcessRunner
from GliomaSegLib.desktop.run import Request
from GliomaSegLib.outcome.segmentation_file import write_nifti

MODULE = Path(__file__).resolve().parents[3] / "GliomaSeg" / "GliomaSeg.py"
ROLES = ("t1", "t1c", "t2", "flair")
SHAPE = (8, 10, 12)


@dataclass
class Answers:
    """A person who answers dialogs as told."""

    agrees: bool = True
    path: str = ""
    errors: list = field(default_factory=list)
    questions: list = field(default_factory=list)

    def error(self, text, detail=""):
        self.errors.append(text)

    def confirm(self, text):
        self.questions.append(text)
        return self.agrees

    def save_path(self, title, suggested, filters):
        return self.path

    def folder(self, title):
        return self.path


def add_volumes(names=ROLES):
    rng = np.random.default_rng(0)
    matrix = np.array([[0.9, -0.2, 0, 5], [0.2, 0.9, 0, -8], [0, 0, 3, 2], [0, 0, 0, 1.0]])
    return {
        role: slicer.util.addVolumeFromArray(
            rng.normal(100, 20, SHAPE).astype(np.float32), ijkToRAS=matrix, name=name
        )
        for role, name in zip(ROLES, names, strict=True)
    }


class Bench:
    """The module's widget on the stand-in desktop, with its runner, dialogs and packages in our hands."""

    def __init__(self, folder: Path, behaviour: str):
        self.answers = Answers()
        self.missing: list[str] = []
        self.parent = ModuleParent(str(MODULE))
        self.widget = load_module(MODULE).GliomaSegWidget(self.parent)
        self.widget.makePanel = lambda: Panel(
            self.widget.ui,
            lambda: QtProcessRunner(launcher(folder / "bin", behaviour)),
            self.answers,
            Dependencies(self.answers, missing=lambda: list(self.missing)),
        )
        self.widget.setup()
        self.panel = self.widget.panel
        self.panel.run.grace_ms = 100
        self.work = folder / "work"
        self.panel.run.parent_folder = str(self.work)
        self.ui = self.widget.ui

    @property
    def state(self):
        return self.panel._state

    def choose(self, volumes):
        for role, node in volumes.items():
            getattr(self.ui, f"{role}Selector").setCurrentNode(node)

    def click_run(self):
        self.ui.runButton.click()

    def wait(self, condition, seconds=20.0):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "nothing happened"
            timer_wait(10)

    def run_to_end(self):
        self.click_run()
        assert self.panel.run.running, self.ui.messageLabel.text
        self.wait(lambda: not self.panel.run.running)

    def result_without_process(self, volumes):
        """What the panel does with a finished run's folder, without the seconds that a process takes."""
        self.choose(volumes)
        folder = self.work / "finished"
        folder.mkdir(parents=True)
        reference = volumes["t1c"]
        labels = expected_labels(SHAPE)
        write_nifti(folder / "segmentation.nii.gz", labels, volume_grid(reference, reference))
        (folder / "run.json").write_text('{"warnings": []}', encoding="utf-8")
        self.panel._done(Request(volumes, "t1c"), folder)
        assert self.ui.messageLabel.text == ""


@pytest.fixture
def bench(desktop, tmp_path, request):
    made = Bench(tmp_path, getattr(request, "param", "good"))
    yield made
    made.widget.cleanup()
    made.parent.widget.deleteLater()


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
    assert texts[1][0].startswith("SNFH ") and texts[1][1:] == [snfh_ml, snfh_ml, "1"]
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


def test_an_install_that_fails_says_that_slicer_is_as_it_was(bench):
    bench.missing = ["torch", "safetensors"]

    def broken(names):
        raise RuntimeError("no network")

    bench.panel.dependencies.online = broken
    assert bench.panel.dependencies.ensure() is False
    assert bench.answers.errors == ["The packages could not be installed; Slicer is as it was."]


def test_an_offline_install_uses_the_folder_only(bench, monkeypatch):
    asked = []
    monkeypatch.setattr(
        slicer,
        "packaging",
        type("P", (), {"pip_install": staticmethod(lambda wanted, **_: asked.append(wanted))}),
        raising=False,
    )
    bench.missing, bench.answers.path = ["torch"], "/media/wheels"
    bench.ui.offlineButton.click()
    assert asked == [["--no-index", "--find-links", "/media/wheels", "torch>=2.4"]]


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
    assert bench.panel.results.editing.widget.currentSegmentID() == "RC"
    bench.ui.smoothButton.click()
    smoothed = scene.current_labels(node, reference)
    assert (smoothed != before).any() and bench.ui.correctLabel.text == ""
    assert (_tag(node, "RC"), _tag(node, "ET")) == ("SEMIAUTOMATIC", "AUTOMATIC")
    assert bench.ui.resultTable.item(3, 2).text().endswith("*")
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


def _look_at(reference, index_zyx):
    matrix = vtk.vtkMatrix4x4()
    reference.GetIJKToRASMatrix(matrix)
    z, y, x = index_zyx
    point = matrix.MultiplyPoint((x, y, z, 1))[:3]
    for name, orientation in (("Red", "Axial"), ("Green", "Coronal"), ("Yellow", "Sagittal")):
        node = slicer.app.layoutManager().sliceWidget(name).mrmlSliceNode()
        normal = {"Axial": (0, 0, 1), "Coronal": (0, 1, 0), "Sagittal": (1, 0, 0)}[orientation]
        across = {"Axial": (1, 0, 0), "Coronal": (1, 0, 0), "Sagittal": (0, 1, 0)}[orientation]
        node.SetSliceToRASByNTP(*normal, *across, *point, 0)


def test_the_island_where_the_views_meet_goes(bench):
    volumes = add_volumes()
    bench.result_without_process(volumes)
    node, reference = bench.state.result, volumes["t1c"]
    _look_at(reference, (3, 3, 3))
    bench.ui.islandButton.click()
    labels = scene.current_labels(node, reference)
    assert not (labels == 4).any() and (labels == 2).any()
    _look_at(reference, (0, 0, 0))
    bench.ui.islandButton.click()
    assert (
        bench.ui.correctLabel.text == "There is no segmented piece under the cursor: point at one in a slice."
    )


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
    assert bench.answers.errors == ["x.nii.gz could not be written."]


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


def shown_numbers(bench):
    """The table without the last digits that a saved geometry rounds away."""
    rows = bench.panel.results.rows
    return [(row.abbreviation, f"{row.model_ml:.4f}", f"{row.current_ml:.4f}", row.edited) for row in rows]


def test_a_saved_result_opens_with_its_table_and_can_still_be_reverted(bench, tmp_path):
    volumes = add_volumes()
    bench.result_without_process(volumes)
    scene.set_segment(bench.state.result, "ET", expected_labels(SHAPE) == 2, volumes["t1c"])
    bench.panel.results.refresh()
    before = [
        (row.abbreviation, row.model_ml, row.current_ml, row.edited) for row in bench.panel.results.rows
    ]
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


def test_painting_the_cavity_may_take_voxels_and_painting_others_may_not(bench):
    bench.result_without_process(add_volumes())
    bench.ui.correctSection.collapsed = False
    editor = bench.panel.results.editing.widget
    node = editor.mrmlSegmentEditorNode()
    assert editor.currentSegmentID() == "RC" and node.GetOverwriteMode() == node.OverwriteAllSegments
    editor.setCurrentSegmentID("SNFH")
    assert node.GetOverwriteMode() == node.OverwriteNone


def test_surfaces_come_and_go_with_the_check_box(bench):
    bench.result_without_process(add_volumes())
    node = bench.state.result
    bench.ui.show3dCheckBox.checked = True
    assert node.GetSegmentation().ContainsRepresentation("Closed surface")
    assert slicer.app.layoutManager().threeDWidget(0).threeDView().focal_point_resets > 0
    bench.ui.show3dCheckBox.checked = False
    assert not node.GetSegmentation().ContainsRepresentation("Closed surface")


def test_the_panel_fits_slicers_width(bench):
    assert bench.parent.widget.minimumSizeHint().width() <= 380
    for name in ("correctSection", "exportSection", "advancedSection", "logSection"):
        getattr(bench.ui, name).collapsed = False
    assert bench.parent.widget.minimumSizeHint().width() <= 380


def test_leaving_and_entering_the_module_keeps_everything(bench):
    bench.result_without_process(add_volumes())
    bench.ui.correctSection.collapsed = False
    result = bench.state.result
    bench.widget.exit()
    bench.widget.enter()
    assert bench.state.result is result and len(bench.panel.results.rows) == 6
    assert bench.panel.results.editing.widget.segmentationNode() is result
