"""Weights that go into a release, and the model folder that they become."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch

from GliomaSegLib.errors import UsageError
from GliomaSegLib.intake.preparation import InputSpec
from GliomaSegLib.model.network import NetworkSpec, build_network
from GliomaSegLib.model.weights import MODEL_FILE, load_network, read_description
from GliomaSegLib.training.checkpoint import read_state
from GliomaSegLib.training.config import Recipe, load_recipe, recipe_from_dict
from GliomaSegLib.training.export import export_model, read_weights

from . import tuning
from .facts import Facts
from .records import update_description

_OF_CASES = ("name", "initial", "validation", "exclude", "test")
"""Entries of a recipe in which a last run must differ, or which do not shape it."""


@dataclass(frozen=True)
class Source:
    """Trained weights and what they need: the network, and the input that it was trained on.

    ``recipe`` is what the checkpoint tells of its training, if it tells.
    """

    weights: dict[str, torch.Tensor]
    network: NetworkSpec
    input: InputSpec
    recipe: Recipe | None = None


def read_source(path: Path, facts: Facts) -> Source:
    """From a model folder, or a checkpoint: by its own recipe, else by that of the facts.

    Raises ``UsageError`` for weights that do not fit, and for a model that ships a last run: what the
    measured run held out is no longer held out for those weights.
    """
    if (path / MODEL_FILE).is_file():
        description = read_description(path)
        if description.measured_run:
            raise UsageError(
                f"The model {path.name} ships the weights of a last run, which were trained on what would be "
                "measured: give the checkpoint of the held-out run."
            )
        return Source(load_network(description).state_dict(), description.network, description.input)
    weights, told = read_weights(path), _told_recipe(path)
    recipe = told or load_recipe(facts.recipe)
    if not _fits(weights, recipe.network):
        raise UsageError(
            f"The weights {path.name} do not fit the network of the recipe {recipe.name}: name their own "
            "recipe in the facts file."
        )
    return Source(weights, recipe.network, recipe.input, told)


def read_last_run(path: Path, measured: Source) -> Source:
    """A checkpoint of the last run: by its own recipe, else by that of the measured run.

    Raises ``UsageError`` for another network or input than the measured run's, for weights that are not
    finite, and for the measured run's own weights.
    """
    if not path.is_file():
        raise UsageError(f"There is no checkpoint {path.name}: --last-run takes a best.pt or checkpoint.pt.")
    weights, told = read_weights(path), _told_recipe(path)
    if told and (told.network, told.input) != (measured.network, measured.input):
        raise UsageError(
            f"The last run {path.name} has another network or input than the measured run: train it with the "
            "measured run's recipe."
        )
    if not _fits(weights, measured.network):
        raise UsageError(
            f"The weights {path.name} of --last-run do not fit the network of the measured run: train them "
            "with its recipe."
        )
    if not all(bool(torch.isfinite(t).all()) for t in weights.values()):
        raise UsageError(f"The weights {path.name} of --last-run hold NaN or infinity: train them again.")
    if all(torch.equal(t, measured.weights[name]) for name, t in weights.items()):
        raise UsageError(
            f"The weights {path.name} of --last-run are the measured run's own: give the last run's."
        )
    return Source(weights, measured.network, measured.input, told)


def recipe_differences(measured: Source, last: Source) -> tuple[str, ...] | None:
    """Entries of the two recipes that differ, other than those that name cases; None if one is not told."""
    if measured.recipe is None or last.recipe is None:
        return None
    one, other = measured.recipe.to_dict(), last.recipe.to_dict()
    return tuple(sorted(key for key in one if key not in _OF_CASES and one[key] != other[key]))


def _told_recipe(path: Path) -> Recipe | None:
    told = (read_state(path) or {}).get("recipe")
    return recipe_from_dict(json.loads(told)) if told else None


def _fits(weights: dict[str, torch.Tensor], network: NetworkSpec) -> bool:
    try:
        build_network(network, 0).load_state_dict(weights, strict=True)
    except (RuntimeError, TypeError):
        return False
    return True


def export(source: Source, facts: Facts, choice: tuning.Choice, temperature: float, folder: Path) -> None:
    """The model folder as it will ship, but for its scores."""
    export_model(
        tuning.with_offsets(source.weights, choice.offsets),
        source.network,
        source.input,
        folder,
        {
            "name": facts.name,
            "title": facts.title,
            "version": facts.version,
            "licence": facts.licence,
            "training_data": list(facts.training_data),
            "trained_on": list(facts.trained_on),
            "held_out": list(facts.held_out),
            "scores": [],
            "temperature": temperature,
            "clean_up": {"smallest_ml": choice.smallest_ml},
        },
    )
    if facts.mirror:
        told = read_description(folder).facts["inference"]
        update_description(folder, {"inference": {**told, "mirror": True}})
