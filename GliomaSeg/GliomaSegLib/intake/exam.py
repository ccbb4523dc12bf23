"""A whole exam: a folder of DICOM series or volume files, sorted into roles, or single inputs of any kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import InputRefused, UsageError
from .dicom import Series, find_series, is_dicom, series_of_file
from .dicom_stack import read_series
from .reading import SUFFIXES, assembled, check_reference, read_volume, refuse_same_file
from .roles import Guess, SeriesFacts, choose, guess
from .volume import ROLE_NAMES, ROLES, Study, Volume


@dataclass(frozen=True)
class Source:
    """One candidate of an exam: what is known of it, which role it is taken for, and how it is read."""

    facts: SeriesFacts
    guess: Guess
    read: Callable[[str], Volume]


def find_sources(folder: Path) -> tuple[list[Source], list[str]]:
    """Every DICOM series and every volume file under ``folder``, and sentences about what was passed over.

    Raises ``InputRefused`` when there is neither.
    """
    if not folder.is_dir():
        raise InputRefused(f"The study ({folder.name}) is no folder: give the folder of the exam.")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    sources = [_file_source(path) for path in files if path.name.lower().endswith(SUFFIXES)]
    warnings: list[str] = []
    if not sources or any(is_dicom(path) for path in files):
        series, warnings = find_series(folder, "The study")
        sources += [_series_source(one) for one in series]
    return sources, warnings


def read_exam(
    paths: Mapping[str, Path], folder: Path | None, reference: str | None, to_be_aligned: bool
) -> tuple[Study, list[str]]:
    """The study of single inputs by role and, for the others, of ``folder``; with sentences on the choice.

    A path may be a volume file, one file of a DICOM series, or a folder that holds the series. ``reference``
    None means T1c where there is one, FLAIR otherwise. Raises ``InputRefused`` for a tie or a doubt between
    series and for whatever can't be read, ``UsageError`` when neither T1c nor FLAIR is there.
    """
    chosen: dict[str, Source] = {}
    told: list[str] = []
    if folder is not None:
        sources, told = find_sources(folder)
        wanted = [role for role in ROLES if role not in paths]
        picked = choose([(source.facts, source.guess) for source in sources], wanted)
        chosen = {role: sources[index] for role, index in picked.items()}
        told += [f"{ROLE_NAMES[role]} is {s.facts.label}: {s.guess.reason}." for role, s in chosen.items()]
    available = {**dict.fromkeys(chosen), **dict.fromkeys(paths)}
    if not {"t1c", "flair"} & set(available):
        raise UsageError("At least T1c or FLAIR is needed: give --t1c or --flair.")
    reference = reference or ("t1c" if "t1c" in available else "flair")
    check_reference(available, reference)
    refuse_same_file(paths)
    volumes = {
        role: read_any(paths[role], role) if role in paths else chosen[role].read(role) for role in available
    }
    return assembled(volumes, reference, to_be_aligned), told


def read_any(path: Path, role: str) -> Volume:
    """The volume of a role from a volume file, one file of a DICOM series, or a folder with the series.

    Raises ``InputRefused``.
    """
    title = ROLE_NAMES.get(role, role)
    if path.is_dir():
        found, warnings = find_series(path, title)
    elif path.is_file() and not path.name.lower().endswith(SUFFIXES) and is_dicom(path):
        found, warnings = series_of_file(path, title), []
    else:
        return read_volume(path, role)
    volume = read_series(_only(found, role, title, path), role)
    return replace(volume, warnings=(*warnings, *volume.warnings))


def roles_table(folder: Path) -> list[dict[str, str]]:
    """One row for each candidate of an exam, as ``gliomaseg roles`` prints them."""
    rows = []
    for source in find_sources(folder)[0]:
        facts, one = source.facts, source.guess
        size = " x ".join(str(n) for n in (*reversed(facts.rows_columns), facts.slices) if n)
        spacing = "" if facts.spacing_mm is None else " x ".join(f"{s:.2g}" for s in facts.spacing_mm)
        rows.append(
            {
                "series": facts.label,
                "role": "-" if one.role is None else ROLE_NAMES[one.role],
                "confidence": f"{one.confidence:.2f}",
                "voxels": size,
                "mm": spacing,
                "reason": one.reason,
                "description": next((text for text in facts.texts if text), ""),
            }
        )
    return rows


def _only(found: list[Series], role: str, title: str, folder: Path) -> Series:
    """The one series of a folder that was given for ``role``, by guess when there are several."""
    usable = [series for series in found if not series.trouble] or found
    if len(usable) == 1:
        return usable[0]
    index = choose([(series.facts, guess(series.facts)) for series in usable], [role]).get(role)
    if index is None:
        listed = ", ".join(series.label for series in usable)
        raise InputRefused(
            f"{title} ({folder.name}) holds {len(usable)} series ({listed}), none of them like {title}: "
            "give one file of the right series."
        )
    return usable[index]


def _series_source(series: Series) -> Source:
    found = Guess(None, 1.0, series.trouble) if series.trouble else guess(series.facts)
    return Source(series.facts, found, lambda role: read_series(series, role))


def _file_source(path: Path) -> Source:
    suffix = next(s for s in sorted(SUFFIXES, key=len, reverse=True) if path.name.lower().endswith(s))
    facts = SeriesFacts(path.name, texts=(path.name[: -len(suffix)],))
    return Source(facts, guess(facts), lambda role: read_volume(path, role))
