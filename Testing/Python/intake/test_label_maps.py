"""Reading label maps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from GliomaSegLib.errors import InputRefused
from GliomaSegLib.intake.label_maps import read_label_map


def written(path: Path, array: np.ndarray, is_vector: bool = False) -> Path:
    image = sitk.GetImageFromArray(array, isVector=is_vector)
    sitk.WriteImage(image, str(path))
    return path


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.float64])
def test_whole_numbers_are_read_whatever_they_are_stored_as(tmp_path: Path, dtype: type) -> None:
    labels = np.arange(24).reshape(2, 3, 4) % 5
    made, grid = read_label_map(written(tmp_path / "seg.nii.gz", labels.astype(dtype)))
    assert made.dtype == np.uint8 and np.array_equal(made, labels) and grid.shape == (2, 3, 4)


@pytest.mark.parametrize(
    "array",
    [
        np.full((2, 2, 2), 0.5, np.float32),
        np.full((2, 2, 2), -1, np.int16),
        np.full((2, 2, 2), 256, np.int16),
        np.full((2, 2, 2), 1000.0, np.float32),
    ],
)
def test_other_numbers_are_refused(tmp_path: Path, array: np.ndarray) -> None:
    with pytest.raises(InputRefused, match=r"seg\.nrrd holds more than the whole numbers 0 to 255"):
        read_label_map(written(tmp_path / "seg.nrrd", array))


@pytest.mark.filterwarnings("ignore:invalid value")
def test_nan_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputRefused, match="whole numbers"):
        read_label_map(written(tmp_path / "seg.nrrd", np.full((2, 2, 2), np.nan, np.float32)))


def test_what_is_no_single_volume_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputRefused, match="not one 3D volume"):
        read_label_map(written(tmp_path / "rgb.nrrd", np.zeros((2, 2, 2, 3), np.uint8), True))
    with pytest.raises(InputRefused, match="not one 3D volume"):
        read_label_map(written(tmp_path / "flat.nrrd", np.zeros((4, 4), np.uint8)))
    with pytest.raises(InputRefused, match=r"gone\.nii\.gz does not exist"):
        read_label_map(tmp_path / "gone.nii.gz")
    (tmp_path / "cut.nii.gz").write_bytes(b"\x1f\x8b nothing")
    with pytest.raises(InputRefused, match=r"cut\.nii\.gz is damaged"):
        read_label_map(tmp_path / "cut.nii.gz")


@pytest.mark.parametrize("name", ["cut.nii", "cut.nii.gz", "cut.mha", "cut.nrrd"])
def test_a_label_map_that_ends_too_early_is_refused(tmp_path: Path, name: str) -> None:
    labels = np.random.default_rng(1).integers(0, 5, (12, 12, 12)).astype(np.uint8)
    path = written(tmp_path / name, labels)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputRefused, match="The label map cut"):
        read_label_map(path)


def test_nan_in_nifti_which_itk_reads_as_0_is_refused(tmp_path: Path) -> None:
    labels = np.zeros((4, 4, 4), np.float32)
    labels[1, 2, 3] = np.nan
    with pytest.raises(InputRefused, match=r"seg\.nii\.gz holds values that are not numbers"):
        read_label_map(written(tmp_path / "seg.nii.gz", labels))
