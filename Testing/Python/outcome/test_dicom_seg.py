"""DICOM segmentations, read back voxel for voxel by other people's programs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_cases import AUTHOR, LAYOUTS, Exam, errors_of, labels_of, tool, write_series
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from shapes import grid_of

from GliomaSegLib.intake.dicom_stack import read_series
from GliomaSegLib.intake.volume import Grid
from GliomaSegLib.labels import STRUCTURES
from GliomaSegLib.outcome.dicom_export import export_dicom_seg
from GliomaSegLib.outcome.dicom_seg import write_fractional_seg
from GliomaSegLib.outcome.dicom_source import find_source, labels_on_source, open_source

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "intake"))
from dicom_files import write_enhanced


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


def test_probabilities_as_fractions(exam: Exam, tmp_path: Path) -> None:
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
    exam: Exam, axes: tuple[int, ...], flips: tuple[bool, ...]
) -> None:
    source, grid, labels = exam
    image = sitk.PermuteAxes(sitk.Flip(grid.image(labels), list(flips)), list(axes))
    other = sitk.GetArrayFromImage(image)
    back = labels_on_source(other, Grid.of_image(image), open_source(find_source(source)))
    assert np.array_equal(back, labels)
