"""Registration: known motions come back, what agrees stays, what can't be is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage
from scipy.spatial.transform import Rotation

from GliomaSegLib.errors import InputRefused
from GliomaSegLib.intake import alignment, comparison
from GliomaSegLib.intake.alignment import align, displacement_mm, moved_grid, movement, register
from GliomaSegLib.intake.reading import read_volume
from GliomaSegLib.intake.volume import Grid, Study, Volume

UPRIGHT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
MOTIONS = [
    ((15, 0, 0), (20, 0, 0)),
    ((-6, 8, 10), (-8, 12, 14)),
    ((3, -2, 4), (3, 5, -4)),
    ((0, 0, -15), (0, -20, 0)),
]


def rigid(angles_deg: tuple, shift_mm: tuple, centre: np.ndarray) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", angles_deg, degrees=True).as_matrix()
    matrix[:3, 3] = np.asarray(shift_mm) + centre - matrix[:3, :3] @ centre
    return matrix


def points(volume: Volume) -> np.ndarray:
    """LPS mm of what is brighter than the mean, every fourth voxel, (n, 3)."""
    index = np.argwhere(volume.array[::4, ::4, ::4] > volume.array.mean())[:, ::-1] * 4
    matrix = volume.grid.index_to_lps()
    return index @ matrix[:3, :3].T + matrix[:3, 3]


def target_error_mm(found: np.ndarray, true: np.ndarray, at: np.ndarray) -> float:
    homogeneous = np.c_[at, np.ones(len(at))]
    return float(np.linalg.norm((homogeneous @ (found - true).T)[:, :3], axis=1).mean())


def moved(volume: Volume, matrix: np.ndarray) -> Volume:
    """The volume as if the patient had moved: ``matrix`` takes reference points to points of the result."""
    return replace(volume, grid=moved_grid(volume.grid, np.linalg.inv(matrix)))


@pytest.fixture
def few_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enough for the small head, and a fraction of the time."""
    monkeypatch.setattr(comparison, "_SAMPLES", (6_000, 8_000, 10_000))


@pytest.fixture(scope="module")
def head() -> tuple[Volume, Volume]:
    """Two contrasts of one lumpy ellipsoid on a 5 mm grid: different intensities, the same shapes."""
    shape = (32, 36, 32)
    z, y, x = (np.indices(shape) - np.reshape(shape, (3, 1, 1, 1)) / 2) * 5.0
    inside = (x / 60) ** 2 + (y / 75) ** 2 + (z / 62) ** 2 < 1
    rng = np.random.default_rng(5)
    tissue = ndimage.gaussian_filter(rng.normal(size=shape), 2.0)
    kinds = np.digitize(tissue, np.quantile(tissue, [0.35, 0.7])) + 1
    grid = Grid(shape, (5.0, 5.0, 5.0), (-80.0, -90.0, -80.0), UPRIGHT)
    first = np.where(inside, np.choose(kinds, [0, 300, 700, 1000]), 0) + rng.normal(0, 15, shape)
    second = np.where(inside, np.choose(kinds, [0, 900, 250, 500]), 0) + rng.normal(0, 15, shape)
    return (
        Volume(first.astype(np.float32), grid, "t1c", "T1c (a)"),
        Volume(second.astype(np.float32), grid, "t2", "T2 (b)"),
    )


@pytest.mark.parametrize(("angles", "shift"), MOTIONS)
@pytest.mark.usefixtures("few_samples")
def test_a_known_motion_comes_back(head: tuple[Volume, Volume], angles: tuple, shift: tuple) -> None:
    fixed, moving = head
    at = points(fixed)
    true = rigid(angles, shift, at.mean(axis=0))
    found = register(fixed, moved(moving, true))
    assert found.moved
    assert target_error_mm(found.matrix, true, at) < 0.5
    assert found.information is not None and found.information[1] > found.information[0]
    assert found.shift_mm == pytest.approx(np.linalg.norm(shift), abs=1.5)


@pytest.mark.usefixtures("few_samples")
def test_the_same_input_gives_the_same_matrix(head: tuple[Volume, Volume]) -> None:
    fixed, moving = head
    other = moved(moving, rigid((4, 0, 2), (6, -3, 2), np.zeros(3)))
    assert np.array_equal(register(fixed, other).matrix, register(fixed, other).matrix)


@pytest.mark.usefixtures("few_samples")
def test_what_agrees_is_left_alone(head: tuple[Volume, Volume]) -> None:
    found = register(*head)
    assert not found.moved
    assert np.array_equal(found.matrix, np.eye(4))
    assert found.shift_mm < 0.5
    assert found.warnings == ()


