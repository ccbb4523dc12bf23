"""A DICOM archive: exams by study and patient, in order of their dates, under hashes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from cohort_samples import ThreadEngine, quick_options, read_table, write_series

from GliomaSegLib.cohort.archive import scan_archive
from GliomaSegLib.cohort.plan import find_studies
from GliomaSegLib.cohort.run import Cohort, run_cohort
from GliomaSegLib.errors import InputRefused

SALT = b"s" * 32
ROOT = "1.2.826.0.1.3680043.8.498.77"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two exams of one patient in folders of their own, one exam of another whose series share a folder."""
    root = tmp_path_factory.mktemp("archive")
    for number, date in ((1, "20210505"), (2, "20200101")):
        for series, name in enumerate(("t1 mprage", "t1 mprage post gd", "t2 tse", "t2 flair"), 1):
            folder = root / f"SECRET-{number}" / f"series{series}"
            write_series(folder, "SECRET-ID", f"{ROOT}.{number}", date, name, series)
    for series, name in enumerate(("t2 flair", "adc map"), 1):
        write_series(root / "mixed", "OTHER-ID", f"{ROOT}.3", "20190101", name, series)
    (root / "empty").mkdir()
    return root


def test_exams_are_found_hashed_and_in_order(archive: Path) -> None:
    studies, notes = find_studies(None, None, archive, SALT)
    assert notes == ["A folder without DICOM images was passed over."]
    assert len(studies) == 3 and not any(study.refusal for study in studies)
    two = [study for study in studies if len(study.series) == 4]
    assert two[0].subject == two[1].subject and two[0].session != two[1].session
    first = next(study for study in two if study.visit == 1)
    assert "SECRET-2" in str(first.series["t1c"].path)
    assert "contrast by name" in first.series["t1c"].reason and "series 2" in first.series["t1c"].reason
    mixed = next(study for study in studies if len(study.series) == 1)
    assert mixed.subject != first.subject and len(mixed.series["flair"].scattered) == 11
    assert any("no role" in note for note in mixed.notes)
    again = find_studies(None, None, archive, SALT)[0]
    assert [study.name for study in again] == [study.name for study in studies]
    other = find_studies(None, None, archive, b"t" * 32)[0]
    assert not {study.name for study in other} & {study.name for study in studies}


def test_an_exam_without_a_clear_choice_is_refused(tmp_path: Path) -> None:
    for number in (1, 2):
        write_series(tmp_path / "e" / str(number), "P", f"{ROOT}.4", "20200101", "t2 flair", number)
    (study,) = find_studies(None, None, tmp_path, SALT)[0]
    assert "a tie" in study.refusal and "manifest" in study.refusal and "--flair" not in study.refusal


def test_nothing_is_refused_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InputRefused, match="holds no MR exam"):
        scan_archive(tmp_path, SALT)


def test_results_of_an_archive_tell_nobodys_name(archive: Path, tiny_model: Path, tmp_path: Path) -> None:
    studies, _ = find_studies(None, None, archive, SALT)
    some = [study for study in studies if study.visit == 1]
    options = replace(quick_options(tiny_model), brain_mask="off")
    run_cohort(Cohort(some, tmp_path / "out", options), ThreadEngine, lambda text: None)
    rows = read_table(tmp_path / "out")
    assert [row["status"] for row in rows] == ["done", "done"]
    assert len(list((tmp_path / "out").glob("sub-*/ses-*/anat/segmentation.dcm"))) == 2
    dates = (b"20200101", b"20190101")
    for file in (tmp_path / "out").rglob("*"):
        assert "SECRET" not in str(file.relative_to(tmp_path)) and "series1" not in file.name
        if file.is_file():
            data = file.read_bytes()
            assert not any(word in data for word in (b"SECRET", b"OTHER-ID", b"Secret", *dates)), file
