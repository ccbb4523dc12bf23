"""What a GPU is asked to do, and what happens when it can't: simulated, no GPU is needed."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from GliomaSegLib.intake.preparation import NetworkInput
from GliomaSegLib.model import inference
from GliomaSegLib.model.engines import EngineOptions
from GliomaSegLib.model.engines.torch_engine import TorchEngine
from GliomaSegLib.model.inference import InferenceOptions, predict
from GliomaSegLib.model.network import GliomaNetwork, NetworkSpec
from GliomaSegLib.model.weights import read_description

MakeInput = Callable[..., NetworkInput]
Trained = Callable[..., GliomaNetwork]
TINY = NetworkSpec(width=2, depth=2, dropout=0.0)
CUDA, CPU = torch.device("cuda", 0), torch.device("cpu")
ON_GPU = InferenceOptions(CUDA, bytes_per_voxel=800.0)


@pytest.fixture
def pretended_gpu(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A 'GPU' whose tensors lie in ordinary memory, with 8 GB; the list tells what was given back."""
    told: list[str] = []
    monkeypatch.setattr(inference, "free_memory_bytes", lambda device: 8e9)
    monkeypatch.setattr(inference, "_sent", lambda array, device: torch.from_numpy(np.array(array)))
    monkeypatch.setattr(inference, "_fetched", lambda tensor: tensor.numpy())
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: told.append("emptied"))

    def placed(network: GliomaNetwork, options: InferenceOptions) -> GliomaNetwork:
        return network.to(CPU, torch.float16 if options.half_now else torch.float32)

    monkeypatch.setattr(inference, "_placed", placed)
    return told


@pytest.mark.parametrize("window", [None, 16])
def test_half_precision_keeps_the_labels(
    trained: Trained, make_input: MakeInput, pretended_gpu: list[str], window: int | None
) -> None:
    network, prepared = trained(TINY), make_input((16, 16, 40))
    with torch.no_grad():
        network.head.weight.mul_(6)
    half = predict(network, prepared, replace(ON_GPU, window=window))
    full = predict(network, prepared, replace(ON_GPU, window=window, half=False))
    assert (half.engine, full.engine) == ("torch float16", "torch float32")
    assert half.device == full.device == "cuda:0" and half.warnings == ()
    difference = np.abs(half.probabilities - full.probabilities).max()
    assert 0 < difference < 0.02, "a difference of 0 would mean that nothing ran in half precision"
    same = half.probabilities.argmax(0) == full.probabilities.argmax(0)
    assert same[prepared.brain].mean() > 0.995
    assert half.probabilities.dtype == np.float32
    assert np.allclose(half.probabilities.sum(0), 1, atol=1e-3)


def test_half_precision_that_overflows_is_done_again_in_float32(
    trained: Trained, make_input: MakeInput, pretended_gpu: list[str]
) -> None:
    network, prepared = trained(TINY), make_input((16, 16, 16))
    with torch.no_grad():
        for norm in (m for m in network.encoder[0].modules() if isinstance(m, torch.nn.BatchNorm3d)):
            norm.weight.mul_(3000)
    made = predict(network, prepared, ON_GPU)
    assert made.engine == "torch float32" and np.isfinite(made.probabilities).all()
    assert made.warnings == ("Half precision overflowed on cuda:0: float32 was used.",)
    assert np.allclose(made.probabilities, predict(network, prepared, InferenceOptions(CPU)).probabilities)


@pytest.mark.parametrize(
    ("device", "error"),
    [
        (CUDA, RuntimeError("CUDA error: no kernel image is available for execution on the device")),
        (CUDA, RuntimeError("cuDNN error: CUDNN_STATUS_NOT_INITIALIZED")),
        (torch.device("mps"), NotImplementedError("The operator 'aten::max_pool3d' is not implemented")),
        (torch.device("mps"), RuntimeError("MPS: unsupported rank")),
    ],
)
def test_a_device_that_can_not_run_the_network_hands_over(
    trained: Trained,
    make_input: MakeInput,
    pretended_gpu: list[str],
    monkeypatch: pytest.MonkeyPatch,
    device: torch.device,
    error: Exception,
) -> None:
    forward = inference._forward

    def failing(network: GliomaNetwork, image: torch.Tensor, options: InferenceOptions) -> torch.Tensor:
        if options.device.type != "cpu":
            raise error
        return forward(network, image, options)

    monkeypatch.setattr(inference, "_forward", failing)
    monkeypatch.setattr(torch.mps, "empty_cache", lambda: None)
    made = predict(trained(TINY), make_input((16, 16, 16)), replace(ON_GPU, device=device))
    assert made.device == "cpu" and made.engine == "torch float32"
    assert made.warnings == (f"The device {device} can't run this model: the CPU took over.",)