@pytest.mark.usefixtures("few_samples")
def test_content_that_disagrees_on_one_grid_is_moved(head: tuple[Volume, Volume]) -> None:
    """Equal grids prove nothing: the picture itself is shifted by two voxels here."""
    fixed, moving = head
    shifted = replace(moving, array=np.roll(moving.array, 2, axis=2))
    found = register(fixed, shifted)
    assert found.moved
    assert target_error_mm(found.matrix, rigid((0, 0, 0), (10, 0, 0), np.zeros(3)), points(fixed)) < 0.5


@pytest.mark.usefixtures("few_samples")
def test_align_moves_the_grid_and_not_the_voxels(head: tuple[Volume, Volume]) -> None:
    fixed, moving = head
    true = rigid((5, -4, 3), (7, 2, -5), points(fixed).mean(axis=0))
    study, found = align(Study({"t1c": fixed, "t2": moved(moving, true)}, "t1c", ("kept",)))
    assert set(found) == {"t2"}
    assert study.volumes["t1c"] is fixed
    assert np.array_equal(study.volumes["t2"].array, moving.array)
    assert study.warnings == ("kept",)
    assert np.abs(study.volumes["t2"].grid.corners_lps_mm() - moving.grid.corners_lps_mm()).max() < 1.0
    record = found["t2"].record()
    assert record["moved"] is True and len(record["matrix_lps"]) == 16


@pytest.mark.usefixtures("few_samples")
def test_a_mask_keeps_what_moves_on_its_own_out(head: tuple[Volume, Volume]) -> None:
    """A bright object that did not move with the head pulls the registration, unless the mask excludes it."""
    fixed, moving = head
    brain = Volume((fixed.array > 100).astype(np.float32), fixed.grid, "mask", "mask")
    true = rigid((0, 0, 8), (8, 0, 0), points(fixed).mean(axis=0))
    block = np.zeros(fixed.grid.shape, np.float32)
    block[:, 33:, :] = 1500 + 400 * np.sin(np.arange(32) / 2)[None, None, :]
    with_block = replace(fixed, array=fixed.array + block)
    other = moved(moving, true)
    found = register(with_block, other, ndimage_opened(brain))
    assert target_error_mm(found.matrix, true, points(fixed)) < 0.7


def ndimage_opened(mask: Volume) -> Volume:
    return replace(mask, array=ndimage.binary_opening(mask.array > 0.5, iterations=2).astype(np.float32))


@pytest.mark.usefixtures("few_samples")
def test_a_head_that_is_nowhere_near_is_refused(head: tuple[Volume, Volume]) -> None:
    fixed, moving = head
    far = moved(moving, rigid((0, 0, 0), (120, 0, 0), np.zeros(3)))
    with pytest.raises(InputRefused, match=r"T2 \(b\) would have to move by 1\d\d mm"):
        register(fixed, far)


@pytest.mark.usefixtures("few_samples")
def test_an_unusual_movement_is_told(head: tuple[Volume, Volume]) -> None:
    fixed, moving = head
    found = register(fixed, moved(moving, rigid((0, 0, 0), (0, 45, 0), np.zeros(3))))
    assert found.moved and "unusually far" in found.warnings[0]


@pytest.mark.usefixtures("few_samples")
def test_noise_finds_no_better_place_and_says_so(
    head: tuple[Volume, Volume], monkeypatch: pytest.MonkeyPatch
) -> None:
    fixed, moving = head
    monkeypatch.setattr(alignment, "_LEAST_GAIN", 1e9)
    found = register(fixed, moved(moving, rigid((0, 0, 0), (10, 0, 0), np.zeros(3))))
    assert not found.moved and np.array_equal(found.matrix, np.eye(4))
    assert "no better place" in found.warnings[0]


def test_one_mask_on_both_is_taken_for_done_registration(head: tuple[Volume, Volume]) -> None:
    fixed, moving = (replace(v, array=np.where(v.array > 100, v.array, 0)) for v in head)
    inside = (fixed.array > 0) & (moving.array > 0)
    both = [replace(v, array=np.where(inside, v.array, 0)) for v in (fixed, moving)]
    found = register(*both)
    assert not found.moved and found.information is None
    assert found.record()["mutual_information"] is None


