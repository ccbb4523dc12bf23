"""The DICOM series that a result belongs to: its frames, its grid, and labels brought onto them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..errors import InputRefused
from ..intake.dicom import Series, find_series, is_dicom, series_of_file
from ..intake.dicom_stack import read_series, stacks_of
from ..intake.dicom_tags import SOURCE_TAGS
from ..intake.volume import Grid, Volume

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

LabelArray = npt.NDArray[np.uint8]

_TITLE = "The source"
_OFF_GRID_MM = 0.5
_SAME_GRID_MM = 0.05
_EMPTY_WITHOUT_IDENTITY = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
)


@dataclass(frozen=True)
class SourceSeries:
    """A series and the grid of its voxels as an array (z, y, x).

    ``images``: one data set a slice, from the first along the slice normal; or the one data set of a
    multi-frame file. ``order`` (n,): which slice of the array each frame of ``images`` is. Without identity
    the data sets hold nothing but geometry and UIDs.
    """

    label: str
    number: int
    grid: Grid
    images: tuple[Dataset, ...]
    order: npt.NDArray[np.intp]
    identity: bool


def find_source(path: Path) -> Series:
    """The one MR series in a folder, or the series that a file belongs to.

    Raises ``InputRefused`` when a folder holds several, with their numbers.
    """
    if path.is_file():
        found = series_of_file(path, _TITLE)
    elif path.is_dir():
        found, _ = find_series(path, _TITLE)
    else:
        raise InputRefused(f"{_TITLE} ({path.name}) does not exist: check its path.")
    usable = [series for series in found if not series.trouble] or found
    if len(usable) > 1:
        listed = ", ".join(series.label for series in usable)
        raise InputRefused(
            f"{_TITLE} ({path.name}) holds {len(usable)} series ({listed}): "
            "give one file of the series that the labels were made on."
        )
    return usable[0]


def series_of_volume(volume: Volume, given: Path) -> Series | None:
    """The series under ``given`` (a folder or a file) that ``volume`` was read from; None when unsure.

    Known by the series' label, which intake makes part of the volume's name.
    """
    if given.is_file() and not is_dicom(given):
        return None
    found = series_of_file(given, _TITLE) if given.is_file() else find_series(given, _TITLE)[0]
    named = [series for series in found if volume.name.endswith(f"({series.label})")]
    return named[0] if len(named) == 1 else None


def open_source(series: Series, keep_identity: bool = False) -> SourceSeries:
    """The frames of a series that holds exactly one even stack, in the order of their places.

    Raises ``InputRefused`` for what :func:`..intake.dicom_stack.read_series` refuses (missing slices, mixed
    orientations), for a gantry tilt and for a series without frame of reference.
    """
    title = f"{_TITLE} ({series.label})"
    grid = read_series(series, _TITLE).grid
    frames = stacks_of(series, title)[0].frames
    places = grid.index_to_lps() @ np.array([[0.0, 0.0, z, 1.0] for z in range(grid.shape[0])]).T
    positions = np.array([frame.position for frame in frames]).T
    size = (len(frames), frames[0].rows, frames[0].columns)
    if size != grid.shape or np.abs(places[:3] - positions).max() > _OFF_GRID_MM:
        raise InputRefused(
            f"{title} is sheared by a gantry tilt, so that labels can't lie on its own slices: "
            "take another series of the exam as reference."
        )
    images = [_header(path, keep_identity) for path in dict.fromkeys(frame.path for frame in frames)]
    _refuse_no_space(images, title)
    order: npt.NDArray[np.intp] = np.arange(len(frames), dtype=np.intp)
    if len(images) == 1 and len(frames) > 1:
        if int(images[0].NumberOfFrames) != len(frames):
            raise InputRefused(
                f"{title} is one file with more than this one stack of slices: export the wanted one alone."
            )
        order = np.argsort(np.array([frame.number for frame in frames]))
    elif len(images) != len(frames):
        raise InputRefused(f"{title} mixes files of one and of several slices: export the series again.")
    return SourceSeries(series.label, series.facts.number, grid, tuple(images), order, keep_identity)


def identity_of(series: Series) -> str:
    """Whose exam a series is, and when it was made, as far as its header says, in words for a report."""
    import pydicom

    words = {
        "PatientName": "patient",
        "PatientID": "ID",
        "PatientBirthDate": "born",
        "PatientSex": "sex",
        "StudyDate": "examined",
        "AccessionNumber": "accession number",
    }
    header = pydicom.dcmread(
        series.frames[0].path,
        stop_before_pixels=True,
        specific_tags=[*words, "SpecificCharacterSet"],
        force=True,
    )
    told = []
    for keyword, word in words.items():
        text = " ".join(str(header.get(keyword, "") or "").replace("^", " ").split())
        if keyword.endswith("Date") and len(text) == 8 and text.isdigit():
            text = f"{text[:4]}-{text[4:6]}-{text[6:]}"
        told += [f"{word} {text}"] if text else []
    return ", ".join(told)


def labels_on_source(labels: LabelArray, grid: Grid, source: SourceSeries) -> LabelArray:
    """``labels`` (z, y, x) in the source's own axis order, voxel for voxel; nothing is resampled.

    Raises ``InputRefused`` when ``grid`` is not the source's grid with axes exchanged or reversed.
    """
    if grid.matches(source.grid, _SAME_GRID_MM):
        return labels
    for axes in permutations(range(3)):
        for flips in np.ndindex(2, 2, 2):
            turned = _turned(grid, axes, flips)
            if turned.matches(source.grid, _SAME_GRID_MM):
                kept = labels.transpose(axes)
                return np.ascontiguousarray(np.flip(kept, tuple(a for a in range(3) if flips[a])))
    raise InputRefused(
        f"The labels lie on another grid than {source.label}: give the series that they were made on, "
        "or segment again with that series as --reference."
    )


def _turned(grid: Grid, axes: tuple[int, ...], flips: tuple[int, ...]) -> Grid:
    """``grid`` as it is after ``array.transpose(axes)`` and then reversing the axes that ``flips`` marks."""
    matrix = grid.index_to_lps()
    start = np.zeros(3)
    columns, spacing = [], []
    for place in (2, 1, 0):  # x, y, z of the new grid
        old = 2 - axes[place]  # the same axis in (x, y, z) order of the old grid
        length = grid.shape[axes[place]]
        column = np.reshape(grid.direction_lps, (3, 3))[:, old]
        if flips[place]:
            start[old] = length - 1
            column = -column
        columns.append(column)
        spacing.append(grid.spacing_mm[old])
    origin = matrix[:3, :3] @ start + matrix[:3, 3]
    shape = tuple(grid.shape[a] for a in axes)
    return Grid(
        (shape[0], shape[1], shape[2]),
        (spacing[0], spacing[1], spacing[2]),
        (float(origin[0]), float(origin[1]), float(origin[2])),
        tuple(float(v) for v in np.column_stack(columns).ravel()),
    )


def _header(path: Path, keep_identity: bool) -> Dataset:
    import pydicom

    wanted = None if keep_identity else list(SOURCE_TAGS)
    header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=wanted, force=True)
    for keyword in _EMPTY_WITHOUT_IDENTITY:
        if keyword not in header:
            setattr(header, keyword, "")
    return header


def _refuse_no_space(images: list[Dataset], title: str) -> None:
    frames_of_reference = {str(image.get("FrameOfReferenceUID", "") or "") for image in images}
    if "" in frames_of_reference:
        raise InputRefused(
            f"{title} has no frame of reference, so that nothing can be placed on it in DICOM: "
            "export it from the scanner or the archive again."
        )
    if len(frames_of_reference) > 1 or len({str(image.get("StudyInstanceUID", "")) for image in images}) > 1:
        raise InputRefused(f"{title} mixes images of several exams or positions: export one series alone.")
    if not str(images[0].get("StudyInstanceUID", "") or ""):
        raise InputRefused(f"{title} does not say which study it belongs to: export it again.")
