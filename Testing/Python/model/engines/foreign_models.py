"""Tiny models of other programs, with random weights, in folders as their authors would hand them over."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from GliomaSegLib.model.weights import file_sha256

CHANNELS = ("t1", "t1c", "t2", "flair")


class Stranger(nn.Module):
    """A small network that is not ours: strided, with instance norm, and an odd activation."""

    def __init__(self, inputs: int, outputs: int, seed: int = 5) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.down = nn.Conv3d(inputs, 6, 3, stride=2, padding=1)
            self.deep = nn.Conv3d(6, 6, 3, padding=1)
            self.up = nn.ConvTranspose3d(6, 6, 2, stride=2)
            self.head = nn.Conv3d(6 + inputs, outputs, 1)
            nn.init.normal_(self.head.weight, std=1.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        deep = nn.functional.silu(self.deep(nn.functional.silu(self.down(x))))
        return self.head(torch.cat((self.up(deep), x), dim=1))


def facts(runtime: str, file: Path, output: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """A ``model.json`` for a foreign model; ``changes`` overwrite keys, and add to ``input``."""
    told: dict[str, Any] = {
        "format": 1, "name": f"tiny-{runtime}", "version": "0.3", "licence": "CC0-1.0", "runtime": runtime,
        "input": {"channels": list(CHANNELS), "spacing_mm": [4.0, 4.0, 4.0], **changes.pop("input", {})},
        "output": dict(output),
        "weights": {"file": file.name, "sha256": file_sha256(file)},
        "inference": {"multiple": 4},
    }  # fmt: skip
    return {**told, **changes}


def write_facts(folder: Path, told: Mapping[str, Any]) -> Path:
    (folder / "model.json").write_text(json.dumps(told))
    return folder


LABELS = {
    "kind": "labels",
    "values": "logits",
    "channels": ["RC", "background", "ET", "SNFH", "NETC"],
}
REGIONS = {"kind": "regions", "values": "logits", "channels": ["TC", "WT", "ET", "RC"]}


def write_torchscript(folder: Path, output: Mapping[str, Any] = LABELS, **changes: Any) -> Path:
    folder.mkdir(parents=True)
    network = Stranger(4, len(output["channels"])).eval()
    torch.jit.save(torch.jit.trace(network, torch.zeros(1, 4, 16, 16, 16)), folder / "model.ts")
    return write_facts(folder, facts("torchscript", folder / "model.ts", output, **changes))


def write_onnx(folder: Path, output: Mapping[str, Any] = LABELS, fixed: bool = False, **changes: Any) -> Path:
    folder.mkdir(parents=True)
    network = Stranger(4, len(output["channels"])).eval()
    free = None if fixed else {"x": {2: "a", 3: "b", 4: "c"}, "y": {2: "a", 3: "b", 4: "c"}}
    edges = (16, 24, 32) if fixed else (16, 16, 16)
    torch.onnx.export(
        network, (torch.zeros(1, 4, *edges),), folder / "model.onnx", dynamo=False,
        input_names=["x"], output_names=["y"], dynamic_axes=free, opset_version=17,
    )  # fmt: skip
    return write_facts(folder, facts("onnx", folder / "model.onnx", output, **changes))


def direct(array: np.ndarray, outputs: int) -> np.ndarray:
    """Raw output of ``Stranger`` on (channel, *axes) by plain torch, padded to multiples of 4 and cropped."""
    size = array.shape[1:]
    padded = np.pad(array, [(0, 0), *((0, -s % 4) for s in size)])
    with torch.inference_mode():
        raw = Stranger(4, outputs).eval()(torch.from_numpy(np.ascontiguousarray(padded))[None])[0].numpy()
    return raw[:, : size[0], : size[1], : size[2]]
