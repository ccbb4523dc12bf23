"""Results appear whole or not at all: written beside, moved at the end, ``run.json`` last."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .errors import OutputRefused

RUN_FILE = "run.json"
"""Written last: a folder with results but without it is unfinished."""
_PART = ".part"


def process_is_alive(pid: int) -> bool:
    """Whether a process of this number runs on this machine."""
    if os.name == "nt":
        import ctypes

        kernel: Any = getattr(ctypes, "windll").kernel32  # noqa: B009 (other systems' ctypes lacks it)
        handle = kernel.OpenProcess(0x1000, False, pid)
        kernel.CloseHandle(handle)
        return bool(handle)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _part_of(folder: Path) -> Path:
    return folder.parent / f".{folder.name}.{socket.gethostname()}.{os.getpid()}{_PART}"


def remove_abandoned(folder: Path) -> None:
    """Delete what killed runs on this machine left beside ``folder``, whatever result they were to be."""
    for left in folder.resolve().parent.glob(f".*.{socket.gethostname()}.*{_PART}"):
        pid = left.name.removesuffix(_PART).rpartition(".")[2]
        if pid.isdigit() and int(pid) != os.getpid() and not process_is_alive(int(pid)):
            shutil.rmtree(left, ignore_errors=True)


def is_unfinished(folder: Path, names: tuple[str, ...]) -> bool:
    """Whether ``folder`` holds some of the result files ``names`` but no ``run.json``."""
    return not (folder / RUN_FILE).exists() and any((folder / name).exists() for name in names)


def check_target(folder: Path, names: tuple[str, ...], overwrite: bool) -> None:
    """Refuse a target that can't be used, before any work is done.

    Raises ``OutputRefused`` when it is a file, can't be written, or holds results and ``overwrite`` is off.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputRefused(f"The output {folder.name} is a file: give a folder.")
    if not overwrite:
        if (folder / RUN_FILE).exists():
            raise OutputRefused(f"The folder {folder.name} holds a result: take another or add --overwrite.")
        if is_unfinished(folder, names):
            raise OutputRefused(
                f"The folder {folder.name} holds an unfinished result (no {RUN_FILE}): "
                "delete it or choose another, or add --overwrite."
            )
    existing = next(p for p in (folder, *folder.resolve().parents) if p.exists())
    if not os.access(existing, os.W_OK):
        raise OutputRefused(
            f"The output {folder.name} can't be written there: choose a folder that you may write to."
        )


@contextmanager
def result_folder(folder: Path, names: tuple[str, ...], overwrite: bool) -> Iterator[Path]:
    """A folder to write into, moved onto ``folder`` when the block ends well, deleted when it does not.

    ``names`` are the result files that a run may write; with ``overwrite`` those of an earlier run go, and
    nothing else in the folder is touched. Raises ``OutputRefused`` as ``check_target``, and on a full disk.
    """
    folder = folder.resolve()
    check_target(folder, names, overwrite)
    part = _part_of(folder)
    try:
        made = _make_parents(folder.parent)
        remove_abandoned(folder)
        part.mkdir()
    except OSError as error:
        raise refused_output(folder, error) from error
    try:
        yield part
        with _alone_in(folder.parent):
            # Another run may have been faster.
            check_target(folder, names, overwrite)
            _move(part, folder, names)
        made = []
    except OSError as error:
        raise refused_output(folder, error) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
        for parent in reversed(made):
            if parent.exists() and not any(parent.iterdir()):
                parent.rmdir()


def _make_parents(folder: Path) -> list[Path]:
    missing = [p for p in (folder, *folder.parents) if not p.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return missing[::-1]


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Inside, no other run on this machine moves its result to a place in ``folder``; a killed one lets go.

    Windows and file systems without locks are trusted to luck: the moves take milliseconds.
    """
    if sys.platform == "win32":
        yield
        return
    import fcntl

    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _move(part: Path, folder: Path, names: tuple[str, ...]) -> None:
    if not folder.exists():
        part.rename(folder)
        return
    # From here on an earlier result is unfinished until the new run.json is in place.
    for name in (RUN_FILE, *names):
        (folder / name).unlink(missing_ok=True)
    for file in sorted(part.iterdir(), key=lambda p: p.name == RUN_FILE):
        file.replace(folder / file.name)


def refused_output(folder: Path, error: OSError) -> OutputRefused:
    """The sentence for a system error while ``folder`` was written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return OutputRefused(f"The disk that holds {folder.name} is full: free some space and run again.")
    reason = error.strerror or type(error).__name__
    return OutputRefused(f"The output {folder.name} could not be written ({reason}): choose another folder.")
