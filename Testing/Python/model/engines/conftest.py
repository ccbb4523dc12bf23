"""Where these tests' imported models go, and a study whose grid is upright."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from samples import tiny_volume


@pytest.fixture(autouse=True)
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of imported models, empty, for this test alone."""
    folder = tmp_path / "shelf"
    monkeypatch.setenv("GLIOMASEG_MODELS", str(folder))
    return folder


@pytest.fixture(scope="session")
def upright_study(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Four NIfTI files by role, 36 x 40 x 38 at 2 mm, skull-stripped, stored as BraTS stores its scans."""
    folder = tmp_path_factory.mktemp("upright")
    paths = {}
    for role in ("t1", "t1c", "t2", "flair"):
        image = sitk.GetImageFromArray(np.ascontiguousarray(tiny_volume(role)[1:39, :, 2:38]))
        image.SetSpacing((2.0, 2.0, 2.0))
        image.SetOrigin((0.0, -78.0, 0.0))
        paths[role] = folder / f"{role}.nii.gz"
        sitk.WriteImage(image, str(paths[role]))
    return paths
