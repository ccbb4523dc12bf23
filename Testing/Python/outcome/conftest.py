"""A DICOM series with labels on it."""

from __future__ import annotations

from pathlib import Path

import pytest
from dicom_cases import Exam, labels_of, write_series
from shapes import grid_of


@pytest.fixture
def exam(tmp_path: Path) -> Exam:
    grid = grid_of((9, 14, 12), (1.0, 1.0, 3.0), (5, 0, 0))
    return write_series(tmp_path / "series", grid), grid, labels_of(grid)
