"""Label maps as files: a segmentation that 3D Slicer opens with names, colours and codes, and plain NIfTI."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..errors import InputRefused, OutputRefused
from ..intake.volume import Grid
from ..labels import ANATOMIC_REGION_CODE, CATEGORY_CODE, STRUCTURES, Code, Structure

if TYPE_CHECKING:
    import SimpleITK as sitk

LabelArray = npt.NDArray[np.uint8]

TERMINOLOGY_CONTEXT = "GliomaSeg"
"""Name of the terminology in ``Resources/Terminology``, by which Slicer finds the codes of a segment."""
ANATOMIC_CONTEXT = "Anatomic codes - DICOM master list"
"""Slicer's own list of anatomic regions."""

_REPRESENTATION = "Binary labelmap"
_COMPRESSION = 6
_SEPARATORS = "|:\n\r"


def write_seg_nrrd(
    path: Path,
    labels: LabelArray,
    grid: Grid,
    algorithm_name: str,
    compression_level: int = _COMPRESSION,
) -> None:
    """Write ``labels`` as a Slicer segmentation (``.seg.nrrd``) on ``grid``.

    ``labels`` (z, y, x) uint8 holds 0 and the numbers of ``labels.py``. All structures become segments, the
    empty ones too, in one layer; the segment ID is the abbreviation. Each is marked AUTOMATIC by
    ``algorithm_name``, which Slicer hands on to DICOM. ``compression_level`` is gzip's, 1 to 9.

    Raises ``ValueError`` for labels that do not fit, ``OutputRefused`` when the file can't be written.
    """
    if not path.name.endswith(".seg.nrrd"):
        raise ValueError(f"{path.name}: a segmentation's name ends with .seg.nrrd")
    if not algorithm_name.strip() or any(mark in algorithm_name for mark in _SEPARATORS):
        raise ValueError(f"algorithm name {algorithm_name!r} is empty or holds one of {_SEPARATORS!r}")
    image = _label_image(labels, grid)
    for key, value in _segmentation_fields(grid).items():
        image.SetMetaData(key, value)
    for index, structure in enumerate(STRUCTURES):
        for key, value in _segment_fields(structure, grid, algorithm_name).items():
            image.SetMetaData(f"Segment{index}_{key}", value)
    _write(image, path, compression_level)


def write_nifti(path: Path, labels: LabelArray, grid: Grid) -> None:
    """Write ``labels`` (z, y, x) uint8, numbered as BraTS 2024, as NIfTI on ``grid``.

    Raises ``ValueError`` for labels that do not fit, ``OutputRefused`` when the file can't be written.
    """
    _write(_label_image(labels, grid), path, _COMPRESSION)


def write_uncertainty(path: Path, uncertainty: LabelArray, grid: Grid) -> None:
    """Write ``uncertainty`` (z, y, x) uint8, 0 to 100 per cent, as NIfTI on ``grid``.

    Raises ``OutputRefused`` when the file can't be written.
    """
    _write(grid.image(np.ascontiguousarray(uncertainty)), path, _COMPRESSION)


def write_probabilities(path: Path, levels: LabelArray, grid: Grid) -> None:
    """Write ``levels`` (structure, z, y, x) uint8, 255 is certain, as a 4D NIfTI on ``grid``.

    The fourth axis is that of ``labels.STRUCTURES``. Raises ``OutputRefused`` when the file can't be written.
    """
    import SimpleITK as sitk

    _write(sitk.JoinSeries([grid.image(np.ascontiguousarray(one)) for one in levels]), path, 1)


def read_probabilities(path: Path, grid: Grid) -> LabelArray:
    """What :func:`write_probabilities` wrote, (structure, z, y, x).

    Raises ``InputRefused`` for a file that is missing, damaged or not on ``grid``.
    """
    import SimpleITK as sitk

    if not path.is_file():
        raise InputRefused(
            f"The result {path.parent.name} holds no probabilities: run  segment  again with --probabilities."
        )
    try:
        levels = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    except RuntimeError as error:
        raise InputRefused(f"{path.name} can't be read: run  segment  again with --probabilities.") from error
    if levels.dtype != np.uint8 or levels.shape != (len(STRUCTURES), *grid.shape):
        raise InputRefused(f"{path.name} does not fit the labels beside it: run  segment  again.")
    return np.asarray(levels)


