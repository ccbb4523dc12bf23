"""Models on disk: found, checked, loaded, without executing anything that they bring.

A model is a folder with ``model.json`` (everything inference needs), ``weights.safetensors`` and
``MODEL_CARD.md``.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import ModelRefused
from ..intake.preparation import InputSpec
from ..labels import CLASS_NAMES
from ..locations import models_folder
from .foreign import (
    REQUIRED,
    RUNTIMES,
    Foreign,
    ModelFile,
    joint_sha256,
    plain_file_name,
    read_foreign,
    read_input,
    smallest_volumes,
)
from .library import MODEL_FILE, imported_folder, imported_names
from .spec import NetworkSpec

if TYPE_CHECKING:
    import torch

    from .network import GliomaNetwork

DEFAULT_MODEL = "gliomaseg-small"
ARCHITECTURE = "residual-attention-unet-3d"
FORMAT = 1
NATIVE = "native"
_LARGEST_BYTES = 5_000_000
_LONGEST_REASON = 400
_UPDATE = "Update GliomaSeg."
_CORRECT = "Correct it, or install the model again."
_IMPORT = "Import the folder with  gliomaseg models import , which adds the checksums."
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
    the kind of model, by which ``engines`` chooses; ``foreign``: how to run one that is not ours.
    ``members``: the models of an ensemble, whose description this then is.
    """

    folder: Path
    name: str
    version: str
    network_spec: NetworkSpec | None
    input: InputSpec
    classes: tuple[str, ...]
    temperature: float
    smallest_ml: dict[str, float]
    weights_file: Path
    sha256: str
    bytes_per_voxel: float
    facts: dict[str, Any]
    runtime: str = NATIVE
    foreign: Foreign | None = None
    members: tuple[ModelDescription, ...] = ()

    @property
    def network(self) -> NetworkSpec:
        """What our own network is made of. Raises ``ValueError`` for a model of another program."""
        if self.network_spec is None:
            raise ValueError(f"{self.name} is of the kind {self.runtime} and has no network of ours")
        return self.network_spec

    def change_without(self, role: str, region: str) -> float:
        """Change of a region's mean Dice without a sequence, as the model's card measured it; else 0."""
        if self.members:
            return min(member.change_without(role, region) for member in self.members)
        told: Any = self.facts.get("without")
        for key in (role, region):
            told = told.get(key) if isinstance(told, dict) else None
        return float(told) if isinstance(told, int | float) else 0.0

    @property
    def measured_run(self) -> dict[str, Any]:
        """The run whose scores ``model.json`` quotes, where other weights are shipped; else empty.

        Its ``trained_on`` and ``held_out`` name cases, ``about`` says it in words. For an ensemble: of the
        first member that has one.
        """
        told = [one.facts.get("measured_run") for one in (self.members or (self,))]
        return next((dict(run) for run in told if run and isinstance(run, dict)), {})

    @property
    def mirror(self) -> bool:
        """Whether the model wants to see the mirror image too, as when its scores were measured."""
        if self.members:
            return any(member.mirror for member in self.members)
        inference = self.facts.get("inference")
        return isinstance(inference, dict) and bool(inference.get("mirror", False))

    @property
    def files(self) -> tuple[ModelFile, ...]:
        """The files that are checked before the model runs."""
        return self.foreign.files if self.foreign else (ModelFile(self.weights_file.name, self.sha256),)


def bundled_models() -> list[str]:
    """Names of the models that ship with the program."""
    return sorted(p.parent.name for p in models_folder().glob(f"*/{MODEL_FILE}"))


def find_model(name_or_folder: str) -> Path:
    """The folder of a bundled or imported model's name, or of a folder that is given.

    Raises ``ModelRefused`` when there is neither.
    """
    bundled = models_folder() / name_or_folder
    # os.path says no where pathlib raises: for a name longer than any file's.
    if Path(name_or_folder).name == name_or_folder and os.path.isfile(bundled / MODEL_FILE):
        return bundled
    if imported := imported_folder(name_or_folder):
        return imported
    folder = Path(name_or_folder)
    if os.path.isfile(folder / MODEL_FILE):
        return folder
    known = ", ".join([*bundled_models(), *imported_names()]) or "none"
    raise ModelRefused(
        f"There is no model {folder.name or ascii(name_or_folder)}: give the name of a bundled or "
        f"imported model ({known}) or a folder with {MODEL_FILE}."
    )


def _refused(name: str, reason: str, remedy: str = "Install it again.") -> ModelRefused:
    # A reason may quote what stands in the file: lines, and a length that nothing bounds.
    line = " ".join(reason.split())
    short = line if len(line) <= _LONGEST_REASON else f"{line[:_LONGEST_REASON]}..."
    return ModelRefused(f"The model {name} can't be used: {short}. {remedy}")


