"""``segment`` on DICOM and ``export-dicom-seg``, as a person types them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.uid import generate_uid

from GliomaSegLib.cli import main
from GliomaSegLib.intake.volume import Grid

sys.path.insert(0, str(Path(__file__).resolve().parent / "intake"))
from dicom_files import write_classic


@pytest.fixture(scope="module")
def exam(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """T1c and FLAIR of one study as DICOM, 40^3 at 2 mm, oblique."""
    folder = tmp_path_factory.mktemp("exam")
    angle = np.deg2rad(20)
    direction = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    grid = Grid((40, 40, 40), (2.0, 2.0, 2.0), (-30.0, 12.5, 7.0), tuple(float(v) for v in direction.ravel()))
    uids: dict[str, Any] = {"StudyInstanceUID": generate_uid(), "FrameOfReferenceUID": generate_uid()}
    z, y, x = np.mgrid[:40, :40, :40] - 19.5
    ball = np.sqrt(z**2 + y**2 + x**2) < 18
    for number, (role, tags) in enumerate(
        {
            "t1c": {"SeriesDescription": "T1 MPRAGE +Gd", "ContrastBolusAgent": "Gd", "EchoTime": 3.0},
            "flair": {"SeriesDescription": "T2 FLAIR", "EchoTime": 90.0, "InversionTime": 2500.0},
        }.items(),
        2,
    ):
        noise = np.random.default_rng(number).normal(0, 10, ball.shape)
        array = np.where(ball, 100 + 3 * x + noise + 80 * ((x - 6) ** 2 + y**2 + z**2 < 25), 0)
        write_classic(folder / role, array.round(), grid, SeriesNumber=number, **tags, **uids)
    return folder


@pytest.fixture(scope="module")
def result(exam: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The result of the whole command on the exam."""
    output = tmp_path_factory.mktemp("out") / "result"
    words = ["segment", "--study", str(exam), "--output", str(output), "--model", str(tiny_model)]
    options = ["--device", "cpu", "--progress", "none", "--registration", "off", "--brain-mask", "off"]
    assert main([*words, *options, "--probabilities"]) == 0
    return output


def labels_in(path: Path) -> np.ndarray:
    return np.asarray(sitk.GetArrayFromImage(sitk.ReadImage(str(path))))


def voxels(path: Path) -> dict[str, int]:
    """How many voxels each segment of a DICOM segmentation has."""
    seg = pydicom.dcmread(path)
    names = {s.SegmentNumber: s.SegmentLabel for s in seg.SegmentSequence}
    counts = dict.fromkeys(names.values(), 0)
    for frame, group in zip(seg.pixel_array, seg.PerFrameFunctionalGroupsSequence, strict=True):
        counts[names[group.SegmentIdentificationSequence[0].ReferencedSegmentNumber]] += int(frame.sum())
    return counts


def test_segment_on_dicom_writes_a_dicom_segmentation(exam: Path, result: Path) -> None:
    labels = labels_in(result / "segmentation.nii.gz")
    measures = json.loads((result / "measures.json").read_text())
    expected = {row["name"]: row["voxels"] for row in measures["structures"].values() if row["voxels"]}
    assert sum(expected.values()) == (labels > 0).sum() > 0
    assert voxels(result / "segmentation.dcm") == expected
    seg = pydicom.dcmread(result / "segmentation.dcm")
    source = pydicom.dcmread(next((exam / "t1c").iterdir()))
    assert seg.ReferencedSeriesSequence[0].SeriesInstanceUID == source.SeriesInstanceUID
    assert seg.StudyInstanceUID == source.StudyInstanceUID and seg.PatientID == ""


