"""Makers of small DICOM folders, good ones and ones that were tampered with."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
from dicom_files import write_classic, write_enhanced
from pydicom.dataset import Dataset
from pydicom.fileset import FileSet

from GliomaSegLib.intake.volume import Grid

UPRIGHT = (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0)
GRID = Grid((9, 14, 12), (0.9, 1.1, 3.3), (-20.0, 33.0, 7.5), UPRIGHT)
ARRAY = np.random.default_rng(2).integers(-50, 900, GRID.shape).astype(np.int16)
Builder = Callable[[Path], None]


def good(folder: Path, **tags: object) -> None:
    write_classic(folder, ARRAY, GRID, **tags)


def slices(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.dcm"))


def edited(change: Callable[[Dataset], None], which: slice = slice(None)) -> Builder:
    """A good series with ``change`` done to the chosen files."""

    def build(folder: Path) -> None:
        good(folder)
        for path in slices(folder)[which]:
            dataset = pydicom.dcmread(path)
            change(dataset)
            dataset.save_as(path)

    return build


def enhanced(change: Callable[[Dataset], None]) -> Builder:
    def build(folder: Path) -> None:
        write_enhanced(folder / "e.dcm", ARRAY, GRID, range(9))
        dataset = pydicom.dcmread(folder / "e.dcm")
        change(dataset)
        dataset.save_as(folder / "e.dcm")

    return build


def on_a_cd(folder: Path) -> None:
    good(folder / "in")
    file_set = FileSet()
    for path in slices(folder / "in"):
        dataset = pydicom.dcmread(path)
        dataset.StudyInstanceUID, dataset.StudyDate, dataset.StudyTime = "1.2.3", "20240101", "1200"
        dataset.StudyID = "1"
        file_set.add(dataset)
    file_set.write(folder / "cd")
    shutil.rmtree(folder / "in")
    assert (folder / "cd" / "DICOMDIR").is_file()