def test_what_a_failed_pass_held_is_free_before_the_next(
    trained: Trained, make_input: MakeInput, pretended_gpu: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[Any] = []
    alive_when_given_back: list[bool] = []
    forward = inference._forward

    def failing(network: GliomaNetwork, image: torch.Tensor, options: InferenceOptions) -> torch.Tensor:
        if max(image.shape) > 32:
            big = torch.zeros(1000)
            held.append(weakref.ref(big))
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(network, image, options)

    def given_back(device: torch.device) -> None:
        gc.collect()
        alive_when_given_back.append(any(one() is not None for one in held))

    monkeypatch.setattr(inference, "_forward", failing)
    monkeypatch.setattr(inference, "_give_back", given_back)
    made = predict(trained(TINY), make_input((16, 16, 70)), ON_GPU)
    assert made.window == 32 and made.device == "cuda:0"
    assert alive_when_given_back == [False]


def test_the_cache_of_the_device_is_emptied_between_tries(
    trained: Trained, make_input: MakeInput, pretended_gpu: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(network: GliomaNetwork, image: torch.Tensor, options: InferenceOptions) -> torch.Tensor:
        if options.device.type == "cuda":
            raise torch.OutOfMemoryError("CUDA out of memory")
        return torch.full((5, *image.shape[1:]), 0.2)

    monkeypatch.setattr(inference, "_forward", failing)
    made = predict(trained(TINY), make_input((16, 16, 140)), ON_GPU)
    assert made.device == "cpu" and pretended_gpu == ["emptied"] * 3


@pytest.mark.parametrize("free_gb", [80.0, 24.0, 8.0, 6.0, 4.0, 2.0])
@pytest.mark.parametrize("shape", [(91, 109, 91), (182, 218, 182), (320, 320, 320)])
def test_a_pass_is_planned_below_four_gigabytes_on_any_card(
    trained: Trained, monkeypatch: pytest.MonkeyPatch, free_gb: float, shape: tuple[int, int, int]
) -> None:
    monkeypatch.setattr(inference, "free_memory_bytes", lambda device: free_gb * 1e9)
    window = inference._window_for(shape, ON_GPU, trained(TINY))
    voxels = float(np.prod(shape)) if window is None else float(window) ** 3
    assert voxels * ON_GPU.bytes_per_voxel <= min(4e9, 0.7 * free_gb * 1e9)
    assert (window is None) == (shape == (91, 109, 91))


def test_the_network_goes_to_cuda_in_half_precision_with_channels_last(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def noted(self: GliomaNetwork, *words: Any, **named: Any) -> GliomaNetwork:
        asked.append((words, named))
        return self

    monkeypatch.setattr(GliomaNetwork, "to", noted)
    inference._placed(trained(TINY), ON_GPU)
    assert asked == [((CUDA, torch.float16), {}), ((), {"memory_format": torch.channels_last_3d})]
    asked.clear()
    inference._placed(trained(TINY), replace(ON_GPU, device=CPU))
    assert asked == [((CPU, torch.float32), {})], "on a processor neither gains anything"


def test_copies_to_cuda_go_through_pinned_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: asked.append("pinned") or self)
    monkeypatch.setattr(
        torch.Tensor, "to", lambda self, *words, **named: asked.append((words, named)) or self
    )
    inference._sent(np.zeros(3, np.float32), CUDA)
    assert asked == ["pinned", ((CUDA,), {"non_blocking": True})]
    asked.clear()
    inference._sent(np.zeros(3, np.float32), CPU)
    assert asked == [((CPU,), {})]


def test_full_precision_is_asked_for_by_the_option(make_model: Callable[..., Any]) -> None:
    description = read_description(make_model())
    assert TorchEngine(description, EngineOptions("cpu"))._options.half
    assert not TorchEngine(description, EngineOptions("cpu", precision="full"))._options.half


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU is here")
def test_a_real_gpu_agrees_with_the_processor(trained: Trained, make_input: MakeInput) -> None:
    network, prepared = trained(replace(TINY, width=8, depth=4)), make_input((64, 80, 64))
    torch.cuda.reset_peak_memory_stats()
    on_gpu = predict(network, prepared, replace(ON_GPU, mirror=True))
    on_cpu = predict(network, prepared, InferenceOptions(CPU, mirror=True))
    assert on_gpu.device == "cuda:0" and on_gpu.engine == "torch float16"
    assert np.abs(on_gpu.probabilities - on_cpu.probabilities).max() < 0.02
    assert torch.cuda.max_memory_allocated() < 4e9
