"""What no measurement tells about a model: who trained it on what, read from one YAML file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from GliomaSegLib.errors import UsageError
from GliomaSegLib.labels import STRUCTURES

_OF_SOURCE = ("name", "use", "licence", "citation")


@dataclass(frozen=True)
class Facts:
    """The facts file, checked.

    ``recipe``: shipped recipe or .yaml file, for weights that do not bring their own. ``hours`` of training;
    ``change`` against the attempt before, for HISTORY.md; ``training``: a paragraph on how it was trained.
    ``trained_on`` and ``held_out``: names of cases, without overlap. ``smallest_ml``: islands below are
    removed, where tuning does not find better. ``training_data``: name, use, licence, citation of each
    source. ``limits``: sentences.
    """

    name: str
    title: str
    version: str
    licence: str
    recipe: str
    hours: float
    change: str
    training: str
    trained_on: tuple[str, ...]
    held_out: tuple[str, ...]
    smallest_ml: dict[str, float]
    training_data: tuple[dict[str, str], ...]
    limits: tuple[str, ...]


def read_facts(path: Path) -> Facts:
    """Read and check the facts. Raises ``UsageError`` with a sentence for what is missing or wrong."""
    import yaml

    if not path.is_file():
        raise UsageError(f"There is no facts file {path.name}: copy one from Utilities/release.")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise UsageError(f"The facts file {path.name} is not valid YAML: {error}") from error
    if not isinstance(values, Mapping):
        raise UsageError(f"The facts file {path.name} does not hold settings (name: value).")
    return _checked(path.name, values)


def _checked(file_name: str, values: Mapping[str, Any]) -> Facts:
    known = [f.name for f in fields(Facts)]
    missing, unknown = sorted(set(known) - set(values)), sorted(set(values) - set(known))
    if missing:
        raise UsageError(f"The facts file {file_name} lacks {', '.join(missing)}: add it.")
    if unknown:
        raise UsageError(f"The facts file {file_name} has unknown {', '.join(unknown)}: remove it.")
    if both := sorted(set(values["trained_on"]) & set(values["held_out"])):
        raise UsageError(f"{file_name} says that {', '.join(both)} were trained on and held out: correct it.")
    for source in values["training_data"]:
        if lacking := [key for key in _OF_SOURCE if not source.get(key)]:
            raise UsageError(f"A source of training data in {file_name} lacks {', '.join(lacking)}: add it.")
    smallest = {str(k): float(v) for k, v in values["smallest_ml"].items()}
    if not set(smallest) <= {s.abbreviation for s in STRUCTURES} or any(ml < 0 for ml in smallest.values()):
        raise UsageError(f"smallest_ml in {file_name} must give structures volumes of at least 0 ml.")
    made = {name: tuple(values[name]) if isinstance(values[name], list) else values[name] for name in known}
    made |= {"smallest_ml": smallest, "hours": float(made["hours"]), "version": str(made["version"])}
    return Facts(**made)
