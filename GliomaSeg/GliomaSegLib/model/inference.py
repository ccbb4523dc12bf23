"""From the network's input to probabilities, by torch: one pass when memory allows, sliding windows when not.

On CUDA the network runs in half precision with channels last, copies go through pinned memory, and softmax,
joining of windows, mirroring and masking stay on the device: only the finished probabilities come back.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch

from ..errors import OutOfMemory
from ..intake.preparation import NetworkInput
from .devices import NO_MEMORY_AT_ALL, free_memory_bytes, is_device_failure, is_out_of_memory
from .engines.base import Prediction, Tick
from .folding import folded
from .network import GliomaNetwork
from .tiling import Budget, rounded_up, slide, smaller_window, window_grid, window_notes, window_weights

_MOST_ON_A_GPU_BYTES = 5.5e9
"""Taken for a GPU's free memory where it has more: 0.7 of it is what a pass may take, below 4 GB."""
_LEFT_RIGHT = 3
"""Axis x of (channel, z, y, x). Training flips left and right only, so mirroring does too."""


@dataclass(frozen=True)
class InferenceOptions:
    """How to run a network.

    ``window``: edge of the sliding window in voxels, None to decide by memory. ``mirror``: average with the
    left-right mirror image. ``temperature`` divides the logits. ``bytes_per_voxel``: peak memory of one pass.
    ``half``: half precision on CUDA; elsewhere it is slower, and float32 is used whatever it says.
    """

    device: torch.device
    window: int | None = None
    mirror: bool = False
    temperature: float = 1.0
    bytes_per_voxel: float = 2000.0
    half: bool = True

    @property
    def half_now(self) -> bool:
        """Whether the pass is in half precision."""
        return self.half and self.device.type == "cuda"


def predict(
    network: GliomaNetwork, prepared: NetworkInput, options: InferenceOptions, tick: Tick = lambda share: None
) -> Prediction:
    """Run the network over a prepared study. ``tick`` is told the share done, 0 to 1, and may raise to stop.

    Out of memory on a GPU, the window is halved, then the CPU takes over, as it does when the device fails;
    on the CPU it is halved down to 32 voxels. Half precision that overflows is done again in float32. Raises
    ``OutOfMemory`` when nothing is left to try.
    """
    ready = folded(network)
    warnings: list[str] = []
    shape = prepared.array.shape[1:]
    window = _window_for(shape, options, network)
    while True:
        tried = _attempt(ready, prepared, options, window, tick)
        if isinstance(tried, np.ndarray):
            told = "torch float16" if options.half_now else "torch float32"
            threads = torch.get_num_threads()
            notes = (*warnings, *window_notes(network.spec.norm, window))
            return Prediction(tried, window, str(options.device), notes, told, threads)
        # What the failed pass held is free by now: its exception, which held on to it, is gone.
        _give_back(options.device)
        options, window, sentence = _next_try(tried, options, window, shape, network)
        warnings.append(sentence)


@dataclass(frozen=True)
class _Trouble:
    """Why a pass came to nothing: ``memory``, ``overflow`` of half precision, or ``device``."""

    kind: str


def _attempt(
    network: GliomaNetwork, prepared: NetworkInput, options: InferenceOptions, window: int | None, tick: Tick
) -> npt.NDArray[np.float32] | _Trouble:
    try:
        made = _run(network, prepared, options, window, tick)
    except (MemoryError, RuntimeError) as error:
        if is_out_of_memory(error):
            return _Trouble("memory")
        if options.device.type != "cpu" and is_device_failure(error):
            return _Trouble("device")
        raise
    if options.half_now and not np.isfinite(made).all():
        return _Trouble("overflow")
    return made


def _give_back(device: torch.device) -> None:
    # A device whose driver failed answers every call with the same error, and has nothing to give back.
    with suppress(RuntimeError):
        if device.type == "cuda":
            torch.cuda.empty_cache()
        elif device.type == "mps":
            torch.mps.empty_cache()


def _next_try(
    trouble: _Trouble,
    options: InferenceOptions,
    window: int | None,
    shape: tuple[int, ...],
    network: GliomaNetwork,
) -> tuple[InferenceOptions, int | None, str]:
    """What to try next: float32, half the window on the same device, or the CPU from the start."""
    device = options.device
    if trouble.kind == "overflow":
        return (
            replace(options, half=False),
            window,
            f"Half precision overflowed on {device}: float32 was used.",
        )
    smaller = smaller_window(window, shape)
    if trouble.kind == "memory" and smaller is not None:
        sentence = f"Memory ran out on {device}: went on with windows of {smaller} voxels, which is slower."
        return options, smaller, sentence
    if device.type == "cpu":
        raise OutOfMemory(NO_MEMORY_AT_ALL)
    on_cpu = replace(options, device=torch.device("cpu"))
    sentence = f"The device {device} can't run this model: the CPU took over."
    if trouble.kind == "memory":
        sentence = f"Memory ran out on {device} even with small windows: the CPU took over."
    return on_cpu, _window_for(shape, on_cpu, network), sentence


