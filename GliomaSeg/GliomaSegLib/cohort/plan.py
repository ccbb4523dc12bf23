"""What a cohort would run, before an hour is spent: the studies of a source, and their list in words."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..errors import InputRefused, OutputRefused
from ..intake.volume import ROLE_NAMES, ROLES
from .study import PlannedStudy, checked, with_hashed_names, with_visits

_SALT_BYTES = 32


def find_studies(
    manifest: Path | None, bids: Path | None, dicom: Path | None, salt: bytes | None
) -> tuple[list[PlannedStudy], list[str]]:
    """The studies of the one source that is given, checked and in order, and sentences about them all.

    With ``salt`` subjects and sessions are under salted hashes, which a DICOM archive always needs. Raises
    ``InputRefused`` for a source that can't be used.
    """
    if manifest is not None:
        from .manifest import read_manifest

        studies, notes = read_manifest(manifest)
    elif bids is not None:
        from .bids import scan_bids

        studies, notes = scan_bids(bids)
    elif dicom is not None and salt is not None:
        from .archive import scan_archive

        studies, notes = scan_archive(dicom, salt)
    else:
        raise ValueError("one source is needed, and a salt for DICOM")
    if salt is not None and dicom is None:
        studies = with_hashed_names(studies, salt)
    return with_visits(checked(studies)), notes


def read_salt(file: Path) -> bytes:
    """The salt in ``file``, made (readable by its owner only) when there is none.

    Whoever has it can test whether a known identifier is in the cohort. Raises ``InputRefused`` for a file
    without enough in it, ``OutputRefused`` when it can't be made.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        try:
            salt = file.read_bytes()
        except OSError as error:
            raise InputRefused(f"The salt {file.name} can't be read: give a file.") from error
        if len(salt) < _SALT_BYTES // 2:
            raise InputRefused(f"The salt {file.name} has less than 16 bytes: give a longer one.") from None
        return salt
    except OSError as error:
        raise OutputRefused(f"The salt {file.name} can't be made there: choose another place.") from error
    with os.fdopen(descriptor, "wb") as stream:
        salt = os.urandom(_SALT_BYTES)
        stream.write(salt)
    return salt


def listing(studies: Sequence[PlannedStudy], notes: Sequence[str]) -> Iterator[str]:
    """What would run, in lines: each study with its roles and reasons, or with what speaks against it."""
    for study in studies:
        who = study.subject + (f", {study.session}" if study.session else "")
        if study.refusal:
            yield f"{who}: refused. {study.refusal}"
        else:
            yield f"{who} (visit {study.visit}) -> {study.folder.as_posix()}"
            for role in ROLES:
                source = study.series.get(role)
                yield f"    {ROLE_NAMES[role]:<6} {source.reason if source else 'missing'}"
        yield from (f"    {note}" for note in study.notes)
    yield from notes
    runs = [study for study in studies if not study.refusal]
    roles = Counter(role for study in runs for role in study.series)
    told = ", ".join(f"{ROLE_NAMES[role]} {roles[role]}" for role in ROLES)
    yield f"{len(studies)} studies: {len(runs)} would run ({told}), {len(studies) - len(runs)} refused."
    visits = Counter(study.subject for study in runs)
    if chained := sum(count - 1 for count in visits.values()):
        yield f"{chained} visits would be compared with the one before."
