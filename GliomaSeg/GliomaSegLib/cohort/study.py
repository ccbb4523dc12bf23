"""One study of a cohort: who, which visit, which files, and why; and the names that it gets in the output."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..intake.dicom import is_dicom
from ..intake.reading import SUFFIXES
from ..intake.volume import ROLE_NAMES, ROLES

_LONGEST_LABEL = 48
_HASH_DIGITS = 12


@dataclass(frozen=True)
class RoleInput:
    """What one role is read from: ``path`` as ``segment`` takes it.

    ``reason`` says in words why it was taken for the role. ``scattered``: the files of a DICOM series that do
    not lie alone in one folder, so that a worker gathers them first. Paths stay out of ``repr``: engines
    write that into logs.
    """

    path: Path = field(repr=False)
    reason: str
    scattered: tuple[Path, ...] = field(default=(), repr=False)

    def files(self) -> tuple[Path, ...]:
        """Everything that it may be read from: a file, a header with its pixels beside, a folder of DICOM."""
        if self.scattered:
            return self.scattered
        if self.path.is_dir():
            return tuple(sorted(p for p in self.path.rglob("*") if p.is_file()))
        lower = self.path.name.lower()
        beside = [p for p in self.path.parent.iterdir() if p.is_file()] if self.path.is_file() else []
        if not lower.endswith(SUFFIXES) and is_dicom(self.path):
            return tuple(sorted(beside))
        if lower.endswith((".nhdr", ".mhd")):
            stem = self.path.name[: self.path.name.rindex(".")] + "."
            return tuple(sorted(p for p in beside if p.name.startswith(stem)))
        return (self.path,)


@dataclass(frozen=True)
class PlannedStudy:
    """One study as it was found. ``refusal``: why it can't run, "" when nothing speaks against it.

    ``subject`` and ``session`` are as the source gives them (session "" when there is none); ``order`` sorts
    the sessions of one subject in time; ``visit`` counts them from 1.
    """

    subject: str
    session: str
    series: Mapping[str, RoleInput]
    refusal: str = ""
    order: tuple[object, ...] = ()
    visit: int = 1
    notes: tuple[str, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """``sub-X`` and, where there is a session, ``ses-Y``: alphanumeric, as BIDS wants them."""
        return (f"sub-{label(self.subject)}", *([f"ses-{label(self.session)}"] if self.session else []))

    @property
    def name(self) -> str:
        """``sub-X_ses-Y``."""
        return "_".join(self.labels)

    @property
    def folder(self) -> Path:
        """Where the result goes, relative to the output: ``sub-X/ses-Y/anat``."""
        return Path(*self.labels, "anat")

    @property
    def reference(self) -> str:
        """The role on whose grid the labels come: T1c, FLAIR where there is none."""
        return "t1c" if "t1c" in self.series else "flair"


def label(text: str) -> str:
    """Letters and digits of an identifier; a hash where none are left, or where it is very long.

    >>> label("TCGA-DU-7294"), label("BraTS2021_01476"), label("患者")[:1]
    ('TCGADU7294', 'BraTS202101476', 'x')
    """
    kept = re.sub(r"[^0-9A-Za-z]", "", text)
    digest = hashlib.sha256(text.encode()).hexdigest()
    if not kept:
        return "x" + digest[:_HASH_DIGITS]
    return kept if len(kept) <= _LONGEST_LABEL else kept[:32] + digest[:_HASH_DIGITS]


def natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """A sort key in which 2 comes before 10 and dates stand in their order.

    >>> sorted(["ses10", "ses2", "2021-03-01", "2020-12-24"], key=natural)
    ['2020-12-24', '2021-03-01', 'ses2', 'ses10']
    """
    parts = re.findall(r"\d+|\D+", text.lower())
    return tuple((0, int(p), "") if p.isascii() and p.isdigit() else (1, 0, p) for p in parts)


def hashed(text: str, salt: bytes) -> str:
    """A pseudonym of an identifier: HMAC-SHA256 with a secret salt, 48 bits of it, hexadecimal.

    >>> hashed("Doe", b"a") == hashed("Doe", b"a"), hashed("Doe", b"a") == hashed("Doe", b"b")
    (True, False)
    """
    return hmac.new(salt, text.encode(), hashlib.sha256).hexdigest()[:_HASH_DIGITS]


def with_hashed_names(studies: Iterable[PlannedStudy], salt: bytes) -> list[PlannedStudy]:
    """The studies under pseudonyms. A session's hash takes its subject in: equal dates don't show."""
    return [
        replace(
            s,
            subject=hashed(s.subject, salt),
            session=hashed(f"{s.subject}\n{s.session}", salt) if s.session else "",
        )
        for s in studies
    ]


def with_visits(studies: Sequence[PlannedStudy]) -> list[PlannedStudy]:
    """The studies with ``visit`` counted within each subject, by ``order``; the sequence stays as it was."""
    by_subject: dict[str, list[PlannedStudy]] = {}
    for study in studies:
        if not study.refusal:
            by_subject.setdefault(study.subject, []).append(study)
    visit = {}
    for own in by_subject.values():
        for number, study in enumerate(sorted(own, key=lambda s: s.order), 1):
            visit[id(study)] = number
    return [replace(s, visit=visit.get(id(s), 0)) for s in studies]


def checked(studies: Sequence[PlannedStudy]) -> list[PlannedStudy]:
    """The studies, those refused that have no reference, are there twice, or would share a folder.

    Of two listings of one session neither runs: which one is meant, only a person knows.
    """
    listed = Counter((study.subject, study.session) for study in studies)
    first: dict[str, PlannedStudy] = {}
    done = []
    for study in studies:
        refusal = study.refusal or _no_reference(study)
        # Some file systems don't tell capitals from small letters.
        other = first.setdefault(study.name.lower(), study)
        if listed[study.subject, study.session] > 1:
            refusal = f"{_who(study)} is listed twice: keep one line, or give each its own session."
        elif other is not study:
            refusal = (
                f"{_who(study)} would share the folder {study.name} with {_who(other)}: "
                "only letters and digits count, rename one."
            )
        done.append(replace(study, refusal=refusal))
    return done


def _no_reference(study: PlannedStudy) -> str:
    if {"t1c", "flair"} & set(study.series):
        return ""
    has = ", ".join(ROLE_NAMES[role] for role in ROLES if role in study.series) or "nothing"
    return f"At least T1c or FLAIR is needed, and there is {has}: add one of them."


def _who(study: PlannedStudy) -> str:
    session = f", session {study.session}" if study.session else ""
    return f"Subject {study.subject}{session}"
