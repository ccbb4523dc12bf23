"""The eight-bit graph: taken only when it is of these weights, whole, and lost no Dice."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import pytest
import SimpleITK as sitk
from samples import tiny_volume

from GliomaSegLib.errors import ModelRefused
from GliomaSegLib.intake.preparation import NetworkInput
from GliomaSegLib.model.eight_bit import CONSTANTS, GRAPH, MOST_LOST, RECORD, find_eight_bit, origin
from GliomaSegLib.model.engines import EngineOptions, open_engine
from GliomaSegLib.model.engines.openvino_graph import build_graph
from GliomaSegLib.model.weights import (
    ModelDescription,
    bundled_models,
    file_sha256,
    find_model,
    read_arrays,
    read_description,
)
from GliomaSegLib.training import quantisation
from GliomaSegLib.training.cases import find_cases

MakeModel = Callable[..., Path]
MakeInput = Callable[..., NetworkInput]
CPU = EngineOptions(device="cpu")


@pytest.fixture
def with_graph(make_model: MakeModel) -> ModelDescription:
    """A tiny model with a second graph, told apart by its flat probabilities, and a record that it passed."""
    description = read_description(make_model())
    graph = build_graph(description.network, read_arrays(description), 20.0, (16, 16, 16))
    openvino.save_model(graph, str(description.folder / GRAPH), compress_to_fp16=False)
    record(description, passed=True)
    return description


def record(description: ModelDescription, **changes: Any) -> None:
    """Write the record, with ``changes``."""
    facts = {
        "made_from": origin(description),
        "sha256": {name: file_sha256(description.folder / name) for name in (GRAPH, CONSTANTS)},
        "passed": True,
        **changes,
    }
    (description.folder / RECORD).write_text(json.dumps(facts))


def test_a_graph_that_passed_is_taken_unless_full_precision_is_asked_for(
    with_graph: ModelDescription, make_input: MakeInput
) -> None:
    prepared = make_input((16, 16, 20))
    taken = open_engine(with_graph, CPU, "openvino").predict(prepared)
    full = open_engine(with_graph, replace(CPU, precision="full"), "openvino").predict(prepared)
    assert taken.engine.endswith(" int8") and full.engine.endswith(" float32")
    inside = prepared.brain
    assert taken.probabilities[:, inside].max() < full.probabilities[:, inside].max() - 0.05


def test_a_graph_of_other_weights_or_another_temperature_is_left_aside(with_graph: ModelDescription) -> None:
    assert find_eight_bit(with_graph) is not None
    assert find_eight_bit(replace(with_graph, sha256="0" * 64)) is None
    assert find_eight_bit(replace(with_graph, temperature=1.3)) is None
    assert open_engine(replace(with_graph, temperature=1.3), CPU, "openvino").name == "openvino"


@pytest.mark.parametrize("passed", [False, "yes", 1, None])
def test_a_graph_that_did_not_pass_is_left_aside(with_graph: ModelDescription, passed: object) -> None:
    record(with_graph, passed=passed)
    assert find_eight_bit(with_graph) is None


@pytest.mark.parametrize("damage", ["graph", "constants", "gone", "record", "list", "keys"])
def test_damaged_files_are_refused_with_a_sentence(with_graph: ModelDescription, damage: str) -> None:
    folder = with_graph.folder
    if damage in ("graph", "constants"):
        file = folder / (GRAPH if damage == "graph" else CONSTANTS)
        file.write_bytes(file.read_bytes() + b" ")
    elif damage == "gone":
        (folder / CONSTANTS).unlink()
    else:
        texts = {"record": "{", "list": "[]", "keys": '{"passed": true}'}
        (folder / RECORD).write_text(texts[damage])
    with pytest.raises(ModelRefused, match=r"tiny can't be used: its int8\.\w+ was damaged"):
        find_eight_bit(with_graph)
    assert open_engine(with_graph, replace(CPU, precision="full"), "openvino").name == "openvino"


def test_what_is_bundled_belongs_to_the_bundled_weights() -> None:
    for name in bundled_models():
        description = read_description(find_model(name))
        if (description.folder / RECORD).is_file():
            assert find_eight_bit(description) is not None, f"run  make quantise  for {name}"
        else:
            assert not (description.folder / GRAPH).exists()


def test_dice_lost_is_counted_over_the_cases_that_have_the_structure() -> None:
    rows = [(0.8, 0.7, 0.9), (None, None, 0.5), (0.6, 0.6, 1.0), (None, None, None)]
    one = quantisation._compared("ET", rows)
    assert (one.cases, one.full, one.eight_bit) == (2, pytest.approx(0.7), pytest.approx(0.65))
    assert one.agreement == pytest.approx(0.8) and one.lost == pytest.approx(0.05) and one.lost > MOST_LOST
    assert quantisation._compared("RC", [(None, None, None)]).lost == 0


def test_dice_of_a_case_is_none_where_the_expert_drew_nothing() -> None:
    truth, labels, other = (
        np.array(values, np.uint8) for values in ([0, 1, 1, 0], [0, 1, 0, 3], [0, 1, 1, 3])
    )
    assert quantisation._dices(truth, labels, other, 1) == (
        pytest.approx(2 / 3),
        pytest.approx(1.0),
        pytest.approx(2 / 3),
    )
    assert quantisation._dices(truth, labels, other, 3) == (None, None, pytest.approx(1.0))
    assert quantisation._dices(truth, labels, other, 4) == (None, None, None)


def write_case(folder: Path, name: str, shift: int) -> None:
    """One case in BraTS naming, 40^3 at 2 mm: the tiny study, moved a little, and a ball of each label."""
    (folder / name).mkdir(parents=True)
    for role, suffix in (("t1", "t1n"), ("t1c", "t1c"), ("t2", "t2w"), ("flair", "t2f")):
        image = sitk.GetImageFromArray(np.roll(tiny_volume(role), shift, axis=0))
        image.SetSpacing((2.0, 2.0, 2.0))
        sitk.WriteImage(image, str(folder / name / f"{name}-{suffix}.nii.gz"))
    z, y, x = np.mgrid[:40, :40, :40] - 20
    labels = sum(((z - 6 + 4 * n) ** 2 + y**2 + (x - shift) ** 2 < 5) * n for n in (1, 2, 3, 4))
    image = sitk.GetImageFromArray(np.minimum(labels, 4).astype(np.uint8))
    image.SetSpacing((2.0, 2.0, 2.0))
    sitk.WriteImage(image, str(folder / name / f"{name}-seg.nii.gz"))


@pytest.mark.long
def test_a_graph_is_made_judged_and_recorded(
    tmp_path: Path, make_model: MakeModel, make_input: MakeInput
) -> None:
    pytest.importorskip("nncf", reason="nncf is not installed (extra quantise)")
    for number in range(3):
        write_case(tmp_path / "data", f"BraTS-GLI-0000{number}-100", number)
    cases = find_cases([tmp_path / "data"])
    description = read_description(make_model())
    said: list[str] = []
    made = quantisation.quantise(description, cases[:1], cases[1:], said.append)
    assert made == json.loads((description.folder / RECORD).read_text())
    assert made["gate"]["cases"] == [case.name for case in cases[1:]]
    assert set(made["gate"]["structures"]) == {"NETC", "SNFH", "ET", "RC"}
    assert made["passed"] == all(row["lost"] <= MOST_LOST for row in made["gate"]["structures"].values())
    assert "FakeQuantize" in (description.folder / GRAPH).read_text()
    record(description, passed=True)
    prepared = make_input((24, 24, 24))
    ours = open_engine(description, CPU, "openvino").predict(prepared)
    full = open_engine(description, replace(CPU, precision="full"), "openvino").predict(prepared)
    assert ours.engine.endswith("int8")
    assert 0 < np.abs(ours.probabilities - full.probabilities).mean() < 0.1
    with pytest.raises(ValueError, match="none in common"):
        quantisation.quantise(description, cases[:2], cases[1:], said.append)
