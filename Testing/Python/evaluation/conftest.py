"""Small label maps built from boxes, volumes on disk, and the real cases."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

Box = tuple[int, int, int, int, int, int, int]
Build = Callable[..., np.ndarray]
Save = Callable[..., Path]


@pytest.fixture
def build() -> Build:
    """``build(shape, (label, z0, z1, y0, y1, x0, x1), ...)`` paints boxes, ends excluded, in that order."""

    def paint(shape: tuple[int, int, int], *boxes: Box) -> np.ndarray:
        label_map = np.zeros(shape, np.uint8)
        for label, z0, z1, y0, y1, x0, x1 in boxes:
            label_map[z0:z1, y0:y1, x0:x1] = label
        return label_map

    return paint


@pytest.fixture
def save() -> Save:
    """``save(array, path, spacing=..., origin=...)`` writes a volume and returns its path."""

    def write(
        array: np.ndarray,
        path: Path,
        spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
        origin: tuple[float, float, float] = (0.0, 0.0, 0.0),
    ) -> Path:
        image = sitk.GetImageFromArray(array)
        image.SetSpacing(spacing)
        image.SetOrigin(origin)
        path.parent.mkdir(parents=True, exist_ok=True)
        sitk.WriteImage(image, str(path))
        return path

    return write


@pytest.fixture
def brats2021_folder() -> Path:
    """The folder of real BraTS 2021 cases; the test is skipped where it is absent."""
    folder = (
        Path(os.environ.get("GLIOMASEG_DATA", Path(__file__).parents[4] / "shared" / "data")) / "brats2021"
    )
    if not folder.is_dir():
        pytest.skip("the real scans are not here (set GLIOMASEG_DATA to the folder that holds brats2021)")
    return folder
