"""What no measurement tells about a model: who trained it on what, read from one YAML file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from GliomaSegLib.errors import UsageError
from GliomaSegLib.labels import STRUCTURES

_OF_SOURCE = ("name", "use", "licence", "citation")
_OF_LAST_RUN = ("trained_on", "training", "hours")


@dataclass(frozen=True)
class LastRun:
    """What is told of the last run; the fields as in :class:`Facts`, ``training_data`` if given, else its.

    ``differs`` (optional): in what else but its cases it differs from the measured run, where checkpoints
    can't tell.
    """

    trained_on: tuple[str, ...]
    training: str
    hours: float
    training_data: tuple[dict[str, str], ...]
    differs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Facts:
    """The facts file, checked.

    ``recipe``: shipped recipe or .yaml file, for weights that do not bring their own. ``hours`` of training;
    ``change`` against the attempt before, for HISTORY.md; ``training``: a paragraph on how it was trained.
    ``trained_on`` and ``held_out``: names of cases, without overlap. ``smallest_ml``: islands below are
    removed, where tuning does not find better. ``training_data``: name, use, licence, citation of each
    source. ``limits``: sentences. ``mirror`` (optional): the model wants to see the mirror image, too.

    All of this is about the run that is measured. ``last_run`` (optional; for ``--last-run``) is about the
    weights that ship in its place, made by the same recipe and number of steps on more cases::

        last_run:
          trained_on: [every case of the last run, those of trained_on among them]
          training: a sentence or two on how it was trained
          hours: 2.3
          training_data: [optional: as above, where a source's name or use is another than above]

    ``training_data`` in force must name, by the end of its name (01478 for BraTS2021_01478), each case that
    the last run adds. The key is ignored in a release without ``--last-run``.
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
    mirror: bool = False
    last_run: LastRun | None = None


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
    needed = {f.name for f in fields(Facts) if f.default is MISSING}
    missing, unknown = sorted(needed - set(values)), sorted(set(values) - set(known))
    if missing:
        raise UsageError(f"The facts file {file_name} lacks {', '.join(missing)}: add it.")
    if unknown:
        raise UsageError(f"The facts file {file_name} has unknown {', '.join(unknown)}: remove it.")
    if both := sorted(set(values["trained_on"]) & set(values["held_out"])):
        raise UsageError(f"{file_name} says that {', '.join(both)} were trained on and held out: correct it.")
    _check_sources(file_name, values["training_data"])
    smallest = {str(k): float(v) for k, v in values["smallest_ml"].items()}
    if not set(smallest) <= {s.abbreviation for s in STRUCTURES} or any(ml < 0 for ml in smallest.values()):
        raise UsageError(f"smallest_ml in {file_name} must give structures volumes of at least 0 ml.")
    if not isinstance(values.get("mirror", False), bool):
        raise UsageError(f"mirror in {file_name} must be true or false.")
    made = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
    made |= {"smallest_ml": smallest, "hours": float(made["hours"]), "version": str(made["version"])}
    return Facts(**{**made, "last_run": _last_run(file_name, values)})


def _check_sources(file_name: str, sources: Any) -> None:
    for source in sources:
        if lacking := [key for key in _OF_SOURCE if not source.get(key)]:
            raise UsageError(f"A source of training data in {file_name} lacks {', '.join(lacking)}: add it.")


def _last_run(file_name: str, values: Mapping[str, Any]) -> LastRun | None:
    told = values.get("last_run")
    if told is None:
        return None
    place = f"last_run in {file_name}"
    if not isinstance(told, Mapping):
        raise UsageError(f"{place} must hold {', '.join(_OF_LAST_RUN)}: write it so.")
    if missing := [key for key in _OF_LAST_RUN if not told.get(key)]:
        raise UsageError(f"{place} lacks {', '.join(missing)}: add it.")
    if unknown := sorted(set(told) - {*_OF_LAST_RUN, "training_data", "differs"}):
        raise UsageError(f"{place} has unknown {', '.join(unknown)}: remove it.")
    cases, sources = told["trained_on"], told.get("training_data") or values["training_data"]
    if not isinstance(cases, list) or not isinstance(told["hours"], int | float):
        raise UsageError(f"{place} needs a list of cases (trained_on) and a number of hours: correct it.")
    if left_out := sorted(set(values["trained_on"]) - set(cases)):
        raise UsageError(f"{place} leaves out {', '.join(left_out)}, which the measured run had: correct it.")
    added = sorted(set(cases) - set(values["trained_on"]))
    if not added:
        raise UsageError(f"{place} adds no case to those of the measured run: such a run need not ship.")
    _check_sources(file_name, sources)
    unnamed = [case for case in added if not any(case.split("_")[-1] in s["name"] for s in sources)]
    if unnamed:
        raise UsageError(f"training_data of {place} names no source of {', '.join(unnamed)}: add it there.")
    differs = tuple(str(word) for word in told.get("differs") or ())
    return LastRun(tuple(cases), str(told["training"]), float(told["hours"]), tuple(sources), differs)
