"""From the network's input to probabilities: one pass, windows, mirroring, fallbacks, cancelling."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from GliomaSegLib.errors import Cancelled, OutOfMemory
from GliomaSegLib.intake.preparation import NetworkInput
from GliomaSegLib.model import inference
from GliomaSegLib.model.inference import InferenceOptions, Prediction, predict
from GliomaSegLib.model.network import GliomaNetwork, NetworkSpec

MakeInput = Callable[..., NetworkInput]
Trained = Callable[..., GliomaNetwork]
CPU = InferenceOptions(torch.device("cpu"), bytes_per_voxel=500.0)
TINY = NetworkSpec(width=2, depth=2, dropout=0.0)


def confident(network: GliomaNetwork) -> GliomaNetwork:
    """The same network with logits spread as widely as a trained one's."""
    with torch.no_grad():
        network.head.weight.mul_(6)
    return network


def agreement(one: Prediction, other: Prediction, brain: np.ndarray) -> float:
    same = one.probabilities.argmax(0) == other.probabilities.argmax(0)
    return float(same[brain].mean())


def test_one_pass_is_the_softmax_of_the_tempered_logits(trained: Trained, make_input: MakeInput) -> None:
    network, prepared = trained(TINY), make_input((12, 10, 14))
    made = predict(network, prepared, replace(CPU, temperature=2.0))
    with torch.no_grad():
        expected = torch.softmax(network(torch.from_numpy(prepared.array)[None])[0] / 2.0, 0).numpy()
    assert made.probabilities.dtype == np.float32
    inside = prepared.brain
    assert inside.any() and not inside.all()
    assert np.allclose(made.probabilities[:, inside], expected[:, inside], atol=1e-4)
    # The input is empty outside the brain: whatever the network says there is not asked.
    assert (made.probabilities[0][~inside] == 1).all() and (made.probabilities[1:, ~inside] == 0).all()
    assert (made.window, made.device, made.warnings) == (None, "cpu", ())


@pytest.mark.parametrize(("depth", "window"), [(1, 22), (2, 40)])
@pytest.mark.parametrize("shape", [(20, 48, 45), (33, 50, 27)])
def test_windows_agree_with_one_pass(
    trained: Trained, make_input: MakeInput, shape: tuple[int, int, int], depth: int, window: int
) -> None:
    network, prepared = confident(trained(replace(TINY, depth=depth))), make_input(shape)
    whole = predict(network, prepared, CPU)
    tiled = predict(network, prepared, replace(CPU, window=window))
    assert whole.window is None and tiled.window == window
    assert tiled.probabilities.shape == whole.probabilities.shape == (5, *shape)
    assert np.allclose(tiled.probabilities.sum(0), 1, atol=1e-5)
    assert agreement(whole, tiled, prepared.brain) >= 0.995


def test_a_window_that_holds_everything_is_one_pass(trained: Trained, make_input: MakeInput) -> None:
    network, prepared = trained(TINY), make_input((16, 16, 16))
    whole, tiled = predict(network, prepared, CPU), predict(network, prepared, replace(CPU, window=16))
    assert np.allclose(whole.probabilities, tiled.probabilities, atol=1e-6)


def test_windows_without_brain_are_skipped_and_are_background(
    trained: Trained, make_input: MakeInput
) -> None:
    prepared = make_input((16, 16, 64))
    brain = prepared.brain.copy()
    brain[:, :, 16:] = False
    seen: list[float] = []
    made = predict(trained(TINY), replace(prepared, brain=brain), replace(CPU, window=16), seen.append)
    assert len(seen) == 2
    assert (made.probabilities[0, :, :, 32:] == 1).all() and (made.probabilities[1:, :, :, 32:] == 0).all()
    assert not np.allclose(made.probabilities[0, :, :, :16], 1)


@pytest.mark.parametrize("window", [None, 16])
def test_mirroring_averages_with_the_mirror_image(
    trained: Trained, make_input: MakeInput, window: int | None
) -> None:
    network, prepared = trained(TINY), make_input((16, 16, 20))
    mirrored = replace(prepared, array=np.ascontiguousarray(prepared.array[..., ::-1]))
    plain, of_mirror = (predict(network, p, replace(CPU, window=window)) for p in (prepared, mirrored))
    both = predict(network, prepared, replace(CPU, window=window, mirror=True))
    expected = (plain.probabilities + of_mirror.probabilities[..., ::-1]) / 2
    assert np.allclose(both.probabilities, expected, atol=1e-5)
    assert not np.allclose(both.probabilities, plain.probabilities, atol=1e-3)


def test_mirroring_changes_nothing_for_a_symmetric_network(trained: Trained, make_input: MakeInput) -> None:
    network, prepared = trained(TINY), make_input((12, 12, 16))
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.Conv3d | torch.nn.ConvTranspose3d):
                module.weight.copy_((module.weight + module.weight.flip(4)) / 2)
    plain, both = predict(network, prepared, CPU), predict(network, prepared, replace(CPU, mirror=True))
    assert np.allclose(plain.probabilities, both.probabilities, atol=1e-5)


