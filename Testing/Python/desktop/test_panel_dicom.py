"""The panel writes DICOM segmentations: by Slicer, on a series in a folder, or on one that it makes."""

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import slicer
import slicer.util
import vtk
from vtk.util.numpy_support import vtk_to_numpy
from workbench import SHAPE, add_volumes

from GliomaSegLib.desktop import scene

pydicom = pytest.importorskip("pydicom", reason="pydicom is not installed")
pytest.importorskip("highdicom", reason="highdicom is not installed")
SERIES = "1.2.826.0.1.3680043.8.498.77"


def _write_series(folder, volume):
    """One classic MR file a slice, of the volume's own voxels and grid."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    from GliomaSegLib.desktop.geometry import volume_grid

    grid = volume_grid(volume, volume)
    array = slicer.util.arrayFromVolume(volume).astype(np.int16)
    axes = np.reshape(grid.direction_lps, (3, 3))
    folder.mkdir()
    for z in range(grid.shape[0]):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
        meta.MediaStorageSOPInstanceUID = f"{SERIES}.{z + 1}"
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        each = FileDataset(str(folder / f"{z}.dcm"), {}, file_meta=meta, preamble=bytes(128))
        each.SOPClassUID, each.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
        each.Modality, each.PatientName, each.PatientID = "MR", "Secret^Name", "SECRET"
        each.StudyInstanceUID, each.SeriesInstanceUID = "1.2.826.0.1.3680043.8.498.7", SERIES
        each.FrameOfReferenceUID, each.SeriesNumber, each.InstanceNumber = (
            "1.2.826.0.1.3680043.8.498.6",
            3,
            z + 1,
        )
        each.ImagePositionPatient = [round(float(v), 6) for v in (grid.index_to_lps() @ [0, 0, z, 1])[:3]]
        each.ImageOrientationPatient = [round(float(v), 9) for v in (*axes[:, 0], *axes[:, 1])]
        each.PixelSpacing = [round(grid.spacing_mm[1], 9), round(grid.spacing_mm[0], 9)]
        each.SliceThickness = grid.spacing_mm[2]
        each.SamplesPerPixel, each.PhotometricInterpretation = 1, "MONOCHROME2"
        each.Rows, each.Columns = array.shape[1:]
        each.BitsAllocated = each.BitsStored = 16
        each.HighBit, each.PixelRepresentation = 15, 1
        each.PixelData = array[z].tobytes()
        each.save_as(folder / f"{z}.dcm", enforce_file_format=True)
    return grid


class Database:
    """Plays Slicer's DICOM database."""

    def __init__(self, folder):
        self.folder = folder

    def fileForInstance(self, uid):
        found = self.folder / f"{int(uid.rsplit('.', 1)[1]) - 1}.dcm"
        return str(found) if found.exists() else ""

    def instanceValue(self, uid, tag):
        return ""


class Exportable:
    """What qSlicerDICOMExportable offers, and nothing else."""

    __slots__ = ("directory", "subjectHierarchyItemID", "tags")

    def __init__(self, item):
        self.directory, self.subjectHierarchyItemID, self.tags = "", item, {}

    def setTag(self, name, value):
        self.tags[name] = value

    def tag(self, name):
        return self.tags.get(name, "")


class SlicersPlugin:
    """Asks of a node what Slicer's DICOMSegmentationPlugin asks of it."""

    refusal = ""
    written: ClassVar[list] = []

    def examineForExport(self, item):
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
        assert hierarchy.GetItemDataNode(item).IsA("vtkMRMLSegmentationNode")
        uids = hierarchy.GetItemAttribute(item, "DICOM.ReferencedInstanceUIDs").split()
        assert uids
        found = all(slicer.dicomDatabase.fileForInstance(uid) != "" for uid in uids)
        return [Exportable(item)] if found else []

    def export(self, exportables):
        if self.refusal:
            return self.refusal
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
        for each in exportables:
            node = hierarchy.GetItemDataNode(each.subjectHierarchyItemID)
            reference = node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole())
            assert reference.GetAttribute("DICOM.instanceUIDs")
            self.written.append(
                {name: self._segment(node, name) for name in node.GetSegmentation().GetSegmentIDs()}
            )
            (Path(each.directory) / "subject_hierarchy_export.SEG.dcm").write_bytes(b"DICM")
        return ""

    @staticmethod
    def _segment(node, name):
        """As Slicer's: empty is what has no ImageScalars other than 0; algorithm and codes are required."""
        segment, found = node.GetSegmentation().GetSegment(name), vtk.reference("")
        scalars = segment.GetRepresentation("Binary labelmap").GetPointData().GetArray("ImageScalars")
        assert scalars is not None and scalars.GetValueRange() != (0, 0), "an empty segment"
        assert segment.GetTag("DICOM.SegmentAlgorithmName", found) and str(found).startswith("GliomaSeg")
        assert segment.GetTag("TerminologyEntry", found) and str(found)
        assert segment.GetTag("DICOM.SegmentAlgorithmType", found)
        merged, chosen = slicer.vtkOrientedImageData(), vtk.vtkStringArray()
        chosen.InsertNextValue(name)
        node.GenerateMergedLabelmapForAllSegments(merged, 0, None, chosen)
        return str(found), int(np.count_nonzero(vtk_to_numpy(merged.GetPointData().GetScalars())))


@pytest.fixture
def loaded(bench, tmp_path, monkeypatch):
    """A corrected result whose reference came from Slicer's DICOM database: (bench, reference)."""
    volumes = add_volumes()
    _write_series(tmp_path / "series", volumes["t1c"])
    uids = " ".join(f"{SERIES}.{number + 1}" for number in range(SHAPE[0]))
    volumes["t1c"].SetAttribute("DICOM.instanceUIDs", uids)
    monkeypatch.setattr(slicer, "dicomDatabase", Database(tmp_path / "series"), raising=False)
    bench.result_without_process(volumes)
    bench.ui.smoothButton.click()
    return bench, volumes["t1c"]


