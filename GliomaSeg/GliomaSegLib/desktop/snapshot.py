"""A folder as it was before an installation, kept by hard links: made in seconds, without copying anything.

pip replaces files, it never writes into them; so a second name for each file is enough to bring all back.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..output_folder import process_is_alive

KEPT_NAME = ".gliomaseg-before-install"
"""The snapshot's folder inside the folder that it keeps."""
_UNFINISHED = ".gliomaseg-unfinished"
_COMPILED = "__pycache__"
_FILES, _OWNER = "files", "owner"


@contextmanager
def undone_on_failure(folders: Sequence[Path]) -> Iterator[None]:
    """Bring ``folders`` back to what they were when this block fails.

    Where Slicer itself ends within the block, the next ``recover`` does it. Folders that can't be written
    into are left alone, as pip does. Raises ``RuntimeError`` while another Slicer is installing.
    """
    recover(folders)
    if any((folder / KEPT_NAME).is_dir() for folder in folders):
        raise RuntimeError("another Slicer is installing packages: wait until it is done")
    watched = [folder for folder in folders if os.access(folder, os.W_OK)]
    for folder in watched:
        _take(folder)
    try:
        yield
    except BaseException:
        for folder in watched:
            _bring_back(folder)
        raise
    for folder in watched:
        _drop(folder / KEPT_NAME)


def recover(folders: Sequence[Path]) -> bool:
    """Bring back the folders in which a process that has ended left a snapshot; whether there was one."""
    left = [folder for folder in folders if (folder / KEPT_NAME).is_dir() and not _owned(folder)]
    for folder in left:
        _bring_back(folder)
    return bool(left)


def _owned(folder: Path) -> bool:
    """Whether the process that made the snapshot is still there."""
    owner = folder / KEPT_NAME / _OWNER
    return owner.exists() and process_is_alive(int(owner.read_text(encoding="ascii")))


def _files(folder: Path) -> Iterator[str]:
    """Paths of all files below ``folder`` relative to it, but compiled ones and snapshots."""
    for here, below, names in os.walk(folder):
        below[:] = [name for name in below if name not in (_COMPILED, KEPT_NAME, _UNFINISHED)]
        for name in names:
            yield os.path.relpath(os.path.join(here, name), folder)


def _take(folder: Path) -> None:
    """Give each file a second name. What is half made has another name, so that nobody brings it back."""
    unfinished = folder / _UNFINISHED
    _drop(unfinished)
    (unfinished / _FILES).mkdir(parents=True)
    (unfinished / _OWNER).write_text(str(os.getpid()), encoding="ascii")
    try:
        for path in _files(folder):
            second = unfinished / _FILES / path
            second.parent.mkdir(parents=True, exist_ok=True)
            os.link(folder / path, second, follow_symlinks=False)
    except (OSError, NotImplementedError) as error:
        logging.warning(
            "GliomaSeg: this disk keeps no second names (%s): an installation can't be undone", error
        )
        _drop(unfinished)
        return
    unfinished.rename(folder / KEPT_NAME)


def _bring_back(folder: Path) -> None:
    kept = folder / KEPT_NAME / _FILES
    if not kept.is_dir():  # this disk keeps no second names
        return
    before = set(_files(kept))
    for path in set(_files(folder)) - before:
        _remove(folder / path)
    for path in before:
        now, second = folder / path, kept / path
        if not os.path.lexists(now) or not _same(now, second):
            now.parent.mkdir(parents=True, exist_ok=True)
            _remove(now)
            os.link(second, now, follow_symlinks=False)
    _drop_empty(folder, kept)
    _drop(folder / KEPT_NAME)


def _same(one: Path, other: Path) -> bool:
    first, second = one.lstat(), other.lstat()
    return (first.st_ino, first.st_dev) == (second.st_ino, second.st_dev)


def _drop_empty(folder: Path, kept: Path) -> None:
    """Remove folders that hold no file and were not there before, with what Python compiled in them."""
    for here, _below, _names in os.walk(folder, topdown=False):
        place = Path(here)
        if KEPT_NAME in place.parts or (kept / place.relative_to(folder)).exists():
            continue
        if place.name == _COMPILED and (kept / place.parent.relative_to(folder)).exists():
            continue
        if place.name == _COMPILED or not any(place.iterdir()):
            _drop(place)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:  # Windows keeps a library that is in use
        logging.warning("GliomaSeg: %s could not be taken back: %s", path.name, error)


def _drop(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder, ignore_errors=True)
        if folder.exists():
            logging.warning("GliomaSeg: the folder %s could not be removed", folder.name)
