"""Fixtures for every room: a tiny study, a tiny model with random weights, the real scans where they are."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from samples import CHECKOUT, tiny_volume, write_tiny_model


@pytest.fixture(autouse=True, scope="session")
def no_models_of_the_person(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Tests neither see nor touch the models that the person who runs them has imported."""
    os.environ["GLIOMASEG_MODELS"] = str(tmp_path_factory.mktemp("imported-models"))


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The real scans; skips where they are absent."""
    folder = Path(os.environ.get("GLIOMASEG_DATA", CHECKOUT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("the real scans (../shared/data, or GLIOMASEG_DATA) are not here")
    return folder


@pytest.fixture(scope="session")
def tiny_study(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Four NIfTI files, 40^3 at 2 mm, on one oblique grid, by role."""
    folder = tmp_path_factory.mktemp("study")
    angle = np.deg2rad(20)
    direction = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]], dtype=float
    )
    paths = {}
    for role in ("t1", "t1c", "t2", "flair"):
        image = sitk.GetImageFromArray(tiny_volume(role))
        image.SetSpacing((2.0, 2.0, 2.0))
        image.SetOrigin((-30.0, 12.5, 7.0))
        image.SetDirection(direction.ravel().tolist())
        paths[role] = folder / f"{role}.nii.gz"
        sitk.WriteImage(image, str(paths[role]))
    return paths


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model with random weights: quick, and wrong about everything."""
    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def segment_arguments(tiny_study: dict[str, Path], tiny_model: Path) -> list[str]:
    """``segment`` with the four volumes and the tiny model; the caller adds --output."""
    volumes = [word for role, path in tiny_study.items() for word in (f"--{role}", str(path))]
    return ["segment", *volumes, "--model", str(tiny_model), "--device", "cpu", "--progress", "none"]