def test_export_gives_the_same_and_corrections_are_marked(
    exam: Path, result: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["export-dicom-seg", "--result", str(result), "--source", str(exam / "t1c")]
    report = ["--measurements", str(tmp_path / "sr.dcm")]
    assert main([*words, "--output", str(tmp_path / "a.dcm"), *report]) == 0
    assert "--keep-identity" in capsys.readouterr().err
    evidence = pydicom.dcmread(tmp_path / "sr.dcm").CurrentRequestedProcedureEvidenceSequence[0]
    cited = {
        i.ReferencedSOPInstanceUID for s in evidence.ReferencedSeriesSequence for i in s.ReferencedSOPSequence
    }
    assert pydicom.dcmread(tmp_path / "a.dcm").SOPInstanceUID in cited
    assert voxels(tmp_path / "a.dcm") == voxels(result / "segmentation.dcm")
    image = sitk.ReadImage(str(result / "segmentation.nii.gz"))
    corrected = sitk.GetArrayFromImage(image)
    corrected[corrected == 4] = 0
    corrected[20, 20, 20:24] = 4
    changed = sitk.GetImageFromArray(corrected)
    changed.CopyInformation(image)
    sitk.WriteImage(changed, str(tmp_path / "mine.nii.gz"))
    more = ["--labels", str(tmp_path / "mine.nii.gz"), "--keep-identity"]
    assert main([*words, *more, "--output", str(tmp_path / "b.dcm")]) == 0
    seg = pydicom.dcmread(tmp_path / "b.dcm")
    kinds = {s.SegmentLabel: s.SegmentAlgorithmType for s in seg.SegmentSequence}
    assert kinds["Resection cavity"] == "SEMIAUTOMATIC" and "AUTOMATIC" in kinds.values()
    assert voxels(tmp_path / "b.dcm")["Resection cavity"] == 4 and seg.PatientID == "SECRET-ID"


def test_export_refuses_with_a_sentence(
    exam: Path, result: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = ["--output", str(tmp_path / "x.dcm")]
    source = ["--source", str(exam / "t1c")]
    assert main(["export-dicom-seg", "--result", str(tmp_path), *source, *output]) == 3
    assert "no finished result" in capsys.readouterr().err
    assert main(["export-dicom-seg", "--result", str(result), "--source", str(exam), *output]) == 3
    assert "holds 2 series (series 2, series 3)" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_probabilities_go_out_as_fractions(
    exam: Path, result: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["export-dicom-seg", "--result", str(result), "--source", str(exam / "t1c"), "--fractional"]
    assert main([*words, "--output", str(tmp_path / "f.dcm")]) == 0
    seg = pydicom.dcmread(tmp_path / "f.dcm")
    assert (seg.SegmentationType, seg.MaximumFractionalValue) == ("FRACTIONAL", 255)
    levels = sitk.GetArrayFromImage(sitk.ReadImage(str(result / "probabilities.nii.gz")))
    assert levels.shape == (4, 40, 40, 40) and levels.dtype == np.uint8
    # Four structures, of which each voxel is at most one; rounding may add half a level each.
    assert levels.sum(axis=0, dtype=int).max() <= 255 + 2
    total = sum(int(frame.sum(dtype=np.int64)) for frame in seg.pixel_array)
    assert total == levels.sum(dtype=np.int64) > 0
    assert main([*words, "--labels", str(tmp_path / "x"), "--output", str(tmp_path / "g.dcm")]) == 2
    assert "leave out --labels" in capsys.readouterr().err
    (result / "probabilities.nii.gz").rename(tmp_path / "away.nii.gz")
    assert main([*words, "--output", str(tmp_path / "g.dcm")]) == 3
    assert "run  segment  again with --probabilities" in capsys.readouterr().err
    (tmp_path / "away.nii.gz").rename(result / "probabilities.nii.gz")
    assert not (tmp_path / "g.dcm").exists()


def test_a_report_names_the_patient_only_when_asked(exam: Path, result: Path, tmp_path: Path) -> None:
    assert "Secret" not in (result / "report.html").read_text(encoding="utf-8")
    words = ["report", "--result", str(result), "--study", str(exam), "--no-pdf"]
    assert main([*words, "--keep-identity", "--output", str(tmp_path / "named.html")]) == 0
    assert "Patient Secret Name, ID SECRET-ID" in (tmp_path / "named.html").read_text(encoding="utf-8")
    assert main([*words, "--output", str(tmp_path / "plain.html")]) == 0
    assert "SECRET" not in (tmp_path / "plain.html").read_text(encoding="utf-8").upper()