@pytest.fixture
def plugin(monkeypatch):
    """Slicer's own writer is there; what it wrote is in ``written``."""
    monkeypatch.setattr(SlicersPlugin, "written", [])
    monkeypatch.setattr(
        slicer.modules, "dicomPlugins", {"DICOMSegmentationPlugin": SlicersPlugin}, raising=False
    )
    return SlicersPlugin


def _nodes():
    return slicer.mrmlScene.GetNumberOfNodes()


def test_a_series_of_the_database_goes_through_slicers_own_export(loaded, plugin, tmp_path):
    bench, reference = loaded
    assert bench.ui.identityCheckBox.checked, "the file goes back to its patient in the same database"
    bench.answers.path = str(tmp_path)
    before = _nodes()
    bench.ui.exportDicomButton.click()
    assert bench.answers.errors == [] and _nodes() == before
    labels = scene.current_labels(bench.state.result, reference)
    counts = {name: int((labels == number).sum()) for name, number in (("SNFH", 2), ("RC", 4))}
    assert plugin.written == [{name: ("SEMIAUTOMATIC", count) for name, count in counts.items()}]
    assert (
        "Slicer's own export. Absent: Non-enhancing tumour core, Enhancing tissue."
        in bench.ui.exportLabel.text
    )


def test_what_slicers_export_refuses_is_told_and_leaves_nothing(loaded, plugin, tmp_path, monkeypatch):
    bench, _reference = loaded
    monkeypatch.setattr(plugin, "refusal", "Referenced volume files were not found")
    bench.answers.path, before = str(tmp_path), _nodes()
    bench.ui.exportDicomButton.click()
    assert "Referenced volume files were not found" in bench.answers.errors[0] and _nodes() == before
    assert bench.ui.exportLabel.text == ""


@pytest.mark.parametrize("way", ["unticked", "no plugin", "folder"])
def test_our_own_writer_says_what_became_of_the_patient(loaded, plugin, tmp_path, monkeypatch, way):
    bench, reference = loaded
    if way == "no plugin":
        monkeypatch.setattr(slicer.modules, "dicomPlugins", {}, raising=False)
    else:
        bench.ui.identityCheckBox.checked = False
    if way == "folder":
        reference.RemoveAttribute("DICOM.instanceUIDs")
        monkeypatch.setattr(bench.answers, "folder", lambda title: str(tmp_path / "series"))
    bench.answers.path = str(tmp_path / "seg.dcm")
    bench.ui.exportDicomButton.click()
    assert bench.answers.errors == [] and plugin.written == []
    said = bench.ui.exportLabel.text
    assert said.startswith("seg.dcm was written. Absent: Non-enhancing tumour core, Enhancing tissue.")
    written = pydicom.dcmread(tmp_path / "seg.dcm")
    kept = way == "no plugin"
    assert ("Name and ID were left out." in said) is not kept
    assert ("Secret" in str(written.get("PatientName", ""))) is kept
    kinds = {str(s.SegmentLabel): s.SegmentAlgorithmType for s in written.SegmentSequence}
    assert len(kinds) == 2 and set(kinds.values()) == {"SEMIAUTOMATIC"}
    assert written.StudyInstanceUID == "1.2.826.0.1.3680043.8.498.7"
    seen = scene.current_labels(bench.state.result, reference)
    assert np.count_nonzero(written.pixel_array) == np.count_nonzero(seen)


def test_without_any_series_one_is_made_and_the_note_says_what_was_invented(bench, tmp_path):
    volumes = add_volumes()
    bench.result_without_process(volumes)
    bench.answers.decides, bench.answers.path = False, str(tmp_path)
    for number in ("", "-2"):
        bench.ui.exportDicomButton.click()
        assert bench.answers.errors == []
        made = tmp_path / f"gliomaseg-dicom{number}"
        assert f"{made.name} holds the series" in bench.ui.exportLabel.text
    assert "Invented: the patient (GliomaSeg^Invented), study, series" in bench.ui.exportLabel.text
    assert "invented" in bench.answers.questions[1]
    written = pydicom.dcmread(made / "segmentation.dcm")
    first = pydicom.dcmread(made / "series" / "0001.dcm")
    assert written.PatientName == first.PatientName == "GliomaSeg^Invented"
    assert written.ReferencedSeriesSequence[0].SeriesInstanceUID == first.SeriesInstanceUID
    seen = scene.current_labels(bench.state.result, volumes["t1c"])
    assert np.count_nonzero(written.pixel_array) == np.count_nonzero(seen)


def test_a_person_who_says_no_gets_no_file(bench, tmp_path):
    bench.result_without_process(add_volumes())
    bench.answers.decides, bench.answers.agrees, bench.answers.path = False, False, str(tmp_path)
    before = sorted(tmp_path.iterdir())
    bench.ui.exportDicomButton.click()
    assert sorted(tmp_path.iterdir()) == before and bench.ui.exportLabel.text == ""


def test_a_slicer_without_the_writing_package_asks_before_it_installs(bench, tmp_path):
    bench.result_without_process(add_volumes())
    bench.lacking, bench.answers.agrees, bench.answers.path = {"highdicom"}, False, str(tmp_path)
    bench.ui.exportDicomButton.click()
    assert "highdicom" in bench.answers.questions[0] and len(bench.answers.questions) == 1
    assert bench.ui.exportLabel.text == ""
