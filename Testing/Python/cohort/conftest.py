"""Fixtures of the cohort's tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from cohort_samples import write_manifest


@pytest.fixture(scope="session")
def small_cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The manifest of four studies of two subjects."""
    return write_manifest(tmp_path_factory.mktemp("cohort"), 4, sessions=2)
