"""DICOM series: which files belong together, which stacks of slices they hold, what their headers tell.

Reads the tags that geometry and roles need and no other; a patient's name never enters the program. Slices
are placed by Image Position and Image Orientation (PS3.3 C.7.6.2), never by file name or instance number.
"""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputRefused
from .dicom_files import is_dicom, quiet, read_header, read_headers, unreadable
from .dicom_frames import Frame, Groups, Series, frames_of, image_type, trouble_of
from .dicom_stack import split, step_mm
from .role_guess import SeriesFacts

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

__all__ = ["Frame", "Series", "find_series", "is_dicom", "series_of_file"]


def find_series(folder: Path, title: str = "The folder") -> tuple[list[Series], list[str]]:
    """All stacks of slices under ``folder``, by series number, and sentences about files passed over.

    A DICOM series of several stacks (echoes, planes, magnitude and phase) comes as several ``Series``. Raises
    ``InputRefused`` when there is none, ``UsageError`` when pydicom is missing.
    """
    headers = read_headers(folder)
    warnings = headers.warnings(folder)
    if not headers.images:
        reason = f" ({' '.join(warnings)})" if warnings else ""
        raise InputRefused(
            f"{title} ({folder.name}) holds no DICOM images{reason}: give the folder of an MR exam."
        )
    with quiet():
        return _grouped(headers.images, folder), warnings


def series_of_file(path: Path, title: str) -> list[Series]:
    """The stacks that ``path`` has slices in, with all of their files in the same folder.

    Nearly always one. Raises ``InputRefused`` when the file is no DICOM image.
    """
    header = read_header(path)
    if header is None or "Rows" not in header:
        raise InputRefused(
            f"{title} ({path.name}) is no DICOM image: give one slice of the series, or its folder."
        )
    uid = str(header.get("SeriesInstanceUID", ""))
    found, _ = find_series(path.parent, title)
    same = [series for series in found if series.uid == uid]
    with_file = [series for series in same if any(frame.path == path for frame in series.frames)]
    return with_file or same


def _grouped(headers: Iterable[tuple[Path, Dataset]], folder: Path) -> list[Series]:
    by_uid: dict[str, list[tuple[Path, Dataset]]] = {}
    for path, header in headers:
        by_uid.setdefault(str(header.get("SeriesInstanceUID", "")), []).append((path, header))
    stacks = [[_placed(part, folder) for part in _series(uid, members)] for uid, members in by_uid.items()]
    stacks.sort(key=lambda parts: (parts[0].facts.number, parts[0].study, parts[0].uid))
    return [part for parts in _told_apart(stacks) for part in parts]


def _told_apart(stacks: list[list[Series]]) -> list[list[Series]]:
    """The same with a label for each: series that share a number get a letter, parts of one a number."""
    shared = Counter(parts[0].facts.number for parts in stacks)
    letters: Counter[int] = Counter()
    labelled = []
    for parts in stacks:
        number = parts[0].facts.number
        label = f"series {number}"
        if shared[number] > 1:
            label += _letters(letters[number])
            letters[number] += 1
        labelled.append(
            [
                _labelled(part, f"{label}, stack {place}" if len(parts) > 1 else label)
                for place, part in enumerate(parts, 1)
            ]
        )
    return labelled


def _letters(count: int) -> str:
    """a to z, then aa, ab and on.

    >>> [_letters(n) for n in (0, 25, 26, 52)]
    ['a', 'z', 'aa', 'ba']
    """
    first, last = divmod(count, 26)
    return (_letters(first - 1) if first else "") + string.ascii_lowercase[last]


def _placed(series: Series, folder: Path) -> Series:
    """With its example file relative to the folder that was searched."""
    example = Path(series.facts.example).relative_to(folder).as_posix()
    return replace(series, facts=replace(series.facts, example=example))


def _labelled(series: Series, label: str) -> Series:
    return replace(series, facts=replace(series.facts, label=label))


