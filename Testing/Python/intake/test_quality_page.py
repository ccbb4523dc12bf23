"""The quality page shows every sequence and a misalignment; swapped T1 and T1c are noticed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from GliomaSegLib.errors import OutputRefused
from GliomaSegLib.intake.alignment import Alignment
from GliomaSegLib.intake.contrast import common_resolution, enhancement_ratio, swap_warnings
from GliomaSegLib.intake.quality import chequerboard, thinned, write_quality_page
from GliomaSegLib.intake.reading import read_volume
from GliomaSegLib.intake.volume import Grid, Study, Volume

SHAPE = (40, 44, 40)
GRID = Grid(SHAPE, (3.0, 3.0, 3.0), (-60.0, -66.0, -60.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))
Z, Y, X = (np.indices(SHAPE) - np.reshape(SHAPE, (3, 1, 1, 1)) / 2) * 3.0
BRAIN = (X / 50) ** 2 + (Y / 58) ** 2 + (Z / 50) ** 2 < 1


def volume(role: str, vessels: float = 0.0, seed: int = 0) -> Volume:
    rng = np.random.default_rng(seed)
    values = np.where(BRAIN, 400 + 60 * (np.hypot(X, Y) > 30), 0) + np.where(
        BRAIN, rng.normal(0, 12, SHAPE), 0
    )
    values[(np.abs(X) < 3) & (np.abs(Z - 24) < 5) & BRAIN] += vessels
    return Volume(values.astype(np.float32), GRID, role, f"{role} (file)")


def test_the_page_has_a_row_for_each_sequence_and_an_outline(tmp_path: Path) -> None:
    study = Study({role: volume(role) for role in ("t1", "t1c", "flair")}, "t1c")
    brain = Volume(BRAIN.astype(np.float32), GRID, "t1", "brain")
    found = Alignment("t1", np.eye(4), 3.2, 1.1, True, (0.1, 0.2), 1.0)
    write_quality_page(tmp_path / "one.png", Study({"t1c": study.reference}, "t1c"), None, {})
    write_quality_page(tmp_path / "three.png", study, brain, {"t1": found})
    one, three = (np.asarray(Image.open(tmp_path / name)) for name in ("one.png", "three.png"))
    assert three.shape[0] == 3 * one.shape[0] and three.shape[2] == 3
    green = (three[..., 1] == 230) & (three[..., 0] == 90)
    assert green.sum() > 500
    assert not ((one[..., 1] == 230) & (one[..., 0] == 90)).any()


def test_a_shifted_sequence_breaks_the_edges_at_the_tiles(tmp_path: Path) -> None:
    good = Study({"t1c": volume("t1c"), "t2": volume("t2")}, "t1c")
    shifted = replace(good.volumes["t2"], array=np.roll(good.volumes["t2"].array, 5, axis=2))
    bad = Study({"t1c": good.reference, "t2": shifted}, "t1c")
    jumps = []
    for name, study in (("good.png", good), ("bad.png", bad)):
        write_quality_page(tmp_path / name, study, None, {})
        picture = np.asarray(Image.open(tmp_path / name))[..., 0].astype(int)
        jumps.append(np.abs(np.diff(picture[picture.shape[0] // 2 + 20 :], axis=0)).mean())
    assert jumps[1] > 1.15 * jumps[0]


def test_a_chequerboard_alternates_both_ways() -> None:
    board = chequerboard((6, 6), 2)
    assert not board[0, 0] and board[0, 2] and board[2, 0] and not board[2, 2]


def test_a_page_that_can_not_be_written_gets_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(OutputRefused, match=r"intake\.png can't be written"):
        write_quality_page(tmp_path / "none" / "intake.png", Study({"t1c": volume("t1c")}, "t1c"), None, {})


def test_swapped_t1_and_t1c_are_told_by_the_vessels() -> None:
    before, after = volume("t1"), volume("t1c", vessels=500.0, seed=1)
    right = Study({"t1": before, "t1c": after}, "t1c")
    wrong = Study({"t1": after.with_role("t1"), "t1c": before.with_role("t1c")}, "t1c")
    ratio = enhancement_ratio(right)
    assert ratio is not None and ratio > 2
    assert swap_warnings(right) == ()
    assert "not swapped" in swap_warnings(wrong)[0]
    assert enhancement_ratio(Study({"t1": before}, "t1")) is None


@pytest.mark.data
@pytest.mark.parametrize("name", ["BraTS2021_01477", "BraTS2021_01485"])
def test_on_real_scans_a_swap_is_told_and_nothing_else(data_folder: Path, name: str) -> None:
    """01477 enhances nowhere: what tells the two apart are its vessels."""
    case = data_folder / "brats2021" / name
    before, after = (
        read_volume(case / f"{name}_{ending}.nii.gz", role)
        for ending, role in (("t1", "t1"), ("t1ce", "t1c"))
    )
    assert swap_warnings(Study({"t1": before, "t1c": after}, "t1c")) == ()
    swapped = Study({"t1": after.with_role("t1"), "t1c": before.with_role("t1c")}, "t1c")
    assert "check that T1 and T1c are not swapped" in swap_warnings(swapped)[0]


def test_a_sharp_t1_beside_a_thick_t1c_is_no_swap() -> None:
    """Thin slices show more small things; both are compared as coarsely as the coarser one is."""
    before, after = volume("t1"), volume("t1c", vessels=500.0, seed=1)
    stacked = after.array.reshape(20, 2, 44, 40).mean(axis=1).astype(np.float32)
    grid = Grid((20, 44, 40), (3.0, 3.0, 6.0), (-60.0, -66.0, -58.5), GRID.direction_lps)
    thick = Volume(stacked, grid, "t1c", "T1c (thick)")
    shared = common_resolution(before.grid, grid)
    assert shared.matches(grid, 1e-6)
    study = Study({"t1": before, "t1c": thick}, "t1c")
    ratio = enhancement_ratio(study)
    assert ratio is not None and ratio > 1.5 and swap_warnings(study) == ()


def test_the_page_is_cut_to_the_head(tmp_path: Path) -> None:
    plain = volume("t1")
    wide = replace(plain.grid, shape=(40, 44, 80), origin_lps_mm=(-120.0, -66.0, -60.0))
    padded = Volume(np.pad(plain.array, ((0, 0), (0, 0), (20, 20))), wide, "t1", "t1 (file)")
    sizes = []
    for name, one in (("plain", plain), ("padded", padded)):
        write_quality_page(tmp_path / f"{name}.png", Study({"t1": one}, "t1"), None, {})
        sizes.append(Image.open(tmp_path / f"{name}.png").size)
    assert abs(sizes[0][0] - sizes[1][0]) <= 3 * 2 * 2 * 4


def test_thinning_keeps_voxels_where_they_lie_and_never_beyond_the_pixels_of_the_page() -> None:
    grid = replace(GRID, spacing_mm=(0.45, 0.7, 3.0))
    values = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)
    made = thinned(Volume(values, grid, "t1", "T1"))
    assert made.grid.spacing_mm == pytest.approx((1.35, 1.4, 3.0))
    assert made.array.shape == made.grid.shape == (40, 22, 14)
    place = made.grid.index_to_lps() @ [5, 4, 7, 1]
    x, y, z = np.rint(np.linalg.inv(grid.index_to_lps()) @ place)[:3].astype(int)
    assert made.array[7, 4, 5] == values[z, y, x]


def test_bright_fat_around_the_brain_does_not_darken_it(tmp_path: Path) -> None:
    plain = volume("t1")
    values = plain.array.copy()
    values[(X / 57) ** 2 + (Y / 64) ** 2 + (Z / 57) ** 2 > 1] = 5000.0
    brain = Volume(BRAIN.astype(np.float32), GRID, "t1", "brain")
    means = []
    for name, one in (("bare", plain), ("fat", replace(plain, array=values))):
        write_quality_page(tmp_path / f"{name}.png", Study({"t1": one}, "t1"), brain, {})
        picture = np.asarray(Image.open(tmp_path / f"{name}.png").convert("L"), float)
        # The middle of the first slice, well inside the brain.
        means.append(picture[70:110, 50:90].mean())
    assert means[0] > 100 and means[1] == pytest.approx(means[0], rel=0.05)
