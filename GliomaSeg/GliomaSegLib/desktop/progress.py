"""The lines that ``gliomaseg segment --progress json`` prints, read without Slicer."""

from __future__ import annotations

import json
from dataclasses import dataclass


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
    try:
        told = json.loads(line)
    except ValueError:
        return None
    if not isinstance(told, dict) or ("fraction" not in told and "pid" not in told):
        return None
    fraction = min(max(float(told.get("fraction", 0.0)), 0.0), 1.0)
    pid = told.get("pid")
    return Progress(
        str(told.get("stage", "")), fraction, str(told.get("message", "")), int(pid) if pid else None
    )


def refusal(line: str) -> str:
    """The sentence of an error that the command tells, or an empty text.

    >>> refusal('{"stage": "error", "message": "t1.nrrd is constant.", "exit_code": 3}')
    't1.nrrd is constant.'
    """
    try:
        told = json.loads(line)
    except ValueError:
        return ""
    is_error = isinstance(told, dict) and told.get("stage") == "error"
    return str(told.get("message", "")) if is_error else ""


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
