"""DICOM headers: which files belong to one series, and where each of their frames lies in the patient.

Reads the tags that geometry and roles need and no other; a patient's name never enters the program. Slices
are placed by Image Position and Image Orientation (PS3.3 C.7.6.2), never by file name or instance number.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputRefused, missing_extra
from .roles import SeriesFacts

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_TAGS = [
    "SOPClassUID",
    "SOPInstanceUID",
    "SeriesInstanceUID",
    "StudyInstanceUID",
    "FrameOfReferenceUID",
    "Modality",
    "ImageType",
    "SeriesNumber",
    "SeriesDescription",
    "ProtocolName",
    "SequenceName",
    "PulseSequenceName",
    "ScanningSequence",
    "SequenceVariant",
    "ContrastBolusAgent",
    "ContrastBolusAgentSequence",
    "EchoTime",
    "RepetitionTime",
    "InversionTime",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "SliceThickness",
    "SpacingBetweenSlices",
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "NumberOfFrames",
    "InstanceNumber",
    "AcquisitionNumber",
    "TemporalPositionIdentifier",
    "TriggerTime",
    "DiffusionBValue",
    "RescaleSlope",
    "RescaleIntercept",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
]
_MOSAIC_COUNT = (0x0019, 0x100A)
"""Siemens' number of images in a mosaic."""
_UNREADABLE = (OSError, EOFError, ValueError, KeyError, AttributeError, struct.error)

Vector = tuple[float, ...]


@dataclass(frozen=True)
class Frame:
    """One slice: file, frame number in it (from 0), and its place.

    ``position`` (3) and ``orientation`` (6: row, then column cosines) are LPS mm; ``spacing`` is (row,
    column) mm. Stored values become numbers by ``slope`` and ``intercept``. ``kind`` tells apart the pictures
    that a series may hold of one slice: echo time, image type, time point, b-value.
    """

    path: Path
    number: int
    uid: str
    position: Vector
    orientation: Vector
    spacing: Vector
    rows: int
    columns: int
    slope: float
    intercept: float
    kind: tuple[str, ...]


@dataclass(frozen=True)
class Series:
    """The frames of one DICOM series, in no order yet, and what its headers say about the sequence."""

    uid: str
    facts: SeriesFacts
    frames: tuple[Frame, ...]
    inverted: bool
    trouble: str = ""

    @property
    def label(self) -> str:
        """How tables and sentences call the series: its number, never its free text."""
        return self.facts.label


def is_dicom(path: Path) -> bool:
    """Whether a file starts as DICOM files do (PS3.10: the letters DICM after 128 bytes)."""
    try:
        with path.open("rb") as stream:
            return stream.read(132)[128:] == b"DICM"
    except OSError:
        return False


def find_series(folder: Path, title: str = "The folder") -> tuple[list[Series], list[str]]:
    """All image series under ``folder`` by series number, and sentences about files that were passed over.

    Raises ``InputRefused`` when there is none, ``UsageError`` when pydicom is missing.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    headers, broken = [], 0
    for path in files:
        header = _header(path)
        if header is None:
            broken += is_dicom(path)
        elif "Rows" in header:
            headers.append((path, header))
    if not headers:
        raise InputRefused(f"{title} ({folder.name}) holds no DICOM images: give the folder of an MR exam.")
    warnings = [f"{broken} damaged DICOM files in {folder.name} were passed over."] if broken else []
    return _grouped(headers), warnings


def series_of_file(path: Path, title: str) -> Series:
    """The series that ``path`` belongs to, with all of its files in the same folder.

    Raises ``InputRefused`` when the file is no DICOM image.
    """
    header = _header(path)
    if header is None or "Rows" not in header:
        raise InputRefused(
            f"{title} ({path.name}) is no DICOM image: give one slice of the series, or its folder."
        )
    uid = str(header.get("SeriesInstanceUID", ""))
    found, _ = find_series(path.parent, title)
    return next(series for series in found if series.uid == uid)


def _pydicom() -> Any:
    try:
        import pydicom
    except ImportError as error:
        raise missing_extra("pydicom", "dicom", "Reading DICOM") from error
    return pydicom


def _header(path: Path) -> Dataset | None:
    """The wanted tags of a file, None when it is no readable DICOM file."""
    pydicom = _pydicom()
    force = not is_dicom(path) and path.suffix.lower() in (".dcm", ".ima")
    try:
        header = pydicom.dcmread(
            path, stop_before_pixels=True, specific_tags=[*_TAGS, _MOSAIC_COUNT], force=force
        )
    except (pydicom.errors.InvalidDicomError, *_UNREADABLE):
        return None
    return header if "SOPClassUID" in header else None


def _grouped(headers: Iterable[tuple[Path, Dataset]]) -> list[Series]:
    by_uid: dict[str, list[tuple[Path, Dataset]]] = {}
    for path, header in headers:
        by_uid.setdefault(str(header.get("SeriesInstanceUID", "")), []).append((path, header))
    series = [_series(uid, members) for uid, members in by_uid.items()]
    return sorted(series, key=lambda s: (s.facts.number, s.uid))


def _series(uid: str, members: list[tuple[Path, Dataset]]) -> Series:
    first = members[0][1]
    trouble = _trouble(first)
    frames: list[Frame] = []
    if not trouble:
        try:
            frames = [frame for path, header in members for frame in _frames(path, header)]
        except _UNREADABLE:
            trouble = "does not say where its slices lie in the patient"
    inverted = first.get("PhotometricInterpretation", "") == "MONOCHROME1"
    return Series(uid, _facts(first, members, frames), tuple(frames), inverted, trouble)


def _trouble(header: Dataset) -> str:
    """Why a series can't be a volume, "" when nothing speaks against it."""
    if header.get("Modality", "MR") != "MR":
        return f"is {header.Modality}, not MR"
    if int(header.get("SamplesPerPixel", 1) or 1) != 1:
        return "is a colour picture, such as a screen shot"
    if "MOSAIC" in _image_type(header) or _MOSAIC_COUNT in header:
        return "is a mosaic (all slices tiled into one picture), as of diffusion or functional MR"
    return ""


