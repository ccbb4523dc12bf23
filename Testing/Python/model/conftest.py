"""Tiny networks, inputs and model folders."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from GliomaSegLib.intake.preparation import InputSpec, NetworkInput
from GliomaSegLib.intake.volume import Grid
from GliomaSegLib.labels import CLASS_NAMES
from GliomaSegLib.model.network import GliomaNetwork, NetworkSpec, build_network
from GliomaSegLib.model.weights import file_sha256

TINY = NetworkSpec(width=2, depth=2, dropout=0.0)
Change = Callable[[dict[str, Any]], None]
MakeModel = Callable[..., Path]
MakeInput = Callable[..., NetworkInput]
Trained = Callable[..., GliomaNetwork]


def with_statistics(spec: NetworkSpec, seed: int = 3) -> GliomaNetwork:
    """A network whose batch norms have seen data, so that folding has something to fold."""
    network = build_network(spec, seed)
    generator = torch.Generator().manual_seed(seed)
    network.train()
    with torch.no_grad():
        for _ in range(3):
            network(torch.randn((1, spec.in_channels, 16, 16, 16), generator=generator))
        for name, parameter in network.named_parameters():
            if name.endswith("bias"):
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return network.eval()


@pytest.fixture
def trained() -> Trained:
    """``trained(spec)``: a network with running statistics."""
    return with_statistics


@pytest.fixture
def make_input() -> MakeInput:
    """``make_input(shape, channels=4)``: a smooth random input whose brain is all but a rim of two voxels."""

    def make(shape: tuple[int, int, int], channels: int = 4, seed: int = 0) -> NetworkInput:
        rng = np.random.default_rng(seed)
        brain = np.zeros(shape, bool)
        brain[2:-2, 2:-2, 2:-2] = True
        array = rng.normal(size=(channels, *shape)).astype(np.float32) * brain
        grid = Grid(shape, (2.0, 2.0, 2.0), (0.0, 0.0, 0.0), (1.0, 0, 0, 0, 1, 0, 0, 0, 1))
        whole = slice(0, shape[0]), slice(0, shape[1]), slice(0, shape[2])
        return NetworkInput(array, brain, grid, grid, whole, ("t1", "t1c", "t2", "flair"), {})

    return make


@pytest.fixture
def make_model(tmp_path: Path) -> MakeModel:
    """``make_model(change, name=..., tensors=...)``: a model folder; ``change`` alters its model.json."""

    def make(
        change: Change = lambda facts: None,
        name: str = "tiny",
        tensors: dict[str, torch.Tensor] | None = None,
    ) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        weights = folder / "weights.safetensors"
        save_file(tensors or with_statistics(TINY).state_dict(), weights)
        facts: dict[str, Any] = {
            "format": 1,
            "name": name,
            "version": "1.0",
            "licence": "CC-BY-4.0",
            "architecture": "residual-attention-unet-3d",
            "network": TINY.to_dict(),
            "input": InputSpec().to_dict(),
            "classes": list(CLASS_NAMES),
            "temperature": 1.2,
            "clean_up": {"smallest_ml": {"RC": 0.3}},
            "weights": {"file": weights.name, "sha256": file_sha256(weights)},
            "inference": {"bytes_per_voxel": 500.0},
            "training_data": [],
            "scores": [],
        }
        change(facts)
        (folder / "model.json").write_text(json.dumps(facts))
        return folder

    return make
