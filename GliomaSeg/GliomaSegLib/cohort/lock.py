"""One cohort at a time in one output; the system itself lets go of the lock when a process dies."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from ..errors import OutputRefused
from ..output_folder import refused_output

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@contextmanager
def only_one(root: Path, file: Path) -> Iterator[None]:
    """Inside, no other cohort writes to ``root``; ``file`` carries the lock. Raises ``OutputRefused``."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        stream = file.open("a+b")
    except OSError as error:
        raise refused_output(root, error) from error
    with stream:
        try:
            _take(stream)
        except OSError as error:
            # A file system that knows no locks: publishing is safe by itself, work may be done twice.
            if error.errno not in _NO_LOCKS:
                raise OutputRefused(
                    f"Another cohort is being written to {root.name}: wait for it, or choose another output."
                ) from error
        yield


def _take(stream: IO[Any]) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
