"""A whole exam: a folder of DICOM series or volume files, sorted into roles, or single inputs of any kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from ..errors import InputRefused, UsageError
from .dicom import Series, find_series, is_dicom, series_of_file
from .dicom_files import files_under
from .dicom_stack import read_series
from .reading import SUFFIXES, assembled, check_reference, read_volume, refuse_same_file
from .roles import SURE, Guess, SeriesFacts, choose, contrast_notes, guess, in_context
from .volume import ROLE_NAMES, ROLES, Study, Volume


@dataclass(frozen=True)
class Source:
    """One candidate of an exam: what is known of it, which role it is taken for, and how it is read.

    ``exam`` is the UID of the DICOM study, "" for files: for comparing, not for telling.
    """

    facts: SeriesFacts
    guess: Guess
    read: Callable[[str], Volume]
    exam: str = ""
    is_dicom: bool = False


def find_sources(folder: Path) -> tuple[list[Source], list[str]]:
    """Every DICOM series and every volume file under ``folder``, and sentences about what was passed over.

    Each guess takes the others into account. Raises ``InputRefused`` when there is neither.
    """
    if not folder.is_dir():
        raise InputRefused(f"The study ({folder.name}) is no folder: give the folder of the exam.")
    files = files_under(folder)
    volumes = [path for path in files if path.name.lower().endswith(SUFFIXES)]
    names = Counter(path.name for path in volumes)
    sources = [_file_source(path, folder, names[path.name] == 1) for path in volumes]
    warnings: list[str] = []
    if not sources or any(is_dicom(path) for path in files):
        series, warnings = find_series(folder, "The study")
        sources += [_series_source(one) for one in series]
    settled = in_context([(source.facts, source.guess) for source in sources])
    return [replace(source, guess=one) for source, one in zip(sources, settled, strict=True)], warnings


def choose_sources(folder: Path, wanted: Sequence[str] = ROLES) -> tuple[dict[str, Source], list[str]]:
    """The best series of an exam for each role that it has, and sentences about what a person should know.

    Raises ``InputRefused`` for a tie, for a doubt, and for a folder that holds several exams.
    """
    found, warnings = find_sources(folder)
    sources, left_out = _of_one_exam(found, folder, wanted)
    candidates = [(source.facts, source.guess) for source in sources]
    picked = choose(candidates, wanted)
    notes = contrast_notes(candidates, picked) if "t1c" in wanted else []
    return {role: sources[index] for role, index in picked.items()}, [*warnings, *left_out, *notes]


def _of_one_exam(
    sources: list[Source], folder: Path, wanted: Sequence[str]
) -> tuple[list[Source], list[str]]:
    """The candidates of the one exam that has T1c or FLAIR, and a sentence about the series left out.

    Visits must not be mixed. Raises ``InputRefused`` when several exams have T1c or FLAIR.
    """
    decisive = {"t1c", "flair"} & set(wanted)
    whole = {s.exam: None for s in sources if s.guess.role in decisive and s.guess.confidence >= SURE}
    if len(whole) < 2:
        only = next(iter(whole), None)
        others = [s for s in sources if only is not None and s.exam != only and s.guess.role is not None]
        told = "of another exam were left out: " + ", ".join(s.facts.label for s in others)
        kept = [s for s in sources if only is None or s.exam == only]
        return kept, [f"Series {told}."] if others else []
    listed = "; ".join(
        ", ".join(s.facts.label for s in sources if s.exam == exam and s.guess.role is not None)
        for exam in whole
    )
    raise InputRefused(
        f"The study ({folder.name}) holds {len(whole)} exams ({listed}): give the folder of one of them, "
        "or each sequence by its own option."
    )


def read_exam(
    paths: Mapping[str, Path], folder: Path | None, reference: str | None, to_be_aligned: bool
) -> tuple[Study, list[str]]:
    """The study of single inputs by role and, for the others, of ``folder``; with sentences on the choice.

    A path may be a volume file, one file of a DICOM series, or a folder that holds the series. ``reference``
    None means T1c where there is one, FLAIR otherwise. Raises ``InputRefused`` for a tie or a doubt between
    series and for whatever can't be read, ``UsageError`` when neither T1c nor FLAIR is there.
    """
    chosen: dict[str, Source] = {}
    warnings: list[str] = []
    if folder is not None:
        chosen, warnings = choose_sources(folder, [role for role in ROLES if role not in paths])
    available = {**dict.fromkeys(chosen), **dict.fromkeys(paths)}
    if not {"t1c", "flair"} & set(available):
        raise _nothing_to_start_with(folder)
    reference = reference or ("t1c" if "t1c" in available else "flair")
    check_reference(available, reference)
    refuse_same_file(paths)
    volumes = _read_together(
        {role: partial(read_any, paths[role]) if role in paths else chosen[role].read for role in available}
    )
    study = assembled(volumes, reference, to_be_aligned)
    # These sentences are kept with the result: the name of a file or folder may hold a patient's.
    told = [
        f"{ROLE_NAMES[role]} is {s.facts.label if s.is_dicom else 'its file'}: {s.guess.reason}."
        for role, s in chosen.items()
    ]
    return replace(study, warnings=(*warnings, *study.warnings)), told


def _nothing_to_start_with(folder: Path | None) -> UsageError:
    told = "At least T1c or FLAIR is needed: give --t1c or --flair."
    if folder is None:
        return UsageError(told)
    return UsageError(
        f"No series of the study ({folder.name}) is T1c or FLAIR by its name or its times. {told[:-1]}; "
        "the verb  gliomaseg roles  lists what is there."
    )


def _read_together(readers: Mapping[str, Callable[[str], Volume]]) -> dict[str, Volume]:
    """Every role's volume, read side by side: unpacking is most of the work, and leaves Python free.

    Raises what the first of the failing roles raises.
    """
    with ThreadPoolExecutor(max_workers=len(readers), thread_name_prefix="reading") as pool:
        running = {role: pool.submit(reader, role) for role, reader in readers.items()}
        return {role: future.result() for role, future in running.items()}


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


def roles_table(folder: Path) -> tuple[list[dict[str, str]], list[str]]:
    """One row for each candidate of an exam, as ``gliomaseg roles`` prints them, and what is to be told.

    ``segment --study`` would use the rows marked in the column ``used``; without a mark in any, the sentences
    say why.
    """
    sources, _ = find_sources(folder)
    try:
        chosen, told = choose_sources(folder)
    except InputRefused as refusal:
        chosen, told = {}, [str(refusal)]
    used = {source.facts.label for source in chosen.values()}
    return [_row(source.facts, source.guess, source.facts.label in used) for source in sources], told


def _row(facts: SeriesFacts, one: Guess, used: bool) -> dict[str, str]:
    size = " x ".join(str(n) for n in (*reversed(facts.rows_columns), facts.slices) if n)
    spacing = "" if facts.spacing_mm is None else " x ".join(f"{s:.2g}" for s in facts.spacing_mm)
    return {
        "used": "*" if used else "",
        "series": facts.label,
        "role": "-" if one.role is None else ROLE_NAMES[one.role],
        "confidence": f"{one.confidence:.2f}",
        "voxels": size,
        "mm": spacing,
        "reason": one.reason,
        "description": next((text for text in facts.texts if text), ""),
        "one of its files": facts.example,
    }


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
    return Source(series.facts, found, lambda role: read_series(series, role), series.study, True)


def _file_source(path: Path, folder: Path, unique: bool) -> Source:
    suffix = next(s for s in sorted(SUFFIXES, key=len, reverse=True) if path.name.lower().endswith(s))
    place = path.relative_to(folder).as_posix()
    facts = SeriesFacts(path.name if unique else place, texts=(path.name[: -len(suffix)],), example=place)
    return Source(facts, guess(facts), lambda role: read_volume(path, role))
