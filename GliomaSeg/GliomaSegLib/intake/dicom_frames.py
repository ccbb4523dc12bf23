"""From DICOM headers to frames: single slices with their place, and why a series can't be a volume."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .dicom_tags import KIND_TAGS, MOSAIC_COUNT, MOSAIC_OWNER
from .role_guess import SeriesFacts

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_STORAGE = "1.2.840.10008.5.1.4.1.1."
_PICTURES = {"4", "4.1", "4.3", "4.4", "7", "7.2", "7.3"}
"""SOP classes under ``_STORAGE`` that hold pictures: MR, enhanced (in colour, converted), secondary capture.
Spectroscopy, parameter maps and segmentations have rows and columns, too."""

_LEAST_NORMAL = 0.5
"""Length of the cross product of row and column directions, 1 where they are at right angles."""

Vector = tuple[float, ...]


@dataclass(frozen=True)
class Frame:
    """One slice: file, frame number in it (from 0), and its place.

    ``position`` (3) and ``orientation`` (6: row, then column cosines) are LPS mm; ``spacing`` is (row,
    column) mm. Stored values become numbers by ``slope`` and ``intercept``. ``kind`` tells apart the pictures
    that a series may hold of one slice: image type, then the values of ``KIND_TAGS``.
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

    @property
    def image_type(self) -> tuple[str, ...]:
        """Image Type (0008,0008), in capitals."""
        return tuple(part for part in self.kind[0].split("/") if part)

    def told(self, keyword: str) -> str:
        """The value of one of ``KIND_TAGS``, "" where the header is silent."""
        return self.kind[1 + KIND_TAGS.index(keyword)]


@dataclass(frozen=True)
class Series:
    """The frames of one stack of a DICOM series, and what its headers say about the sequence.

    ``trouble`` says why it can't be a volume, "" when nothing speaks against it. ``study`` is the UID of the
    exam: for comparing, not for telling.
    """

    uid: str
    facts: SeriesFacts
    frames: tuple[Frame, ...]
    inverted: bool
    trouble: str = ""
    study: str = ""

    @property
    def label(self) -> str:
        """How tables and sentences call the series: its number, never its free text."""
        return self.facts.label


class Groups:
    """Looks a keyword up in several data sets, the first that has it wins."""

    def __init__(self, datasets: list[Dataset]) -> None:
        self._datasets = datasets

    @classmethod
    def of_header(cls, header: Dataset) -> Groups:
        """The header itself, then the functional groups of its first frame (PS3.3 C.7.6.16)."""
        frames = list(header.get("PerFrameFunctionalGroupsSequence") or [])[:1]
        shared = list(header.get("SharedFunctionalGroupsSequence") or [])
        return cls([header, *(item for group in (*shared, *frames) for item in _items(group))])

    def get(self, keyword: str, default: Any = None) -> Any:
        """The first value that is there."""
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


def trouble_of(header: Dataset) -> str:
    """Why the series of a header can't be a volume, "" when nothing speaks against it."""
    if header.get("Modality", "MR") not in ("", None, "MR"):
        return f"is {header.Modality}, not MR"
    sop_class = str(header.get("SOPClassUID", "") or "")
    if sop_class and sop_class.removeprefix(_STORAGE) not in _PICTURES:
        return "holds no MR pictures"
    if int(header.get("SamplesPerPixel", 1) or 1) != 1:
        return "is a colour picture, such as a screen shot"
    siemens = "SIEMENS" in str(header[MOSAIC_OWNER].value).upper() if MOSAIC_OWNER in header else False
    if "MOSAIC" in image_type(header) or (siemens and MOSAIC_COUNT in header):
        return "is a mosaic (all slices tiled into one picture), as of diffusion or functional MR"
    places = header.get("PerFrameFunctionalGroupsSequence")
    count = int(header.get("NumberOfFrames", 1) or 1)
    if places is None and count > 1:
        return f"is one file of {count} pictures that does not say where each lies in the patient"
    if places is not None and len(places) != count:
        return f"is one file of {count} pictures with places for {len(places)} of them"
    return ""


def frames_of(path: Path, header: Dataset) -> Iterator[Frame]:
    """The frames of a file. Raises ``KeyError`` or ``ValueError`` when it does not say where they lie."""
    per_frame = header.get("PerFrameFunctionalGroupsSequence")
    if per_frame is None:
        yield _frame(path, header, 0, Groups([header]))
        return
    shared = [item for group in header.get("SharedFunctionalGroupsSequence") or [] for item in _items(group)]
    for number, group in enumerate(per_frame):
        yield _frame(path, header, number, Groups([*_items(group), *shared, header]))


def image_type(header: Dataset) -> tuple[str, ...]:
    """Image Type (0008,0008), in capitals."""
    return _capitals(header.get("ImageType"))


def _capitals(value: Any) -> tuple[str, ...]:
    """A value of one or several words, in capitals."""
    words = [] if value in (None, "") else [value] if isinstance(value, str) else list(value)
    return tuple(str(word).upper() for word in words)


def _items(group: Dataset) -> list[Dataset]:
    """The single items of a frame's functional groups (PS3.3 C.7.6.16)."""
    return [element.value[0] for element in group if element.VR == "SQ" and element.value]


def _frame(path: Path, header: Dataset, number: int, groups: Groups) -> Frame:
    position, orientation = groups.numbers("ImagePositionPatient"), groups.numbers("ImageOrientationPatient")
    spacing = groups.numbers("PixelSpacing")
    if (len(position), len(orientation), len(spacing)) != (3, 6, 2):
        raise ValueError("a place of the wrong length")
    normal = np.cross(orientation[:3], orientation[3:])
    if not np.isfinite([*position, *normal]).all() or np.linalg.norm(normal) < _LEAST_NORMAL:
        raise ValueError("rows and columns that span no plane")
    kind = [str(groups.get(keyword, "")) for keyword in KIND_TAGS]
    return Frame(
        path,
        number,
        str(header.get("SOPInstanceUID", "") or path),
        position,
        orientation,
        spacing,
        int(header.Rows),
        int(header.Columns),
        float(groups.get("RescaleSlope", 1.0)),
        float(groups.get("RescaleIntercept", 0.0)),
        ("/".join(_capitals(groups.get("FrameType")) or image_type(header)), *kind),
    )
