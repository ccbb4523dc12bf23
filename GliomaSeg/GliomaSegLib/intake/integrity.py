"""Damage that the image readers let pass without a word, found before they are asked.

ITK fills the missing end of a truncated NIfTI with whatever the memory held, takes a zero spacing for 1 mm,
turns NaN in a NIfTI into 0, and accepts a damaged compressed MetaImage. These checks read the header and the
whole stream themselves.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from ..errors import InputRefused

_CHUNK = 1 << 20
_NIFTI1_SIZE, _NIFTI2_SIZE = 348, 540
_QUATERN_RESOLUTION = 1e-7
_META_HEADER_LIMIT = 1 << 16
_LATEST_START = 1 << 28
"""Bytes of header and extensions that no NIfTI has: what says so is damaged, and would fill the memory."""
_FLOAT_CODES = {16: "f4", 64: "f8"}
"""NIfTI datatype codes of floating point voxels."""


@dataclass(frozen=True)
class NiftiHeader:
    """What a NIfTI-1 header says about size, scaling and position (https://nifti.nimh.nih.gov/nifti-1).

    ``shape`` is dim[1..] as stored (x first), ``pixdim`` the stored spacings. The voxels are the bytes from
    ``data_start`` to ``data_end``; ``number_type`` is their numpy type when they are floating point.
    ``sform_ras`` and ``qform_ras`` are 4x4 index-to-RAS matrices in the file's own length unit, None where
    their code is 0.
    """

    shape: tuple[int, ...]
    pixdim: tuple[float, ...]
    data_start: int
    data_end: int
    number_type: np.dtype | None
    slope: float
    intercept: float
    sform_ras: npt.NDArray[np.float64] | None
    qform_ras: npt.NDArray[np.float64] | None

    @property
    def unused_intercept(self) -> float:
        """Intercept that the standard says to ignore, because the slope is 0. ITK adds it all the same."""
        return self.intercept if self.slope == 0 and math.isfinite(self.intercept) else 0.0


def checked_nifti(path: Path, title: str) -> tuple[NiftiHeader, int]:
    """The header of a single-file NIfTI whose voxels are all there, and how many of them are not numbers.

    ``title`` is what the sentence calls the volume. Raises ``InputRefused`` for a header that is none, an
    empty axis, a spacing that is not a positive number, and a file that ends before its last voxel.
    """
    with _opened(path, title) as stream:
        header = _parsed(stream.read(_NIFTI1_SIZE), title)
        _refuse_bad_header(header, title)
        stream.read(max(0, header.data_start - _NIFTI1_SIZE))
        length, not_numbers = header.data_start, 0
        for chunk in iter(lambda: stream.read(_CHUNK), b""):
            if header.number_type is not None:
                voxels = chunk[: max(0, header.data_end - length)]
                whole = len(voxels) - len(voxels) % header.number_type.itemsize
                numbers = np.frombuffer(voxels[:whole], header.number_type)
                not_numbers += numbers.size - int(np.count_nonzero(np.isfinite(numbers)))
            length += len(chunk)
    if length < header.data_end:
        raise _cut(title)
    return header, not_numbers


def check_meta_image(path: Path, title: str) -> None:
    """Refuse an MHA file whose compressed voxels are damaged or cut; other MHA files pass unread.

    Raises ``InputRefused``.
    """
    with _opened(path, title) as stream:
        head = stream.read(_META_HEADER_LIMIT)
        _, mark, rest = head.partition(b"ElementDataFile = LOCAL")
        if not mark or b"CompressedData = True" not in head.split(mark)[0]:
            return
        decoder = zlib.decompressobj()
        data = rest.partition(b"\n")[2]
        try:
            while data and not decoder.eof:
                decoder.decompress(data)
                data = stream.read(_CHUNK)
        except zlib.error as error:
            raise _damaged(title) from error
        if not decoder.eof:
            raise _damaged(title)


def _cut(title: str) -> InputRefused:
    return InputRefused(f"{title} ends too early, as after a broken copy: copy or export it again.")


def _damaged(title: str) -> InputRefused:
    return InputRefused(f"{title} is damaged and can't be unpacked: copy or export it again.")


@contextmanager
def _opened(path: Path, title: str) -> Iterator[BinaryIO]:
    """The file's bytes, unpacked when it is gzip; every failure of the disk or of gzip becomes a sentence."""
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            if packed:
                with gzip.GzipFile(fileobj=raw) as unpacked:
                    yield unpacked  # type: ignore[misc]
            else:
                yield raw
    except EOFError as error:
        raise _cut(title) from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise _damaged(title) from error
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InputRefused(
            f"{title} can't be opened ({reason}): check its permissions and its disk."
        ) from error


def _parsed(head: bytes, title: str) -> NiftiHeader:
    for order in "<>":
        size = struct.unpack(order + "i", head[:4])[0] if len(head) >= 4 else 0
        if size == _NIFTI1_SIZE and len(head) == _NIFTI1_SIZE:
            return _nifti1(head, order)
        if size == _NIFTI2_SIZE:
            raise InputRefused(f"{title} is NIfTI-2, which can't be read here: save it as NIfTI-1 or NRRD.")
    raise InputRefused(f"{title} is no NIfTI file in spite of its name: export it again.")


def _nifti1(head: bytes, order: str) -> NiftiHeader:
    dim = struct.unpack_from(order + "8h", head, 40)
    number_code, bits = struct.unpack_from(order + "2h", head, 70)
    pixdim = struct.unpack_from(order + "8f", head, 76)
    offset, slope, intercept = struct.unpack_from(order + "3f", head, 108)
    qform_code, sform_code = struct.unpack_from(order + "2h", head, 252)
    quatern = struct.unpack_from(order + "6f", head, 256)
    srow = struct.unpack_from(order + "12f", head, 280)
    shape = tuple(dim[1 : 1 + max(0, min(7, dim[0]))])
    start = max(_NIFTI1_SIZE, int(offset)) if math.isfinite(offset) else _NIFTI1_SIZE
    return NiftiHeader(
        shape,
        tuple(pixdim[1 : 1 + len(shape)]),
        start,
        start + math.prod(max(0, n) for n in shape) * bits // 8,
        np.dtype(order + _FLOAT_CODES[number_code]) if number_code in _FLOAT_CODES else None,
        slope,
        intercept,
        np.vstack([np.reshape(srow, (3, 4)), [0, 0, 0, 1]]) if sform_code > 0 else None,
        _qform(quatern, pixdim) if qform_code > 0 else None,
    )


def _qform(quatern: tuple[float, ...], pixdim: tuple[float, ...]) -> npt.NDArray[np.float64]:
    """Index-to-RAS matrix of the quaternion (b, c, d), its offsets and pixdim, by the NIfTI-1 standard."""
    b, c, d = quatern[:3]
    a_squared = 1.0 - (b * b + c * c + d * d)
    if a_squared < _QUATERN_RESOLUTION:
        a, (b, c, d) = 0.0, np.array([b, c, d]) / (math.sqrt(b * b + c * c + d * d) or 1.0)
    else:
        a = math.sqrt(a_squared)
    rotation = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    matrix = np.eye(4)
    handedness = -1.0 if pixdim[0] < 0 else 1.0
    matrix[:3, :3] = rotation * np.array([pixdim[1], pixdim[2], handedness * pixdim[3]])
    matrix[:3, 3] = quatern[3:]
    return matrix


def _refuse_bad_header(header: NiftiHeader, title: str) -> None:
    if header.data_start > _LATEST_START:
        raise InputRefused(f"{title} has a damaged header: copy or export it again.")
    if not header.shape or min(header.shape) < 1:
        raise InputRefused(f"{title} is empty, one of its axes has no voxel: export it again.")
    spacings = header.pixdim[: min(3, len(header.shape))]
    if not all(math.isfinite(s) and s != 0 for s in spacings):
        told = " x ".join(f"{s:g}" for s in spacings)
        raise InputRefused(f"{title} has a voxel spacing of {told} mm, which can't be: export it again.")