@pytest.mark.parametrize(
    ("free", "expected"),
    [(1e12, None), (40**3 * 500 / 0.7, None), (0.99 * 40**3 * 500 / 0.7, 36), (1e3, 32)],
)
def test_the_memory_estimate_decides_on_windows(
    trained: Trained,
    make_input: MakeInput,
    monkeypatch: pytest.MonkeyPatch,
    free: float,
    expected: int | None,
) -> None:
    monkeypatch.setattr(inference, "free_memory_bytes", lambda device: free)
    made = predict(trained(TINY), make_input((40, 37, 38)), CPU)
    assert made.window == expected
    assert made.warnings == ()


def failing(
    monkeypatch: pytest.MonkeyPatch, fails: Callable[[torch.device, int], bool], error: Exception
) -> list[tuple[str, int]]:
    """Makes passes fail where ``fails`` (device, longest edge) says so; the list tells what was tried."""
    tried: list[tuple[str, int]] = []
    forward = inference._forward

    def pretended(network: GliomaNetwork, image: torch.Tensor, options: InferenceOptions) -> torch.Tensor:
        edge = max(image.shape[1:])
        tried.append((options.device.type, edge))
        if fails(options.device, edge):
            raise error
        return forward(network, image, replace(options, device=torch.device("cpu")))

    monkeypatch.setattr(inference, "_forward", pretended)
    monkeypatch.setattr(inference, "_placed", lambda network, options: network)
    monkeypatch.setattr(
        inference, "_sent", lambda array, device: torch.from_numpy(np.ascontiguousarray(array))
    )
    monkeypatch.setattr(inference, "_give_back", lambda device: None)
    monkeypatch.setattr(inference, "free_memory_bytes", lambda device: 1e12)
    return tried


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB"),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:117] can't allocate memory: you tried to allocate 9 bytes"
        ),
        MemoryError(),
    ],
)
def test_out_of_memory_halves_the_window_until_it_fits(
    trained: Trained, make_input: MakeInput, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    failing(monkeypatch, lambda device, edge: edge > 32, error)
    made = predict(trained(TINY), make_input((8, 8, 140)), CPU)
    assert (made.window, made.device) == (32, "cpu")
    assert len(made.warnings) == 2 and "windows of 64 voxels" in made.warnings[0]
    assert "windows of 32 voxels" in made.warnings[1]
    assert np.allclose(made.probabilities.sum(0), 1, atol=1e-5)


def test_a_gpu_out_of_memory_hands_over_to_the_cpu(
    trained: Trained, make_input: MakeInput, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = failing(monkeypatch, lambda device, edge: device.type == "cuda", torch.OutOfMemoryError("gone"))
    made = predict(trained(TINY), make_input((16, 16, 70)), replace(CPU, device=torch.device("cuda", 0)))
    assert tried == [("cuda", 70), ("cuda", 32), ("cpu", 70)]
    assert (made.window, made.device) == (None, "cpu")
    assert "the CPU took over" in made.warnings[-1]


def test_the_cpu_that_takes_over_keeps_to_its_own_memory(
    trained: Trained, make_input: MakeInput, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, lambda device, edge: device.type == "cuda", torch.OutOfMemoryError("gone"))
    monkeypatch.setattr(inference, "free_memory_bytes", lambda device: 1e12 if device.type == "cuda" else 1e6)
    made = predict(trained(TINY), make_input((16, 16, 70)), replace(CPU, device=torch.device("cuda", 0)))
    assert (made.window, made.device) == (32, "cpu")


def test_out_of_every_memory_is_said(
    trained: Trained, make_input: MakeInput, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = failing(monkeypatch, lambda device, edge: True, MemoryError())
    with pytest.raises(OutOfMemory, match="even with the smallest windows") as refusal:
        predict(trained(TINY), make_input((16, 16, 70)), CPU)
    assert refusal.value.exit_code == 5
    assert tried == [("cpu", 70), ("cpu", 32)]


def test_other_errors_are_not_taken_for_memory(
    trained: Trained, make_input: MakeInput, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, lambda device, edge: True, RuntimeError("shapes do not match"))
    with pytest.raises(RuntimeError, match="shapes do not match"):
        predict(trained(TINY), make_input((16, 16, 16)), CPU)


@pytest.mark.parametrize("mirror", [False, True])
def test_progress_rises_to_one_and_a_tick_may_stop_the_run(
    trained: Trained, make_input: MakeInput, mirror: bool
) -> None:
    network, prepared, told = trained(TINY), make_input((16, 16, 40)), []
    options = replace(CPU, window=16, mirror=mirror)
    predict(network, prepared, options, told.append)
    assert told == sorted(told) and told[-1] == 1 and len(told) == (8 if mirror else 4)

    def stop(share: float) -> None:
        if share >= 0.5:
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        predict(network, prepared, options, stop)


def test_predicting_leaves_the_network_as_it_was(trained: Trained, make_input: MakeInput) -> None:
    network = trained(TINY)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    one = predict(network, make_input((8, 8, 8)), CPU)
    again = predict(network, make_input((8, 8, 8)), CPU)
    assert np.array_equal(one.probabilities, again.probabilities)
    after = network.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_a_forced_window_is_rounded_up_to_what_the_network_can_pool(
    trained: Trained, make_input: MakeInput
) -> None:
    assert predict(trained(TINY), make_input((20, 20, 20)), replace(CPU, window=13)).window == 16