def _window_for(shape: tuple[int, ...], options: InferenceOptions, network: GliomaNetwork) -> int | None:
    """The edge of windows, a multiple of the network's; None when all fits into memory by the estimate."""
    multiple = network.spec.multiple
    if options.window is not None:
        return rounded_up(options.window, multiple)
    free = free_memory_bytes(options.device)
    if options.device.type == "cuda":
        free = min(free, _MOST_ON_A_GPU_BYTES)
    return Budget(free, options.bytes_per_voxel).window_for(shape, multiple)


@torch.inference_mode()
def _run(
    network: GliomaNetwork, prepared: NetworkInput, options: InferenceOptions, window: int | None, tick: Tick
) -> npt.NDArray[np.float32]:
    """Probabilities (class, z, y, x), background (class 0) outside the brain: the input is empty there."""
    device = options.device
    # A copy for the GPU: rounding to half precision can't be taken back when float32 comes next.
    network = _placed(network if device.type == "cpu" else copy.deepcopy(network), options)
    image = _sent(prepared.array, device)
    passes = 2 if options.mirror else 1
    total: torch.Tensor | None = None
    for number in range(passes):

        def part(share: float, number: int = number) -> None:
            tick((number + share) / passes)

        view = image.flip(_LEFT_RIGHT) if number else image
        brain = prepared.brain[..., ::-1] if number else prepared.brain
        made = _pass(network, view, brain, options, window, part)
        made = made.flip(_LEFT_RIGHT) if number else made
        total = made if total is None else total.add_(made)
    assert total is not None
    total = total.div_(passes) if passes > 1 else total
    outside = _sent(~prepared.brain, device)
    total.masked_fill_(outside, 0.0)
    total[0].masked_fill_(outside, 1.0)
    return _fetched(total)


def _placed(network: GliomaNetwork, options: InferenceOptions) -> GliomaNetwork:
    """The network on its device. Channels last is what tensor cores want; on processors it gains nothing."""
    if options.device.type != "cuda":
        return network.to(options.device, torch.float32)
    number_type = torch.float16 if options.half_now else torch.float32
    # torch's own types leave channels_last_3d out in some versions and not in others.
    placed: Any = network.to(options.device, number_type)
    return cast(GliomaNetwork, placed.to(memory_format=torch.channels_last_3d))


def _sent(array: npt.NDArray, device: torch.device) -> torch.Tensor:
    """The array on the device; to CUDA through pinned memory, without waiting."""
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def _fetched(tensor: torch.Tensor) -> npt.NDArray[np.float32]:
    """The tensor as an array; from CUDA through pinned memory."""
    if tensor.device.type != "cuda":
        return np.ascontiguousarray(tensor.cpu().numpy())
    pinned = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    pinned.copy_(tensor, non_blocking=True)
    torch.cuda.synchronize(tensor.device)
    # The pinned pages go back to the system: the result lives on while files are written.
    return pinned.numpy().copy()


def _pass(
    network: GliomaNetwork,
    image: torch.Tensor,
    brain: npt.NDArray[np.bool_],
    options: InferenceOptions,
    window: int | None,
    tick: Tick,
) -> torch.Tensor:
    """Probabilities (class, z, y, x) of the whole image (channel, z, y, x), on its device."""
    if window is None:
        with _told(network, tick):
            made = _forward(network, image, options)
        tick(1.0)
        return made
    size = image.shape[1:]
    added, boxes = window_grid(tuple(size), brain, window, network.spec.multiple)
    image = torch.nn.functional.pad(image, [0, added[2], 0, added[1], 0, added[0]])
    weights = torch.from_numpy(window_weights(window)).to(image.device)
    total = image.new_zeros((network.spec.classes, *image.shape[1:]))
    seen = image.new_zeros(image.shape[1:])
    slide(lambda part: _forward(network, part, options), image, boxes, weights, total, seen, tick)
    return total[:, : size[0], : size[1], : size[2]]


def _forward(network: GliomaNetwork, image: torch.Tensor, options: InferenceOptions) -> torch.Tensor:
    """Probabilities (class, z, y, x) float32 of (channel, z, y, x), on the image's device."""
    batch = image[None]
    if options.half_now:
        batch = batch.half()
    if options.device.type == "cuda":
        batch = batch.contiguous(memory_format=torch.channels_last_3d)
    return torch.softmax(network(batch)[0].float().div_(options.temperature), dim=0)


@contextmanager
def _told(network: GliomaNetwork, tick: Callable[[float], None]) -> Iterator[None]:
    """Inside, ``tick`` is told after every block, so that even one pass shows progress and can be stopped.

    The share is that of blocks, each weighed by the voxels it works on.
    """
    depth = network.spec.depth
    stages = [*network.encoder, network.bottleneck, *network.decoder]
    voxels = [8.0 ** -min(level, 2 * depth - level) for level in range(len(stages))]
    reached = np.cumsum(voxels) / sum(voxels)
    hooks = [
        stage.register_forward_hook(lambda *_, share=float(share): tick(min(share, 0.999)))
        for stage, share in zip(stages, reached, strict=True)
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
