"""Reading one volume and one study: right geometry and values, or a sentence."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from GliomaSegLib.errors import InputRefused, UsageError
from GliomaSegLib.intake.preparation import resample
from GliomaSegLib.intake.reading import read_study, read_volume
from GliomaSegLib.intake.volume import Grid, Volume

SHAPE = (14, 18, 16)
OBLIQUE = tuple(Rotation.from_euler("zyx", [20, -15, 10], degrees=True).as_matrix().ravel())
FORMATS = ["nii", "nii.gz", "nrrd", "mha", "mhd", "nhdr"]


def picture(seed: int = 0, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """A smooth integer picture (z, y, x), so that interpolation can be checked."""
    z, y, x = np.indices(shape)
    return (100 + 3 * x + 5 * y + 7 * z + 10 * seed).astype(np.int16)


def image_of(array: np.ndarray, oblique: bool = True) -> sitk.Image:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((0.9, 1.1, 3.0))
    image.SetOrigin((-20.0, 33.0, 7.5))
    if oblique:
        image.SetDirection(OBLIQUE)
    return image


def written(path: Path, array: np.ndarray | None = None, oblique: bool = True) -> Path:
    sitk.WriteImage(image_of(picture() if array is None else array, oblique), str(path))
    return path


@pytest.mark.parametrize("ending", FORMATS)
def test_values_and_oblique_geometry_survive(tmp_path: Path, ending: str) -> None:
    volume = read_volume(written(tmp_path / f"scan.{ending}"), "t1c")
    assert volume.array.dtype == np.float32
    assert np.array_equal(volume.array, picture())
    assert volume.grid.matches(Grid.of_image(image_of(picture())), 1e-3)
    assert volume.name == f"T1c (scan.{ending})"
    assert volume.warnings == ()


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.int64, np.float32, np.float64])
@pytest.mark.parametrize("ending", ["nii.gz", "nrrd"])
def test_every_number_type_gives_the_same_float32(tmp_path: Path, dtype: type, ending: str) -> None:
    array = (picture() % 250).astype(dtype)
    assert np.array_equal(read_volume(written(tmp_path / f"a.{ending}", array), "t2").array, array)


def test_every_axis_order_and_flip_gives_the_same_points_in_space(tmp_path: Path) -> None:
    original = image_of(picture(), oblique=False)
    for code in ("LPS", "RAS", "PIR", "ASL", "SLP"):
        path = tmp_path / f"{code}.nii.gz"
        sitk.WriteImage(sitk.DICOMOrient(original, code), str(path))
        volume = read_volume(path, "t1")
        back = sitk.DICOMOrient(volume.image(), "LPS")
        assert np.array_equal(sitk.GetArrayFromImage(back), picture())
        assert np.allclose(back.GetOrigin(), original.GetOrigin(), atol=1e-3)


def test_nan_and_infinity_become_zero_with_a_warning(tmp_path: Path) -> None:
    array = picture().astype(np.float32)
    array[1, 2, 3], array[4, 5, 6] = np.nan, np.inf
    for name in ("holes.nii.gz", "holes.nrrd", "holes.mha"):
        volume = read_volume(written(tmp_path / name, array), "flair")
        assert volume.array[1, 2, 3] == 0 and volume.array[4, 5, 6] == 0
        assert volume.array[0, 0, 0] == 100
        assert len(volume.warnings) == 1
        assert f"FLAIR ({name}): 2 of 4032 voxels" in volume.warnings[0]


def test_numbers_beyond_float32_count_as_not_numbers(tmp_path: Path) -> None:
    array = picture().astype(np.float64)
    array[0, 0, 0] = 1e300
    volume = read_volume(written(tmp_path / "big.nrrd", array), "t1")
    assert volume.array[0, 0, 0] == 0 and len(volume.warnings) == 1


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.full(SHAPE, np.nan, np.float32), "no number at all"),
        (np.full(SHAPE, 7, np.int16), "is 7 everywhere"),
        (np.zeros((1, 18, 16), np.int16), "single slice"),
        (np.zeros((18, 16), np.int16), "single slice"),
    ],
)
@pytest.mark.parametrize("ending", ["nii.gz", "nrrd", "mha"])
def test_pictures_that_are_no_volume_are_refused(
    tmp_path: Path, array: np.ndarray, words: str, ending: str
) -> None:
    path = tmp_path / f"bad.{ending}"
    sitk.WriteImage(sitk.GetImageFromArray(array), str(path))
    with pytest.raises(InputRefused, match=words) as refusal:
        read_volume(path, "t1")
    assert str(refusal.value).startswith(f"T1 (bad.{ending})")


@pytest.mark.parametrize("ending", ["nii.gz", "nrrd", "mha"])
def test_time_series_and_colour_are_refused(tmp_path: Path, ending: str) -> None:
    series = sitk.JoinSeries([image_of(picture(i), oblique=False) for i in range(3)])
    sitk.WriteImage(series, str(tmp_path / f"time.{ending}"))
    with pytest.raises(InputRefused, match=r"series over time \(16 x 18 x 14 x 3\)"):
        read_volume(tmp_path / f"time.{ending}", "t1")
    colour = sitk.GetImageFromArray(np.stack([picture().astype(np.uint8)] * 3, axis=-1), isVector=True)
    sitk.WriteImage(colour, str(tmp_path / f"rgb.{ending}"))
    with pytest.raises(InputRefused, match="3 numbers per voxel"):
        read_volume(tmp_path / f"rgb.{ending}", "t1")


def test_a_fourth_axis_of_length_one_is_a_volume(tmp_path: Path) -> None:
    series = sitk.JoinSeries([image_of(picture(), oblique=False)])
    for ending in ("nii.gz", "nrrd"):
        sitk.WriteImage(series, str(tmp_path / f"one.{ending}"))
        assert np.array_equal(read_volume(tmp_path / f"one.{ending}", "t1").array, picture())


@pytest.mark.parametrize("spacing", [(25.0, 1.0, 1.0), (1.0, 0.001, 1.0), (1.0, 1.0, 20.0)])
def test_absurd_spacing_is_refused(tmp_path: Path, spacing: tuple[float, float, float]) -> None:
    image = image_of(picture(), oblique=False)
    image.SetSpacing(spacing)
    for ending in ("nii.gz", "nrrd", "mha"):
        sitk.WriteImage(image, str(tmp_path / f"s.{ending}"))
        with pytest.raises(InputRefused, match="no brain scan has"):
            read_volume(tmp_path / f"s.{ending}", "t1")


def test_a_head_longer_than_a_metre_is_refused(tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(np.arange(4 * 4 * 80, dtype=np.int16).reshape(4, 4, 80))
    image.SetSpacing((15.0, 1.0, 1.0))
    sitk.WriteImage(image, str(tmp_path / "long.nrrd"))
    with pytest.raises(InputRefused, match="1200 mm long"):
        read_volume(tmp_path / "long.nrrd", "t1")


def test_too_many_voxels_are_refused_before_they_are_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.mhd"
    path.write_text(
        "ObjectType = Image\nNDims = 3\nDimSize = 2048 2048 2048\nElementSpacing = 0.1 0.1 0.1\n"
        "ElementType = MET_SHORT\nElementDataFile = nowhere.raw\n"
    )
    with pytest.raises(InputRefused, match="too many for a brain scan"):
        read_volume(path, "t1")


@pytest.mark.parametrize(
    ("directions", "words"),
    [
        ("(1,0.2,0) (0,1.1,0) (0,0,3)", "not at right angles"),
        ("(1,0,0) (1,0,0) (0,0,3)", "no inverse"),
        ("(1,0,0) (0,0,0) (0,0,3)", "spacing of 0 mm"),
    ],
)
def test_impossible_axes_in_nrrd_are_refused(tmp_path: Path, directions: str, words: str) -> None:
    head = (
        "NRRD0004\ntype: short\ndimension: 3\nspace: left-posterior-superior\nsizes: 16 18 14\n"
        f"space directions: {directions}\nendian: little\nencoding: raw\nspace origin: (0,0,0)\n\n"
    )
    path = tmp_path / "axes.nrrd"
    path.write_bytes(head.encode() + picture().tobytes())
    with pytest.raises(InputRefused, match=words):
        read_volume(path, "t1c")


def test_missing_folder_and_foreign_files_get_their_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputRefused, match=r"T2 \(none.nii\) does not exist"):
        read_volume(tmp_path / "none.nii", "t2")
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(InputRefused, match=r"notes.txt\) is of a kind"):
        read_volume(tmp_path / "notes.txt", "t2")
    for name in ("junk.nii.gz", "junk.nii", "junk.nrrd", "junk.mha"):
        (tmp_path / name).write_bytes(b"this is not an image" * 50)
        with pytest.raises(InputRefused, match=r"no NIfTI file|damaged|another format"):
            read_volume(tmp_path / name, "t2")
        (tmp_path / name).write_bytes(b"")
        with pytest.raises(InputRefused, match="0 bytes"):
            read_volume(tmp_path / name, "t2")


def test_the_readers_own_words_stay_chained(tmp_path: Path) -> None:
    (tmp_path / "junk.nrrd").write_bytes(b"NRRD0004\nnonsense\n\n")
    with pytest.raises(InputRefused) as refusal:
        read_volume(tmp_path / "junk.nrrd", "t2")
    assert isinstance(refusal.value.__cause__, RuntimeError)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="the superuser may read everything")
def test_a_file_without_permission_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "locked.nii.gz")
    path.chmod(0)
    with pytest.raises(InputRefused, match="can't be opened"):
        read_volume(path, "t1")


def test_non_ascii_and_long_paths_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "Müller, 王 – Ångström"
    for _ in range(4):
        folder = folder / ("sehr langer Ordner " * 8).strip()
    folder.mkdir(parents=True)
    for ending in ("nii.gz", "nrrd", "mha"):
        path = written(folder / f"T1 nach Kontrastmittel é.{ending}")
        assert np.array_equal(read_volume(path, "t1c").array, picture())


def test_study_keeps_each_volume_on_its_grid_and_warns(tmp_path: Path) -> None:
    fine = image_of(picture(), oblique=False)
    coarse = sitk.Resample(
        fine, [8, 9, 14], sitk.Transform(), sitk.sitkLinear, (-19.6, 33.5, 7.5), (1.8, 2.2, 3.0)
    )
    sitk.WriteImage(fine, str(tmp_path / "t1c.nii.gz"))
    sitk.WriteImage(coarse, str(tmp_path / "flair.nrrd"))
    study = read_study({"flair": tmp_path / "flair.nrrd", "t1c": tmp_path / "t1c.nii.gz"}, "t1c")
    assert list(study.volumes) == ["t1c", "flair"]
    assert study.reference.grid.shape == SHAPE
    assert study.volumes["flair"].grid.shape == (14, 9, 8)
    assert [w for w in study.warnings if "were taken as aligned" in w] == list(study.warnings)


def test_study_on_one_grid_has_no_warning(tmp_path: Path) -> None:
    paths = {role: written(tmp_path / f"{role}.nii.gz", picture(i)) for i, role in enumerate(("t1", "t1c"))}
    assert read_study(paths, "t1").warnings == ()


def test_volumes_in_different_places_are_refused(tmp_path: Path) -> None:
    here = written(tmp_path / "here.nii.gz")
    far = image_of(picture(1))
    far.SetOrigin((200.0, 33.0, 7.5))
    sitk.WriteImage(far, str(tmp_path / "far.nii.gz"))
    with pytest.raises(InputRefused, match=r"T2 \(far.nii.gz\) and T1c \(here.nii.gz\) share only 0%"):
        read_study({"t1c": here, "t2": tmp_path / "far.nii.gz"}, "t1c")


def test_a_slab_is_taken_with_a_word_about_its_coverage(tmp_path: Path) -> None:
    whole = image_of(picture(), oblique=False)
    sitk.WriteImage(whole, str(tmp_path / "whole.nii.gz"))
    sitk.WriteImage(whole[:, :, 4:9] + 1, str(tmp_path / "slab.nii.gz"))
    study = read_study({"t1c": tmp_path / "whole.nii.gz", "t2": tmp_path / "slab.nii.gz"}, "t1c")
    assert any("T2 (slab.nii.gz) covers only" in w for w in study.warnings)


def test_the_same_file_or_the_same_picture_twice_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a.nii.gz")
    with pytest.raises(InputRefused, match=r"T1 and T1c are the same file \(a.nii.gz\)"):
        read_study({"t1": path, "t1c": tmp_path / "." / "a.nii.gz"}, "t1c")
    copy = written(tmp_path / "b.nrrd")
    with pytest.raises(InputRefused, match="same picture voxel for voxel"):
        read_study({"t1": path, "t1c": copy}, "t1c")


@pytest.mark.parametrize("labels", [(0, 1, 2, 3, 4), (0, 1), (0, 255)])
def test_a_label_map_or_mask_given_as_a_scan_is_refused_by_name(
    tmp_path: Path, labels: tuple[int, ...]
) -> None:
    path = written(tmp_path / "flair.nii.gz")
    rng = np.random.default_rng(3)
    sitk.WriteImage(
        image_of(rng.choice(labels, picture().shape).astype(np.uint8)), str(tmp_path / "seg.nii.gz")
    )
    told = rf"^T1c \(seg.nii.gz\) holds only {len(labels)} different whole numbers, as a label map or a mask"
    with pytest.raises(InputRefused, match=told):
        read_study({"t1c": tmp_path / "seg.nii.gz", "flair": path}, "flair")


def test_a_coarse_scan_and_one_of_few_fractions_are_taken(tmp_path: Path) -> None:
    """Thirteen whole numbers, or five that are not whole, may come from a scan."""
    rng = np.random.default_rng(4)
    coarse = rng.choice(13, picture().shape).astype(np.float32)
    fractions = rng.choice([0.0, 0.25, 0.5, 0.75, 1.0], picture().shape).astype(np.float32)
    sitk.WriteImage(image_of(coarse), str(tmp_path / "a.nii.gz"))
    sitk.WriteImage(image_of(fractions), str(tmp_path / "b.nii.gz"))
    study = read_study({"t1c": tmp_path / "a.nii.gz", "flair": tmp_path / "b.nii.gz"}, "t1c")
    assert set(study.volumes) == {"t1c", "flair"}


def test_a_reference_that_was_not_given_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no FLAIR was given"):
        read_study({"t1": written(tmp_path / "a.nii.gz")}, "flair")


def test_resampling_keeps_a_linear_picture_in_place(tmp_path: Path) -> None:
    """A picture linear in physical space is reproduced exactly by linear interpolation, on any grid."""
    volume = read_volume(written(tmp_path / "a.nii.gz"), "t1")
    index_to_lps = volume.grid.index_to_lps()
    middle = tuple((index_to_lps @ [6.0, 8.0, 6.0, 1.0])[:3])
    target = Grid((3, 4, 5), (0.7, 0.8, 0.9), middle, (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))
    moved = resample(volume, target)
    to_index = np.linalg.inv(index_to_lps) @ target.index_to_lps()
    for z, y, x in np.ndindex(3, 4, 5):
        i, j, k = (to_index @ [x, y, z, 1])[:3]
        assert moved[z, y, x] == pytest.approx(100 + 3 * i + 5 * j + 7 * k, abs=1e-2)


def test_a_volume_is_read_only(tmp_path: Path) -> None:
    volume: Volume = read_volume(written(tmp_path / "a.nii.gz"), "t1")
    with pytest.raises(ValueError, match="read-only"):
        volume.array[0, 0, 0] = 1