@pytest.mark.usefixtures("few_samples")
def test_masks_that_differ_are_registered(head: tuple[Volume, Volume]) -> None:
    fixed, moving = (replace(v, array=np.where(v.array > 100, v.array, 0)) for v in head)
    found = register(fixed, replace(moving, array=np.roll(moving.array, 2, axis=2)))
    assert found.moved and found.information is not None


def test_movement_and_displacement_of_known_matrices() -> None:
    centre = np.array([10.0, -20.0, 30.0])
    assert movement(rigid((0, 0, 12), (0, 0, 0), centre), centre) == pytest.approx((0.0, 12.0))
    assert movement(rigid((0, 0, 0), (3, 4, 0), centre), centre) == pytest.approx((5.0, 0.0))
    assert displacement_mm(rigid((0, 0, 0), (3, 4, 0), centre), centre) == pytest.approx(5.0)
    quarter_turn = displacement_mm(rigid((0, 0, 90), (0, 0, 0), centre), centre)
    assert quarter_turn == pytest.approx(4 * 70 * np.sqrt(2) / 6)


def test_a_moved_grid_stays_rectangular_and_comes_back() -> None:
    grid = Grid((5, 6, 7), (0.7, 0.9, 3.0), (3.0, -4.0, 5.0), UPRIGHT)
    matrix = rigid((11, -7, 23), (4, 5, 6), np.zeros(3))
    there = moved_grid(grid, matrix)
    direction = np.reshape(there.direction_lps, (3, 3))
    assert np.allclose(direction.T @ direction, np.eye(3))
    assert moved_grid(there, np.linalg.inv(matrix)).matches(grid, 1e-9)


def thick(volume: Volume, factor: int) -> Volume:
    """Slices of ``factor`` times the thickness, each the mean of its thin ones."""
    count = volume.array.shape[0] // factor
    stacked = volume.array[: count * factor].reshape(count, factor, *volume.array.shape[1:]).mean(axis=1)
    origin = volume.grid.index_to_lps() @ [0, 0, (factor - 1) / 2, 1]
    x, y, z = volume.grid.spacing_mm
    grid = Grid(stacked.shape, (x, y, z * factor), tuple(origin[:3]), volume.grid.direction_lps)
    return replace(volume, array=stacked.astype(np.float32), grid=grid)


def resliced(volume: Volume, matrix: np.ndarray) -> Volume:
    """The moved patient on the volume's own grid, so that the field of view cuts and blurs as it does."""
    back = np.linalg.inv(matrix)
    transform = sitk.Euler3DTransform()
    transform.SetMatrix(back[:3, :3].ravel().tolist(), 1e-6)
    transform.SetTranslation(back[:3, 3].tolist())
    image = sitk.Resample(volume.image(), volume.image(), transform, sitk.sitkLinear, 0.0)
    return replace(volume, array=sitk.GetArrayFromImage(image))


@pytest.mark.data
@pytest.mark.long
@pytest.mark.parametrize(("angles", "shift"), MOTIONS)
@pytest.mark.parametrize("thickness_mm", [1, 5])
def test_real_scans_moved_by_known_motions_come_back(
    data_folder: Path, angles: tuple, shift: tuple, thickness_mm: int
) -> None:
    """1 mm slices within 0.5 mm, 5 mm slices within 1.5 mm mean target error."""
    case = data_folder / "brats2021" / "BraTS2021_01479"
    fixed = read_volume(case / f"{case.name}_t1ce.nii.gz", "t1c")
    moving = read_volume(case / f"{case.name}_t2.nii.gz", "t2")
    at = points(fixed)
    true = rigid(angles, shift, at.mean(axis=0))
    found = register(fixed, thick(resliced(moving, true), thickness_mm))
    assert target_error_mm(found.matrix, true, at) < (0.5 if thickness_mm == 1 else 1.5)


@pytest.mark.data
@pytest.mark.long
@pytest.mark.parametrize("moving", ["T1W", "T2W"])
def test_scans_with_skull_come_back_to_where_they_were(data_folder: Path, moving: str) -> None:
    """Moved and unmoved scans of one session end in the same place (0.5 mm), whatever the patient did."""
    folder = data_folder / "openms" / "native" / "patient12"
    fixed = read_volume(folder / "study1_FLAIR.nii.gz", "flair")
    other = read_volume(folder / f"study1_{moving}.nii.gz", "t1")
    at = points(fixed)
    before = register(fixed, other).matrix
    true = rigid((-6, 8, 10), (-8, 12, 14), at.mean(axis=0))
    after = register(fixed, moved(other, true)).matrix
    assert target_error_mm(after, true @ before, at) < 0.5
