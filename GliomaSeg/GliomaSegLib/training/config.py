"""A training recipe: every number that shapes a run, read from one YAML file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from ..errors import UsageError, missing_extra
from ..intake.preparation import InputSpec
from ..labels import CLASS_NAMES
from ..model.network import NetworkSpec


def _check(fits: bool, sentence: str) -> None:
    if not fits:
        raise ValueError(sentence)


@dataclass(frozen=True)
class OptimiserSpec:
    """``name`` adam or adamw; ``learning_rate`` at its peak; ``clip`` largest gradient norm (0: none)."""

    name: str = "adamw"
    learning_rate: float = 1.5e-3
    weight_decay: float = 1e-4
    clip: float = 1.0

    def __post_init__(self) -> None:
        _check(self.name in {"adam", "adamw"}, f"optimiser {self.name!r} is neither adam nor adamw")
        _check(self.learning_rate > 0, "learning_rate must be above 0")
        _check(min(self.weight_decay, self.clip) >= 0, "weight_decay and clip must be at least 0")


@dataclass(frozen=True)
class ScheduleSpec:
    """``name`` cosine (with ``warm_up`` steps) or plateau (``factor`` after ``patience`` validations)."""

    name: str = "cosine"
    warm_up: int = 50
    factor: float = 0.5
    patience: int = 3

    def __post_init__(self) -> None:
        _check(self.name in {"cosine", "plateau"}, f"schedule {self.name!r} is neither cosine nor plateau")
        _check(0 < self.factor < 1, "factor must lie between 0 and 1")
        _check(min(self.warm_up, self.patience) >= 0, "warm_up and patience must be at least 0")


@dataclass(frozen=True)
class LossSpec:
    """Weights of the terms; cross_entropy ``1 - lambda`` and focal ``lambda`` are the dissertation's loss.

    ``class_weights`` (one per class) weigh cross-entropy and are focal's alpha; empty means all 1.
    """

    cross_entropy: float = 1.0
    focal: float = 0.0
    dice: float = 1.0
    tversky: float = 0.0
    focal_gamma: float = 2.0
    tversky_alpha: float = 0.3
    class_weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        terms = (self.cross_entropy, self.focal, self.dice, self.tversky)
        _check(min(terms) >= 0 and max(terms) > 0, "a loss needs terms of weight 0 or more, one above 0")
        _check(self.focal_gamma >= 0, "focal_gamma must be at least 0")
        _check(0 <= self.tversky_alpha <= 1, "tversky_alpha must be from 0 to 1")
        _check(all(w >= 0 for w in self.class_weights), "class_weights must be at least 0")


@dataclass(frozen=True)
class AugmentationSpec:
    """Probabilities (0..1) and ranges of the random changes; 0 turns one off."""

    flip: float = 0.5
    affine: float = 0.5
    rotate_degrees: float = 15.0
    scale: float = 0.15
    intensity: float = 0.5
    bias_field: float = 0.2
    noise: float = 0.3
    blur: float = 0.15
    low_resolution: float = 0.15
    missing_sequence: float = 0.15

    def __post_init__(self) -> None:
        for name in set(asdict(self)) - {"rotate_degrees", "scale"}:
            _check(0 <= getattr(self, name) <= 1, f"{name} is a probability, 0 to 1")
        _check(self.rotate_degrees >= 0 and 0 <= self.scale < 1, "rotate_degrees or scale is out of range")


@dataclass(frozen=True)
class Recipe:
    """One training run.

    ``validation``: cases that choose the weights; ``exclude``: cases used nowhere; ``test``: cases that
    ``compare`` scores and no training sees. ``initial``: a model to start from (empty: random weights).
    ``patch``: voxels (z, y, x), empty for whole brains. ``mix``: weight of each kind of case (``real`` and
    the kinds that synthesis makes); kinds without cases are left out. ``validate_every``: steps between
    validations. ``early_stopping``: validations without
    improvement before stopping (0: never). ``ema``: decay of the averaged weights (0: none).
    ``freeze_norm_from``: share of the steps after which batch norm uses fixed statistics (1: never), so that
    training sees what inference will see; ``norm_cases`` cases make these statistics. ``precision``: mixed
    (half precision where the hardware multiplies it) or float32.
    """

    name: str = "unnamed"
    initial: str = ""
    seed: int = 1
    steps: int = 1000
    batch_size: int = 1
    patch: tuple[int, ...] = ()
    validate_every: int = 100
    early_stopping: int = 0
    ema: float = 0.99
    freeze_norm_from: float = 0.6
    norm_cases: int = 20
    precision: str = "mixed"
    validation: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    mix: Mapping[str, float] = field(default_factory=lambda: {"real": 1.0})
    synthetic_cases: int = 0
    network: NetworkSpec = field(default_factory=NetworkSpec)
    input: InputSpec = field(default_factory=InputSpec)
    optimiser: OptimiserSpec = field(default_factory=OptimiserSpec)
    schedule: ScheduleSpec = field(default_factory=ScheduleSpec)
    loss: LossSpec = field(default_factory=LossSpec)
    augmentation: AugmentationSpec = field(default_factory=AugmentationSpec)

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "validate_every", "norm_cases"):
            _check(getattr(self, name) >= 1, f"{name} must be at least 1")
        for name in ("seed", "early_stopping", "synthetic_cases"):
            _check(getattr(self, name) >= 0, f"{name} must be at least 0")
        _check(self.precision in {"mixed", "float32"}, "precision must be mixed or float32")
        _check(0 <= self.ema < 1, "ema must be at least 0 and below 1")
        _check(0 <= self.freeze_norm_from <= 1, "freeze_norm_from must be from 0 to 1")
        _check(len(self.patch) in {0, 3} and min(self.patch, default=1) >= 1, "patch must be three numbers")
        unknown = sorted(set(self.mix) - set(KINDS))
        _check(not unknown, f"mix names {', '.join(unknown)}; known are {', '.join(KINDS)}")
        _check(min(self.mix.values(), default=-1) >= 0, "mix must give kinds of cases weights of 0 or more")
        _check(max(self.mix.values()) > 0, "mix must give one kind of cases a weight above 0")
        classes, channels = len(CLASS_NAMES), len(self.input.channels)
        _check(self.network.classes == classes, f"network, classes must be {classes}, as the label maps have")
        _check(self.network.in_channels == channels, f"network, in_channels must be {channels}, as input has")
        _check(len(self.loss.class_weights) in {0, classes}, f"loss, class_weights must be {classes} numbers")

    def to_dict(self) -> dict[str, Any]:
        """Plain data, kept beside the checkpoints."""
        values = {**asdict(self), "network": self.network.to_dict(), "input": self.input.to_dict()}
        if not self.test:
            # Checkpoints of runs that were begun before `test` existed stay resumable.
            del values["test"]
        return values


KINDS = ("real", "painted", "operated", "transplanted", "label_map")
"""Where a training case comes from: a scan as it is, or one of the kinds that synthesis makes."""

_SECTIONS = {
    "optimiser": OptimiserSpec,
    "schedule": ScheduleSpec,
    "loss": LossSpec,
    "augmentation": AugmentationSpec,
}


def _flat(kind: type, values: Any, where: str) -> dict[str, Any]:
    return _known({f.name: str(f.type) for f in fields(kind)}, values, where)


def _known(known: Mapping[str, str], values: Any, where: str) -> dict[str, Any]:
    """``values`` of the ``known`` names and types. Raises ``UsageError`` for another name."""
    if not isinstance(values, Mapping):
        raise UsageError(f"Training recipe {where}: {values!r} are no settings (name: value).")
    if unknown := sorted(str(name) for name in set(values) - set(known)):
        names = ", ".join(sorted(known))
        raise UsageError(f"Training recipe {where}: unknown setting {', '.join(unknown)}; known are {names}.")
    return {name: _typed(name, value, known[name]) for name, value in values.items()}


_WANTED: dict[str, tuple[type, ...]] = {"int": (int,), "float": (int, float), "str": (str,)}


def _typed(name: str, value: Any, kind: str) -> Any:
    """``value`` as the field ``name`` of type ``kind`` wants it. Raises ``TypeError`` when it can't be."""
    if kind.startswith("tuple["):
        if not isinstance(value, list | tuple):
            raise TypeError(f"{name} is {value!r}, not a list")
        return tuple(_typed(f"{name}, an entry,", entry, kind[6:].split(",")[0]) for entry in value)
    if kind.startswith("Mapping["):
        if not isinstance(value, Mapping):
            raise TypeError(f"{name} is {value!r}, not settings (name: value)")
        return {key: _typed(f"{name}, {key}", entry, "float") for key, entry in value.items()}
    if kind == "float" and isinstance(value, str):
        # YAML 1.1 reads 1e-4, without a dot, as text.
        value = float(value)
    if kind in _WANTED and (isinstance(value, bool) or not isinstance(value, _WANTED[kind])):
        raise TypeError(f"{name} is {value!r}, not of type {kind}")
    if kind == "float" and not math.isfinite(value):
        raise TypeError(f"{name} is {value!r}, not a finite number")
    return value


