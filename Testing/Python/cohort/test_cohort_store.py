"""Results appear in one move, the first of two twins wins, and a person's own files stay."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from GliomaSegLib.cohort.derivatives import check_output, describe
from GliomaSegLib.cohort.lock import only_one
from GliomaSegLib.cohort.store import RECORD, Store, write_json
from GliomaSegLib.errors import OutputRefused

PLACE = Path("sub-1/ses-2/anat")
OWN = ("labels.nii.gz", RECORD)


def made(store: Store, identity: str, text: str) -> Path:
    """A finished attempt."""
    folder = store.attempt() / "result"
    folder.mkdir()
    (folder / "labels.nii.gz").write_text(text)
    write_json(folder / RECORD, {"identity": identity, "files": ["labels.nii.gz"], "row": {}})
    return folder


def test_a_result_comes_with_its_record(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.record(PLACE) is None
    assert store.publish(made(store, "a", "first"), PLACE, OWN, "a")
    found = store.record(PLACE)
    assert found is not None and found["identity"] == "a"


def test_the_second_of_two_twins_gives_way(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.publish(made(store, "a", "first"), PLACE, OWN, "a")
    assert not store.publish(made(store, "a", "second"), PLACE, OWN, "a")
    assert (tmp_path / PLACE / "labels.nii.gz").read_text() == "first"


def test_a_new_result_replaces_the_old_and_keeps_what_a_person_put_there(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.publish(made(store, "a", "first"), PLACE, OWN, "a")
    (tmp_path / PLACE / "corrected.nii.gz").write_text("mine")
    (tmp_path / PLACE / "notes").mkdir()
    (tmp_path / PLACE / "notes" / "a.txt").write_text("mine too")
    assert store.publish(made(store, "b", "second"), PLACE, OWN, "b")
    assert (tmp_path / PLACE / "labels.nii.gz").read_text() == "second"
    assert (tmp_path / PLACE / "corrected.nii.gz").read_text() == "mine"
    assert (tmp_path / PLACE / "notes" / "a.txt").read_text() == "mine too"
    store.tidy()
    assert not list(store.attempts.iterdir())


@pytest.mark.parametrize("damage", ["remove", "empty", "record"])
def test_a_result_that_is_not_whole_counts_as_none(tmp_path: Path, damage: str) -> None:
    store = Store(tmp_path)
    store.publish(made(store, "a", "first"), PLACE, OWN, "a")
    file = tmp_path / PLACE / "labels.nii.gz"
    if damage == "remove":
        file.unlink()
    elif damage == "empty":
        file.write_bytes(b"")
    else:
        (tmp_path / PLACE / RECORD).write_text('{"identity": ')
    assert store.record(PLACE) is None
    assert store.publish(made(store, "a", "again"), PLACE, OWN, "a")
    assert file.read_text() == "again"


def test_what_stepped_aside_for_nobody_comes_back(tmp_path: Path) -> None:
    """Killed between the two moves of a replacement: the old result is put back, other leftovers go."""
    store = Store(tmp_path)
    store.publish(made(store, "a", "first"), PLACE, OWN, "a")
    new = made(store, "b", "second")
    old = store._step_aside(new, tmp_path / PLACE, OWN)
    assert old is not None and not (tmp_path / PLACE).exists()
    store.tidy()
    found = store.record(PLACE)
    assert found is not None and found["identity"] == "a"
    assert not list(store.attempts.iterdir())


def test_only_one_cohort_at_a_time(tmp_path: Path) -> None:
    with (
        only_one(tmp_path, tmp_path / "lock"),
        pytest.raises(OutputRefused, match="Another cohort"),
        only_one(tmp_path, tmp_path / "lock"),
    ):
        pass
    with only_one(tmp_path, tmp_path / "lock"):
        assert (tmp_path / "lock").is_file()


def test_an_output_with_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputRefused, match="is a file"):
        check_output(Store(tmp_path / "file"))
    with pytest.raises(OutputRefused, match="other things"):
        check_output(Store(tmp_path))
    fresh = Store(tmp_path / "new")
    check_output(fresh)
    fresh.root.mkdir()
    check_output(fresh)
    describe(fresh)
    check_output(fresh)


def test_the_description_is_that_of_derivatives(tmp_path: Path) -> None:
    describe(Store(tmp_path))
    description = json.loads((tmp_path / "dataset_description.json").read_text())
    assert description["DatasetType"] == "derivative" and description["GeneratedBy"][0]["Name"] == "GliomaSeg"
    lines = (tmp_path / "dseg.tsv").read_text().splitlines()
    assert lines[0].split("\t")[:3] == ["index", "name", "abbreviation"]
    assert [line.split("\t")[0] for line in lines[1:]] == ["1", "2", "3", "4"]
