"""From the network's input to probabilities: one pass when memory allows, sliding windows when not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from ..errors import OutOfMemory
from ..intake.preparation import NetworkInput
from .devices import free_memory_bytes
from .folding import folded
from .network import GliomaNetwork

_SHARE_OF_FREE_MEMORY = 0.7
_OVERLAP = 0.5
_SMALLEST_WINDOW = 32
_LEFT_RIGHT = 4
"""Axis x of (batch, channel, z, y, x). Training flips left and right only, so mirroring does too."""

Tick = Callable[[float], None]


@dataclass(frozen=True)
class InferenceOptions:
    """How to run a network.

    ``window``: edge of the sliding window in voxels, None to decide by memory. ``mirror``: average with the
    left-right mirror image. ``temperature`` divides the logits. ``bytes_per_voxel``: peak memory of one pass.
    """

    device: torch.device
    window: int | None = None
    mirror: bool = False
    temperature: float = 1.0
    bytes_per_voxel: float = 2000.0


@dataclass(frozen=True)
class Prediction:
    """``probabilities`` (class, z, y, x) float32, summing to 1, on the grid of the network's input.

    ``window`` is the edge that was used, None for one pass; ``device`` where; ``warnings`` what fell back.
    """

    probabilities: npt.NDArray[np.float32]
    window: int | None
    device: str
    warnings: tuple[str, ...] = ()


def predict(
    network: GliomaNetwork, prepared: NetworkInput, options: InferenceOptions, tick: Tick = lambda share: None
) -> Prediction:
    """Run the network over a prepared study. ``tick`` is told the share done, 0 to 1, and may raise to stop.

    Out of memory on a GPU, the window is halved, then the CPU takes over; on the CPU it is halved down to
    32 voxels. Raises ``OutOfMemory`` when nothing is left to try.
    """
    ready = folded(network)
    warnings: list[str] = []
    shape = prepared.array.shape[1:]
    device, window = options.device, _window_for(shape, options, network)
    while True:
        try:
            probabilities = _run(ready, prepared, options, device, window, tick)
            _only_inside(prepared.brain, probabilities)
            return Prediction(probabilities, window, str(device), tuple(warnings))
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error):
                raise
            device, window, sentence = _fallback(device, window, shape, options, network)
            warnings.append(sentence)
            if device.type == "cpu" and torch.cuda.is_available():
                torch.cuda.empty_cache()


def _only_inside(brain: npt.NDArray[np.bool_], probabilities: npt.NDArray[np.float32]) -> None:
    """Outside the brain everything is background (class 0): the input is empty there, whatever comes out."""
    probabilities[:, ~brain] = 0.0
    probabilities[0, ~brain] = 1.0


def _is_out_of_memory(error: BaseException) -> bool:
    text = str(error).lower()
    named = isinstance(error, torch.OutOfMemoryError | MemoryError)
    return named or "out of memory" in text or "allocate" in text


def _fallback(
    device: torch.device,
    window: int | None,
    shape: tuple[int, ...],
    options: InferenceOptions,
    network: GliomaNetwork,
) -> tuple[torch.device, int | None, str]:
    """What to try next: half the window on the same device, then the CPU from the start."""
    smaller = (window if window is not None else max(shape)) // 2 // 16 * 16
    if smaller >= _SMALLEST_WINDOW:
        sentence = f"Memory ran out on {device}: went on with windows of {smaller} voxels, which is slower."
        return device, smaller, sentence
    if device.type == "cpu":
        raise OutOfMemory(
            "Memory ran out even with the smallest windows: close other programs, or take a larger machine."
        )
    on_cpu = replace(options, device=torch.device("cpu"))
    sentence = f"Memory ran out on {device} even with small windows: the CPU took over."
    return on_cpu.device, _window_for(shape, on_cpu, network), sentence


def _window_for(shape: tuple[int, ...], options: InferenceOptions, network: GliomaNetwork) -> int | None:
    """The edge of windows, a multiple of the network's; None when all fits into memory by the estimate."""
    multiple = network.spec.multiple
    if options.window is not None:
        return -(-options.window // multiple) * multiple
    budget = _SHARE_OF_FREE_MEMORY * free_memory_bytes(options.device)
    voxels = float(np.prod([-(-s // multiple) * multiple for s in shape]))
    if voxels * options.bytes_per_voxel <= budget:
        return None
    edge = int((budget / options.bytes_per_voxel) ** (1 / 3)) // multiple * multiple
    return max(edge, -(-_SMALLEST_WINDOW // multiple) * multiple)


@torch.inference_mode()
def _run(
    network: GliomaNetwork,
    prepared: NetworkInput,
    options: InferenceOptions,
    device: torch.device,
    window: int | None,
    tick: Tick,
) -> npt.NDArray[np.float32]:
    network = network.to(device)
    image = torch.from_numpy(prepared.array)[None]
    passes = 2 if options.mirror else 1
    total = torch.zeros((network.spec.classes, *prepared.array.shape[1:]))
    for number in range(passes):
        view = image.flip(_LEFT_RIGHT) if number else image

        def part(share: float, number: int = number) -> None:
            tick((number + share) / passes)

        if window is None:
            made = _forward(network, view, device, options.temperature)[0]
            part(1.0)
        else:
            brain = np.flip(prepared.brain, 2) if number else prepared.brain
            made = _slide(network, view, brain, device, window, options.temperature, part)
        total += made.flip(_LEFT_RIGHT - 1) if number else made
    return (total / passes).numpy()


def _forward(
    network: GliomaNetwork, image: torch.Tensor, device: torch.device, temperature: float
) -> torch.Tensor:
    """Probabilities (batch, class, z, y, x) on the CPU; half precision on CUDA."""
    with torch.autocast("cuda", torch.float16, enabled=device.type == "cuda"):
        logits = network(image.to(device))
    return torch.softmax(logits.float() / temperature, dim=1).cpu()


def window_weights(window: int) -> torch.Tensor:
    """Gaussian weights of one window (z, y, x): sigma an eighth of the edge, 1 in the middle, at least 1e-3.

    As nnU-Net weighs its tiles (Isensee et al. 2021).
    """
    axis = torch.arange(window) - (window - 1) / 2
    line = torch.exp(-0.5 * (axis / (window / 8)) ** 2)
    return (line[:, None, None] * line[None, :, None] * line[None, None, :]).clamp_min(1e-3)


def _starts(length: int, window: int, multiple: int) -> list[int]:
    """First voxels of windows along one axis: evenly spread multiples, overlapping by at least half."""
    if length <= window:
        return [0]
    step = max(int(window * (1 - _OVERLAP)) // multiple, 1) * multiple
    count = -(-(length - window) // step) + 1
    return [i * (length - window) // (count - 1) // multiple * multiple for i in range(count)]


def windows(shape: tuple[int, ...], window: int, multiple: int = 1) -> Iterator[tuple[slice, slice, slice]]:
    """The boxes (slices z, y, x) that cover an array of ``shape`` (each axis at least ``window``).

    Where ``shape`` and ``window`` are multiples of ``multiple``, so are the boxes' corners: the network then
    pools the same voxels together as in one pass.
    """
    for z in _starts(shape[0], window, multiple):
        for y in _starts(shape[1], window, multiple):
            for x in _starts(shape[2], window, multiple):
                yield slice(z, z + window), slice(y, y + window), slice(x, x + window)


def _slide(
    network: GliomaNetwork,
    image: torch.Tensor,
    brain: npt.NDArray[np.bool_],
    device: torch.device,
    window: int,
    temperature: float,
    tick: Tick,
) -> torch.Tensor:
    """Weighted mean of overlapping windows; where no window saw brain, background (class 0)."""
    size, multiple = image.shape[2:], network.spec.multiple
    pad = [max(window - s, -s % multiple) for s in size]
    image = torch.nn.functional.pad(image, [0, pad[2], 0, pad[1], 0, pad[0]])
    inside = np.pad(brain, [(0, p) for p in pad])
    total = torch.zeros((network.spec.classes, *image.shape[2:]))
    weight = torch.zeros(image.shape[2:])
    gaussian = window_weights(window)
    boxes = [box for box in windows(tuple(image.shape[2:]), window, multiple) if inside[box].any()]
    for number, box in enumerate(boxes, 1):
        total[(slice(None), *box)] += _forward(network, image[(..., *box)], device, temperature)[0] * gaussian
        weight[box] += gaussian
        tick(number / len(boxes))
    unseen = weight == 0
    total /= weight.clamp_min(1e-6)
    total[0][unseen] = 1.0
    return total[:, : size[0], : size[1], : size[2]]
