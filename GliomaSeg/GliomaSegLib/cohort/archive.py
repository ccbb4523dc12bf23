"""A cohort as a DICOM archive: folders of exams, sorted by study and patient; identities leave it hashed.

The patient's ID, the study's UID and its date are read here to tell exams apart and put them in order. Only a
salted hash of the first two goes further.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

from ..errors import InputRefused, missing_extra
from ..intake.dicom import Series, find_series
from ..intake.roles import Guess, SeriesFacts, choose, guess
from ..intake.volume import ROLES
from .study import PlannedStudy, RoleInput, hashed

_MANY_FOLDERS = 8
"""From here on several processes read the headers."""


@dataclass(frozen=True)
class _Found:
    """One MR series that can be a volume: what is known of it, its guess, and how it is read."""

    facts: SeriesFacts
    guess: Guess
    source: RoleInput


@dataclass
class _Exam:
    """One DICOM study: who and when (never shown), and its MR series."""

    patient: str = field(repr=False)
    uid: str = field(repr=False)
    when: str = field(repr=False)
    series: list[_Found] = field(default_factory=list)


def scan_archive(folder: Path, salt: bytes) -> tuple[list[PlannedStudy], list[str]]:
    """The MR exams under ``folder``, by patient and date, and sentences about what was passed over.

    Subject and session are hashes of Patient ID and Study Instance UID with ``salt``. Raises ``InputRefused``
    when there is no MR exam, ``UsageError`` when pydicom is missing.
    """
    if not folder.is_dir():
        raise InputRefused(f"The DICOM archive {folder.name} does not exist: check its path.")
    try:
        import pydicom  # noqa: F401
    except ImportError as error:
        raise missing_extra("pydicom", "dicom", "Reading DICOM") from error
    exams: dict[str, _Exam] = {}
    notes: list[str] = []
    for found, told in _scanned(_units(folder)):
        notes += told
        for exam in found:
            exams.setdefault(exam.uid, _Exam(exam.patient, exam.uid, exam.when)).series.extend(exam.series)
    if not exams:
        raise InputRefused(
            f"The DICOM archive {folder.name} holds no MR exam: give the folder of the archive."
        )
    studies = [_study(exam, salt) for exam in exams.values()]
    return sorted(studies, key=lambda s: (s.subject, s.order)), _counted(notes)


def _counted(notes: list[str]) -> list[str]:
    """Each sentence once, with its number."""
    return [f"{text} ({count} times)" if count > 1 else text for text, count in Counter(notes).items()]


def _units(folder: Path) -> list[Path]:
    """The folders that are read one by one: those directly below, or all at once when files lie there."""
    children = sorted(folder.iterdir())
    folders = [p for p in children if p.is_dir()]
    files = [p for p in children if p.is_file() and not p.name.startswith(".") and p.name != "DICOMDIR"]
    return [folder] if files or not folders else folders


def _scanned(units: list[Path]) -> Iterator[tuple[list[_Exam], list[str]]]:
    processes = min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1, 16)
    if len(units) < _MANY_FOLDERS or processes < 2:
        yield from map(_scan, units)
        return
    # Not forked: a fork of a process with threads, as Dask and torch have them, may hang.
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_scan, units, chunksize=4)


def _scan(unit: Path) -> tuple[list[_Exam], list[str]]:
    try:
        found, _ = find_series(unit, "The exam")
    except InputRefused:
        return [], ["A folder without DICOM images was passed over."]
    exams: dict[str, _Exam] = {}
    for series in found:
        if series.frames and not series.trouble:
            patient, uid, when = _identity(series)
            exam = exams.setdefault(uid, _Exam(patient, uid, when))
            exam.series.append(_found(series))
    return list(exams.values()), [] if exams else ["A folder without MR volumes was passed over."]


def _identity(series: Series) -> tuple[str, str, str]:
    """Patient ID with its issuer, Study Instance UID, date and time, from one file of the series."""
    import pydicom

    tags = ["PatientID", "IssuerOfPatientID", "StudyInstanceUID", "StudyDate", "StudyTime"]
    header = pydicom.dcmread(series.frames[0].path, stop_before_pixels=True, specific_tags=tags, force=True)
    uid = str(header.get("StudyInstanceUID", "") or series.uid)
    number = str(header.get("PatientID", "") or "").strip()
    issuer = str(header.get("IssuerOfPatientID", "") or "").strip()
    when = f"{header.get('StudyDate', '') or ''} {header.get('StudyTime', '') or ''}"
    # Without an ID nobody is taken for the same person.
    return (f"{issuer}\n{number}" if number else uid), uid, when


def _found(series: Series) -> _Found:
    facts, told = series.facts, guess(series.facts)
    files = tuple(sorted({frame.path for frame in series.frames}))
    # Long lists are kept for scattered series only: an archive has millions of files.
    scattered = () if _alone(files) else files
    return _Found(facts, told, RoleInput(files[0], f"{facts.label}, {told.reason}", scattered))


def _alone(files: Iterable[Path]) -> bool:
    """Whether the files are all that lies in one folder."""
    own = set(files)
    folders = {path.parent for path in own}
    return len(folders) == 1 and {p for p in folders.pop().iterdir() if p.is_file()} == own


def _study(exam: _Exam, salt: bytes) -> PlannedStudy:
    subject, session = hashed(exam.patient, salt), hashed(exam.uid, salt)
    order = (exam.when, exam.uid)
    notes = tuple(
        f"{one.facts.label}: no role ({one.guess.reason})" for one in exam.series if one.guess.role is None
    )
    try:
        chosen = choose([(one.facts, one.guess) for one in exam.series], ROLES)
    except InputRefused as refused:
        sentence = str(refused).partition(" Choose with ")[0]
        return PlannedStudy(subject, session, {}, f"{sentence} List it in a manifest.", order, notes=notes)
    series = {role: exam.series[index].source for role, index in chosen.items()}
    return PlannedStudy(subject, session, series, "", order, notes=notes)
