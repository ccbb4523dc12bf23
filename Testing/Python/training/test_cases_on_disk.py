"""Cases in the naming of BraTS 2021 and 2024, their labels, their split by patient."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from GliomaSegLib.errors import InputRefused
from GliomaSegLib.intake.preparation import InputSpec
from GliomaSegLib.training.cases import CaseFiles, find_cases, load_case, split_by_patient

WriteCase = Callable[..., Path]
COARSE = InputSpec(spacing_mm=(3.0, 3.0, 3.0))


def test_both_namings_are_found_below_a_folder(tmp_path: Path, write_case: WriteCase) -> None:
    write_case(tmp_path / "deep" / "er", "BraTS-GLI-00005-101")
    write_case(tmp_path, "BraTS2021_00001", "brats2021", (1, 2, 4))
    (tmp_path / "BraTS-GLI-00009-100").mkdir()
    found = find_cases([tmp_path])
    assert [(c.name, c.numbering) for c in found] == [
        ("BraTS-GLI-00005-101", "brats2024"),
        ("BraTS2021_00001", "brats2021"),
    ]
    assert all(set(c.images) == {"t1", "t1c", "t2", "flair"} for c in found)
    assert found[1].images["t1c"].name == "BraTS2021_00001_t1ce.nii.gz"


def test_a_case_folder_itself_may_be_given_and_twice_is_once(tmp_path: Path, write_case: WriteCase) -> None:
    folder = write_case(tmp_path, "BraTS-GLI-00005-101")
    assert [c.name for c in find_cases([folder, tmp_path])] == ["BraTS-GLI-00005-101"]


def test_two_cases_of_one_name_are_refused(tmp_path: Path, write_case: WriteCase) -> None:
    for top in ("one", "two"):
        write_case(tmp_path / top, "BraTS-GLI-00005-101")
    with pytest.raises(InputRefused, match="two cases named BraTS-GLI-00005-101"):
        find_cases([tmp_path])


def test_folders_without_cases_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputRefused, match="no data folder gone"):
        find_cases([tmp_path / "gone"])
    with pytest.raises(InputRefused, match="no case in BraTS naming"):
        find_cases([tmp_path])


@pytest.mark.parametrize(
    ("numbering", "name", "stored", "expected"),
    [
        ("brats2021", "BraTS2021_00001", (1, 2, 4), {1, 2, 3}),
        ("brats2024", "BraTS-GLI-00001-100", (1, 2, 3, 4), {1, 2, 3, 4}),
    ],
)
def test_labels_become_2024_numbers_where_they_were(
    tmp_path: Path,
    write_case: WriteCase,
    numbering: str,
    name: str,
    stored: tuple[int, ...],
    expected: set[int],
) -> None:
    write_case(tmp_path, name, numbering, stored)
    case = load_case(find_cases([tmp_path])[0], COARSE)
    assert set(np.unique(case.labels)) == {0, *expected}
    assert case.image.shape[1:] == case.labels.shape and case.image.dtype == np.float16
    # Each contrast is bright in one label: label 1 on T1, 2 on T1c, 3 (2021: none) on T2, 4 on FLAIR.
    for channel, label in enumerate(stored[:2]):
        inside = case.image[channel][case.labels == label].astype(float)
        assert inside.mean() > 1.5 and abs(float(np.median(case.image[channel][case.labels == 0]))) < 0.5
    counts = np.bincount(case.labels.ravel())
    assert all(abs(counts[label] - 6 * 4 * 10) <= 40 for label in expected)


def test_enhancing_tissue_of_2021_keeps_its_place(tmp_path: Path, write_case: WriteCase) -> None:
    write_case(tmp_path, "BraTS2021_00001", "brats2021", (1, 2, 0, 4))
    case = load_case(find_cases([tmp_path])[0], COARSE)
    assert not (case.labels == 4).any()
    bright = np.array([case.image[c][case.labels == 3].astype(float).mean() for c in range(4)])
    assert bright.argmax() == 3, "label 4 was painted bright on FLAIR and must now be ET"


@pytest.mark.parametrize(
    ("numbering", "name", "label", "words"),
    [
        ("brats2021", "BraTS2021_00001", 3, r"holds \[3\]"),
        ("brats2024", "BraTS-GLI-00001-100", 5, r"holds \[5\]"),
    ],
)
def test_unknown_labels_are_refused(
    tmp_path: Path, write_case: WriteCase, numbering: str, name: str, label: int, words: str
) -> None:
    write_case(tmp_path, name, numbering, (label,))
    with pytest.raises(InputRefused, match=words):
        load_case(find_cases([tmp_path])[0], COARSE)


def test_labels_on_another_grid_are_refused(tmp_path: Path, write_case: WriteCase) -> None:
    write_case(tmp_path, "BraTS-GLI-00001-100", label_origin=(2.0, 0.0, 0.0))
    with pytest.raises(InputRefused, match=r"BraTS-GLI-00001-100-seg\.nii\.gz is on another grid"):
        load_case(find_cases([tmp_path])[0], COARSE)


def test_a_missing_sequence_is_a_channel_of_zeros(tmp_path: Path, write_case: WriteCase) -> None:
    folder = write_case(tmp_path, "BraTS-GLI-00001-100")
    (folder / "BraTS-GLI-00001-100-t2w.nii.gz").unlink()
    case = load_case(find_cases([tmp_path])[0], COARSE)
    assert [bool(channel.any()) for channel in case.image] == [True, True, False, True]


def test_a_brain_without_tumour_is_all_background(tmp_path: Path, write_case: WriteCase) -> None:
    made = write_case(tmp_path / "source", "BraTS-GLI-00001-100")
    folder = tmp_path / "ms" / "patient01"
    folder.mkdir(parents=True)
    for role, suffix in {"t1": "t1n", "t1c": "t1c", "t2": "t2w", "flair": "t2f", "ms_lesions": "seg"}.items():
        (made / f"{made.name}-{suffix}.nii.gz").rename(folder / f"{role}.nii.gz")
    (case,) = find_cases([tmp_path / "ms"])
    assert case.labels is None and not load_case(case, COARSE).labels.any()


def test_a_split_keeps_the_visits_of_a_patient_together() -> None:
    cases = [
        CaseFiles(f"BraTS-GLI-{patient:05d}-{100 + visit}", {}, None, "brats2024")
        for patient in range(20)
        for visit in range(1 + patient % 3)
    ]
    training, held = split_by_patient(cases, 0.25, seed=1)
    assert {c.name for c in training} | {c.name for c in held} == {c.name for c in cases}
    assert len(training) + len(held) == len(cases)
    assert not {c.patient for c in training} & {c.patient for c in held}
    assert len({c.patient for c in held}) == 5
    assert split_by_patient(cases[::-1], 0.25, seed=1) == (training, held)
    assert split_by_patient(cases, 0.25, seed=2)[1] != held


@pytest.mark.data
def test_a_real_case_keeps_its_volumes(brats2021_folder: Path) -> None:
    from GliomaSegLib.intake.label_maps import read_label_map

    (case,) = find_cases([brats2021_folder / "BraTS2021_01479"])
    assert case.labels is not None
    stored, _ = read_label_map(case.labels)
    loaded = load_case(case, InputSpec())
    assert (loaded.labels > 0).sum() * 0.008 == pytest.approx((stored > 0).sum() * 0.001, rel=0.03)
    assert (loaded.labels == 3).sum() * 0.008 == pytest.approx((stored == 4).sum() * 0.001, rel=0.1)
