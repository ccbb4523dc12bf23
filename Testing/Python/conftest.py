"""Fixtures for every room: a tiny study, a tiny model with random weights, the real scans where they are."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The real scans; skips where they are absent."""
    folder = Path(os.environ.get("GLIOMASEG_DATA", CHECKOUT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("the real scans (../shared/data, or GLIOMASEG_DATA) are not here")
    return folder


def tiny_volume(role: str, size: int = 40) -> np.ndarray:
    """A ball of 'brain' with a bright spot, (z, y, x) float32, background 0; each role has its own noise."""
    z, y, x = np.mgrid[:size, :size, :size] - (size - 1) / 2
    radius = np.sqrt(z**2 + y**2 + x**2)
    rng = np.random.default_rng(sum(map(ord, role)))
    brain = np.clip(100 + 10 * rng.standard_normal(radius.shape) + 3 * x, 1, None)
    brain[np.sqrt((x - 6) ** 2 + y**2 + z**2) < 5] += 80
    return np.where(radius < 0.45 * size, brain, 0).astype(np.float32)


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


def write_tiny_model(folder: Path, **changes: object) -> Path:
    """A model folder with random weights: width 4, depth 2, 4 mm voxels. ``changes`` overwrite model.json."""
    from safetensors.torch import save_file

    from GliomaSegLib.intake.preparation import InputSpec
    from GliomaSegLib.labels import CLASS_NAMES
    from GliomaSegLib.model.network import NetworkSpec, build_network
    from GliomaSegLib.model.weights import ARCHITECTURE, FORMAT, file_sha256

    spec = NetworkSpec(width=4, depth=2, dropout=0.0)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(build_network(spec, seed=3).state_dict(), folder / "weights.safetensors")
    facts = {
        "format": FORMAT, "name": "tiny", "version": "0.0.0", "licence": "Apache-2.0",
        "architecture": ARCHITECTURE, "network": spec.to_dict(),
        "input": InputSpec(spacing_mm=(4.0, 4.0, 4.0)).to_dict(), "classes": list(CLASS_NAMES),
        "temperature": 1.0, "clean_up": {"smallest_ml": {}},
        "weights": {"file": "weights.safetensors", "sha256": file_sha256(folder / "weights.safetensors")},
        "inference": {"bytes_per_voxel": 800.0}, "training_data": [], "scores": [],
    }  # fmt: skip
    (folder / "model.json").write_text(json.dumps({**facts, **changes}))
    return folder


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model with random weights: quick, and wrong about everything."""
    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def segment_arguments(tiny_study: dict[str, Path], tiny_model: Path) -> list[str]:
    """``segment`` with the four volumes and the tiny model; the caller adds --output."""
    volumes = [word for role, path in tiny_study.items() for word in (f"--{role}", str(path))]
    return ["segment", *volumes, "--model", str(tiny_model), "--device", "cpu", "--progress", "none"]
