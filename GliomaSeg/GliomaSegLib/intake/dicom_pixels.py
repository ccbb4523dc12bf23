"""Pixels of DICOM files as numbers: pydicom first, GDCM where pydicom has no decoder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputRefused
from .dicom_files import imported_pydicom, quiet, unreadable
from .dicom_frames import Frame
from .volume import FloatArray

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_PIXEL_TAGS = (
    "Rows",
    "Columns",
    "NumberOfFrames",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelData",
)
_SINGLE, _WORDS = "1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.7.3"
"""Secondary capture: of one picture, of several of 16 bits."""
_JPEG_END = b"\xff\xd9"


def rescaled_pixels(frames: Sequence[Frame], title: str) -> FloatArray:
    """Voxels (z, y, x) of the frames in their order, slope and intercept applied, each file opened once.

    Raises ``InputRefused`` for files without pixels, with too few, damaged ones, and for a compression that
    neither pydicom nor GDCM can unpack.
    """
    stack = np.empty((len(frames), frames[0].rows, frames[0].columns), np.float32)
    by_file: dict[Path, list[int]] = {}
    for index, frame in enumerate(frames):
        by_file.setdefault(frame.path, []).append(index)
    for path, indices in by_file.items():
        pixels = _stored(path, title)
        for index in indices:
            frame = frames[index]
            if frame.number >= len(pixels) or pixels.shape[1:] != stack.shape[1:]:
                raise InputRefused(f"{title} has fewer pixels than its header says: export it again.")
            stack[index] = pixels[frame.number] * frame.slope + frame.intercept
    return stack


def _stored(path: Path, title: str) -> np.ndarray:
    """The stored values of one file, (frame, row, column)."""
    pydicom = imported_pydicom()
    try:
        with quiet():
            dataset: Dataset = pydicom.dcmread(path, force=True)
            if not dataset.get("PixelData"):
                raise InputRefused(
                    f"{title} has a slice without pixels, as after a broken copy or an export of headers "
                    "alone: export the series again."
                )
            _name_transfer_syntax(dataset)
            try:
                pixels = dataset.pixel_array
            except (RuntimeError, NotImplementedError):
                _refuse_cut(dataset, title)
                pixels = _by_gdcm(dataset, title)
    except unreadable() as error:
        raise InputRefused(f"{title} has a damaged slice: export the series again.") from error
    return np.asarray(pixels.reshape(-1, *pixels.shape[-2:]))


def _name_transfer_syntax(dataset: Dataset) -> None:
    """A file without meta header is not compressed; how its numbers are written was seen when reading it."""
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    if "TransferSyntaxUID" in dataset.file_meta:
        return
    implicit, little = dataset.original_encoding
    explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit


def _refuse_cut(dataset: Dataset, title: str) -> None:
    """Refuse compressed pictures that lack their end, which GDCM would fill with zeros.

    All members of the JPEG family end with the same mark.
    """
    from pydicom.encaps import generate_frames

    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_transfer_syntax or syntax.is_private:
        raise _packed(title)
    if not syntax.is_encapsulated:
        return
    count = int(dataset.get("NumberOfFrames", 1) or 1)
    frames = list(generate_frames(dataset.PixelData, number_of_frames=count))
    if len(frames) != count or not all(frame.rstrip(b"\0").endswith(_JPEG_END) for frame in frames):
        raise InputRefused(f"{title} has a damaged slice: export the series again.")


def _by_gdcm(dataset: Dataset, title: str) -> np.ndarray:
    """The stored values by GDCM, which SimpleITK brings along, for compressions that pydicom can't unpack.

    GDCM sees a picture with nothing but its pixels, so that it can't apply a scaling that it finds elsewhere.
    """
    import SimpleITK as sitk
    from pydicom.dataset import Dataset, FileMetaDataset

    bare = Dataset()
    for keyword in _PIXEL_TAGS:
        if keyword in dataset:
            bare[keyword] = dataset[keyword]
    several = int(dataset.get("NumberOfFrames", 1) or 1) > 1
    bare.SOPClassUID, bare.SOPInstanceUID = _WORDS if several else _SINGLE, "2.25.1"
    bare.Modality = "OT"
    bare.file_meta = FileMetaDataset()
    bare.file_meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
    bare.file_meta.MediaStorageSOPClassUID = bare.SOPClassUID
    bare.file_meta.MediaStorageSOPInstanceUID = bare.SOPInstanceUID
    unpackable: tuple[type[Exception], ...] = (RuntimeError, *unreadable())
    with TemporaryDirectory() as folder:
        path = Path(folder, "slice.dcm")
        try:
            bare.save_as(path, enforce_file_format=True)
            return np.asarray(sitk.GetArrayFromImage(sitk.ReadImage(str(path))))
        except unpackable as error:
            raise _packed(title) from error


def _packed(title: str) -> InputRefused:
    return InputRefused(
        f"{title} is compressed in a way that can't be unpacked here: export it uncompressed."
    )
