"""A cohort as a table: CSV with subject, session and a path for each sequence that there is."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from pathlib import Path

from ..errors import InputRefused
from ..intake.volume import ROLE_NAMES, ROLES
from .study import PlannedStudy, RoleInput, natural

COLUMNS = ("subject", "session", *ROLES)
_AS_LISTED = "as the manifest says"


def read_manifest(path: Path) -> tuple[list[PlannedStudy], list[str]]:
    """The studies of a manifest in its order, and sentences about what was passed over.

    UTF-8 (with or without a mark at its start), separated by comma, semicolon or tab. Paths are relative to
    the manifest's folder; an empty cell is a missing sequence. Raises ``InputRefused`` for a file that is no
    such table; what is wrong with one line becomes that study's refusal.
    """
    try:
        rows = list(csv.reader(io.StringIO(_text(path)), dialect=_dialect(path), strict=True))
    except csv.Error as error:
        raise InputRefused(
            f"The quotes in {path.name} don't pair up ({error}): save it as CSV again."
        ) from error
    rows = [row for row in rows if any(cell.strip() for cell in row)]
    if not rows:
        raise InputRefused(f"The manifest {path.name} is empty: it needs a line {','.join(COLUMNS)}.")
    heads = [cell.strip().lower() for cell in rows[0]]
    _check_heads(path, heads)
    notes = []
    if unknown := [head for head in heads if head and head not in COLUMNS]:
        notes.append(f"Columns of {path.name} that are not used: {', '.join(unknown)}.")
    studies = [_study(path.parent, heads, row, number) for number, row in enumerate(rows[1:], 1)]
    if not studies:
        raise InputRefused(f"The manifest {path.name} lists no study: add a line for each.")
    return _in_time(studies), notes


def _in_time(studies: list[PlannedStudy]) -> list[PlannedStudy]:
    """Sessions of a subject that differ by numbers or dates alone in that order, others as listed."""
    shapes: dict[str, set[str]] = {}
    for study in studies:
        shapes.setdefault(study.subject, set()).add(re.sub(r"\d+", "0", study.session))
    return [
        replace(study, order=(natural(study.session), *study.order))
        if len(shapes[study.subject]) == 1
        else study
        for study in studies
    ]


def _text(path: Path) -> str:
    if not path.is_file():
        raise InputRefused(f"The manifest {path.name} is no file: give a CSV with {','.join(COLUMNS)}.")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputRefused(f"The manifest {path.name} is not UTF-8: save it as CSV UTF-8.") from error
    except OSError as error:
        raise InputRefused(f"The manifest {path.name} can't be read: check its permissions.") from error
    if "\0" in text:
        raise InputRefused(f"The manifest {path.name} is no text: save it as CSV UTF-8.")
    return text


def _dialect(path: Path) -> type[csv.Dialect]:
    """The separator that the first line uses most."""
    first = next((line for line in _text(path).splitlines() if line.strip()), "")

    class Found(csv.excel):
        delimiter = max(",;\t", key=first.count)

    return Found


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that no file system takes
        return False


def _check_heads(path: Path, heads: list[str]) -> None:
    if "subject" not in heads or not set(ROLES) & set(heads):
        raise InputRefused(
            f"The manifest {path.name} has no columns subject and {', '.join(ROLES)}: "
            f"its first line must be {','.join(COLUMNS)}."
        )
    if twice := sorted({head for head in heads if head in COLUMNS and heads.count(head) > 1}):
        raise InputRefused(f"The manifest {path.name} has the column {twice[0]} twice: remove one.")


def _study(folder: Path, heads: list[str], row: list[str], number: int) -> PlannedStudy:
    cells = {head: cell.strip() for head, cell in zip(heads, row + [""] * len(heads), strict=False) if head}
    subject, session = cells["subject"], cells.get("session", "")
    order = (number,)
    if not subject:
        return PlannedStudy(f"line{number}", "", {}, f"Line {number} has no subject: fill it in.", order)
    if len(row) > len(heads):
        refusal = f"Line {number} has more cells than the first line: put quotes around a path with commas."
        return PlannedStudy(subject, session, {}, refusal, order)
    given = {role: folder / cells[role] for role in ROLES if cells.get(role)}
    missing = [role for role, path in given.items() if not _exists(path)]
    if missing:
        names = ", ".join(ROLE_NAMES[role] for role in missing)
        told = "does not exist: check its path" if len(missing) == 1 else "do not exist: check their paths"
        return PlannedStudy(subject, session, {}, f"{names} {told}.", order)
    return PlannedStudy(subject, session, {r: RoleInput(p, _AS_LISTED) for r, p in given.items()}, "", order)
