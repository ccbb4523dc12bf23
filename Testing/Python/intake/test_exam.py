"""A whole exam from a folder: roles found, single inputs first, DICOM and files alike."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pydicom", reason="pydicom is not installed")

import SimpleITK as sitk
from dicom_files import write_classic

from GliomaSegLib.cli import main
from GliomaSegLib.errors import InputRefused, UsageError
from GliomaSegLib.intake.exam import find_sources, read_any, read_exam, roles_table
from GliomaSegLib.intake.volume import Grid

GRID = Grid((9, 14, 12), (0.9, 1.1, 3.3), (-20.0, 33.0, 7.5), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))
BASE = np.random.default_rng(2).integers(0, 900, GRID.shape).astype(np.int16)
SERIES = {
    1: "localizer",
    2: "t1_se_tra",
    3: "ep2d_diff_ADC",
    4: "t2_tse_tra",
    5: "t2_tirm_tra_dark-fluid",
    6: "t1_mprage_KM",
}


@pytest.fixture(scope="module")
def exam(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six DICOM series of one exam in one folder; series n holds BASE + n."""
    folder = tmp_path_factory.mktemp("exam")
    for number, description in SERIES.items():
        write_classic(
            folder,
            BASE + number,
            GRID,
            prefix=f"{number}-",
            SeriesNumber=number,
            SeriesDescription=description,
        )
    return folder


def test_the_four_sequences_of_an_exam_are_found_and_told(exam: Path) -> None:
    study, told = read_exam({}, exam, None, to_be_aligned=True)
    for role, number in {"t1": 2, "t1c": 6, "t2": 4, "flair": 5}.items():
        assert np.array_equal(study.volumes[role].array, BASE + number)
    assert study.reference_role == "t1c"
    assert any(sentence.startswith("T1c is series 6: named t1") for sentence in told)
    assert len(told) == 4


def test_a_single_input_goes_before_the_exams_choice(exam: Path) -> None:
    study, told = read_exam({"flair": next(exam.glob("3-*"))}, exam, None, to_be_aligned=True)
    assert np.array_equal(study.volumes["flair"].array, BASE + 3)
    assert not any("FLAIR is" in sentence for sentence in told)


def test_one_folder_with_many_series_gives_the_one_of_the_role(exam: Path) -> None:
    assert np.array_equal(read_any(exam, "flair").array, BASE + 5)


def test_a_folder_without_a_series_of_the_role_lists_what_is_there(tmp_path: Path) -> None:
    for number in (1, 3):
        write_classic(
            tmp_path, BASE, GRID, prefix=f"{number}-", SeriesNumber=number, SeriesDescription=SERIES[number]
        )
    with pytest.raises(InputRefused, match=r"holds 2 series \(series 1, series 3\), none of them like T2"):
        read_any(tmp_path, "t2")


def test_flair_is_the_reference_without_t1c(exam: Path) -> None:
    study, _ = read_exam({"flair": next(exam.glob("5-*")), "t1": next(exam.glob("2-*"))}, None, None, False)
    assert study.reference_role == "flair"


def test_neither_t1c_nor_flair_is_a_usage_error(exam: Path) -> None:
    with pytest.raises(UsageError, match="--t1c or --flair"):
        read_exam({"t1": next(exam.glob("2-*"))}, None, None, False)


def test_volume_files_are_sorted_by_their_names(tmp_path: Path) -> None:
    for index, name in enumerate(("t1n", "t1c", "t2w", "t2f", "seg")):
        image = GRID.image((BASE + index).astype(np.int16))
        sitk.WriteImage(image, str(tmp_path / f"BraTS-GLI-00005-100-{name}.nii.gz"))
    study, _ = read_exam({}, tmp_path, None, to_be_aligned=False)
    assert [int(v.array[0, 0, 0] - BASE[0, 0, 0]) for v in study.volumes.values()] == [0, 1, 2, 3]
    sources, warnings = find_sources(tmp_path)
    assert len(sources) == 5 and warnings == []


def test_two_files_of_one_role_are_a_tie(tmp_path: Path) -> None:
    for name in ("a_t1c", "b_t1c"):
        sitk.WriteImage(GRID.image(BASE), str(tmp_path / f"{name}.nii.gz"))
    with pytest.raises(InputRefused, match="T1c is a tie"):
        read_exam({}, tmp_path, None, to_be_aligned=False)


