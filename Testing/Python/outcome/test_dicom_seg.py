"""DICOM segmentations, read back by other people's programs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from shapes import grid_of

from GliomaSegLib.errors import InputRefused, OutputRefused
from GliomaSegLib.intake.dicom_stack import read_series
from GliomaSegLib.intake.volume import Grid
from GliomaSegLib.labels import CODING_SCHEME, STRUCTURES
from GliomaSegLib.outcome.dicom_export import corrected_by, export_dicom_seg
from GliomaSegLib.outcome.dicom_seg import SegmentationAuthor, write_fractional_seg
from GliomaSegLib.outcome.dicom_source import find_source, labels_on_source, open_source
from GliomaSegLib.outcome.dicom_sr import write_measurements
from GliomaSegLib.outcome.measures import measure

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "intake"))
from dicom_files import write_classic, write_enhanced

AUTHOR = SegmentationAuthor("gliomaseg-small", "1.2.3", "ab" * 32)
ORIGIN = (-40.0, 25.5, 10.0)
SAGITTAL = (0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, -1.0, 0.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, -1.0, 0.0)


def turned(axes: tuple[float, ...], spacing: tuple[float, float, float]) -> Grid:
    return Grid((9, 14, 12), spacing, ORIGIN, axes)


# The eight classic layouts: grid, and the order in which the scanner numbered the slices.
LAYOUTS: dict[str, tuple[Grid, list[int]]] = {
    "axial": (grid_of((9, 14, 12), (1.0, 1.0, 1.0)), list(range(9))),
    "sagittal": (turned(SAGITTAL, (1.0, 1.0, 1.2)), list(range(9))),
    "coronal": (turned(CORONAL, (0.9, 0.9, 2.0)), list(range(9))),
    "oblique": (grid_of((9, 14, 12), (0.8, 0.8, 3.0), (15, 0, 0)), list(range(9))),
    "double oblique": (grid_of((9, 14, 12), (0.8, 0.8, 3.0), (12, -20, 33)), list(range(9))),
    "reversed": (grid_of((9, 14, 12), (1.0, 1.0, 2.0), (5, 0, 0)), list(range(8, -1, -1))),
    "interleaved": (grid_of((9, 14, 12), (0.9, 0.9, 4.0)), [0, 2, 4, 6, 8, 1, 3, 5, 7]),
    "5 mm, uneven pixels": (grid_of((9, 14, 12), (0.6, 1.1, 5.0), (0, 8, 0)), list(range(9))),
}


def labels_of(grid: Grid) -> np.ndarray:
    """Every structure, nothing symmetric, the edges of the volume touched, two slices empty."""
    labels = np.random.default_rng(5).choice([0, 1, 2, 3, 4], grid.shape, p=[0.6, 0.1, 0.1, 0.1, 0.1])
    labels[[3, 7]] = 0
    return labels.astype(np.uint8)


def write_series(folder: Path, grid: Grid, order: list[int] | None = None, **tags: Any) -> Path:
    tags = {
        "FrameOfReferenceUID": generate_uid(),
        "StudyInstanceUID": generate_uid(),
        "StudyDate": "20240102",
        "StudyDescription": "SECRET-STUDY",
        "InstitutionName": "SECRET-PLACE",
        **tags,
    }
    array = np.random.default_rng(1).integers(0, 900, grid.shape)
    write_classic(folder, array, grid, slices=order, **tags)
    return folder


def tool(name: str) -> str:
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if not found:
        pytest.skip(f"{name} is not installed")
    return found


def errors_of(path: Path) -> list[str]:
    """What dciodvfy calls an error."""
    done = subprocess.run([tool("dciodvfy"), str(path)], capture_output=True, text=True, timeout=60)
    lines = (done.stdout + done.stderr).splitlines()
    assert "Segmentation" in lines
    return [line for line in lines if line.startswith("Error")]


def read_by_dcmqi(path: Path, folder: Path, grid: Grid) -> np.ndarray:
    """The label map (z, y, x) on ``grid`` by dcmqi, which names segments in a JSON file."""
    folder.mkdir()
    subprocess.run(
        [tool("segimage2itkimage"), "--inputDICOM", path, "--outputDirectory", folder, "-t", "nrrd"],
        check=True,
        capture_output=True,
        timeout=60,
    )
    numbers = {s.name: s.number for s in STRUCTURES}
    labels = np.zeros(grid.shape, np.uint8)
    reference = grid.image(labels)
    for group in json.loads((folder / "meta.json").read_text())["segmentAttributes"]:
        for segment in group:
            image = sitk.ReadImage(str(folder / f"{segment['labelID']}.nrrd"))
            # The grid may be smaller or begin elsewhere, but must fit voxel on voxel.
            start = np.array(reference.TransformPhysicalPointToContinuousIndex(image.GetOrigin()))
            assert np.allclose(start, np.round(start), atol=0.01), start
            placed = sitk.GetArrayFromImage(
                sitk.Resample(image, reference, sitk.Transform(), sitk.sitkNearestNeighbor, 0)
            )
            assert (placed > 0).sum() == (sitk.GetArrayFromImage(image) > 0).sum()
            labels[placed > 0] = numbers[segment["SegmentLabel"]]
    return labels


def read_by_highdicom(path: Path, sources: list[Dataset]) -> np.ndarray:
    """The label map (z, y, x), slices in the order of ``sources``, by highdicom."""
    segmentation = hd.seg.segread(path)
    numbers = {s.name: s.number for s in STRUCTURES}
    table = {
        n: numbers[segmentation.get_segment_description(n).segment_label]
        for n in segmentation.segment_numbers
    }
    read = segmentation.get_pixels_by_source_instance(
        [s.SOPInstanceUID for s in sources], combine_segments=True, ignore_spatial_locations=True,
        assert_missing_frames_are_empty=True,
    )  # fmt: skip
    return np.vectorize(lambda n: table.get(n, 0), otypes=[np.uint8])(read)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_two_other_readers_give_back_every_voxel(layout: str, tmp_path: Path) -> None:
    written, order = LAYOUTS[layout]
    source = write_series(tmp_path / "series", written, order)
    # The volume as intake reads it: its slices run along the normal, whatever the files' order.
    grid = read_series(find_source(source), "t1c").grid
    labels = labels_of(grid)
    export_dicom_seg(labels, grid, source, tmp_path / "seg.dcm", AUTHOR)
    assert errors_of(tmp_path / "seg.dcm") == []
    assert np.array_equal(read_by_dcmqi(tmp_path / "seg.dcm", tmp_path / "dcmqi", grid), labels)
    ordered = open_source(find_source(source)).images
    assert np.array_equal(read_by_highdicom(tmp_path / "seg.dcm", list(ordered)), labels)


def test_an_enhanced_multi_frame_source_works_too(tmp_path: Path) -> None:
    grid = grid_of((9, 14, 12), (0.8, 0.8, 3.0), (12, -20, 33))
    file = tmp_path / "series" / "one.dcm"
    array = np.random.default_rng(1).integers(0, 900, grid.shape)
    uids = {"FrameOfReferenceUID": generate_uid(), "StudyInstanceUID": generate_uid()}
    write_enhanced(file, array, grid, [4, 0, 8, 2, 6, 1, 3, 5, 7], **uids)
    labels = labels_of(grid)
    export_dicom_seg(labels, grid, file, tmp_path / "seg.dcm", AUTHOR)
    assert errors_of(tmp_path / "seg.dcm") == []
    assert np.array_equal(read_by_dcmqi(tmp_path / "seg.dcm", tmp_path / "dcmqi", grid), labels)


@pytest.fixture
def exam(tmp_path: Path) -> tuple[Path, Grid, np.ndarray]:
    grid = grid_of((9, 14, 12), (1.0, 1.0, 3.0), (5, 0, 0))
    return write_series(tmp_path / "series", grid), grid, labels_of(grid)


def exported(exam: tuple[Path, Grid, np.ndarray], path: Path, **options: Any) -> Dataset:
    source, grid, labels = exam
    export_dicom_seg(labels, grid, source, path, options.pop("author", AUTHOR), **options)
    return pydicom.dcmread(path)


def test_study_references_and_codes(exam: tuple[Path, Grid, np.ndarray], tmp_path: Path) -> None:
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


def test_only_present_structures_become_segments(exam: tuple[Path, Grid, np.ndarray], tmp_path: Path) -> None:
    source, grid, labels = exam
    some = np.where(np.isin(labels, [1, 3]), labels, 0).astype(np.uint8)
    written = exported((source, grid, some), tmp_path / "seg.dcm")
    assert [s.SegmentLabel for s in written.SegmentSequence] == [STRUCTURES[0].name, STRUCTURES[2].name]
    assert "CodingSchemeIdentificationSequence" not in written  # no private code, nothing to define
    with pytest.raises(InputRefused, match="empty"):
        exported((source, grid, np.zeros_like(labels)), tmp_path / "none.dcm")
    assert not (tmp_path / "none.dcm").exists()


def test_what_a_person_changed_is_semiautomatic(exam: tuple[Path, Grid, np.ndarray], tmp_path: Path) -> None:
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


def test_identity_stays_out_unless_asked(exam: tuple[Path, Grid, np.ndarray], tmp_path: Path) -> None:
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


def test_probabilities_as_fractions(exam: tuple[Path, Grid, np.ndarray], tmp_path: Path) -> None:
    source, grid, _ = exam
    rng = np.random.default_rng(2)
    values = (rng.integers(0, 256, grid.shape) / 255).astype(np.float32)
    opened = open_source(find_source(source))
    write_fractional_seg(tmp_path / "f.dcm", {"ET": values, "RC": values * 0}, opened, AUTHOR)
    written = pydicom.dcmread(tmp_path / "f.dcm")
    assert (written.SegmentationType, written.SegmentationFractionalType) == ("FRACTIONAL", "PROBABILITY")
    assert [s.SegmentLabel for s in written.SegmentSequence] == [STRUCTURES[2].name]
    heights = [
        float(
            np.dot(
                f.PlanePositionSequence[0].ImagePositionPatient, np.reshape(grid.direction_lps, (3, 3))[:, 2]
            )
        )
        for f in written.PerFrameFunctionalGroupsSequence
    ]
    levels = np.round(values * 255).astype(np.uint8)
    assert np.array_equal(written.pixel_array[np.argsort(heights)], levels)
    assert errors_of(tmp_path / "f.dcm") == []


@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 0, 1), (1, 2, 0), (0, 2, 1)])
@pytest.mark.parametrize("flips", [(False, False, False), (True, False, True), (False, True, True)])
def test_labels_with_other_axes_come_back_voxel_for_voxel(
    exam: tuple[Path, Grid, np.ndarray], axes: tuple[int, ...], flips: tuple[bool, ...]
) -> None:
    source, grid, labels = exam
    image = sitk.PermuteAxes(sitk.Flip(grid.image(labels), list(flips)), list(axes))
    other = sitk.GetArrayFromImage(image)
    back = labels_on_source(other, Grid.of_image(image), open_source(find_source(source)))
    assert np.array_equal(back, labels)


def drop(folder: Path, grid: Grid) -> None:
    next(p for p in folder.iterdir() if pydicom.dcmread(p).InstanceNumber == 4).unlink()


def no_frame_of_reference(folder: Path, grid: Grid) -> None:
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        del dataset.FrameOfReferenceUID
        dataset.save_as(path)


def mixed_orientations(folder: Path, grid: Grid) -> None:
    first = pydicom.dcmread(next(folder.iterdir()))
    across = turned(SAGITTAL, (1.0, 1.0, 1.0))
    write_classic(
        folder, np.ones(across.shape), across, series_uid=first.SeriesInstanceUID, prefix="s",
        StudyInstanceUID=first.StudyInstanceUID, FrameOfReferenceUID=first.FrameOfReferenceUID,
    )  # fmt: skip


def tilted(folder: Path, grid: Grid) -> None:
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        place = np.array(dataset.ImagePositionPatient, float)
        rows = np.array(dataset.ImageOrientationPatient[3:], float)
        dataset.ImagePositionPatient = [float(v) for v in place + rows * 0.8 * dataset.InstanceNumber]
        dataset.save_as(path)


def two_series(folder: Path, grid: Grid) -> None:
    write_series(folder / "more", grid, SeriesNumber=7)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (drop, "lacks 1 of 9 slices"),
        (no_frame_of_reference, "no frame of reference"),
        (mixed_orientations, "holds 2 series .*stack 2"),
        (tilted, "gantry tilt"),
        (two_series, "holds 2 series"),
    ],
)
def test_sources_that_cannot_carry_a_segmentation(
    exam: tuple[Path, Grid, np.ndarray],
    damage: Callable[[Path, Grid], None],
    sentence: str,
    tmp_path: Path,
) -> None:
    source, grid, labels = exam
    damage(source, grid)
    with pytest.raises(InputRefused, match=sentence):
        export_dicom_seg(labels, grid, source, tmp_path / "seg.dcm", AUTHOR)
    assert not (tmp_path / "seg.dcm").exists()


def test_other_refusals(exam: tuple[Path, Grid, np.ndarray], tmp_path: Path) -> None:
    source, grid, labels = exam
    shifted = Grid(grid.shape, grid.spacing_mm, (0.0, 0.0, 0.0), grid.direction_lps)
    with pytest.raises(InputRefused, match="another grid"):
        export_dicom_seg(labels, shifted, source, tmp_path / "seg.dcm", AUTHOR)
    with pytest.raises(InputRefused, match="does not exist"):
        export_dicom_seg(labels, grid, tmp_path / "nowhere", tmp_path / "seg.dcm", AUTHOR)
    (tmp_path / "there.dcm").write_bytes(b"mine")
    with pytest.raises(OutputRefused, match="--overwrite"):
        export_dicom_seg(labels, grid, source, tmp_path / "there.dcm", AUTHOR)
    assert (tmp_path / "there.dcm").read_bytes() == b"mine"
    with pytest.raises(OutputRefused, match="is a folder"):
        export_dicom_seg(labels, grid, source, tmp_path, AUTHOR)
    with pytest.raises(OutputRefused, match="create it first"):
        export_dicom_seg(labels, grid, source, tmp_path / "new/seg.dcm", AUTHOR)


def test_measurements_report_refers_to_the_segmentation(
    exam: tuple[Path, Grid, np.ndarray], tmp_path: Path
) -> None:
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
    values = [m.value for m in found[lesions[0]].get_measurements()]
    first = measures["lesions"]["ET"][0]
    assert values == [first["volume_ml"], first["longest_mm"], first["perpendicular_mm"]]
    assert read.StudyInstanceUID == seg.StudyInstanceUID and read.PatientID == ""
    with pytest.raises(InputRefused, match="nothing to report"):
        blind = {
            **measures,
            "structures": {n: {**r, "assessable": False} for n, r in measures["structures"].items()},
        }
        write_measurements(tmp_path / "x.dcm", tmp_path / "seg.dcm", blind, opened, AUTHOR)
