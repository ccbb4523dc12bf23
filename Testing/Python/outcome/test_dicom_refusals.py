"""Series that can't carry a segmentation, and targets that can't be written."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_cases import AUTHOR, SAGITTAL, Exam, turned, write_series

from GliomaSegLib.errors import InputRefused, OutputRefused
from GliomaSegLib.intake.volume import Grid
from GliomaSegLib.outcome.dicom_export import export_dicom_seg

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "intake"))
from dicom_files import write_classic


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
    exam: Exam,
    damage: Callable[[Path, Grid], None],
    sentence: str,
    tmp_path: Path,
) -> None:
    source, grid, labels = exam
    damage(source, grid)
    with pytest.raises(InputRefused, match=sentence):
        export_dicom_seg(labels, grid, source, tmp_path / "seg.dcm", AUTHOR)
    assert not (tmp_path / "seg.dcm").exists()


def test_other_refusals(exam: Exam, tmp_path: Path) -> None:
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
