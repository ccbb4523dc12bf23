"""What a DICOM segmentation and its structured report say beside the voxels."""

from __future__ import annotations

import subprocess
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from dicom_cases import AUTHOR, Exam, errors_of, exported, labels_of, tool, write_series
from shapes import grid_of

from GliomaSegLib.errors import InputRefused
from GliomaSegLib.labels import CODING_SCHEME, STRUCTURES
from GliomaSegLib.outcome.dicom_export import corrected_by, export_dicom_seg
from GliomaSegLib.outcome.dicom_source import find_source, identity_of, open_source
from GliomaSegLib.outcome.dicom_sr import write_measurements
from GliomaSegLib.outcome.measures import measure


def test_study_references_and_codes(exam: Exam, tmp_path: Path) -> None:
    written = exported(exam, tmp_path / "seg.dcm")
    sources = [pydicom.dcmread(path) for path in exam[0].iterdir()]
    for keyword in ("StudyInstanceUID", "FrameOfReferenceUID"):
        assert written[keyword].value == sources[0][keyword].value
    (referenced,) = written.ReferencedSeriesSequence
    assert referenced.SeriesInstanceUID == sources[0].SeriesInstanceUID
    known = {s.SOPInstanceUID for s in sources}
    assert {i.ReferencedSOPInstanceUID for i in referenced.ReferencedInstanceSequence} == known
    for frame in written.PerFrameFunctionalGroupsSequence:
        (image,) = frame.DerivationImageSequence[0].SourceImageSequence
        place = next(s for s in sources if s.SOPInstanceUID == image.ReferencedSOPInstanceUID)
        assert np.allclose(
            frame.PlanePositionSequence[0].ImagePositionPatient, place.ImagePositionPatient, atol=1e-4
        )
    for item, structure in zip(written.SegmentSequence, STRUCTURES, strict=True):
        code = item.SegmentedPropertyTypeCodeSequence[0]
        assert (code.CodeValue, code.CodingSchemeDesignator) == (
            structure.type_code.value, structure.type_code.scheme,
        )  # fmt: skip
        assert item.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "49755003"
        assert item.AnatomicRegionSequence[0].CodeValue == "12738006"
        assert item.SegmentDescription == structure.description
        assert item.SegmentAlgorithmType == "AUTOMATIC" and item.SegmentAlgorithmName == AUTHOR.algorithm
        assert item.SegmentationAlgorithmIdentificationSequence[0].AlgorithmVersion == "1.2.3"
        assert item.TrackingID and item.TrackingUID
    assert written.ContentCreatorName and written.SoftwareVersions.startswith("gliomaseg")
    (scheme,) = written.CodingSchemeIdentificationSequence
    assert scheme.CodingSchemeDesignator == CODING_SCHEME and scheme.CodingSchemeName


def test_only_present_structures_become_segments(exam: Exam, tmp_path: Path) -> None:
    source, grid, labels = exam
    some = np.where(np.isin(labels, [1, 3]), labels, 0).astype(np.uint8)
    written = exported((source, grid, some), tmp_path / "seg.dcm")
    assert [s.SegmentLabel for s in written.SegmentSequence] == [STRUCTURES[0].name, STRUCTURES[2].name]
    assert "CodingSchemeIdentificationSequence" not in written  # no private code, nothing to define
    with pytest.raises(InputRefused, match="empty"):
        exported((source, grid, np.zeros_like(labels)), tmp_path / "none.dcm")
    assert not (tmp_path / "none.dcm").exists()


def test_what_a_person_changed_is_semiautomatic(exam: Exam, tmp_path: Path) -> None:
    source, grid, labels = exam
    corrected = labels.copy()
    corrected[labels == 4] = 2
    corrected[3, 0, 0] = 4  # background before
    author = corrected_by(AUTHOR, labels, corrected)
    written = exported((source, grid, corrected), tmp_path / "seg.dcm", author=author)
    kinds = {s.SegmentLabel: s.SegmentAlgorithmType for s in written.SegmentSequence}
    assert kinds == {
        STRUCTURES[0].name: "AUTOMATIC", STRUCTURES[1].name: "SEMIAUTOMATIC",
        STRUCTURES[2].name: "AUTOMATIC", STRUCTURES[3].name: "SEMIAUTOMATIC",
    }  # fmt: skip
    assert errors_of(tmp_path / "seg.dcm") == []


