"""The panel writes a DICOM segmentation of the reference's own series."""

import numpy as np
import pytest
import slicer
import slicer.util
from workbench import add_volumes

from GliomaSegLib.desktop import scene
from GliomaSegLib.intake.volume import Grid

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
        return str(self.folder / f"{int(uid.rsplit('.', 1)[1]) - 1}.dcm")

    def instanceValue(self, uid, tag):
        return ""


@pytest.mark.parametrize("from_database", [True, False])
def test_the_segmentation_of_the_series_is_written(bench, tmp_path, monkeypatch, from_database):
    volumes = add_volumes()
    bench.result_without_process(volumes)
    bench.ui.smoothButton.click()
    grid = _write_series(tmp_path / "series", volumes["t1c"])
    assert isinstance(grid, Grid)
    if from_database:
        volumes["t1c"].SetAttribute("DICOM.instanceUIDs", f"{SERIES}.1 {SERIES}.2")
        monkeypatch.setattr(slicer, "dicomDatabase", Database(tmp_path / "series"), raising=False)
    else:
        monkeypatch.setattr(bench.answers, "folder", lambda title: str(tmp_path / "series"))
    bench.answers.path = str(tmp_path / "seg.dcm")
    bench.ui.exportDicomButton.click()
    assert bench.answers.errors == []
    assert (
        "seg.dcm was written. Absent: Non-enhancing tumour core, Enhancing tissue."
        in bench.ui.exportLabel.text
    )
    written = pydicom.dcmread(tmp_path / "seg.dcm")
    kinds = {str(s.SegmentLabel): s.SegmentAlgorithmType for s in written.SegmentSequence}
    assert len(kinds) == 2 and set(kinds.values()) == {"SEMIAUTOMATIC"}
    assert written.StudyInstanceUID == "1.2.826.0.1.3680043.8.498.7"
    assert "Secret" not in str(written.get("PatientName", ""))
    seen = scene.current_labels(bench.state.result, volumes["t1c"])
    assert np.count_nonzero(written.pixel_array) == np.count_nonzero(seen)
