"""Several models as one: their calibrated probabilities, averaged on the finest member's grid.

Everything a run needs of a model goes through here, so that one model and several look alike to it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt

from ..errors import UsageError
from ..intake.preparation import InputSpec, NetworkInput, prepare, resample
from ..intake.volume import ROLES, Grid, Study, Volume
from ..labels import BACKGROUND, CLASS_NAMES
from .engines import Engine, EngineOptions, open_engine, runs
from .engines.base import Prediction, Tick
from .weights import DEFAULT_MODEL, ModelDescription, find_model, read_description

FloatArray = npt.NDArray[np.float32]
_LONGEST_NAME = 64
"""Of an algorithm's name in DICOM."""


@dataclass(frozen=True)
class EnsembleInput(NetworkInput):
    """What each member wants of a study; the fields of the base are the finest member's."""

    members: tuple[NetworkInput, ...] = ()


def open_models(words: str, options: EngineOptions, engine: str = "auto") -> tuple[ModelDescription, Engine]:
    """The model, or the models separated by commas, that ``words`` name; empty: the default.

    Raises ``ModelRefused`` for a model that can't be used, ``UsageError`` for one named twice, or
    an engine that runs none of them.
    """
    folders = [find_model(name) for name in model_names(words)]
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise UsageError(f"--model {words} names a model twice: an ensemble needs different ones.")
    descriptions = [read_description(folder) for folder in folders]
    if len(descriptions) == 1:
        return descriptions[0], open_engine(descriptions[0], options, engine)
    if engine != "auto" and not any(runs(engine, d) for d in descriptions):
        raise UsageError(f"The engine {engine} runs none of the models {words}: choose auto.")
    engines = [open_engine(d, options, _engine_for(d, engine)) for d in descriptions]
    return described_together(descriptions), EnsembleEngine(descriptions, engines)


def model_names(words: str) -> list[str]:
    """Names or folders in a comma-separated list; a folder with a comma in its name is one.

    >>> model_names("small, large"), model_names("")
    (['small', 'large'], ['gliomaseg-small'])
    """
    if not words.strip():
        return [DEFAULT_MODEL]
    if "," not in words or os.path.isdir(words):
        return [words]
    names = [name.strip() for name in words.split(",")]
    if not all(names):
        raise UsageError(f"--model {words} has an empty name: write it as  --model NAME,NAME.")
    return names


def _engine_for(description: ModelDescription, wanted: str) -> str:
    """The wanted engine where it runs the model; in an ensemble of several kinds it can't run all."""
    return wanted if wanted == "auto" or runs(wanted, description) else "auto"


def described_together(descriptions: Sequence[ModelDescription]) -> ModelDescription:
    """One description for several models: all their sequences and structures, the gentlest clean-up."""
    first = descriptions[0]
    checksum = hashlib.sha256("\n".join(d.sha256 for d in descriptions).encode()).hexdigest()
    name = " + ".join(d.name for d in descriptions)
    version = " + ".join(d.version for d in descriptions)
    roles = tuple(role for role in ROLES if any(role in d.input.channels for d in descriptions))
    classes = tuple(c for c in CLASS_NAMES if any(c in d.classes for d in descriptions))
    smallest = {
        c: min(d.smallest_ml.get(c, 0.0) for d in descriptions if c in d.classes) for c in classes[1:]
    }
    return replace(
        first,
        name=name if len(name) <= _LONGEST_NAME else f"ensemble of {len(descriptions)} ({checksum[:8]})",
        version=version if len(version) <= _LONGEST_NAME else checksum[:8],
        input=InputSpec(roles, first.input.spacing_mm),
        classes=classes,
        temperature=1.0,
        smallest_ml=smallest,
        sha256=checksum,
        members=tuple(descriptions),
    )


def prepare_for(description: ModelDescription, study: Study, brain: Volume | None) -> NetworkInput:
    """``intake.preparation.prepare`` for a model, or for each member of an ensemble."""
    if not description.members:
        return prepare(study, description.input, brain)
    inputs = tuple(prepare(study, member.input, brain) for member in description.members)
    finest = min(inputs, key=lambda one: one.grid.voxel_ml)
    base = {field.name: getattr(finest, field.name) for field in fields(NetworkInput)}
    return EnsembleInput(**base, members=inputs)


