"""From a checkpoint to a model folder that inference loads: float16 safetensors and ``model.json``."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ..errors import InputRefused
from ..intake.preparation import InputSpec
from ..labels import CLASS_NAMES
from ..model.network import GliomaNetwork, NetworkSpec
from ..model.weights import ARCHITECTURE, FORMAT, MODEL_FILE, file_sha256
from .checkpoint import read_state

WEIGHTS_FILE = "weights.safetensors"
_EDGES = (48, 96)
_MEASURE = """
import json, sys, torch
from GliomaSegLib.model.folding import folded
from GliomaSegLib.model.network import NetworkSpec, build_network
from GliomaSegLib.provenance import peak_memory_mb
spec, edge = NetworkSpec.from_dict(json.loads(sys.argv[1])), int(sys.argv[2])
network = folded(build_network(spec, 0))
with torch.inference_mode():
    network(torch.zeros(1, spec.in_channels, 16, 16, 32))
    before = peak_memory_mb()
    torch.softmax(network(torch.zeros(1, spec.in_channels, edge, edge, edge)), 1)
print(peak_memory_mb() - before)
"""


def measured_bytes_per_voxel(spec: NetworkSpec) -> float:
    """Peak memory of one pass for each voxel of its input, measured in processes of their own.

    Raises ``RuntimeError`` where the system does not tell a process's peak memory.
    """
    needed = []
    for edge in _EDGES:
        command = [sys.executable, "-c", _MEASURE, json.dumps(spec.to_dict()), str(edge)]
        package_root = str(Path(__file__).resolve().parents[2])
        done = subprocess.run(command, capture_output=True, text=True, cwd=package_root, check=False)
        if done.returncode:
            raise RuntimeError(f"measuring memory failed: {done.stderr.strip()[-300:]}")
        needed.append(float(done.stdout) * 1e6 / edge**3)
    return round(max(needed), 1)


def read_weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    """The weights of ``best.pt``, or of ``checkpoint.pt`` (averaged if there are). No code is unpickled."""
    state = read_state(checkpoint)
    if state is None:
        raise InputRefused(f"There is no checkpoint {checkpoint.name}: train first.")
    return state.get("averaged", state.get("network", state))


def _halved(name: str, tensor: torch.Tensor) -> bool:
    """Statistics of batch norm stay float32: a variance may be beyond float16's range."""
    return tensor.is_floating_point() and "running_" not in name


def export_model(
    weights: Mapping[str, torch.Tensor],
    spec: NetworkSpec,
    inputs: InputSpec,
    folder: Path,
    facts: Mapping[str, Any],
) -> None:
    """Write ``weights.safetensors`` (float16) and ``model.json`` into ``folder``.

    ``facts`` are the entries that no tensor tells: name, version, licence, training_data, scores,
    temperature, clean_up. Raises ``RuntimeError`` when the weights do not fit ``spec``.
    """
    from safetensors.torch import save_file

    GliomaNetwork(spec).load_state_dict(dict(weights), strict=True)
    folder.mkdir(parents=True, exist_ok=True)
    stored = {
        name: (tensor.half() if _halved(name, tensor) else tensor).contiguous()
        for name, tensor in weights.items()
    }
    save_file(stored, folder / WEIGHTS_FILE)
    description = {
        "format": FORMAT,
        **facts,
        "architecture": ARCHITECTURE,
        "network": spec.to_dict(),
        "input": inputs.to_dict(),
        "classes": list(CLASS_NAMES),
        "weights": {
            "file": WEIGHTS_FILE,
            "sha256": file_sha256(folder / WEIGHTS_FILE),
            "stored_as": "float16",
        },
        "inference": {"bytes_per_voxel": measured_bytes_per_voxel(spec)},
    }
    (folder / MODEL_FILE).write_text(
        json.dumps(description, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
