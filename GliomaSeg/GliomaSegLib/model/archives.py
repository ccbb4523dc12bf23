"""Zip files from elsewhere, unpacked so that nothing lands where it should not, or fills the disk."""

from __future__ import annotations

import shutil
import stat
import unicodedata
import zipfile
import zlib
from pathlib import Path

from ..errors import ModelRefused

LARGEST_TOTAL_BYTES = 20_000_000_000
LARGEST_RATIO = 200
"""Unpacked to packed: weights hardly shrink, a bomb shrinks a thousandfold."""
_RATIO_COUNTS_FROM_BYTES = 100_000_000
MOST_ENTRIES = 5_000
_LONGEST_NAME = 240
_BLOCK_BYTES = 1 << 20
_SPARE_BYTES = 50_000_000
_FORBIDDEN = frozenset('<>:"|?*\\')
_RESERVED = frozenset(
    {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}
)
"""Names that Windows gives to devices, whatever their ending."""
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a zip file into ``folder`` (empty, existing).

    Raises ``ModelRefused`` for whatever is no plain file or folder inside: names that lead elsewhere or that
    Windows can't hold, links, doubles, encryption, damage; and for contents beyond the limits above, by what
    is really unpacked, not by what the archive says of itself. On an error ``folder`` may hold a part.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            entries = opened.infolist()
            _check_entries(archive.name, entries)
            _check_space(archive, entries, folder)
            _unpack_all(opened, archive, folder)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError) as error:
        raise _refused(archive.name, "is damaged or no zip file: download or copy it again") from error
    except UnicodeError as error:
        raise _refused(archive.name, "holds a file name that can't be read: pack it again") from error


def _refused(name: str, reason: str) -> ModelRefused:
    return ModelRefused(f"The archive {name} {reason}.")


def _check_entries(archive: str, entries: list[zipfile.ZipInfo]) -> None:
    if len(entries) > MOST_ENTRIES:
        raise _refused(archive, f"holds more than {MOST_ENTRIES} files, which no model has")
    files: set[str] = set()
    folders: set[str] = set()
    for entry in entries:
        parts = _safe_parts(archive, entry)
        key = "/".join(_folded(part) for part in parts)
        above = {"/".join(key.split("/")[:n]) for n in range(1, len(parts))}
        if key in files or above & files or (not entry.is_dir() and key in folders):
            raise _refused(archive, f"holds {_shown(entry.filename)} twice: pack it again")
        folders |= above
        (folders if entry.is_dir() else files).add(key)


def _safe_parts(archive: str, entry: zipfile.ZipInfo) -> list[str]:
    """The path's parts. Raises ``ModelRefused`` for a name, or a kind of entry, that is not plain."""
    name = entry.orig_filename  # as it is stored: ``filename`` hides what follows a NUL
    shown = _shown(name)
    parts = name.rstrip("/").split("/")
    if not name.rstrip("/") or name.startswith("/") or ".." in parts or "\\" in name or name[1:2] == ":":
        raise _refused(archive, f"holds {shown}, which leads out of its folder: don't use it")
    odd = any(not part.isprintable() or _FORBIDDEN & set(part) for part in parts)
    reserved = any(
        part in ("", ".") or part.endswith((".", " ")) or part.split(".")[0].rstrip().lower() in _RESERVED
        for part in parts
    )
    if (
        odd
        or reserved
        or len(name) > _LONGEST_NAME
        or len(name.encode("utf-8", "replace")) > 2 * _LONGEST_NAME
    ):
        raise _refused(archive, f"holds a file name that not every system can store ({shown}): pack it again")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise _refused(archive, f"holds {shown}, which is a link or a device: pack it again with plain files")
    if entry.flag_bits & 0x1:
        raise _refused(archive, "is encrypted: unpack it yourself and import the folder")
    if entry.compress_type not in _COMPRESSIONS:
        raise _refused(archive, "is packed by a method that can't be read: pack it again as a plain zip")
    return parts


def _folded(part: str) -> str:
    """A name as systems see it that ignore case and ways to write an accent."""
    return unicodedata.normalize("NFC", part).casefold()


def _shown(name: str) -> str:
    """A name that may be printed."""
    return ascii(name)[:80]


def _check_space(archive: Path, entries: list[zipfile.ZipInfo], folder: Path) -> None:
    told = sum(entry.file_size for entry in entries)
    _check_size(archive, told)
    if told + _SPARE_BYTES > shutil.disk_usage(folder).free:
        raise ModelRefused(f"The disk is too full to unpack {archive.name}: free {told / 1e9:.1f} GB.")


def _check_size(archive: Path, unpacked_bytes: int) -> None:
    if unpacked_bytes > LARGEST_TOTAL_BYTES:
        raise _refused(
            archive.name, f"unpacks to more than {LARGEST_TOTAL_BYTES / 1e9:.0f} GB, which no model needs"
        )
    ratio = unpacked_bytes / max(archive.stat().st_size, 1)
    if unpacked_bytes > _RATIO_COUNTS_FROM_BYTES and ratio > LARGEST_RATIO:
        raise _refused(
            archive.name, f"unpacks to {ratio:.0f} times its size, as only a zip bomb does: don't use it"
        )


def _unpack_all(opened: zipfile.ZipFile, archive: Path, folder: Path) -> None:
    written = 0
    for entry in opened.infolist():
        target = folder.joinpath(*_safe_parts(archive.name, entry))
        if entry.is_dir():
            target.mkdir(parents=True, exist_ok=True)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        with opened.open(entry) as source, target.open("xb") as copy:
            while block := source.read(_BLOCK_BYTES):
                written += len(block)
                _check_size(archive, written)
                copy.write(block)