def test_identity_stays_out_unless_asked(exam: Exam, tmp_path: Path) -> None:
    without = exported(exam, tmp_path / "without.dcm")
    assert without.PatientName == "" and without.PatientID == "" and without.PatientIdentityRemoved == "YES"
    content = (tmp_path / "without.dcm").read_bytes().upper()
    assert b"SECRET" not in content and b"20240102" not in content
    kept = exported(exam, tmp_path / "with.dcm", keep_identity=True)
    assert (
        kept.PatientName == "Secret^Name" and kept.PatientID == "SECRET-ID" and kept.StudyDate == "20240102"
    )
    assert "PatientIdentityRemoved" not in kept
    assert errors_of(tmp_path / "with.dcm") == []


@pytest.mark.parametrize("name", ["Müller^Žofia", "山田^太郎", "Ὀδυσσεύς^^^Dr"])
def test_names_in_any_script_are_kept_when_asked(name: str, tmp_path: Path) -> None:
    grid = grid_of((9, 14, 12), (1.0, 1.0, 3.0))
    tags = {"SpecificCharacterSet": "ISO_IR 192", "PatientName": name, "PatientBirthDate": "19600229"}
    source = write_series(tmp_path / "series", grid, **tags)
    kept = exported((source, grid, labels_of(grid)), tmp_path / "seg.dcm", keep_identity=True)
    assert str(kept.PatientName) == name and kept.SpecificCharacterSet == "ISO_IR 192"
    assert errors_of(tmp_path / "seg.dcm") == []
    told = identity_of(find_source(source))
    assert name.split("^")[0] in told and "born 1960-02-29" in told and "examined 2024-01-02" in told


def test_measurements_report_refers_to_the_segmentation(exam: Exam, tmp_path: Path) -> None:
    source, grid, labels = exam
    export_dicom_seg(labels, grid, source, tmp_path / "seg.dcm", AUTHOR)
    measures = measure(labels, grid, ["t1c", "flair"])
    opened = open_source(find_source(source))
    write_measurements(tmp_path / "sr.dcm", tmp_path / "seg.dcm", measures, opened, AUTHOR)
    done = subprocess.run([tool("dciodvfy"), str(tmp_path / "sr.dcm")], capture_output=True, text=True)
    assert not [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]
    read = hd.sr.srread(tmp_path / "sr.dcm")
    seg = pydicom.dcmread(tmp_path / "seg.dcm")
    groups = read.content.get_volumetric_roi_measurement_groups()
    found = {group.tracking_identifier: group for group in groups}
    lesions = [f"ET lesion {lesion['number']}" for lesion in measures["lesions"]["ET"]]
    assert list(found) == ["NETC", "SNFH", "ET", *lesions, "RC"] and lesions
    for abbreviation, row in measures["structures"].items():
        group = found[abbreviation]
        assert group.reference_type == hd.sr.CodedConcept("121191", "DCM", "Referenced Segment")
        assert group.referenced_segment.referenced_sop_instance_uid == seg.SOPInstanceUID
        (volume,) = group.get_measurements()
        assert volume.value == row["volume_ml"] and volume.unit.value == "cm3"
    for item, name in zip(seg.SegmentSequence, ("NETC", "SNFH", "ET", "RC"), strict=True):
        assert found[name].tracking_uid == item.TrackingUID
    first = measures["lesions"]["ET"][0]
    values = {m.name.value: (m.value, m.unit.value) for m in found[lesions[0]].get_measurements()}
    assert list(values.values()) == [
        (first["volume_ml"], "cm3"), (first["longest_mm"], "mm"), (first["perpendicular_mm"], "mm"),
        (first["product_mm2"], "mm2"), (first["distance_to_cavity_mm"], "mm"),
    ]  # fmt: skip
    assert {"PRODUCT", "CAVITY-DISTANCE"} < set(values)
    (evaluation,) = found[lesions[0]].get_qualitative_evaluations()
    assert (evaluation.value.meaning == "Yes") is first["measurable"]
    assert read.StudyInstanceUID == seg.StudyInstanceUID and read.PatientID == ""
    with pytest.raises(InputRefused, match="nothing to report"):
        blind = {
            **measures,
            "structures": {n: {**r, "assessable": False} for n, r in measures["structures"].items()},
        }
        write_measurements(tmp_path / "x.dcm", tmp_path / "seg.dcm", blind, opened, AUTHOR)
