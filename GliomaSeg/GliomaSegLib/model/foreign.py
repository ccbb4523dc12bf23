"""What ``model.json`` says about a model that another program made: its files, its input, its output.

The kinds (``runtime``): ``torchscript`` and ``onnx`` hold a whole network in one file, ``nnunet`` a trained
nnU-Net v2 (plans, dataset and the weights of each fold, as the import wrote them).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..intake.preparation import InputSpec
from ..labels import CLASS_NAMES
from .engines.layout import Layout
from .output_map import OutputMap

RUNTIMES = ("torchscript", "onnx", "nnunet")
REQUIRED = ("format", "name", "version", "licence", "runtime", "input", "output", "weights")
_DEFAULTS = {"normalisation": "zscore-nonzero", "clip": None, "background": "zero"}
"""What ``input`` means where it says nothing: what most models trained on BraTS data were given."""
_KNOWN = {
    "input": {
        "channels", "spacing_mm", "normalisation", "clip", "background", "own_spacing", "axes", "orientation",
    },
    "output": {"kind", "values", "channels", "order"},
    "inference": {"multiple", "window", "bytes_per_voxel", "mirror"},
}  # fmt: skip
"""A key of another spelling, ``normalization`` say, would leave the default in force without a word."""
_MULTIPLE = 16
_BYTES_PER_VOXEL = 6000.0
_WINDOW_EDGES = range(8, 513)


@dataclass(frozen=True)
class ModelFile:
    """One file of a model: its name in the model's folder, SHA-256 in hexadecimal."""

    name: str
    sha256: str


@dataclass(frozen=True)
class NnUnetFacts:
    """What nnU-Net's checkpoints say beside the weights.

    ``folds``: names of the safetensors files. ``mirror_axes``: array axes that training flipped.
    """

    configuration: str
    trainer: str
    folds: tuple[str, ...]
    mirror_axes: tuple[int, ...]


@dataclass(frozen=True)
class Foreign:
    """How to run the network. ``window``: edges (z, y, x) of the only input it takes; None: any.

    ``multiple``: of which each axis of its input must be. ``files``: all that are checked before it runs.
    """

    layout: Layout
    output: OutputMap
    files: tuple[ModelFile, ...]
    window: tuple[int, int, int] | None
    multiple: int
    bytes_per_voxel: float
    nnunet: NnUnetFacts | None


def plain_file_name(name: Any) -> str:
    """The name, if it is one of a file in the same folder. Raises ``ValueError``.

    >>> plain_file_name("model.onnx")
    'model.onnx'
    """
    parts = isinstance(name, str) and Path(name).name == name and name not in ("", ".", "..")
    if not parts or any(character in name for character in "/\\:\0"):
        raise ValueError("weights.file must be a file name without folders")
    return str(name)


def model_files(weights: Mapping[str, Any]) -> tuple[ModelFile, ...]:
    """The files under ``weights``, one or several. Raises ``ValueError``, ``KeyError``, ``TypeError``."""
    entries = weights.get("files") or [weights]
    if not isinstance(entries, list):
        raise TypeError("weights.files must be a list")
    files = tuple(ModelFile(plain_file_name(e["file"]), str(e["sha256"])) for e in entries)
    if len({file.name.casefold() for file in files}) < len(files):
        raise ValueError("weights.files names a file twice")
    return files


def joint_sha256(files: tuple[ModelFile, ...]) -> str:
    """One checksum for a model: of its file, or of its files' checksums in order."""
    if len(files) == 1:
        return files[0].sha256
    return hashlib.sha256("\n".join(file.sha256 for file in files).encode()).hexdigest()


def read_input(values: Mapping[str, Any]) -> InputSpec:
    """``model.json``'s ``input``, with this module's defaults. Raises as ``InputSpec.from_dict``."""
    return InputSpec.from_dict({**_DEFAULTS, **values})


def read_foreign(facts: Mapping[str, Any], temperature: float) -> Foreign:
    """Read and check what is peculiar to the kind. Raises ``ValueError``, ``KeyError``, ``TypeError``."""
    for part, known in _KNOWN.items():
        if strange := sorted(set(facts.get(part, {})) - known):
            raise ValueError(f"{part} can't have {ascii(strange[0])[:40]}, only {', '.join(sorted(known))}")
    inference = facts.get("inference", {})
    layout = Layout.from_dict(facts["input"])
    multiple = inference.get("multiple", _MULTIPLE)
    if type(multiple) is not int or not 1 <= multiple <= 128:
        raise ValueError("inference.multiple must be a whole number from 1 to 128")
    memory = float(inference.get("bytes_per_voxel", _BYTES_PER_VOXEL))
    if not 0 < memory < 1e9:
        raise ValueError("inference.bytes_per_voxel must be above 0")
    if not isinstance(inference.get("mirror", False), bool):
        raise ValueError("inference.mirror must be true or false")
    return Foreign(
        layout,
        OutputMap.from_dict(facts["output"], temperature),
        model_files(facts["weights"]),
        _window(inference.get("window"), layout),
        multiple,
        memory,
        _nnunet(facts["nnunet"]) if facts["runtime"] == "nnunet" else None,
    )


def _window(told: Any, layout: Layout) -> tuple[int, int, int] | None:
    if told is None:
        return None
    if not isinstance(told, list) or len(told) != 3 or not all(type(e) is int for e in told):
        raise ValueError("inference.window must be three whole numbers, in the order of input.axes")
    if not all(edge in _WINDOW_EDGES for edge in told):
        raise ValueError(f"inference.window must be from {_WINDOW_EDGES[0]} to {_WINDOW_EDGES[-1]} voxels")
    return layout.edges((told[0], told[1], told[2]))


def _nnunet(told: Mapping[str, Any]) -> NnUnetFacts:
    folds = tuple(plain_file_name(name) for name in told["folds"])
    axes = tuple(told["mirror_axes"])
    if not folds or not set(axes) <= {0, 1, 2}:
        raise ValueError("nnunet must have folds, and mirror_axes from 0, 1, 2")
    return NnUnetFacts(str(told["configuration"]), str(told["trainer"]), folds, axes)


def smallest_volumes(facts: Mapping[str, Any]) -> dict[str, float]:
    """``clean_up.smallest_ml``: by structure, smaller islands are removed. Raises ``ValueError``."""
    told = facts["clean_up"]["smallest_ml"]
    smallest = {str(name): float(ml) for name, ml in told.items()}
    if not set(smallest) <= set(CLASS_NAMES[1:]) or not all(0 <= ml < math.inf for ml in smallest.values()):
        raise ValueError("clean_up.smallest_ml must name structures, with finite volumes of at least 0 ml")
    return smallest
