"""Models on disk: found, checked, loaded, without executing anything that they bring.

A model is a folder with ``model.json`` (everything inference needs), ``weights.safetensors`` and
``MODEL_CARD.md``.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import ModelRefused
from ..intake.preparation import InputSpec
from ..labels import CLASS_NAMES
from ..locations import models_folder
from .spec import NetworkSpec

if TYPE_CHECKING:
    import torch

    from .network import GliomaNetwork

MODEL_FILE = "model.json"
DEFAULT_MODEL = "gliomaseg-small"
ARCHITECTURE = "residual-attention-unet-3d"
FORMAT = 1
_REQUIRED = (
    "format", "name", "version", "licence", "architecture", "network", "input", "classes", "temperature",
    "clean_up", "weights", "inference", "training_data", "scores",
)  # fmt: skip


@dataclass(frozen=True)
class ModelDescription:
    """What ``model.json`` says, checked.

    ``classes``: abbreviation of each output channel. ``temperature`` divides the logits (calibration).
    ``smallest_ml``: by abbreviation, islands below this volume are removed. ``bytes_per_voxel``: peak memory
    of one pass, as measured, for each voxel of the padded input. ``facts`` is the whole file. ``runtime``:
    the kind of model, by which ``engines`` chooses.
    """

    folder: Path
    name: str
    version: str
    network: NetworkSpec
    input: InputSpec
    classes: tuple[str, ...]
    temperature: float
    smallest_ml: dict[str, float]
    weights_file: Path
    sha256: str
    bytes_per_voxel: float
    facts: dict[str, Any]
    runtime: str = "native"


def bundled_models() -> list[str]:
    """Names of the models that ship with the program."""
    return sorted(p.parent.name for p in models_folder().glob(f"*/{MODEL_FILE}"))


def find_model(name_or_folder: str) -> Path:
    """The folder of a bundled model's name, or of a folder that is given.

    Raises ``ModelRefused`` when there is neither.
    """
    bundled = models_folder() / name_or_folder
    if Path(name_or_folder).name == name_or_folder and (bundled / MODEL_FILE).is_file():
        return bundled
    folder = Path(name_or_folder)
    if (folder / MODEL_FILE).is_file():
        return folder
    known = ", ".join(bundled_models()) or "none"
    raise ModelRefused(
        f"There is no model {folder.name}: give the name of a bundled model ({known}) "
        f"or a folder with {MODEL_FILE}."
    )


def _refused(name: str, reason: str, remedy: str = "Install it again.") -> ModelRefused:
    return ModelRefused(f"The model {name} can't be used: {reason}. {remedy}")


def read_description(folder: Path) -> ModelDescription:
    """Read and check ``model.json``. Raises ``ModelRefused`` with what is wrong."""
    update = "Update GliomaSeg."
    try:
        facts = json.loads((folder / MODEL_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise _refused(folder.name, f"its {MODEL_FILE} is not readable JSON") from error
    if not isinstance(facts, dict):
        raise _refused(folder.name, f"its {MODEL_FILE} holds no settings")
    if missing := [key for key in _REQUIRED if key not in facts]:
        raise _refused(folder.name, f"its {MODEL_FILE} lacks {', '.join(missing)}")
    if facts["format"] != FORMAT:
        raise _refused(folder.name, f"it has format {facts['format']}, this version reads {FORMAT}", update)
    if facts["architecture"] != ARCHITECTURE:
        reason = f"this version can't run the architecture {facts['architecture']!r}"
        raise _refused(folder.name, reason, update)
    try:
        return _checked(folder, facts)
    except KeyError as error:
        raise _refused(folder.name, f"its {MODEL_FILE} lacks {error.args[0]}") from error
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise _refused(folder.name, f"its {MODEL_FILE} is wrong ({error})") from error


def _checked(folder: Path, facts: dict[str, Any]) -> ModelDescription:
    network = NetworkSpec.from_dict(facts["network"])
    spec = InputSpec.from_dict(facts["input"])
    classes = tuple(facts["classes"])
    known = len(set(classes)) == len(classes) and set(classes) <= set(CLASS_NAMES)
    if not known or classes[:1] != CLASS_NAMES[:1]:
        raise ValueError(f"classes must be distinct and from {', '.join(CLASS_NAMES)}, background first")
    if network.classes != len(classes) or network.in_channels != len(spec.channels):
        raise ValueError("the network's channels do not fit its classes and sequences")
    temperature = float(facts["temperature"])
    if not 0.05 <= temperature <= 20:
        raise ValueError("temperature must be from 0.05 to 20")
    smallest = {str(k): float(v) for k, v in facts["clean_up"]["smallest_ml"].items()}
    if not set(smallest) <= set(CLASS_NAMES[1:]) or not all(ml >= 0 for ml in smallest.values()):
        raise ValueError("clean_up.smallest_ml must name structures, with volumes of at least 0 ml")
    file_name = str(facts["weights"]["file"])
    if Path(file_name).name != file_name:
        raise ValueError("weights.file must be a file name without folders")
    bytes_per_voxel = float(facts["inference"]["bytes_per_voxel"])
    if not bytes_per_voxel > 0:
        raise ValueError("inference.bytes_per_voxel must be above 0")
    return ModelDescription(
        folder, str(facts["name"]), str(facts["version"]), network, spec, classes, temperature, smallest,
        folder / file_name, str(facts["weights"]["sha256"]), bytes_per_voxel, facts,
    )  # fmt: skip


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_network(description: ModelDescription) -> GliomaNetwork:
    """Build the network, check the weights' checksum, load them as float32, ready for evaluation.

    Raises ``ModelRefused`` for a missing or changed file, or weights that do not fit the network.
    """
    from .network import build_network

    name = description.name
    _check_file(description)
    tensors = _read_tensors(description)
    try:
        network = build_network(description.network, seed=0)
        network.load_state_dict(tensors, strict=True)
    except (RuntimeError, TypeError, OverflowError) as error:
        raise _refused(name, "its weights do not fit its architecture") from error
    return network.eval()


def read_arrays(description: ModelDescription) -> dict[str, npt.NDArray[np.float32]]:
    """The checked weights by torch's names, as float32 arrays, without torch. Raises ``ModelRefused``."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    _check_file(description)
    try:
        stored = load_file(description.weights_file)
    except (SafetensorError, OSError, KeyError) as error:
        raise _refused(description.name, f"{description.weights_file.name} is no safetensors file") from error
    arrays = {name: np.asarray(array, np.float32) for name, array in stored.items()}
    if not all(bool(np.isfinite(array).all()) for array in arrays.values()):
        raise _refused(description.name, "its weights hold NaN or infinity")
    return arrays


def _check_file(description: ModelDescription) -> None:
    name, file = description.name, description.weights_file.name
    if not description.weights_file.is_file():
        raise _refused(name, f"{file} is missing")
    if file_sha256(description.weights_file) != description.sha256:
        raise _refused(
            name, f"the checksum of {file} is not the one in {MODEL_FILE}: it was damaged or changed"
        )


def _read_tensors(description: ModelDescription) -> dict[str, torch.Tensor]:
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        stored = load_file(description.weights_file)
    except (SafetensorError, OSError) as error:
        raise _refused(description.name, f"{description.weights_file.name} is no safetensors file") from error
    tensors = {name: t.float() if t.is_floating_point() else t for name, t in stored.items()}
    if not all(bool(torch.isfinite(t).all()) for t in tensors.values()):
        raise _refused(description.name, "its weights hold NaN or infinity")
    return tensors