def terminology_entry(structure: Structure) -> str:
    """The tag by which Slicer knows a segment: terminology, category, type, modifier, region, its modifier.

    Form of vtkSlicerTerminologiesModuleLogic::SerializeTerminologyEntry.
    """
    return "~".join(
        (
            TERMINOLOGY_CONTEXT,
            _coded(CATEGORY_CODE),
            _coded(structure.type_code),
            "^^",
            ANATOMIC_CONTEXT,
            _coded(ANATOMIC_REGION_CODE),
            "^^",
        )
    )


def segment_tags(structure: Structure, algorithm_name: str) -> dict[str, str]:
    """Tags of a segment that no person has edited. Without them Slicer's DICOM export says MANUAL."""
    return {
        "TerminologyEntry": terminology_entry(structure),
        "DICOM.SegmentAlgorithmType": "AUTOMATIC",
        "DICOM.SegmentAlgorithmName": algorithm_name,
    }


def _coded(code: Code) -> str:
    return f"{code.scheme}^{code.value}^{code.meaning}"


def _label_image(labels: LabelArray, grid: Grid) -> sitk.Image:
    if labels.dtype != np.uint8:
        raise ValueError(f"labels are {labels.dtype}, not uint8")
    if unknown := set(np.unique(labels).tolist()) - {0} - {s.number for s in STRUCTURES}:
        raise ValueError(f"labels hold the unknown numbers {sorted(unknown)}")
    return grid.image(np.ascontiguousarray(labels))


def _segmentation_fields(grid: Grid) -> dict[str, str]:
    """Header fields of the whole segmentation, as vtkMRMLSegmentationStorageNode writes them."""
    return {
        "Segmentation_MasterRepresentation": _REPRESENTATION,
        "Segmentation_ContainedRepresentationNames": f"{_REPRESENTATION}|",
        "Segmentation_ReferenceImageExtentOffset": "0 0 0",
        "Segmentation_ConversionParameters": f"Reference image geometry|{_reference_geometry(grid)}|&",
    }


def _reference_geometry(grid: Grid) -> str:
    """Slicer's text for a grid: 16 numbers of the index-to-RAS matrix, then the extent, each with ``;``."""
    index_to_ras = np.diag([-1.0, -1.0, 1.0, 1.0]) @ grid.index_to_lps()
    numbers = [repr(float(value) + 0.0) for value in index_to_ras.ravel()]
    return "".join(f"{number};" for number in (*numbers, *_extent(grid).split()))


def _extent(grid: Grid) -> str:
    depth, height, width = grid.shape
    return f"0 {width - 1} 0 {height - 1} 0 {depth - 1}"


def _segment_fields(structure: Structure, grid: Grid, algorithm_name: str) -> dict[str, str]:
    tags = segment_tags(structure, algorithm_name)
    return {
        "ID": structure.abbreviation,
        "Name": structure.name,
        "NameAutoGenerated": "0",
        "Color": " ".join(repr(channel / 255) for channel in structure.colour),
        "ColorAutoGenerated": "0",
        "Extent": _extent(grid),
        "LabelValue": str(structure.number),
        "Layer": "0",
        "Tags": "".join(f"{key}:{value}|" for key, value in tags.items()),
    }


def _write(image: sitk.Image, path: Path, compression_level: int) -> None:
    """Write and read back: on a full disk ITK cuts a NIfTI short without a word."""
    import SimpleITK as sitk

    try:
        sitk.WriteImage(image, str(path), True, compression_level)
        back = sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise _unwritable(path) from error
    if not np.array_equal(sitk.GetArrayViewFromImage(back), sitk.GetArrayViewFromImage(image)):
        raise _unwritable(path)


def _unwritable(path: Path) -> OutputRefused:
    return OutputRefused(
        f"{path.name} can't be written: check that its folder is writable and the disk is not full."
    )
