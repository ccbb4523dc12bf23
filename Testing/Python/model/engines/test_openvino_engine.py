"""OpenVINO gives torch's probabilities, without torch, and keeps to memory, threads and cancelling."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from GliomaSegLib.errors import Cancelled, ModelRefused, OutOfMemory, UsageError
from GliomaSegLib.intake.preparation import NetworkInput
from GliomaSegLib.model import devices
from GliomaSegLib.model.engines import EngineOptions, open_engine, openvino_engine
from GliomaSegLib.model.network import GliomaNetwork, NetworkSpec
from GliomaSegLib.model.weights import ModelDescription, file_sha256, read_description

MakeModel = Callable[..., Path]
MakeInput = Callable[..., NetworkInput]
Trained = Callable[..., GliomaNetwork]
TINY = NetworkSpec(width=2, depth=2, dropout=0.0)
CPU = EngineOptions(device="cpu")


@pytest.fixture
def tiny(make_model: MakeModel) -> ModelDescription:
    """A tiny model with running statistics and temperature 1.2."""
    return read_description(make_model())


def described(make_model: MakeModel, network: GliomaNetwork, name: str) -> ModelDescription:
    folder = make_model(
        lambda facts: facts.update(network=network.spec.to_dict()), name, network.state_dict()
    )
    return read_description(folder)


@pytest.mark.parametrize(
    ("residual", "attention", "norm"), list(product((True, False), (True, False), ("batch", "instance")))
)
def test_every_network_gives_torchs_probabilities(
    make_model: MakeModel,
    make_input: MakeInput,
    trained: Trained,
    residual: bool,
    attention: bool,
    norm: str,
) -> None:
    spec = replace(TINY, residual=residual, attention=attention, norm=norm)
    description = described(make_model, trained(spec), "one")
    prepared = make_input((18, 21, 27))
    ours = open_engine(description, CPU, "openvino").predict(prepared)
    torchs = open_engine(description, CPU, "torch").predict(prepared)
    assert np.abs(ours.probabilities - torchs.probabilities).max() < 1e-4
    assert ours.probabilities.std() > 0.05, "or else there is nothing to compare"


@pytest.mark.parametrize("window", [None, 16])
@pytest.mark.parametrize("mirror", [False, True])
def test_windows_and_mirroring_are_torchs(
    tiny: ModelDescription, make_input: MakeInput, window: int | None, mirror: bool
) -> None:
    options = replace(CPU, window=window, mirror=mirror)
    prepared = make_input((20, 16, 41))
    ours = open_engine(tiny, options, "openvino").predict(prepared)
    torchs = open_engine(tiny, options, "torch").predict(prepared)
    assert ours.window == torchs.window == window
    assert np.abs(ours.probabilities - torchs.probabilities).max() < 1e-4


def test_auto_prefers_openvino_on_a_processor(
    tiny: ModelDescription, make_input: MakeInput, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "accelerator_at_hand", lambda: False)
    made = open_engine(tiny, EngineOptions()).predict(make_input((16, 16, 16)))
    assert made.engine.startswith("openvino ") and made.engine.endswith(" float32") and made.device == "cpu"
    monkeypatch.setattr(devices, "accelerator_at_hand", lambda: True)
    assert open_engine(tiny, EngineOptions()).name == "torch"
    assert open_engine(tiny, CPU).name == "openvino"
    monkeypatch.setattr(openvino_engine, "find_spec", lambda name: None)
    assert open_engine(tiny, CPU).name == "torch"


def test_it_runs_on_the_processor_only_and_says_what_to_install(
    tiny: ModelDescription, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="not on cuda: choose --engine torch"):
        open_engine(tiny, EngineOptions(device="cuda"), "openvino")
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(UsageError, match=r"gliomaseg\[fast\]"):
        open_engine(tiny, CPU, "openvino")


def test_torch_is_not_imported(make_model: MakeModel, tiny_study: dict[str, Path], tmp_path: Path) -> None:
    words = [word for role, path in tiny_study.items() for word in (f"--{role}", str(path))]
    script = (
        "import sys\nfrom GliomaSegLib.cli import main\n"
        "code = main(sys.argv[1:])\nprint(code, 'torch' in sys.modules, 'openvino' in sys.modules)"
    )
    root = Path(openvino_engine.__file__).parents[3]
    arguments = ["segment", *words, "--model", str(make_model()), "--device", "cpu", "--progress", "none"]
    told = subprocess.run(
        [sys.executable, "-c", script, *arguments, "--output", str(tmp_path / "r")],
        cwd=root, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert told.stdout.split() == ["0", "False", "True"], told.stderr


@pytest.mark.parametrize("engine", ["openvino", "torch"])
@pytest.mark.parametrize(
    ("norm", "window", "notes"), [("instance", 16, 1), ("instance", None, 0), ("batch", 16, 0)]
)
def test_windows_of_a_network_with_instance_norm_are_told(
    make_model: MakeModel,
    make_input: MakeInput,
    trained: Trained,
    engine: str,
    norm: str,
    window: int | None,
    notes: int,
) -> None:
    description = described(make_model, trained(replace(TINY, norm=norm)), "one")
    made = open_engine(description, replace(CPU, window=window), engine).predict(make_input((16, 16, 20)))
    assert len(made.warnings) == notes
    assert all("may differ from those of one pass" in sentence for sentence in made.warnings)


def test_memory_that_runs_out_halves_the_window_and_then_is_said(
    tiny: ModelDescription, make_input: MakeInput, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = openvino_engine.OpenVinoEngine._forward
    limit = 32

    def limited(self: openvino_engine.OpenVinoEngine, image: np.ndarray, *rest: object) -> np.ndarray:
        if max(image.shape) > limit:
            raise RuntimeError("Exception from src/plugins: std::bad_alloc")
        return forward(self, image)

    monkeypatch.setattr(openvino_engine.OpenVinoEngine, "_forward", limited)
    made = open_engine(tiny, CPU, "openvino").predict(make_input((8, 8, 140)))
    assert made.window == 32 and len(made.warnings) == 2
    assert "windows of 32 voxels" in made.warnings[1]
    limit = 8
    with pytest.raises(OutOfMemory, match="even with the smallest windows"):
        open_engine(tiny, CPU, "openvino").predict(make_input((8, 8, 140)))


def test_little_memory_means_windows_from_the_start(
    tiny: ModelDescription, make_input: MakeInput, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "free_host_memory_bytes", lambda: 1e6)
    made = open_engine(tiny, CPU, "openvino").predict(make_input((16, 16, 70)))
    assert made.window == 32 and made.warnings == ()


def test_a_tick_that_raises_stops_even_one_pass(
    tiny: ModelDescription, make_input: MakeInput, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino_engine, "_POLL_MS", 0)

    def stop(share: float) -> None:
        raise Cancelled("stopped")

    engine = open_engine(tiny, CPU, "openvino")
    with pytest.raises(Cancelled):
        engine.predict(make_input((48, 48, 48)), stop)
    assert engine.predict(make_input((16, 16, 16))).window is None, "the engine can be used again"


def test_threads_are_those_that_were_asked_for(
    tiny: ModelDescription, make_input: MakeInput, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    prepared = make_input((16, 16, 16))
    assert open_engine(tiny, replace(CPU, threads=1), "openvino").predict(prepared).threads == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert open_engine(tiny, CPU, "openvino").predict(prepared).threads == 1


@pytest.mark.parametrize("stored", [torch.float16, torch.bfloat16])
def test_weights_stored_with_fewer_bits_are_read(
    make_model: MakeModel, make_input: MakeInput, trained: Trained, stored: torch.dtype
) -> None:
    state = {
        name: tensor.to(stored) if tensor.is_floating_point() else tensor
        for name, tensor in trained(TINY).state_dict().items()
    }
    description = read_description(make_model(tensors=state))
    prepared = make_input((16, 16, 16))
    ours, torchs = (open_engine(description, CPU, name).predict(prepared) for name in ("openvino", "torch"))
    assert np.abs(ours.probabilities - torchs.probabilities).max() < 1e-4


@pytest.mark.parametrize("damage", ["missing", "extra channel", "nan", "changed", "absent", "garbage"])
def test_damaged_weights_are_refused_with_a_sentence(
    make_model: MakeModel, trained: Trained, damage: str
) -> None:
    state = {name: tensor.clone() for name, tensor in trained(TINY).state_dict().items()}
    if damage == "missing":
        del state["decoder.0.up.weight"]
    elif damage == "extra channel":
        state["head.weight"] = torch.zeros((5, 3, 1, 1, 1))
    elif damage == "nan":
        state["head.bias"][0] = float("nan")
    folder = make_model(tensors=state)
    weights = folder / "weights.safetensors"
    if damage == "changed":
        save_file(trained(TINY, 9).state_dict(), weights)
    elif damage == "absent":
        weights.unlink()
    elif damage == "garbage":
        text = (folder / "model.json").read_text()
        old = file_sha256(weights)
        weights.write_bytes(b"\x10\0\0\0\0\0\0\0not json at all!")
        (folder / "model.json").write_text(text.replace(old, file_sha256(weights)))
    with pytest.raises(ModelRefused, match="The model tiny can't be used"):
        open_engine(read_description(folder), CPU, "openvino")