def _input_spec(values: Any, where: str) -> InputSpec:
    defaults = InputSpec().to_dict()
    given = _known(dict.fromkeys(defaults, "any"), values, f"{where}, input")
    for name in ("channels", "spacing_mm"):
        if not isinstance(given.get(name, []), list | tuple):
            raise TypeError(f"input, {name} is {given[name]!r}, not a list")
    return InputSpec.from_dict({**defaults, **given})


def recipe_from_dict(values: Mapping[str, Any], where: str = "recipe") -> Recipe:
    """Build a recipe from plain data. Raises ``UsageError`` for an unknown setting or a wrong value."""
    try:
        data = _flat(Recipe, values, where)
        for section, kind in _SECTIONS.items():
            if section in data:
                data[section] = kind(**_flat(kind, data[section], f"{where}, {section}"))
        if "network" in data:
            if not isinstance(data["network"], Mapping):
                raise TypeError(f"network is {data['network']!r}, not settings (name: value)")
            data["network"] = NetworkSpec.from_dict(dict(data["network"]))
        if "input" in data:
            data["input"] = _input_spec(data["input"], where)
        return Recipe(**data)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise UsageError(f"Training recipe {where}: {error}.") from error


def load_recipe(name_or_path: str) -> Recipe:
    """Read a recipe from a YAML file, or one of those that are shipped (``ship``, ``thesis``)."""
    try:
        import yaml
    except ImportError as error:
        raise missing_extra("pyyaml", "train", "Training") from error
    path = Path(name_or_path)
    if path.suffix in {".yaml", ".yml"}:
        if not path.is_file():
            raise UsageError(f"There is no training recipe {path.name}: check the path.")
        where: Traversable = path
    else:
        shipped = resources.files("GliomaSegLib.training") / "configs" / f"{name_or_path}.yaml"
        if not shipped.is_file():
            raise UsageError(f"There is no shipped training recipe {name_or_path}: give a .yaml file.")
        where = shipped
    try:
        values = yaml.safe_load(where.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        told = " ".join(str(error).split())
        raise UsageError(f"{path.name} is not valid YAML: {told}.") from error
    if not isinstance(values, dict):
        raise UsageError(f"{path.name} does not hold settings (name: value).")
    return recipe_from_dict(values, path.name)