def read_description(folder: Path) -> ModelDescription:
    """Read and check ``model.json``. Raises ``ModelRefused`` with what is wrong."""
    facts = read_facts(folder)
    runtime = facts.get("runtime", NATIVE)
    if runtime not in (NATIVE, *RUNTIMES):
        raise _refused(folder.name, f"this version can't run models of the kind {runtime!r}", _UPDATE)
    if missing := [key for key in (_REQUIRED if runtime == NATIVE else REQUIRED) if key not in facts]:
        raise _refused(folder.name, f"its {MODEL_FILE} lacks {', '.join(missing)}", _CORRECT)
    if facts["format"] != FORMAT:
        reason = f"it has format {facts['format']!r}, this version reads {FORMAT}"
        raise _refused(folder.name, reason, _UPDATE)
    if runtime == NATIVE and facts["architecture"] != ARCHITECTURE:
        reason = f"this version can't run the architecture {facts['architecture']!r}"
        raise _refused(folder.name, reason, _UPDATE)
    try:
        _check_kinds(facts)
        return _checked(folder, facts) if runtime == NATIVE else _checked_foreign(folder, facts)
    except KeyError as error:
        lacking = error.args[0]
        remedy = _IMPORT if lacking == "sha256" else _CORRECT
        raise _refused(folder.name, f"its {MODEL_FILE} lacks {lacking}", remedy) from error
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise _refused(folder.name, f"its {MODEL_FILE} is wrong ({error})", _CORRECT) from error


def read_facts(folder: Path) -> dict[str, Any]:
    """``model.json`` as it stands, an object. Raises ``ModelRefused`` when it is none, or above 5 MB."""
    path = folder / MODEL_FILE
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise _refused(folder.name, f"its {MODEL_FILE} is larger than {_LARGEST_BYTES // 10**6} MB")
        facts = json.loads(path.read_text(encoding="utf-8-sig"))  # Windows editors may mark it
    except (OSError, ValueError, RecursionError) as error:
        raise _refused(folder.name, f"its {MODEL_FILE} is not readable JSON", _CORRECT) from error
    if not isinstance(facts, dict):
        raise _refused(folder.name, f"its {MODEL_FILE} holds no settings", _CORRECT)
    return facts


def _check_kinds(facts: dict[str, Any]) -> None:
    for kind, word, keys in (
        (dict, "an object", ("network", "input", "output", "weights", "inference", "clean_up", "nnunet")),
        (list, "a list", ("training_data", "scores")),
    ):
        for key in keys:
            if key in facts and not isinstance(facts[key], kind):
                raise ValueError(f"{key} must be {word}")


def _checked(folder: Path, facts: dict[str, Any]) -> ModelDescription:
    network = NetworkSpec.from_dict(facts["network"])
    spec = InputSpec.from_dict(facts["input"])
    classes = tuple(facts["classes"])
    known = len(set(classes)) == len(classes) and set(classes) <= set(CLASS_NAMES)
    if not known or classes[:1] != CLASS_NAMES[:1]:
        raise ValueError(f"classes must be distinct and from {', '.join(CLASS_NAMES)}, background first")
    if network.classes != len(classes) or network.in_channels != len(spec.channels):
        raise ValueError("the network's channels do not fit its classes and sequences")
    temperature = _temperature(facts["temperature"])
    smallest = smallest_volumes(facts)
    file_name = plain_file_name(str(facts["weights"]["file"]))
    bytes_per_voxel = float(facts["inference"]["bytes_per_voxel"])
    if not bytes_per_voxel > 0:
        raise ValueError("inference.bytes_per_voxel must be above 0")
    if not isinstance(facts["inference"].get("mirror", False), bool):
        raise ValueError("inference.mirror must be true or false")
    return ModelDescription(
        folder, _line(facts, "name"), _line(facts, "version"), network, spec, classes, temperature, smallest,
        folder / file_name, str(facts["weights"]["sha256"]), bytes_per_voxel, facts,
    )  # fmt: skip


def _checked_foreign(folder: Path, facts: dict[str, Any]) -> ModelDescription:
    temperature = _temperature(facts.get("temperature", 1.0))
    foreign = read_foreign(facts, temperature)
    smallest = smallest_volumes({"clean_up": {"smallest_ml": {}}, **facts})
    return ModelDescription(
        folder, _line(facts, "name"), _line(facts, "version"), None, read_input(facts["input"]),
        foreign.output.classes, temperature, smallest, folder / foreign.files[0].name,
        joint_sha256(foreign.files), foreign.bytes_per_voxel, facts, str(facts["runtime"]), foreign,
    )  # fmt: skip


def _line(facts: dict[str, Any], key: str) -> str:
    """A text that may be printed: nothing in it moves the cursor or forges a second line."""
    text = facts[key]
    if not isinstance(text, str) or not text.strip() or len(text) > 64 or not text.isprintable():
        raise ValueError(f"{key} must be one line of 1 to 64 characters")
    return text


def _temperature(told: Any) -> float:
    temperature = float(told)
    if not 0.05 <= temperature <= 20:
        raise ValueError("temperature must be from 0.05 to 20")
    return temperature


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
    check_files(description)
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

    check_files(description)
    try:
        stored = load_file(description.weights_file)
    except TypeError:
        # NumPy has no bfloat16; torch reads it.
        return {name: tensor.numpy() for name, tensor in _read_tensors(description).items()}
    except (SafetensorError, OSError) as error:
        raise _refused(description.name, f"{description.weights_file.name} is no safetensors file") from error
    arrays = {name: np.asarray(array, np.float32) for name, array in stored.items()}
    if not all(bool(np.isfinite(array).all()) for array in arrays.values()):
        raise _refused(description.name, "its weights hold NaN or infinity")
    return arrays


def check_files(description: ModelDescription) -> None:
    """Compare every file of a model with its checksum. Raises ``ModelRefused`` for the first that is off."""
    name = description.name
    for file in description.files:
        path = description.folder / file.name
        if not path.is_file():
            raise _refused(name, f"{file.name} is missing")
        if file_sha256(path) != file.sha256:
            raise _refused(
                name, f"the checksum of {file.name} is not the one in {MODEL_FILE}: it was damaged or changed"
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