def test_the_table_has_a_reason_for_every_series_and_no_name(
    exam: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows, told = roles_table(exam)
    assert told == []
    assert [row["series"] for row in rows if row["used"]] == ["series 2", "series 4", "series 5", "series 6"]
    assert [row["role"] for row in rows] == ["-", "T1", "-", "T2", "FLAIR", "T1c"]
    assert all(row["reason"] for row in rows)
    assert main(["roles", str(exam)]) == 0
    printed = capsys.readouterr().out
    assert len(printed.splitlines()) == 8 and "FLAIR" in printed
    assert "Secret" not in printed and "SECRET" not in printed


def test_an_empty_folder_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["roles", str(tmp_path)]) == 3
    assert "holds no DICOM images" in capsys.readouterr().err
    with pytest.raises(InputRefused, match="is no folder"):
        find_sources(tmp_path / "none")


def two_exams(folder: Path) -> None:
    for study, base in (("1.2.3", 0), ("1.2.4", 100)):
        for number in (4, 5, 6):
            write_classic(
                folder / study,
                BASE + base + number,
                GRID,
                SeriesNumber=number,
                SeriesDescription=SERIES[number],
                StudyInstanceUID=study,
                prefix=f"{number}-",
            )


def test_two_exams_in_one_folder_are_not_mixed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    two_exams(tmp_path)
    with pytest.raises(InputRefused, match=r"holds 2 exams \(series 4a, series 5a, series 6a; series 4b,"):
        read_exam({}, tmp_path, None, to_be_aligned=True)
    assert main(["roles", str(tmp_path)]) == 0
    told = capsys.readouterr()
    assert "holds 2 exams" in told.err and "series 6b" in told.out and "1.2.3/" in told.out


def test_series_of_another_exam_without_t1c_or_flair_are_left_out(tmp_path: Path) -> None:
    two_exams(tmp_path)
    for path in (tmp_path / "1.2.4").glob("[56]-*"):
        path.unlink()
    study, _ = read_exam({}, tmp_path, None, to_be_aligned=True)
    assert np.array_equal(study.volumes["t2"].array, BASE + 4)
    assert any("of another exam were left out: series 4b" in warning for warning in study.warnings)


def test_sequences_of_two_exams_given_one_by_one_get_a_warning(tmp_path: Path) -> None:
    two_exams(tmp_path)
    paths = {
        "t1c": next((tmp_path / "1.2.3").glob("6-*")),
        "flair": next((tmp_path / "1.2.4").glob("5-*")),
    }
    study, _ = read_exam(paths, None, None, to_be_aligned=True)
    assert any("come from different exams" in warning for warning in study.warnings)
    assert not any("1.2.4" in warning for warning in study.warnings)


def test_damaged_files_of_an_exam_are_told_in_the_result(exam: Path, tmp_path: Path) -> None:
    for path in exam.iterdir():
        shutil.copy(path, tmp_path / path.name)
    (tmp_path / "99999.dcm").write_bytes(b"")
    study, _ = read_exam({}, tmp_path, None, to_be_aligned=True)
    assert any("1 damaged DICOM file" in warning for warning in study.warnings)


def test_files_of_one_name_in_folders_named_by_the_sequence(tmp_path: Path) -> None:
    for index, name in enumerate(("T1", "T1_KM", "T2", "FLAIR")):
        (tmp_path / name).mkdir()
        sitk.WriteImage(GRID.image(BASE + index), str(tmp_path / name / "volume.nii.gz"))
    study, told = read_exam({}, tmp_path, None, to_be_aligned=False)
    assert [int(v.array[0, 0, 0] - BASE[0, 0, 0]) for v in study.volumes.values()] == [0, 1, 2, 3]
    assert told[1].startswith("T1c is its file: its folder's name says t1, contrast by name")
    assert not any("KM/" in sentence for sentence in told), "a folder's name may hold a patient's"


def test_an_exam_without_t1c_and_flair_points_to_the_table(exam: Path, tmp_path: Path) -> None:
    for path in exam.glob("4-*"):
        shutil.copy(path, tmp_path / path.name)
    with pytest.raises(UsageError, match="gliomaseg roles"):
        read_exam({}, tmp_path, None, to_be_aligned=False)
