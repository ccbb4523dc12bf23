"""Finds the label maps of two folders, pairs them by case, and reads them with their grid."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from ..errors import InputRefused
from ..intake.label_maps import read_label_map
from ..intake.volume import Grid
from ..labels import numbers_of

LabelConvention = Literal["auto", "brats2021", "brats2024"]
"""How a label map is numbered; ``auto`` takes files named BraTS2021_* for BraTS 2021, all others for 2024."""

_SUFFIXES = (".nii.gz", ".nii", ".mha", ".nrrd")
_NAMELESS = ("segmentation", "seg")
_MARKED = re.compile(r"^(?P<case>.+)[-_]seg(mentation)?$", re.IGNORECASE)
_NOT_LABELS = re.compile(
    r"(^|[-_])(t1|t1n|t1c|t1ce|t1gd|t2|t2w|t2f|flair|uncertainty|probabilit\w*|brain|mask)$", re.IGNORECASE
)


@dataclass(frozen=True)
class CasePair:
    """One case: its name, and the files of its reference and predicted label maps."""

    case: str
    reference: Path
    prediction: Path


@dataclass(frozen=True)
class Pairing:
    """The cases found in both folders, by name, and the names found in only one."""

    pairs: tuple[CasePair, ...]
    without_prediction: tuple[str, ...]
    without_reference: tuple[str, ...]


def pair_cases(reference: Path, prediction: Path) -> Pairing:
    """Pairs the label maps of two folders by case name.

    A label map lies in the folder itself (``CASE-seg.nii.gz``, ``CASE_seg.nii.gz``, ``CASE.nii.gz``) or in a
    folder per case (``CASE/segmentation.nii.gz``, ``CASE/CASE-seg.nii.gz``). A single nameless
    ``segmentation.nii.gz`` is paired with a single reference, whatever that is called.

    Raises ``InputRefused`` when a folder has no label map, a case twice, or no case is in both.
    """
    references, predictions = label_map_files(reference), label_map_files(prediction)
    if len(references) == len(predictions) == 1:
        (only,) = predictions.values()
        if _stem(only).lower() in _NAMELESS:
            predictions = {next(iter(references)): only}
    common = sorted(references.keys() & predictions.keys())
    if not common:
        raise InputRefused(
            f"No case of {reference.name} has a prediction in {prediction.name}: "
            "name predictions CASE-seg.nii.gz or CASE/segmentation.nii.gz after the reference's cases."
        )
    return Pairing(
        tuple(CasePair(case, references[case], predictions[case]) for case in common),
        tuple(sorted(references.keys() - predictions.keys())),
        tuple(sorted(predictions.keys() - references.keys())),
    )


def label_map_files(folder: Path) -> dict[str, Path]:
    """The label maps of a folder by case name. Raises ``InputRefused`` for none, or for a case twice."""
    if not folder.is_dir():
        raise InputRefused(f"{folder.name} is not a folder: give the folder that holds the label maps.")
    found: dict[str, Path] = {}
    for case, path in _candidates(folder.resolve()):
        if case in found:
            raise InputRefused(
                f"The case {case} has two label maps in {folder.name} ({found[case].name} and {path.name}): "
                "keep one."
            )
        found[case] = path
    if not found:
        slicers = any(folder.glob("*.seg.nrrd")) or any(folder.glob("*/*.seg.nrrd"))
        hint = " Export .seg.nrrd files as label maps: their segments are numbered freely." if slicers else ""
        raise InputRefused(
            f"{folder.name} holds no label map: they are found as CASE-seg.nii.gz, CASE.nii.gz or "
            f"CASE/segmentation.nii.gz.{hint}"
        )
    return found


def _candidates(folder: Path) -> list[tuple[str, Path]]:
    candidates = [(_case_name(path, in_case_folder=False), path) for path in _volumes(folder)]
    for inner in sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")):
        candidates += [(_case_name(path, in_case_folder=True), path) for path in _volumes(inner)]
    return [(case, path) for case, path in candidates if case is not None]


def _volumes(folder: Path) -> list[Path]:
    """Volume files in the folder itself; segmentations of Slicer (.seg.nrrd) number their segments freely."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.is_file()
        and path.name.lower().endswith(_SUFFIXES)
        and not path.name.startswith(".")
        and not path.name.lower().endswith(".seg.nrrd")
    )


def _case_name(path: Path, in_case_folder: bool) -> str | None:
    """The case whose label map this is, or None when the name says that it is something else."""
    stem = _stem(path)
    if stem.lower() in _NAMELESS:
        return path.parent.name
    if marked := _MARKED.match(stem):
        return marked["case"]
    if _NOT_LABELS.search(stem) or (in_case_folder and stem != path.parent.name):
        return None
    return stem


def _stem(path: Path) -> str:
    suffix = next(s for s in _SUFFIXES if path.name.lower().endswith(s))
    return path.name[: -len(suffix)]


def read_case_labels(path: Path, convention: LabelConvention = "auto") -> tuple[npt.NDArray[np.uint8], Grid]:
    """Reads a label map as (z, y, x) uint8 with BraTS 2024 numbers, and its grid.

    Raises ``InputRefused``, naming the file, when it is damaged or cut, isn't one 3D volume of whole numbers,
    or holds other values than the convention's labels.
    """
    stored, grid = read_label_map(path)
    numbers = _conversion(path, convention)
    values = np.unique(stored).tolist()
    strange = [value for value in values if value not in numbers]
    if strange:
        hint = "say that it is numbered as BraTS 2024" if strange == [3] else "convert it first"
        raise InputRefused(
            f"{path.name} has the value {strange[0]}, which is no label of {sorted(numbers)}: {hint}."
        )
    converted = np.zeros(stored.shape, np.uint8)
    for value in values:
        converted[stored == value] = numbers[value]
    return converted, grid


def _conversion(path: Path, convention: LabelConvention) -> dict[int, int]:
    """The BraTS 2024 number of every value that the file may hold."""
    old = convention == "brats2021" or (convention == "auto" and path.name.lower().startswith("brats2021_"))
    return numbers_of("brats2021" if old else "brats2024")
