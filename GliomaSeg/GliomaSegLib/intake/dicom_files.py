"""The DICOM files of a folder as a hospital or a CD leaves them: found, opened, the others left out."""

from __future__ import annotations

import os
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from ..errors import missing_extra
from .dicom_tags import INTAKE_TAGS, MOSAIC_COUNT, MOSAIC_OWNER, PLACE_TAGS

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_UNREADABLE = (
    *(OSError, EOFError, ValueError, KeyError, AttributeError, TypeError, IndexError, OverflowError),
    *(NotImplementedError, struct.error, zlib.error, RecursionError),
)
"""What reading a damaged DICOM file may raise, beside pydicom's own exceptions."""
_PREAMBLE, _MAGIC = 128, b"DICM"
_DICOM_SUFFIXES = (".dcm", ".ima", ".dic", ".dicom")
_BARE_STARTS = (b"\x08\x00", b"\x02\x00", b"\x00\x08")
"""First group (0008 or 0002) of a data set that was stored without preamble, little and big endian."""
_LARGEST_FIRST_ELEMENT = 0x1200
_DIRECTORY = "1.2.840.10008.1.3.10"


@dataclass(frozen=True)
class Headers:
    """The image headers under a folder, with their paths, and how many files were passed over and why.

    ``damaged``: DICOM files that can't be read; ``locked``: files that the system doesn't let us open.
    """

    images: tuple[tuple[Path, Dataset], ...]
    damaged: int
    locked: int

    def warnings(self, folder: Path) -> list[str]:
        """Sentences about what was passed over."""
        told = []
        if self.damaged:
            told.append(
                f"{_counted(self.damaged, 'damaged DICOM file', folder)} passed over: "
                "slices may be missing at an end of a series."
            )
        if self.locked:
            told.append(
                f"{_counted(self.locked, 'file', folder)} passed over, because the system does not let "
                "them be opened: check their permissions."
            )
        return told


def _counted(count: int, what: str, folder: Path) -> str:
    return f"1 {what} in {folder.name} was" if count == 1 else f"{count} {what}s in {folder.name} were"


def files_under(folder: Path) -> list[Path]:
    """Every file under ``folder``, links followed, each folder once, hidden files left out; sorted."""
    found: list[Path] = []
    seen: set[str] = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            # A link that leads back up would never end.
            folders.clear()
            continue
        seen.add(real)
        found += [Path(place, name) for name in names if not name.startswith(".")]
    return sorted(path for path in found if path.is_file())


def is_dicom(path: Path) -> bool:
    """Whether a file starts as DICOM files do: DICM after 128 bytes (PS3.10), or a bare data set."""
    try:
        with path.open("rb") as stream:
            head = stream.read(_PREAMBLE + len(_MAGIC))
    except OSError:
        return False
    return head[_PREAMBLE:] == _MAGIC or _is_bare(head)


def _is_bare(head: bytes) -> bool:
    """Whether the bytes are the first element of a data set without preamble, as old archives write it."""
    if len(head) < 16 or head[:2] not in _BARE_STARTS:
        return False
    order = ">" if head[0] == 0 else "<"
    element = struct.unpack_from(order + "H", head, 2)[0]
    if element > _LARGEST_FIRST_ELEMENT:
        return False
    with_type = head[4:6].isalpha() and head[4:6].isupper()
    return bool(with_type or struct.unpack_from(order + "I", head, 4)[0] < len(head))


def read_headers(folder: Path) -> Headers:
    """The headers of all DICOM images under ``folder``. Raises ``UsageError`` when pydicom is missing."""
    images: list[tuple[Path, Dataset]] = []
    damaged = locked = 0
    for path in files_under(folder):
        if not os.access(path, os.R_OK):
            locked += 1
            continue
        header = read_header(path)
        if header is None:
            damaged += is_dicom(path) or _named_like_a_slice(path)
        elif "Rows" in header:
            images.append((path, header))
    return Headers(tuple(images), damaged, locked)


def _named_like_a_slice(path: Path) -> bool:
    """Whether a file that is no DICOM should be one, by its name; of 0 bytes, also without a suffix."""
    suffix = path.suffix.lower()
    return suffix in _DICOM_SUFFIXES or (suffix == "" and path.stat().st_size == 0)


def unreadable() -> tuple[type[Exception], ...]:
    """What reading a damaged DICOM file may raise. Raises ``UsageError`` when pydicom is missing."""
    errors = imported_pydicom().errors
    return (*_UNREADABLE, errors.InvalidDicomError, errors.BytesLengthException)


def read_header(path: Path) -> Dataset | None:
    """The wanted tags of a file, None when it is no readable DICOM file.

    A header with rows has columns, too, both as plain numbers.
    """
    pydicom = imported_pydicom()
    force = is_dicom(path) or path.suffix.lower() in _DICOM_SUFFIXES
    wanted = [*INTAKE_TAGS, MOSAIC_OWNER, MOSAIC_COUNT]
    with quiet():
        try:
            header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=wanted, force=force)
            _drop_undecodable(header)
            if "Rows" in header:
                sized = all(isinstance(header.get(side), int) for side in ("Rows", "Columns"))
                return header if sized else None
            return header if "SOPClassUID" in header or _is_directory(header) else None
        except unreadable():
            return None


def _drop_undecodable(header: Dataset) -> None:
    """Takes out single values that can't be decoded, so that a wrong echo time costs no slice.

    Raises one of :func:`unreadable` when the slice's place or size is among them.
    """
    from pydicom.datadict import keyword_for_tag

    for tag in list(header.keys()):
        try:
            value = header[tag].value
            if header[tag].VR == "SQ":
                for item in value:
                    for nested in item.iterall():
                        _ = nested.value
        except unreadable():
            if keyword_for_tag(tag) in PLACE_TAGS:
                raise
            del header[tag]


def _is_directory(header: Dataset) -> bool:
    """Whether the header is of a DICOMDIR (PS3.3 F), the table of contents of a CD."""
    meta = getattr(header, "file_meta", None)
    return meta is not None and str(meta.get("MediaStorageSOPClassUID", "")) == _DIRECTORY


class _Quiet:
    """Silences warnings while any thread wants it: Python's own way to do so is not made for threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._users = 0
        self._silence = warnings.catch_warnings()

    def enter(self) -> None:
        with self._lock:
            if self._users == 0:
                self._silence = warnings.catch_warnings()
                self._silence.__enter__()
                warnings.simplefilter("ignore")
            self._users += 1

    def leave(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._silence.__exit__(None, None, None)


_QUIET = _Quiet()


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps pydicom's remarks on odd headers to itself: they quote values, and nobody can act on them."""
    _QUIET.enter()
    try:
        yield
    finally:
        _QUIET.leave()


def imported_pydicom() -> Any:
    """pydicom. Raises ``UsageError`` when it is missing."""
    try:
        import pydicom
        import pydicom.errors
    except ImportError as error:
        raise missing_extra("pydicom", "dicom", "Reading DICOM") from error
    return pydicom
