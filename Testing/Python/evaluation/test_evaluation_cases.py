"""Finding, pairing and reading label maps."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from GliomaSegLib.errors import InputRefused
from GliomaSegLib.evaluation.cases import label_map_files, pair_cases, read_case_labels

TINY = np.zeros((3, 4, 5), np.uint8)


def tiny(*values: int) -> np.ndarray:
    """A small label map that holds the values."""
    label_map = TINY.copy()
    label_map[0, 0, : len(values)] = values
    return label_map


@pytest.mark.parametrize(
    ("place", "case"),
    [
        ("BraTS-GLI-00005-100-seg.nii.gz", "BraTS-GLI-00005-100"),
        ("BraTS-GLI-00005-100.nii.gz", "BraTS-GLI-00005-100"),
        ("BraTS2021_01476_seg.nii", "BraTS2021_01476"),
        ("BraTS2021_01476/BraTS2021_01476_seg.nii.gz", "BraTS2021_01476"),
        ("case 7/segmentation.nii.gz", "case 7"),
        ("case7/seg.nrrd", "case7"),
        ("case7/case7.mha", "case7"),
    ],
)
def test_cases_are_named_as_brats_and_our_own_command_name_them(tmp_path, save, place, case):
    path = save(TINY, tmp_path / place)
    assert label_map_files(tmp_path) == {case: path}


def test_endings_in_capitals_are_read_too(tmp_path, save):
    path = save(tiny(2), tmp_path / "A_seg.nii.gz").rename(tmp_path / "A_SEG.NII.GZ")
    assert label_map_files(tmp_path) == {"A": path}
    assert read_case_labels(path)[0].sum() == 2


def test_what_is_no_label_map_is_passed_over(tmp_path, save):
    others = (
        "A/A-t1n.nii.gz",
        "A/A_flair.nii.gz",
        "A/uncertainty.nii.gz",
        "B_t1ce.nii.gz",
        "A/segmentation.seg.nrrd",
    )
    for name in (*others, "A/A-seg.nii.gz", ".hidden/segmentation.nii.gz"):
        save(TINY, tmp_path / name)
    (tmp_path / "notes.txt").write_text("nothing")
    assert list(label_map_files(tmp_path)) == ["A"]


def test_pairs_and_what_has_no_partner(tmp_path, save):
    for name in ("A_seg.nii.gz", "B_seg.nii.gz", "C_seg.nii.gz"):
        save(TINY, tmp_path / "reference" / name)
    for name in ("B/segmentation.nii.gz", "A.nii.gz", "X/segmentation.nii.gz"):
        save(TINY, tmp_path / "prediction" / name)
    pairing = pair_cases(tmp_path / "reference", tmp_path / "prediction")
    assert [(p.case, p.reference.name, p.prediction.name) for p in pairing.pairs] == [
        ("A", "A_seg.nii.gz", "A.nii.gz"),
        ("B", "B_seg.nii.gz", "segmentation.nii.gz"),
    ]
    assert (pairing.without_prediction, pairing.without_reference) == (("C",), ("X",))


def test_one_nameless_result_belongs_to_the_one_reference(tmp_path, save):
    save(TINY, tmp_path / "BraTS2021_01476" / "BraTS2021_01476_seg.nii.gz")
    save(TINY, tmp_path / "result" / "segmentation.nii.gz")
    pairing = pair_cases(tmp_path / "BraTS2021_01476", tmp_path / "result")
    assert [pair.case for pair in pairing.pairs] == ["BraTS2021_01476"]


def test_one_named_result_of_another_case_is_not_taken(tmp_path, save):
    save(TINY, tmp_path / "reference" / "A_seg.nii.gz")
    save(TINY, tmp_path / "prediction" / "B_seg.nii.gz")
    with pytest.raises(InputRefused, match="No case of reference has a prediction"):
        pair_cases(tmp_path / "reference", tmp_path / "prediction")


def test_folders_that_cannot_be_used_are_refused(tmp_path, save):
    with pytest.raises(InputRefused, match="not a folder"):
        label_map_files(tmp_path / "absent")
    with pytest.raises(InputRefused, match="holds no label map"):
        label_map_files(tmp_path)
    save(TINY, tmp_path / "A_seg.nii.gz")
    save(TINY, tmp_path / "A" / "segmentation.nii.gz")
    with pytest.raises(InputRefused, match="The case A has two label maps"):
        label_map_files(tmp_path)


def test_brats2021_labels_are_recognised_by_name_or_option(tmp_path, save):
    by_name = save(tiny(1, 2, 4), tmp_path / "BraTS2021_00001_seg.nii.gz")
    by_option = save(tiny(1, 2, 4), tmp_path / "fused_seg.nii.gz")
    converted = [0, 1, 2, 3]
    assert np.unique(read_case_labels(by_name)[0]).tolist() == converted
    assert np.unique(read_case_labels(by_option, "brats2021")[0]).tolist() == converted
    assert np.unique(read_case_labels(by_option)[0]).tolist() == [0, 1, 2, 4]
    assert np.unique(read_case_labels(by_name, "brats2024")[0]).tolist() == [0, 1, 2, 4]


def test_reading_gives_the_grid_and_whole_numbers(tmp_path, save):
    path = save(tiny(1, 4).astype(np.float64), tmp_path / "A_seg.nii.gz", (0.5, 1.0, 2.0), (1.0, 2.0, 3.0))
    label_map, grid = read_case_labels(path)
    assert label_map.dtype == np.uint8 and label_map[0, 0, :3].tolist() == [1, 4, 0]
    assert grid.shape == (3, 4, 5)
    assert grid.spacing_mm == pytest.approx((0.5, 1.0, 2.0))


@pytest.mark.parametrize(
    ("value", "convention", "sentence"),
    [
        (5, "auto", "has the value 5"),
        (3, "brats2021", "say that it is numbered as BraTS 2024"),
        (0.5, "auto", "whole numbers"),
        (float("nan"), "auto", "not numbers"),
    ],
)
def test_strange_values_are_refused(tmp_path, save, value, convention, sentence):
    label_map = TINY.astype(np.float32)
    label_map[0, 0, 0] = value
    path = save(label_map, tmp_path / "A_seg.nii.gz")
    with pytest.raises(InputRefused, match=rf"A_seg\.nii\.gz.*{sentence}"):
        read_case_labels(path, convention)


@pytest.mark.parametrize("name", ["A_seg.nii.gz", "A_seg.nii", "A_seg.nrrd"])
def test_cut_files_are_refused(tmp_path, save, name):
    labels = np.random.default_rng(0).integers(0, 4, (9, 9, 9)).astype(np.uint8)
    cut = save(labels, tmp_path / name)
    cut.write_bytes(cut.read_bytes()[:-100])
    with pytest.raises(InputRefused, match=name):
        read_case_labels(cut)


def test_a_series_is_no_label_map(tmp_path):
    path = tmp_path / "A_seg.nii.gz"
    sitk.WriteImage(sitk.Image([3, 3, 3, 2], sitk.sitkUInt8), str(path))
    with pytest.raises(InputRefused, match="not one 3D volume"):
        read_case_labels(path)