def _series(uid: str, members: list[tuple[Path, Dataset]]) -> list[Series]:
    """The stacks of one DICOM series, the ones of most slices first; one that is in trouble stays whole."""
    first = members[0][1]
    study, inverted = str(first.get("StudyInstanceUID", "")), _inverted(first)
    frames: list[Frame] = []
    parts: list[tuple[Frame, ...]] = []
    try:
        trouble = next((told for _, header in members if (told := trouble_of(header))), "")
        if not trouble:
            frames = [frame for path, header in members for frame in frames_of(path, header)]
            parts, trouble = split(frames)
        if any(_number(frame.told("DiffusionBValue")) for frame in frames):
            trouble = "is diffusion-weighted"
    except unreadable():
        trouble = "does not say where its slices lie in the patient"
    if trouble:
        return [Series(uid, _facts(first, members, frames), tuple(frames), inverted, trouble, study)]
    headers = dict(members)
    return [
        Series(uid, _facts(headers[part[0].path], members, list(part)), part, inverted, "", study)
        for part in sorted(parts, key=len, reverse=True)
    ]


def _inverted(header: Dataset) -> bool:
    return str(header.get("PhotometricInterpretation", "")) == "MONOCHROME1"


def _facts(header: Dataset, members: list[tuple[Path, Dataset]], frames: list[Frame]) -> SeriesFacts:
    groups = Groups.of_header(header)
    number = _whole(groups.get("SeriesNumber"))
    texts = ("SeriesDescription", "ProtocolName", "SequenceName", "PulseSequenceName")
    echo = frames[0].told("EffectiveEchoTime") or frames[0].told("EchoTime") if frames else ""
    return SeriesFacts(
        label=f"series {number}",
        number=number,
        texts=tuple(str(groups.get(text, "") or "") for text in texts),
        image_type=(frames[0].image_type if frames else ()) or image_type(header),
        modality=str(groups.get("Modality", "") or ""),
        contrast_agent=_agent(groups),
        echo_ms=_number(echo or groups.get("EffectiveEchoTime") or groups.get("EchoTime")),
        repetition_ms=_number(groups.get("RepetitionTime")),
        inversion_ms=_number(groups.get("InversionTime") or groups.get("InversionTimes")),
        scanning=str(groups.get("ScanningSequence", "") or ""),
        slices=len({frame.position for frame in frames}),
        spacing_mm=_voxel(groups, frames),
        rows_columns=(int(header.Rows), int(header.Columns)),
        files=len({frame.path for frame in frames}) or len(members),
        body_part=str(groups.get("BodyPartExamined", "") or ""),
        orientation=tuple(frames[0].orientation) if frames else (),
        example=str(frames[0].path if frames else members[0][0]),
    )


def _agent(groups: Groups) -> str:
    """The contrast agent that the header names, "" for none."""
    if agent := str(groups.get("ContrastBolusAgent", "") or ""):
        return agent
    items = groups.get("ContrastBolusAgentSequence")
    return str(items[0].get("CodeMeaning", "") or "contrast agent") if items else ""


def _whole(value: Any) -> int:
    number = _number(value)
    return 0 if number is None else int(number)


def _number(value: Any) -> float | None:
    if value in (None, ""):
        return None
    first = value if isinstance(value, str | int | float) else (list(value) or [None])[0]
    try:
        return None if first is None else float(first)
    except ValueError:
        return None


def _voxel(groups: Groups, frames: list[Frame]) -> tuple[float, float, float] | None:
    """Voxel size (x, y, z) in mm, by the slices' places; what the header tells where there is one slice."""
    if not frames:
        return None
    told = _number(groups.get("SpacingBetweenSlices")) or _number(groups.get("SliceThickness")) or 0.0
    return frames[0].spacing[1], frames[0].spacing[0], step_mm(frames) or abs(told)
