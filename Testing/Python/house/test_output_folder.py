"""Results appear whole or not at all."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from GliomaSegLib import output_folder
from GliomaSegLib.errors import Cancelled, OutputRefused
from GliomaSegLib.output_folder import RUN_FILE, check_target, is_unfinished, result_folder

NAMES = ("segmentation.nii.gz", "measures.json")


def write_result(folder: Path, text: str = "new", overwrite: bool = False) -> None:
    with result_folder(folder, NAMES, overwrite) as part:
        for name in (RUN_FILE, *NAMES):
            (part / name).write_text(text)


def contents(folder: Path) -> dict[str, str]:
    return {p.relative_to(folder).as_posix(): p.read_text() for p in folder.rglob("*") if p.is_file()}


def test_a_result_appears_with_all_its_files(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "er" / "result"
    write_result(target)
    assert set(contents(target)) == {RUN_FILE, *NAMES}
    assert os.listdir(target.parent) == ["result"]


def test_nothing_is_in_the_target_before_the_end(tmp_path: Path) -> None:
    target = tmp_path / "result"
    with result_folder(target, NAMES, False) as part:
        (part / NAMES[0]).write_text("x")
        assert not target.exists() and part.parent == tmp_path
    assert contents(target) == {NAMES[0]: "x"}


@pytest.mark.parametrize("error", [Cancelled("stopped"), ValueError("broken"), KeyboardInterrupt()])
def test_a_failure_leaves_everything_as_it_was(tmp_path: Path, error: BaseException) -> None:
    existing = tmp_path / "existing"
    write_result(existing, "old")
    (existing / "notes.txt").write_text("mine")
    before = contents(tmp_path)
    for target in (existing, tmp_path / "new" / "deep"):
        with pytest.raises(type(error)), result_folder(target, NAMES, True) as part:
            (part / NAMES[0]).write_text("half")
            raise error
    assert contents(tmp_path) == before
    assert sorted(os.listdir(tmp_path)) == ["existing"]


def test_overwriting_replaces_results_and_touches_nothing_else(tmp_path: Path) -> None:
    write_result(tmp_path / "r", "old")
    (tmp_path / "r" / "notes.txt").write_text("mine")
    with pytest.raises(OutputRefused, match="holds a result"):
        write_result(tmp_path / "r")
    with result_folder(tmp_path / "r", NAMES, True) as part:
        (part / RUN_FILE).write_text("new")
        (part / NAMES[0]).write_text("new")
    assert contents(tmp_path / "r") == {RUN_FILE: "new", NAMES[0]: "new", "notes.txt": "mine"}


def test_run_json_is_moved_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_result(tmp_path / "r", "old")
    moved: list[str] = []
    replace = Path.replace

    def noted(self: Path, target: Path) -> Path:
        assert not (tmp_path / "r" / RUN_FILE).exists(), "until then the folder is unfinished"
        moved.append(self.name)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", noted)
    write_result(tmp_path / "r", "new", overwrite=True)
    assert moved[-1] == RUN_FILE and len(moved) == 3


def test_an_unfinished_result_says_so(tmp_path: Path) -> None:
    (tmp_path / NAMES[0]).write_text("half")
    assert is_unfinished(tmp_path, NAMES)
    with pytest.raises(OutputRefused, match=r"unfinished result \(no run\.json\)"):
        check_target(tmp_path, NAMES, overwrite=False)
    write_result(tmp_path, overwrite=True)
    assert not is_unfinished(tmp_path, NAMES)


def test_an_existing_folder_without_results_may_be_used(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    write_result(tmp_path)
    assert set(contents(tmp_path)) == {RUN_FILE, *NAMES, "notes.txt"}


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputRefused, match="output file is a file: give a folder"):
        write_result(tmp_path / "file")
    with pytest.raises(OutputRefused, match="below could not be written"):
        write_result(tmp_path / "file" / "below")
    assert contents(tmp_path) == {"file": "x"}


def test_a_folder_that_may_not_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output_folder.os, "access", lambda path, mode: False)
    with pytest.raises(OutputRefused, match="can't be written there"):
        check_target(tmp_path / "new", NAMES, overwrite=False)


@pytest.mark.parametrize(
    ("number", "words"), [(errno.ENOSPC, "is full: free some space"), (errno.EIO, "could not be written")]
)
def test_a_disk_that_fails_is_said_and_nothing_is_left(tmp_path: Path, number: int, words: str) -> None:
    with pytest.raises(OutputRefused, match=words), result_folder(tmp_path / "r", NAMES, False) as part:
        (part / NAMES[0]).write_text("x")
        raise OSError(number, os.strerror(number))
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows leaves what may be in use")
def test_what_a_killed_run_left_is_removed_and_a_running_ones_is_not(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    host = socket.gethostname()
    dead = tmp_path / f".r.{host}.{ended.pid}.part"
    alive = tmp_path / f".r.{host}.{os.getppid()}.part"
    elsewhere = tmp_path / f".r.another-machine.{ended.pid}.part"
    for folder in (dead, alive, elsewhere):
        folder.mkdir()
    write_result(tmp_path / "r")
    assert not dead.exists() and alive.exists() and elsewhere.exists()
