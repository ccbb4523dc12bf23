"""Writes small DICOM series for the tests: classic, enhanced, and broken in chosen ways."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from GliomaSegLib.intake.volume import Grid

CLASSIC_MR = "1.2.840.10008.5.1.4.1.1.4"
ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4.1"


def new_file(path: Path, sop_class: str, tags: dict[str, Any]) -> FileDataset:
    """An empty MR instance of a made-up patient."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = sop_class, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, meta.MediaStorageSOPInstanceUID
    dataset.PatientName, dataset.PatientID = "Secret^Name", "SECRET-ID"
    dataset.Modality, dataset.SeriesNumber = "MR", 3
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND"]
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    return dataset


def put_pixels(dataset: Dataset, pixels: np.ndarray) -> None:
    """Signed 16-bit pixels, (row, column) or (frame, row, column)."""
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = pixels.shape[-2:]
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation = 15, 1
    dataset.PixelData = np.ascontiguousarray(pixels, dtype="<i2").tobytes()


def place(grid: Grid, z: int) -> list[float]:
    """Image Position (Patient) of a slice."""
    return [float(v) for v in (grid.index_to_lps() @ [0, 0, z, 1])[:3]]


def orientation(grid: Grid) -> list[float]:
    """Image Orientation (Patient): x axis, then y axis."""
    axes = np.reshape(grid.direction_lps, (3, 3))
    return [float(v) for v in (*axes[:, 0], *axes[:, 1])]


def write_classic(
    folder: Path,
    array: np.ndarray,
    grid: Grid,
    series_uid: str | None = None,
    slices: Sequence[int] | None = None,
    positions: dict[int, list[float]] | None = None,
    prefix: str = "",
    **tags: Any,
) -> str:
    """One file a slice, named so that the names are in no useful order; returns the series UID."""
    folder.mkdir(parents=True, exist_ok=True)
    uid = series_uid or generate_uid()
    x, y, z = grid.spacing_mm
    for index in range(len(array)) if slices is None else slices:
        path = folder / f"{prefix}{(index * 7919) % 10007:05d}.dcm"
        dataset = new_file(path, CLASSIC_MR, {"SeriesInstanceUID": uid, **tags})
        dataset.InstanceNumber = len(array) - index
        dataset.ImagePositionPatient = (positions or {}).get(index, place(grid, index))
        dataset.ImageOrientationPatient = orientation(grid)
        dataset.PixelSpacing, dataset.SliceThickness = [y, x], z
        put_pixels(dataset, array[index])
        dataset.save_as(path, enforce_file_format=True)
    return uid


def _item(**tags: Any) -> list[Dataset]:
    dataset = Dataset()
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    return [dataset]


def write_enhanced(
    path: Path,
    array: np.ndarray,
    grid: Grid,
    order: Sequence[int],
    rescale: tuple[float, float] = (2.0, -5.0),
    **tags: Any,
) -> None:
    """One multi-frame file with its slices stored in ``order``; ``rescale`` is slope and intercept."""
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset = new_file(path, ENHANCED_MR, {"SeriesInstanceUID": generate_uid(), **tags})
    x, y, z = grid.spacing_mm
    shared = Dataset()
    shared.PixelMeasuresSequence = _item(PixelSpacing=[y, x], SliceThickness=z)
    shared.PlaneOrientationSequence = _item(ImageOrientationPatient=orientation(grid))
    shared.MREchoSequence = _item(EffectiveEchoTime=120.0)
    shared.MRTimingAndRelatedParametersSequence = _item(RepetitionTime=9000.0)
    shared.MRModifierSequence = _item(InversionTimes=[2500.0])
    dataset.SharedFunctionalGroupsSequence = [shared]
    frames = []
    for index in order:
        frame = Dataset()
        frame.PlanePositionSequence = _item(ImagePositionPatient=place(grid, index))
        frame.PixelValueTransformationSequence = _item(RescaleSlope=rescale[0], RescaleIntercept=rescale[1])
        frames.append(frame)
    dataset.PerFrameFunctionalGroupsSequence = frames
    dataset.NumberOfFrames = len(order)
    put_pixels(dataset, array[list(order)])
    dataset.save_as(path, enforce_file_format=True)
