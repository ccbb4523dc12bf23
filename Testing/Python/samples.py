"""A tiny study and a tiny model for the tests: quick to make, and right about nothing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from safetensors.torch import save_file

from GliomaSegLib.intake.preparation import InputSpec
from GliomaSegLib.labels import CLASS_NAMES
from GliomaSegLib.model.network import NetworkSpec, build_network
from GliomaSegLib.model.weights import ARCHITECTURE, FORMAT, file_sha256

CHECKOUT = Path(__file__).resolve().parents[2]


def tiny_volume(role: str, size: int = 40) -> np.ndarray:
    """A ball of 'brain' with a bright spot, (z, y, x) float32, background 0; each role has its own noise."""
    z, y, x = np.mgrid[:size, :size, :size] - (size - 1) / 2
    radius = np.sqrt(z**2 + y**2 + x**2)
    rng = np.random.default_rng(sum(map(ord, role)))
    brain = np.clip(100 + 10 * rng.standard_normal(radius.shape) + 3 * x, 1, None)
    brain[np.sqrt((x - 6) ** 2 + y**2 + z**2) < 5] += 80
    return np.where(radius < 0.45 * size, brain, 0).astype(np.float32)


def write_tiny_model(folder: Path, **changes: object) -> Path:
    """A model folder with random weights: width 4, depth 2, 4 mm voxels. ``changes`` overwrite model.json."""

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
