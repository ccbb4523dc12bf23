"""DICOM series to export to, and what is asked of the programs that read the result."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from shapes import grid_of

from GliomaSegLib.intake.volume import Grid
from GliomaSegLib.outcome.dicom_export import export_dicom_seg
from GliomaSegLib.outcome.dicom_seg import SegmentationAuthor

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "intake"))
from dicom_files import write_classic

Exam = tuple[Path, Grid, np.ndarray]
"""Folder of a series, its grid, labels on it."""

AUTHOR = SegmentationAuthor("gliomaseg-small", "1.2.3", "ab" * 32)
ORIGIN = (-40.0, 25.5, 10.0)
SAGITTAL = (0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, -1.0, 0.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, -1.0, 0.0)


def turned(axes: tuple[float, ...], spacing: tuple[float, float, float]) -> Grid:
    return Grid((9, 14, 12), spacing, ORIGIN, axes)


# The eight classic layouts: grid, and the order in which the scanner numbered the slices.
LAYOUTS: dict[str, tuple[Grid, list[int]]] = {
    "axial": (grid_of((9, 14, 12), (1.0, 1.0, 1.0)), list(range(9))),
    "sagittal": (turned(SAGITTAL, (1.0, 1.0, 1.2)), list(range(9))),
    "coronal": (turned(CORONAL, (0.9, 0.9, 2.0)), list(range(9))),
    "oblique": (grid_of((9, 14, 12), (0.8, 0.8, 3.0), (15, 0, 0)), list(range(9))),
    "double oblique": (grid_of((9, 14, 12), (0.8, 0.8, 3.0), (12, -20, 33)), list(range(9))),
    "reversed": (grid_of((9, 14, 12), (1.0, 1.0, 2.0), (5, 0, 0)), list(range(8, -1, -1))),
    "interleaved": (grid_of((9, 14, 12), (0.9, 0.9, 4.0)), [0, 2, 4, 6, 8, 1, 3, 5, 7]),
    "5 mm, uneven pixels": (grid_of((9, 14, 12), (0.6, 1.1, 5.0), (0, 8, 0)), list(range(9))),
}


def labels_of(grid: Grid) -> np.ndarray:
    """Every structure, nothing symmetric, the edges of the volume touched, two slices empty."""
    labels = np.random.default_rng(5).choice([0, 1, 2, 3, 4], grid.shape, p=[0.6, 0.1, 0.1, 0.1, 0.1])
    labels[[3, 7]] = 0
    return labels.astype(np.uint8)


def write_series(folder: Path, grid: Grid, order: list[int] | None = None, **tags: Any) -> Path:
    tags = {
        "FrameOfReferenceUID": generate_uid(),
        "StudyInstanceUID": generate_uid(),
        "StudyDate": "20240102",
        "StudyDescription": "SECRET-STUDY",
        "InstitutionName": "SECRET-PLACE",
        **tags,
    }
    array = np.random.default_rng(1).integers(0, 900, grid.shape)
    write_classic(folder, array, grid, slices=order, **tags)
    return folder


def tool(name: str) -> str:
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if not found:
        pytest.skip(f"{name} is not installed")
    return found


def errors_of(path: Path) -> list[str]:
    """What dciodvfy calls an error."""
    done = subprocess.run([tool("dciodvfy"), str(path)], capture_output=True, text=True, timeout=60)
    lines = (done.stdout + done.stderr).splitlines()
    assert "Segmentation" in lines
    return [line for line in lines if line.startswith("Error")]


def exported(exam: Exam, path: Path, **options: Any) -> Dataset:
    source, grid, labels = exam
    export_dicom_seg(labels, grid, source, path, options.pop("author", AUTHOR), **options)
    return pydicom.dcmread(path)
