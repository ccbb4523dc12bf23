"""A series for a volume that has none: geometry and greys kept, everything else said to be invented."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_cases import tool

from GliomaSegLib.errors import InputRefused
from GliomaSegLib.intake.dicom_stack import read_series
from GliomaSegLib.intake.volume import Grid
from GliomaSegLib.outcome.dicom_export import export_dicom_seg
from GliomaSegLib.outcome.dicom_invented import INVENTED_ID, write_series
from GliomaSegLib.outcome.dicom_seg import SegmentationAuthor
from GliomaSegLib.outcome.dicom_source import find_source

COSINE, SINE = float(np.cos(0.3)), float(np.sin(0.3))
OBLIQUE = (COSINE, -SINE, 0.0, SINE, COSINE, 0.0, 0.0, 0.0, 1.0)
LEFT_HANDED = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, -1.0)


def grid(direction: tuple[float, ...]) -> Grid:
    """Six slices at places with more digits than DICOM's decimal strings hold."""
    return Grid((6, 8, 10), (0.94999999, 0.95, 3.0000001), (1.123456789012, -2.0, 3.0), direction)


@pytest.fixture
def array() -> np.ndarray:
    """Grey values with a sign and a fraction."""
    return np.random.default_rng(0).normal(0, 1, (6, 8, 10)).astype(np.float32)


@pytest.mark.parametrize("direction", [OBLIQUE, LEFT_HANDED], ids=["oblique", "left-handed"])
def test_a_segmentation_lies_on_the_made_series_voxel_for_voxel(
    tmp_path: Path, array: np.ndarray, direction: tuple[float, ...]
) -> None:
    labels = np.zeros(array.shape, np.uint8)
    labels[2:4, 2:5, 3:6], labels[0, 0, 0] = 4, 2
    (tmp_path / "series").mkdir()
    write_series(tmp_path / "series", array, grid(direction), "Reference")
    path = tmp_path / "seg.dcm"
    author = SegmentationAuthor()
    export_dicom_seg(labels, grid(direction), tmp_path / "series", path, author, keep_identity=True)
    seg = pydicom.dcmread(path)
    assert seg.PatientID == INVENTED_ID
    assert int(seg.pixel_array.sum()) == np.count_nonzero(labels)
    read = read_series(find_source(tmp_path / "series"), "The series")
    corners = np.sort(read.grid.corners_lps_mm(), axis=0)
    np.testing.assert_allclose(corners, np.sort(grid(direction).corners_lps_mm(), axis=0), atol=1e-5)


def test_greys_can_be_computed_back_and_the_header_says_how(tmp_path: Path, array: np.ndarray) -> None:
    write_series(tmp_path, array, grid(OBLIQUE), "Reference")
    files = [pydicom.dcmread(tmp_path / f"{number + 1:04d}.dcm") for number in range(6)]
    low, step = files[0].DerivationDescription.partition("value = ")[2].removesuffix(" * stored").split(" + ")
    back = np.stack([file.pixel_array for file in files]) * float(step) + float(low)
    assert np.abs(back - array).max() <= float(step)
    assert {file.StudyDescription for file in files} == {"Invented by GliomaSeg"}
    assert len({file.SOPInstanceUID for file in files}) == 6
    assert (
        len({(file.StudyInstanceUID, file.SeriesInstanceUID, file.FrameOfReferenceUID) for file in files})
        == 1
    )


def test_the_series_keeps_to_the_standard(tmp_path: Path, array: np.ndarray) -> None:
    write_series(tmp_path, array, grid(OBLIQUE), "Reference")
    checked = subprocess.run(
        [tool("dciodvfy"), str(tmp_path / "0001.dcm")], capture_output=True, text=True, timeout=60
    )
    lines = (checked.stdout + checked.stderr).splitlines()
    assert "MRImage" in lines
    assert [line for line in lines if line.startswith("Error")] == []


def test_values_that_dicom_can_not_hold_are_refused(tmp_path: Path, array: np.ndarray) -> None:
    array[0, 0, 0] = np.nan
    with pytest.raises(InputRefused, match="not numbers"):
        write_series(tmp_path, array, grid(OBLIQUE), "Reference")
    with pytest.raises(InputRefused, match="different sizes"):
        write_series(tmp_path, np.zeros((2, 2, 2), np.float32), grid(OBLIQUE), "Reference")


def test_a_constant_volume_is_no_division_by_zero(tmp_path: Path) -> None:
    write_series(tmp_path, np.full((6, 8, 10), 7.0, np.float32), grid(OBLIQUE), "Reference")
    assert not pydicom.dcmread(tmp_path / "0001.dcm").pixel_array.any()
