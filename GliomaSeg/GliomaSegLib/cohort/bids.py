"""A cohort as BIDS lays it out: sub-X/[ses-Y/]anat/*_{T1w,T2w,FLAIR}.nii.gz; the entity ce tells contrast."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ..errors import InputRefused
from ..intake.roles import Guess, SeriesFacts, choose
from ..intake.volume import ROLES
from .study import PlannedStudy, RoleInput, natural

_SUFFIX_ROLES = {"T1w": "t1", "T2w": "t2", "FLAIR": "flair"}
_NAME = re.compile(r"(?P<entities>.+)_(?P<suffix>[A-Za-z0-9]+)\.nii(\.gz)?")
_NO_CONTRAST = {"none", "no", "pre", "native"}


def scan_bids(folder: Path) -> tuple[list[PlannedStudy], list[str]]:
    """The studies of a BIDS data set in the order of their labels, and sentences about what was passed over.

    T1c is a T1w with the entity ``ce`` (BIDS 1.10, anatomy imaging data). Of several files of one role the
    finest is taken; a tie is refused. ``sub-X_sessions.tsv`` with ``acq_time`` orders the sessions where it
    is, their labels do elsewhere. Raises ``InputRefused`` when there is no subject.
    """
    if not folder.is_dir():
        raise InputRefused(f"The BIDS folder {folder.name} does not exist: check its path.")
    subjects = sorted((p for p in folder.glob("sub-*") if p.is_dir()), key=lambda p: natural(p.name))
    if not subjects:
        raise InputRefused(f"The folder {folder.name} holds no sub-*: give the root of a BIDS data set.")
    studies = [study for subject in subjects for study in _of_subject(subject)]
    empty = len(subjects) - len({study.subject for study in studies})
    notes = [f"{empty} subjects have no folder anat and were passed over."] if empty else []
    if not studies:
        raise InputRefused(
            f"No subject of {folder.name} has a folder anat: give the root of a BIDS data set."
        )
    return studies, notes


def _of_subject(subject: Path) -> Iterator[PlannedStudy]:
    name = subject.name.removeprefix("sub-")
    times = _times(subject)
    if (subject / "anat").is_dir():
        yield _study(name, "", subject / "anat", ())
    for session in sorted(subject.glob("ses-*")):
        if (session / "anat").is_dir():
            order = (times.get(session.name, ""), natural(session.name))
            yield _study(name, session.name.removeprefix("ses-"), session / "anat", order)


def _times(subject: Path) -> dict[str, str]:
    """Acquisition time by session, where every session of the subject's table has one."""
    table = subject / f"{subject.name}_sessions.tsv"
    if not table.is_file():
        return {}
    with table.open(encoding="utf-8-sig", newline="", errors="replace") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    found = {row.get("session_id") or "": (row.get("acq_time") or "n/a") for row in rows}
    return {} if "n/a" in found.values() else found


def _study(subject: str, session: str, anatomy: Path, order: tuple[object, ...]) -> PlannedStudy:
    files = sorted(anatomy.iterdir())
    candidates = [found for path in files if (found := _candidate(path)) is not None]
    if any(path.is_symlink() and not path.exists() for path, _, _ in candidates):
        refusal = "Its files are links to nothing: fetch them first (as with  datalad get)."
        return PlannedStudy(subject, session, {}, refusal, order)
    try:
        chosen = _chosen(candidates)
    except InputRefused as refused:
        sentence = str(refused).partition(" Choose with ")[0]
        return PlannedStudy(subject, session, {}, f"{sentence} List it in a manifest.", order)
    series = {
        role: RoleInput(candidates[index][0], candidates[index][2].reason) for role, index in chosen.items()
    }
    return PlannedStudy(subject, session, series, "", order)


def _chosen(candidates: list[tuple[Path, SeriesFacts, Guess]]) -> dict[str, int]:
    roles = [guess.role for _, _, guess in candidates]
    measured = [
        (_with_size(path, facts) if roles.count(guess.role) > 1 else facts, guess)
        for path, facts, guess in candidates
    ]
    return dict(choose(measured, ROLES))


def _candidate(path: Path) -> tuple[Path, SeriesFacts, Guess] | None:
    """A file with its role and the reason, None for what is no such picture (parts, maps, other suffixes)."""
    found = _NAME.fullmatch(path.name)
    if found is None or found["suffix"] not in _SUFFIX_ROLES or path.is_dir():
        return None
    parts = (part.partition("-") for part in found["entities"].split("_"))
    entities = {key: value for key, _, value in parts}
    if entities.get("part", "mag") != "mag" or {"mod", "desc"} & set(entities):
        return None
    role, reason = _SUFFIX_ROLES[found["suffix"]], f"suffix {found['suffix']}"
    contrast = entities.get("ce", "")
    if contrast and contrast.lower() not in _NO_CONTRAST:
        # FLAIR and T2 after contrast stay what they are.
        role, reason = ("t1c" if role == "t1" else role), f"{reason}, ce-{contrast}"
    shown = "_".join(f"{k}-{v}" for k, v in entities.items() if k not in ("sub", "ses"))
    label = f"{shown}_{found['suffix']}" if shown else found["suffix"]
    return path, SeriesFacts(label), Guess(role, 0.95, reason)


def _with_size(path: Path, facts: SeriesFacts) -> SeriesFacts:
    """The facts with voxel size and number of slices from the header; as they were when it can't be read."""
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        # Its quality counts as 0: a readable candidate wins, and alone it gets its sentence from the reader.
        return facts
    if reader.GetDimension() < 3:
        return facts
    x, y, z = reader.GetSpacing()[:3]
    return replace(facts, slices=int(reader.GetSize()[2]), spacing_mm=(float(x), float(y), float(z)))
