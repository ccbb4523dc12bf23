"""The lines that the command prints with ``--progress json``, read without Slicer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Progress:
    """One line: the stage's name, the fraction done (0..1), a message, the child's own pid."""

    stage: str
    fraction: float
    message: str
    pid: int | None = None


def parse(line: str) -> Progress | None:
    """The progress that a line tells, or None when the line is something else.

    >>> parse('{"stage": "network", "fraction": 0.5, "message": "window 2 of 4"}').fraction
    0.5
    >>> parse("a warning of some library") is None
    True
    """
    told = _told(line)
    if "fraction" not in told and "pid" not in told:
        return None
    fraction = min(max(float(told.get("fraction", 0.0)), 0.0), 1.0)
    pid = told.get("pid")
    return Progress(
        str(told.get("stage", "")), fraction, str(told.get("message", "")), int(pid) if pid else None
    )


@dataclass(frozen=True)
class Refusal:
    """An error that the command tells: its sentence, the error's class, what a person may be asked about."""

    sentence: str
    kind: str = ""
    what: str = ""


def refused(line: str) -> Refusal | None:
    """The error that a line tells, or None when it is something else."""
    told = _told(line)
    if told.get("stage") != "error":
        return None
    return Refusal(*(str(told.get(key, "")) for key in ("message", "kind", "what")))


def refusal(line: str) -> str:
    """The sentence of an error that the command tells, or an empty text.

    >>> refusal('{"stage": "error", "message": "t1.nrrd is constant.", "exit_code": 3}')
    't1.nrrd is constant.'
    """
    found = refused(line)
    return found.sentence if found else ""


def imported_name(line: str) -> str:
    """The name of the model that has been imported, where a line tells it; else an empty text.

    >>> imported_name('{"stage": "done", "fraction": 1.0, "message": "Done", "name": "theirs"}')
    'theirs'
    """
    told = _told(line)
    return str(told.get("name", "")) if told.get("stage") == "done" else ""


def _told(line: str) -> dict[str, Any]:
    """The object in a line; empty for anything else."""
    try:
        told = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


class LineBuffer:
    """Cuts a stream of bytes into whole lines; a multi-byte letter may be split between two pieces.

    >>> buffer = LineBuffer()
    >>> buffer.feed(b"one\\ntw"), buffer.feed("o é\\n".encode()), buffer.rest()
    (['one'], ['two é'], [])
    """

    def __init__(self) -> None:
        self._pending = b""

    def feed(self, piece: bytes) -> list[str]:
        """Lines that are complete now, without their ends."""
        *whole, self._pending = (self._pending + piece).split(b"\n")
        return [line.decode("utf-8", "replace").rstrip("\r") for line in whole]

    def rest(self) -> list[str]:
        """What is left when the stream has ended: one line or none."""
        pending, self._pending = self._pending, b""
        return [pending.decode("utf-8", "replace").rstrip("\r")] if pending else []
