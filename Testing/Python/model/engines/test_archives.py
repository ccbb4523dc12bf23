"""Zips from elsewhere: nothing lands outside, nothing fills the disk, nothing odd is stored."""

from __future__ import annotations

import stat
import struct
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from GliomaSegLib.errors import ModelRefused
from GliomaSegLib.model import archives
from GliomaSegLib.model.archives import unpack


def make_zip(path: Path, entries: list[tuple[str | zipfile.ZipInfo, bytes]]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in entries:
            opened.writestr(name, content)
    return path


def everything_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "deep" / "er" / "target"
    folder.mkdir(parents=True)
    return folder


def test_a_sound_archive_is_unpacked(tmp_path: Path, target: Path) -> None:
    entries = [("model.json", b"{}"), ("fold_0/weights.bin", b"1" * 5000), ("fold_0/", b"")]
    unpack(make_zip(tmp_path / "a.zip", [(n, c) for n, c in entries]), target)
    assert everything_below(target) == {"model.json", "fold_0", "fold_0/weights.bin"}
    assert (target / "fold_0" / "weights.bin").read_bytes() == b"1" * 5000


BAD_NAMES = [
    "../escape", "a/../../escape", "/etc/passwd", "//host/share", "C:/windows", "c:\\windows", "a\\..\\b",
    "..", "a/..", "con", "a/NUL.txt", "LPT1", "COM9.log", "aux ", "a.", "b ", "a/./b", "a//b", "x:y", "a<b",
    "a\nb", "a\x1b[2Jb", "q?", "*", "x" * 300, "\u202egnp.exe",
]  # fmt: skip


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_that_leads_out_or_can_not_be_stored_everywhere_is_refused(
    tmp_path: Path, target: Path, name: str
) -> None:
    archive = make_zip(tmp_path / "a.zip", [("model.json", b"{}"), (name, b"x")])
    before = everything_below(tmp_path)
    with pytest.raises(ModelRefused, match=r"^The archive a\.zip holds") as refusal:
        unpack(archive, target)
    assert everything_below(tmp_path) == before
    assert str(refusal.value).isprintable()


def test_a_name_that_hides_its_end_behind_a_nul_is_refused(tmp_path: Path, target: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", [("good.txtX../../bad", b"x")])
    archive.write_bytes(archive.read_bytes().replace(b"good.txtX", b"good.txt\0"))
    with pytest.raises(ModelRefused):
        unpack(archive, target)
    assert everything_below(target) == set()


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK])
def test_links_and_devices_are_refused(tmp_path: Path, target: Path, kind: int) -> None:
    entry = zipfile.ZipInfo("model.json")
    entry.create_system, entry.external_attr = 3, (kind | 0o777) << 16
    archive = make_zip(tmp_path / "a.zip", [(entry, b"/etc/passwd")])
    with pytest.raises(ModelRefused, match="a link or a device"):
        unpack(archive, target)
    assert everything_below(target) == set()


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    "names",
    [
        ("a", "a"),
        ("Model.json", "model.JSON"),
        ("a", "a/b"),
        ("a/b", "a"),
        ("\u00e9", "e\u0301"),
        ("a/", "a"),
    ],
)
def test_doubles_are_refused(tmp_path: Path, target: Path, names: tuple[str, str]) -> None:
    archive = make_zip(tmp_path / "a.zip", [(name, b"") for name in names])
    with pytest.raises(ModelRefused, match="twice"):
        unpack(archive, target)
    assert everything_below(target) == set()


def test_a_bomb_is_refused_before_it_is_unpacked(
    tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "_RATIO_COUNTS_FROM_BYTES", 100_000)
    archive = make_zip(tmp_path / "a.zip", [("zeros", bytes(5_000_000))])
    with pytest.raises(ModelRefused, match="zip bomb"):
        unpack(archive, target)
    assert everything_below(target) == set()


def test_a_bomb_that_lies_about_its_size_is_stopped_while_it_is_unpacked(
    tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = make_zip(tmp_path / "a.zip", [("zeros", bytes(3_000_000)), ("more", bytes(3_000_000))])
    content = archive.read_bytes().replace(struct.pack("<I", 3_000_000), struct.pack("<I", 10))
    archive.write_bytes(content)
    monkeypatch.setattr(archives, "LARGEST_TOTAL_BYTES", 2_000_000)
    with pytest.raises(ModelRefused):
        unpack(archive, target)
    written = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    assert written <= 2_000_000 + archives._BLOCK_BYTES


def test_more_than_the_largest_total_is_refused(
    tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "LARGEST_TOTAL_BYTES", 1000)
    with pytest.raises(ModelRefused, match="which no model needs"):
        unpack(make_zip(tmp_path / "a.zip", [("a", b"x" * 600), ("b", b"x" * 600)]), target)


def test_too_many_files_are_refused(tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MOST_ENTRIES", 3)
    with pytest.raises(ModelRefused, match="more than 3 files"):
        unpack(make_zip(tmp_path / "a.zip", [(str(n), b"") for n in range(4)]), target)


def test_a_full_disk_is_told_before_anything_is_written(
    tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(ModelRefused, match="disk is too full"):
        unpack(make_zip(tmp_path / "a.zip", [("a", b"x")]), target)
    assert everything_below(target) == set()


def test_an_encrypted_archive_is_refused(tmp_path: Path, target: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", [("a", b"x" * 50)])
    content = bytearray(archive.read_bytes())
    for signature, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + place] |= 1
    archive.write_bytes(content)
    with pytest.raises(ModelRefused, match="encrypted"):
        unpack(archive, target)


@given(st.data())
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_archive_is_refused_or_right_and_stays_inside(tmp_path: Path, data: st.DataObject) -> None:
    whole = make_zip(tmp_path / "whole.zip", [("model.json", b"{}" * 40), ("f/w.bin", bytes(range(256)) * 3)])
    content = bytearray(whole.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    broken = tmp_path / "b.zip"
    broken.write_bytes(content[: data.draw(st.integers(1, len(content)))])
    outside = Path(tempfile.mkdtemp(dir=tmp_path))
    folder = outside / "in" / "side"
    folder.mkdir(parents=True)
    try:
        unpack(broken, folder)
    except ModelRefused as refusal:
        assert str(refusal).isprintable()
    assert {path for path in outside.rglob("*") if folder not in (path, *path.parents)} == {outside / "in"}


# Python's zipfile cuts names at NUL, and can't write the empty rest of one that begins with it.
names = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), min_size=1, max_size=25).filter(
    lambda name: not name.startswith("\0")
)


@given(st.lists(st.one_of(names, st.sampled_from(BAD_NAMES)), min_size=1, max_size=4))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_whatever_the_names_all_stays_inside(tmp_path: Path, listed: list[str]) -> None:
    archive = make_zip(tmp_path / "n.zip", [(name, b"x") for name in listed])
    outside = Path(tempfile.mkdtemp(dir=tmp_path))
    folder = outside / "in" / "side"
    folder.mkdir(parents=True)
    try:
        unpack(archive, folder)
    except ModelRefused as refusal:
        assert str(refusal).isprintable()
    assert {path for path in outside.rglob("*") if folder not in (path, *path.parents)} == {outside / "in"}
    assert not any(path.is_symlink() for path in folder.rglob("*"))
