"""Damaged files and NIfTI headers that ITK would take without a word."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from GliomaSegLib.errors import InputRefused
from GliomaSegLib.intake.integrity import checked_nifti
from GliomaSegLib.intake.reading import read_volume

SHAPE = (20, 24, 28)


@pytest.fixture(scope="module")
def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 2000, SHAPE).astype(np.int16)


def written(path: Path, array: np.ndarray, compress: bool) -> bytes:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((1.0, 1.1, 3.0))
    image.SetOrigin((-10.0, 5.0, 7.0))
    sitk.WriteImage(image, str(path), compress)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("name", "compress"),
    [
        ("a.nii", False),
        ("a.nii.gz", True),
        ("a.nrrd", False),
        ("a.nrrd", True),
        ("a.mha", False),
        ("a.mha", True),
    ],
)
@pytest.mark.parametrize("kept", [0.001, 0.05, 0.5, 0.9, 0.999])
def test_a_cut_file_is_refused(
    tmp_path: Path, noise: np.ndarray, name: str, compress: bool, kept: float
) -> None:
    path = tmp_path / name
    data = written(path, noise, compress)
    path.write_bytes(data[: max(1, int(len(data) * kept))])
    with pytest.raises(InputRefused, match=r"T1 \(a\."):
        read_volume(path, "t1")


@pytest.mark.parametrize("lost", [1, 4, 8])
def test_a_gzip_without_its_checksum_is_refused(tmp_path: Path, noise: np.ndarray, lost: int) -> None:
    path = tmp_path / "a.nii.gz"
    path.write_bytes(written(path, noise, True)[:-lost])
    with pytest.raises(InputRefused, match="ends too early"):
        read_volume(path, "t1")


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nrrd", "a.mha"])
@pytest.mark.parametrize("place", [0.3, 0.6, 0.9])
def test_one_wrong_byte_in_compressed_voxels_is_refused(
    tmp_path: Path, noise: np.ndarray, name: str, place: float
) -> None:
    path = tmp_path / name
    data = bytearray(written(path, noise, True))
    data[int(len(data) * place)] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(InputRefused, match=r"damaged|ends too early"):
        read_volume(path, "t1")


@pytest.fixture
def nifti(tmp_path: Path, noise: np.ndarray) -> Callable[..., Path]:
    """Writes a NIfTI with bytes of its header replaced: (format, offset, values...) triples."""
    plain = written(tmp_path / "plain.nii", noise, False)

    def edited(*edits: tuple) -> Path:
        data = bytearray(plain)
        for code, offset, *values in edits:
            struct.pack_into("<" + code, data, offset, *values)
        path = tmp_path / "edited.nii"
        path.write_bytes(data)
        return path

    return edited


SFORM_ONLY = ("2h", 252, 0, 1)


@pytest.mark.parametrize(
    ("edits", "words"),
    [
        ([("8h", 40, 3, 28, 24, 0, 1, 1, 1, 1)], "one of its axes has no voxel"),
        ([("8h", 40, 3, 28, 24, -20, 1, 1, 1, 1)], "one of its axes has no voxel"),
        ([("8h", 40, 0, 28, 24, 20, 1, 1, 1, 1)], "one of its axes has no voxel"),
        ([("8h", 40, 3, 32000, 32000, 20, 1, 1, 1, 1)], "ends too early"),
        ([("8h", 40, 4, 28, 24, 10, 2, 1, 1, 1)], "series over time"),
        ([("8h", 40, 5, 28, 24, 10, 1, 2, 1, 1)], "2 numbers per voxel"),
        ([("2h", 70, 32, 64), ("8h", 40, 3, 14, 12, 13, 1, 1, 1, 1)], "2 numbers per voxel"),
        ([("f", 84, 0.0)], "voxel spacing of 1 x 0 x 3 mm"),
        ([("f", 84, float("nan"))], "voxel spacing of 1 x nan x 3 mm"),
        ([("B", 123, 1)], "no brain scan has"),  # metres
        ([("B", 123, 3)], "no brain scan has"),  # micrometres
        ([("2h", 70, 1, 1)], "damaged or of another format"),  # one bit a voxel
        ([SFORM_ONLY, ("12f", 280, 1, 0.3, 0, 0, 0, 1.1, 0, 0, 0, 0, 3, 0)], "not at right angles"),
    ],
)
def test_headers_that_itk_bends_are_refused(nifti: Callable[..., Path], edits: list, words: str) -> None:
    with pytest.raises(InputRefused, match=words):
        read_volume(nifti(*edits), "t1")


def test_slope_and_intercept_are_applied(nifti: Callable[..., Path], noise: np.ndarray) -> None:
    assert np.allclose(read_volume(nifti(("2f", 112, 2.5, -7.0)), "t1").array, noise * 2.5 - 7)


def test_slope_zero_means_no_scaling_at_all(nifti: Callable[..., Path], noise: np.ndarray) -> None:
    assert np.array_equal(read_volume(nifti(("2f", 112, 0.0, 9.0)), "t1").array, noise)


def test_a_nifti_without_position_is_taken_with_a_warning(nifti: Callable[..., Path]) -> None:
    volume = read_volume(nifti(("2h", 252, 0, 0)), "t1")
    assert len(volume.warnings) == 1 and "does not say how the patient lies" in volume.warnings[0]


@pytest.mark.parametrize(("codes", "used"), [((1, 2), "qform"), ((0, 1), None), ((1, 0), None)])
def test_two_positions_that_differ_are_told(
    nifti: Callable[..., Path], codes: tuple[int, int], used: str | None
) -> None:
    path = nifti(("2h", 252, *codes), ("12f", 280, -1, 0, 0, 50, 0, 1.1, 0, 0, 0, 0, 3, 0))
    warnings = read_volume(path, "t1").warnings
    if used is None:
        assert warnings == ()
    else:
        assert len(warnings) == 1 and f"the {used} was used" in warnings[0]


def test_a_sheared_sform_beside_a_good_qform_is_told(nifti: Callable[..., Path]) -> None:
    path = nifti(("2h", 252, 1, 1), ("12f", 280, 1, 0.3, 0, 0, 0, 1.1, 0, 0, 0, 0, 3, 0))
    assert "the qform was used" in read_volume(path, "t1").warnings[0]


def test_a_big_endian_file_is_read_and_its_missing_end_noticed(tmp_path: Path, noise: np.ndarray) -> None:
    nibabel = pytest.importorskip("nibabel")
    header = nibabel.Nifti1Header(endianness=">")
    header.set_data_dtype(np.float32)
    array = noise.astype(np.float32)
    array[3, 4, 5] = np.nan
    path = tmp_path / "big.nii"
    nibabel.save(nibabel.Nifti1Image(array.transpose(2, 1, 0), np.diag([-1.0, -1.1, 3.0, 1.0]), header), path)
    volume = read_volume(path, "t1")
    assert np.array_equal(volume.array, np.nan_to_num(array))
    assert "1 of 13440 voxels" in volume.warnings[0]
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputRefused, match="ends too early"):
        read_volume(path, "t1")


def test_nifti2_is_refused_by_its_name(tmp_path: Path, noise: np.ndarray) -> None:
    nibabel = pytest.importorskip("nibabel")
    nibabel.save(nibabel.Nifti2Image(noise, np.eye(4)), tmp_path / "n2.nii.gz")
    with pytest.raises(InputRefused, match="is NIfTI-2"):
        read_volume(tmp_path / "n2.nii.gz", "t1")


def test_the_quaternion_is_read_as_itk_reads_it(tmp_path: Path, noise: np.ndarray) -> None:
    """sform and qform written by ITK for an oblique, left-handed grid say the same."""
    image = sitk.GetImageFromArray(noise)
    image.SetDirection((0.8, 0.6, 0.0, -0.6, 0.8, 0.0, 0.0, 0.0, -1.0))
    image.SetSpacing((0.9, 1.1, 3.0))
    image.SetOrigin((5.0, -6.0, 7.0))
    sitk.WriteImage(image, str(tmp_path / "q.nii"))
    header, _ = checked_nifti(tmp_path / "q.nii", "T1")
    assert header.qform_ras is not None and header.sform_ras is not None
    assert np.allclose(header.qform_ras, header.sform_ras, atol=1e-4)
    assert read_volume(tmp_path / "q.nii", "t1").warnings == ()