class EnsembleEngine:
    """The members one after the other, then their mean."""

    name = "ensemble"

    def __init__(self, descriptions: Sequence[ModelDescription], engines: Sequence[Engine]) -> None:
        self._descriptions, self._engines = descriptions, engines

    def predict(self, prepared: NetworkInput, tick: Tick = lambda share: None) -> Prediction:
        """Mean probabilities of the members on ``prepared.grid``; see ``Engine``."""
        assert isinstance(prepared, EnsembleInput)
        predictions = []
        for number, (engine, own) in enumerate(zip(self._engines, prepared.members, strict=True)):

            def part(share: float, number: int = number) -> None:
                tick((number + share) / len(self._engines))

            made = engine.predict(own, part)
            moved = _on_grid(made.probabilities, self._descriptions[number].classes, own.grid, prepared.grid)
            predictions.append(replace(made, probabilities=moved))
        classes = [d.classes for d in self._descriptions]
        return Prediction(
            averaged([p.probabilities for p in predictions], classes),
            max((p.window for p in predictions if p.window is not None), default=None),
            _joined(p.device for p in predictions),
            tuple(warning for p in predictions for warning in p.warnings),
            _joined(p.engine for p in predictions),
            max(p.threads for p in predictions),
        )


def _joined(words: Iterable[str]) -> str:
    return " + ".join(dict.fromkeys(words))


def _on_grid(probabilities: FloatArray, classes: Sequence[str], grid: Grid, target: Grid) -> FloatArray:
    """Probabilities (class, z, y, x) on another grid, linear; what lies outside ``grid`` is background."""
    if grid == target:
        return probabilities
    moved = np.empty((len(classes), *target.shape), np.float32)
    for channel, name in enumerate(classes):
        volume = Volume(np.ascontiguousarray(probabilities[channel]), grid, ROLES[0], name)
        moved[channel] = resample(volume, target)
    background = classes.index(CLASS_NAMES[BACKGROUND])
    structures = [channel for channel in range(len(classes)) if channel != background]
    moved[background] = np.clip(1 - moved[structures].sum(axis=0), 0.0, 1.0)
    return moved


def averaged(members: Sequence[FloatArray], classes: Sequence[Sequence[str]]) -> FloatArray:
    """Mean of the members' probabilities (class, z, y, x) over all classes that any of them knows.

    ``classes`` names each member's channels. A member that does not know a structure, the cavity say, calls
    it background: its background is divided between background and the structures that it does not know, as
    the members that do know them divide theirs on average there.
    """
    union = [c for c in CLASS_NAMES if any(c in known for known in classes)]
    total = np.zeros((len(union), *members[0].shape[1:]), np.float32)
    for member, known in zip(members, classes, strict=True):
        for channel, c in enumerate(known):
            total[union.index(c)] += member[channel]
        unknown = [c for c in union if c not in known]
        if not unknown:
            continue
        background = member[list(known).index(union[BACKGROUND])]
        told = _told_by_peers([union[BACKGROUND], *unknown], members, classes)
        among = np.maximum(sum(told.values()), np.float32(1e-6))
        for c in unknown:
            moved = background * told[c] / among
            total[union.index(c)] += moved
            total[BACKGROUND] -= moved
    total /= len(members)
    return np.maximum(total, np.float32(0))


def _told_by_peers(
    wanted: Sequence[str], members: Sequence[FloatArray], classes: Sequence[Sequence[str]]
) -> dict[str, FloatArray]:
    """Mean probability (z, y, x) of each wanted class, background first, by the members that know them.

    Those that know all of them decide together; where none does, those that know a structure decide on it.
    """
    background, structures = wanted[0], wanted[1:]
    known_to = {c: [n for n, known in enumerate(classes) if c in known] for c in structures}
    whole = [n for n, known in enumerate(classes) if set(structures) <= set(known)]
    known_to |= dict.fromkeys(structures, whole) if whole else {}
    known_to[background] = whole or sorted({n for numbers in known_to.values() for n in numbers})
    return {
        c: np.mean([members[n][list(classes[n]).index(c)] for n in numbers], axis=0)
        for c, numbers in known_to.items()
    }
