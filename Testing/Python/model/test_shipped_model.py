"""The model that ships: whole, honest about what it saw, and the same in windows as in one pass."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from GliomaSegLib.evaluation.phantom import render_phantom
from GliomaSegLib.intake.preparation import NetworkInput, prepare
from GliomaSegLib.intake.volume import Study, Volume
from GliomaSegLib.model.folding import folded
from GliomaSegLib.model.inference import InferenceOptions, predict
from GliomaSegLib.model.weights import (
    DEFAULT_MODEL,
    ModelDescription,
    find_model,
    load_network,
    read_description,
)
from GliomaSegLib.pipeline import SegmentOptions, segment
from GliomaSegLib.training.cases import case_labels, find_cases
from GliomaSegLib.training.validation import voxel_dice


@pytest.fixture(scope="module")
def description() -> ModelDescription:
    """What the shipped ``model.json`` says."""
    return read_description(find_model(DEFAULT_MODEL))


@pytest.fixture(scope="module")
def prepared(description: ModelDescription) -> NetworkInput:
    """A phantom of a whole brain, 2 mm, as the model sees it."""
    case = render_phantom(77, spacing_mm=2.0)
    volumes = {role: Volume(array, case.grid, role, role) for role, array in case.volumes.items()}
    return prepare(Study(volumes, "t1c"), description.input)


def test_the_card_lies_beside_the_weights(description: ModelDescription) -> None:
    card = (description.folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "not a medical device" in card.lower()
    assert description.version in card
    for source in description.facts["training_data"]:
        assert source["licence"] and source["citation"]


def test_held_out_cases_were_not_trained_on(description: ModelDescription) -> None:
    measured = description.measured_run or description.facts
    assert measured["held_out"]
    assert not set(measured["held_out"]) & set(measured["trained_on"])
    assert not set(description.facts["held_out"]) & set(description.facts["trained_on"])


def test_figures_of_other_weights_are_told_to_be_so(description: ModelDescription) -> None:
    told = ["measured_with" in entry for entry in description.facts["scores"]]
    assert told and set(told) == {bool(description.measured_run)}
    if description.measured_run:
        assert description.measured_run["weights_sha256"] != description.sha256
        card = (description.folder / "MODEL_CARD.md").read_text(encoding="utf-8")
        assert "No figure of the shipped weights on a real case that they have not seen exists" in card


def test_windows_agree_with_one_pass_or_their_agreement_is_told(
    description: ModelDescription, prepared: NetworkInput
) -> None:
    network = load_network(description)
    memory = description.bytes_per_voxel
    whole = predict(network, prepared, InferenceOptions(torch.device("cpu"), bytes_per_voxel=memory))
    tiled = predict(
        network, prepared, InferenceOptions(torch.device("cpu"), window=64, bytes_per_voxel=memory)
    )
    assert whole.window is None and tiled.window == 64
    same = whole.probabilities.argmax(0) == tiled.probabilities.argmax(0)
    agreement = same[prepared.brain].mean()
    if description.network.norm == "batch":
        assert agreement >= 0.995
        return
    # Instance norm takes its statistics from each window: that can't be promised, only measured and told.
    told = description.facts["inference"]["window_agreement"]
    assert told["window"] == 64 and 0.5 < told["least"] <= 1
    assert agreement > told["least"] - 0.1
    assert any("labels may differ" in warning for warning in tiled.warnings) and not whole.warnings


def test_folding_does_not_change_the_labels(description: ModelDescription, prepared: NetworkInput) -> None:
    network = load_network(description)
    image = torch.from_numpy(prepared.array)[None, :, 16:48, 16:64, 16:48]
    with torch.inference_mode():
        plain, fast = network(image), folded(network)(image)
    assert float((plain - fast).abs().max()) < 1e-2
    assert (plain.argmax(1) == fast.argmax(1)).float().mean() > 0.9999


@pytest.mark.data
@pytest.mark.long
def test_whole_tumour_on_real_cases_that_the_measured_run_held_out(
    description: ModelDescription, data_folder: Path, tmp_path: Path
) -> None:
    names = (description.measured_run or description.facts)["held_out"]
    held = [c for c in find_cases([data_folder / "brats2021"]) if c.name in names]
    assert held
    for case in held:
        result = segment(case.images, tmp_path / case.name, SegmentOptions(device="cpu", progress="none"))
        reference = case_labels(case, _grid(case.images["t1c"]))
        assert result.labels.shape == reference.shape
        assert voxel_dice(reference, result.labels, "WT") >= 0.6, case.name
        assert np.isin(result.labels, range(5)).all()


def _grid(path: Path):
    from GliomaSegLib.intake.reading import read_volume

    return read_volume(path, "t1c").grid
