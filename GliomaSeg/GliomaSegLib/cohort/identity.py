"""What a result depends on: the bytes of its inputs, the model, the version, the settings. Nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .study import RoleInput


@dataclass(frozen=True)
class Inputs:
    """``content`` is a SHA-256 of the files' bytes by role; ``stamp`` one of their sizes and times.

    Equal stamps mean that nothing was written since (size, time of change of content and of the entry, which
    no program can set back): then the bytes need not be read again. Neither holds a name or a path.
    """

    content: str
    stamp: str


def stamp(series: Mapping[str, RoleInput]) -> str:
    """The stamp of the inputs. Raises ``OSError`` when one is gone."""
    digest = hashlib.sha256()
    for role in sorted(series):
        for file in series[role].files():
            status = file.stat()
            digest.update(f"{role} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}\n".encode())
    return digest.hexdigest()


def content(series: Mapping[str, RoleInput]) -> str:
    """The content of the inputs; renamed or copied files keep theirs. Raises ``OSError`` when one is gone."""
    digest = hashlib.sha256()
    for role in sorted(series):
        # By their bytes, so that neither names nor order of files enter.
        own = sorted(_file_digest(file) for file in series[role].files())
        digest.update(role.encode() + b"".join(own))
    return digest.hexdigest()


def _file_digest(path: Path) -> bytes:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()