def _frames(path: Path, header: Dataset) -> Iterator[Frame]:
    if "PerFrameFunctionalGroupsSequence" not in header:
        yield _frame(path, header, 0, _Groups([header]))
        return
    shared = list(header.get("SharedFunctionalGroupsSequence", []))
    for number, group in enumerate(header.PerFrameFunctionalGroupsSequence):
        yield _frame(path, header, number, _Groups([*_items(group), *(i for s in shared for i in _items(s))]))


def _items(group: Dataset) -> list[Dataset]:
    """The single items of a frame's functional groups (PS3.3 C.7.6.16)."""
    return [element.value[0] for element in group if element.VR == "SQ" and element.value]


class _Groups:
    """Looks a keyword up in several data sets, the first that has it wins."""

    def __init__(self, datasets: list[Dataset]) -> None:
        self._datasets = datasets

    def get(self, keyword: str, default: Any = None) -> Any:
        for dataset in self._datasets:
            value = dataset.get(keyword)
            if value not in (None, ""):
                return value
        return default

    def numbers(self, keyword: str) -> Vector:
        """The values of ``keyword``. Raises ``KeyError`` when they are missing."""
        value = self.get(keyword)
        if value is None:
            raise KeyError(keyword)
        return tuple(float(v) for v in value)


def _frame(path: Path, header: Dataset, number: int, groups: _Groups) -> Frame:
    kinds = ("EffectiveEchoTime", "EchoTime", "DiffusionBValue", "TemporalPositionIndex")
    later = ("TemporalPositionIdentifier", "StackID", "AcquisitionNumber", "TriggerTime")
    kind = [str(groups.get(keyword, "")) for keyword in (*kinds, *later)]
    return Frame(
        path,
        number,
        str(header.get("SOPInstanceUID", "")),
        groups.numbers("ImagePositionPatient"),
        groups.numbers("ImageOrientationPatient"),
        groups.numbers("PixelSpacing"),
        int(header.Rows),
        int(header.Columns),
        float(groups.get("RescaleSlope", 1.0)),
        float(groups.get("RescaleIntercept", 0.0)),
        ("/".join(_image_type(header)), *kind, "/".join(map(str, groups.get("FrameType", [])))),
    )


def _image_type(header: Dataset) -> tuple[str, ...]:
    value = header.get("ImageType") or ()
    return (value,) if isinstance(value, str) else tuple(str(v).upper() for v in value)


def _facts(header: Dataset, members: list[tuple[Path, Dataset]], frames: list[Frame]) -> SeriesFacts:
    groups = _Groups([header])
    if "PerFrameFunctionalGroupsSequence" in header:
        functional = [
            *header.get("SharedFunctionalGroupsSequence", []),
            header.PerFrameFunctionalGroupsSequence[0],
        ]
        groups = _Groups([header, *(item for group in functional for item in _items(group))])
    number = int(groups.get("SeriesNumber", 0) or 0)
    texts = ("SeriesDescription", "ProtocolName", "SequenceName", "PulseSequenceName")
    agent = str(groups.get("ContrastBolusAgent", "") or "")
    if not agent and groups.get("ContrastBolusAgentSequence"):
        agent = str(header.ContrastBolusAgentSequence[0].get("CodeMeaning", "contrast agent"))
    inversion = groups.get("InversionTime") or groups.get("InversionTimes")
    return SeriesFacts(
        label=f"series {number}",
        number=number,
        texts=tuple(str(groups.get(text, "") or "") for text in texts),
        image_type=_image_type(header),
        modality=str(groups.get("Modality", "") or ""),
        contrast_agent=agent,
        echo_ms=_number(groups.get("EchoTime") or groups.get("EffectiveEchoTime")),
        repetition_ms=_number(groups.get("RepetitionTime")),
        inversion_ms=_number(inversion),
        scanning=str(groups.get("ScanningSequence", "") or ""),
        slices=len({frame.position for frame in frames}),
        spacing_mm=_voxel(groups, frames),
        rows_columns=(int(header.Rows), int(header.Columns)),
        files=len(members),
    )


def _number(value: Any) -> float | None:
    if value in (None, ""):
        return None
    first = value if isinstance(value, str | int | float) else (list(value) or [None])[0]
    return None if first is None else float(first)


def _voxel(groups: _Groups, frames: list[Frame]) -> tuple[float, float, float] | None:
    """Voxel size (x, y, z) in mm as the header tells it; for choosing between candidates only."""
    if not frames:
        return None
    between = groups.get("SpacingBetweenSlices") or groups.get("SliceThickness") or 0.0
    return frames[0].spacing[1], frames[0].spacing[0], abs(float(between))
