"""DICOM series read by geometry; what is missing, doubled or of another kind gets its sentence."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

pytest.importorskip("pydicom", reason="pydicom is not installed")

import pydicom
from dicom_files import place, write_classic, write_enhanced

from GliomaSegLib.errors import InputRefused
from GliomaSegLib.intake.dicom import find_series, is_dicom, series_of_file
from GliomaSegLib.intake.dicom_stack import read_series
from GliomaSegLib.intake.exam import read_any
from GliomaSegLib.intake.roles import guess
from GliomaSegLib.intake.volume import Grid, Volume

OBLIQUE = tuple(float(v) for v in Rotation.from_euler("zyx", [20, -15, 10], degrees=True).as_matrix().ravel())
GRID = Grid((9, 14, 12), (0.9, 1.1, 3.3), (-20.0, 33.0, 7.5), OBLIQUE)
ARRAY = np.random.default_rng(2).integers(-50, 900, GRID.shape).astype(np.int16)


def read(folder: Path, role: str = "t1c") -> Volume:
    (series,), _ = find_series(folder)
    return read_series(series, role)


def test_a_classic_series_comes_back_sorted_by_place(tmp_path: Path) -> None:
    write_classic(tmp_path, ARRAY, GRID)
    volume = read(tmp_path)
    assert np.array_equal(volume.array, ARRAY)
    assert volume.grid.matches(GRID, 1e-3)
    assert volume.warnings == ()
    assert volume.name == "T1c (series 3)"


def test_rescaling_is_applied(tmp_path: Path) -> None:
    write_classic(tmp_path, ARRAY, GRID, RescaleSlope=2.5, RescaleIntercept=-7)
    assert np.allclose(read(tmp_path).array, ARRAY * 2.5 - 7)


@pytest.mark.parametrize("order", [range(9), range(8, -1, -1), [0, 2, 4, 6, 8, 1, 3, 5, 7]])
def test_an_enhanced_file_comes_back_whatever_its_frame_order(tmp_path: Path, order: list[int]) -> None:
    write_enhanced(tmp_path / "e.dcm", ARRAY, GRID, list(order))
    volume = read(tmp_path, "flair")
    assert np.array_equal(volume.array, ARRAY * 2.0 - 5)
    assert volume.grid.matches(GRID, 1e-3)
    (series,), _ = find_series(tmp_path)
    assert guess(series.facts).role == "flair"


def test_series_in_one_folder_are_kept_apart(tmp_path: Path) -> None:
    write_classic(tmp_path, ARRAY, GRID, prefix="a", SeriesNumber=3, SeriesDescription="T1 SE")
    write_classic(tmp_path, ARRAY + 1, GRID, prefix="b", SeriesNumber=2, SeriesDescription="T2 TSE")
    found, _ = find_series(tmp_path)
    assert [series.facts.number for series in found] == [2, 3]
    assert np.array_equal(read_series(found[0], "t2").array, ARRAY + 1)
    one_file = next(tmp_path.glob("a*"))
    (series,) = series_of_file(one_file, "T1")
    assert series.uid == found[1].uid


def test_other_files_and_damaged_ones_are_passed_over(tmp_path: Path) -> None:
    write_classic(tmp_path, ARRAY, GRID)
    (tmp_path / "readme.txt").write_text("no picture")
    (tmp_path / "broken.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\x02\x00\x00\x00UL\x04")
    found, warnings = find_series(tmp_path)
    assert len(found) == 1
    (warning,) = warnings
    assert warning.startswith(f"1 damaged DICOM file in {tmp_path.name} was passed over")
    assert is_dicom(next(tmp_path.glob("0*.dcm"))) and not is_dicom(tmp_path / "readme.txt")


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputRefused, match="holds no DICOM images"):
        find_series(tmp_path)


def test_a_missing_slice_is_refused_and_never_made_up(tmp_path: Path) -> None:
    write_classic(tmp_path, ARRAY, GRID, slices=[0, 1, 2, 3, 5, 6, 8])
    with pytest.raises(InputRefused, match="lacks 2 of 9 slices"):
        read(tmp_path)


def test_uneven_slices_are_refused(tmp_path: Path) -> None:
    moved = place(GRID, 4)
    toward = np.subtract(place(GRID, 5), place(GRID, 4)) * 0.3
    write_classic(tmp_path, ARRAY, GRID, positions={4: list(np.add(moved, toward))})
    with pytest.raises(InputRefused, match="unevenly spaced slices"):
        read(tmp_path)


def test_files_that_are_there_twice_are_read_once_with_a_word(tmp_path: Path) -> None:
    write_classic(tmp_path, ARRAY, GRID)
    for path in list(tmp_path.glob("*.dcm"))[:3]:
        shutil.copy(path, tmp_path / f"copy-{path.name}")
    volume = read(tmp_path)
    assert np.array_equal(volume.array, ARRAY)
    assert "3 files were there twice" in volume.warnings[0]


def test_two_echoes_in_one_series_are_two_candidates(tmp_path: Path) -> None:
    uid = write_classic(tmp_path, ARRAY, GRID, prefix="a", EchoTime=15.0, RepetitionTime=3000.0)
    write_classic(tmp_path, ARRAY + 1, GRID, series_uid=uid, prefix="b", EchoTime=90.0, RepetitionTime=3000.0)
    found, _ = find_series(tmp_path)
    assert [series.label for series in found] == ["series 3, stack 1", "series 3, stack 2"]
    assert [guess(series.facts).role for series in found] == [None, "t2"]
    assert np.array_equal(read_any(tmp_path, "t2").array, ARRAY + 1)
    one_file = next(tmp_path.glob("b*"))
    assert np.array_equal(read_any(one_file, "t1").array, ARRAY + 1)


def test_a_localiser_slice_in_another_plane_does_not_disturb(tmp_path: Path) -> None:
    uid = write_classic(tmp_path, ARRAY, GRID)
    scout = Grid((1, 14, 12), (0.9, 1.1, 3.3), (0.0, 0.0, 0.0), (0, 0, 1.0, 1.0, 0, 0, 0, 1.0, 0))
    write_classic(tmp_path, ARRAY[:1], scout, series_uid=uid, prefix="scout")
    assert np.array_equal(read(tmp_path).array, ARRAY)


def test_a_gantry_tilt_is_straightened_with_a_word(tmp_path: Path) -> None:
    """Slices that each start one pixel further along the rows: shifted by whole pixels, nothing is lost."""
    upright = Grid(GRID.shape, (1.0, 1.0, 3.0), (0.0, 0.0, 0.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))
    write_classic(tmp_path, ARRAY, upright, positions={z: [float(z), 0.0, 3.0 * z] for z in range(9)})
    volume = read(tmp_path)
    assert "sheared by a gantry tilt" in volume.warnings[0]
    assert volume.grid.shape == (9, 14, 12 + 8)
    for z in range(9):
        assert np.array_equal(volume.array[z, :, z : z + 12], ARRAY[z])
        assert not volume.array[z, :, :z].any()


def test_lossless_compression_is_read(tmp_path: Path) -> None:
    write_classic(tmp_path, ARRAY, GRID)
    for path in tmp_path.glob("*.dcm"):
        dataset = pydicom.dcmread(path)
        dataset.compress(pydicom.uid.RLELossless)
        dataset.save_as(path)
    assert np.array_equal(read(tmp_path).array, ARRAY)


def test_gdcm_reads_what_pydicom_has_no_decoder_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_classic(tmp_path, ARRAY, GRID, RescaleSlope=2.0, RescaleIntercept=-5)

    def no_decoder(self: pydicom.Dataset) -> np.ndarray:
        raise RuntimeError("Unable to decompress: all plugins are missing dependencies")

    monkeypatch.setattr(pydicom.Dataset, "pixel_array", property(no_decoder))
    assert np.allclose(read(tmp_path).array, ARRAY * 2.0 - 5)


def test_no_identity_reaches_the_volume_or_its_facts(tmp_path: Path) -> None:
    write_classic(tmp_path, ARRAY, GRID)
    (series,), _ = find_series(tmp_path)
    told = f"{series} {read_series(series, 't1')}"
    assert "Secret" not in told and "SECRET" not in told
