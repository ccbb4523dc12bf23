"""What the engines of other people's networks share: padding, windows, layout, fallbacks, checks.

The network itself is a ``Runner``: a function of one window, in the network's own layout.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from ...errors import ModelRefused, OutOfMemory
from .. import devices
from ..tiling import Budget, rounded_up, slide, smaller_window, window_grid, window_weights
from ..weights import ModelDescription
from .base import EngineOptions, Prediction, Tick, only_inside

if TYPE_CHECKING:
    from ...intake.preparation import NetworkInput

FloatArray = npt.NDArray[np.float32]
Window = tuple[int, int, int]


class Runner(Protocol):
    """Runs a network on one window."""

    version: str
    threads: int

    @property
    def device(self) -> str:
        """Where the network runs now."""

    @property
    def fixed_window(self) -> Window | None:
        """Edges of the only input that the network takes, in its own order of axes; None: any."""

    def free_bytes(self) -> float:
        """Memory that a pass may take."""

    def run(self, image: FloatArray, tick: Tick) -> FloatArray:
        """(channel, *axes) to the network's raw output (channel, *axes). Raises what its library raises."""

    def move_to_cpu(self) -> bool:
        """Leave a device that failed; False where there is nothing to leave."""


class ForeignEngine:
    """Probabilities by somebody's network, as its ``model.json`` describes it."""

    def __init__(
        self, name: str, description: ModelDescription, options: EngineOptions, runner: Runner
    ) -> None:
        assert description.foreign is not None
        self.name, self._runner, self._options = name, runner, options
        self._description, self._foreign = description, description.foreign
        told = runner.fixed_window
        self._fixed = self._foreign.window or (self._foreign.layout.edges(told) if told else None)

    def predict(self, prepared: NetworkInput, tick: Tick = lambda share: None) -> Prediction:
        """Probabilities of the prepared study; see ``Engine``.

        A network that fails, or gives another shape than its description says, or NaN, raises
        ``ModelRefused``.
        """
        shape = prepared.array.shape[1:]
        warnings: list[str] = []
        window = self._first_window(shape)
        while True:
            made = self._attempt(prepared, window, tick)
            if made is not None:
                if self._description.input.background == "brain":
                    only_inside(prepared.brain, made)
                told = f"{self.name} {self._runner.version}"
                edge = None if window is None else max(window)
                return Prediction(
                    made, edge, self._runner.device, tuple(warnings), told, self._runner.threads
                )
            window, sentence = self._next_window(window, shape)
            warnings.append(sentence)

    def _first_window(self, shape: tuple[int, ...]) -> Window | None:
        if self._fixed is not None:
            return self._fixed
        edge = self._options.window
        if edge is None:
            budget = Budget(self._runner.free_bytes(), self._foreign.bytes_per_voxel)
            edge = budget.window_for(shape, self._foreign.multiple)
        return None if edge is None else (rounded_up(edge, self._foreign.multiple),) * 3

    def _next_window(self, window: Window | None, shape: tuple[int, ...]) -> tuple[Window | None, str]:
        device = self._runner.device
        smaller = smaller_window(None if window is None else max(window), shape)
        if smaller is not None and self._fixed is None:
            edge = rounded_up(smaller, self._foreign.multiple)
            sentence = f"Memory ran out on {device}: went on with windows of {edge} voxels, which is slower."
            return (edge, edge, edge), sentence
        if not self._runner.move_to_cpu():
            raise OutOfMemory(devices.NO_MEMORY_AT_ALL)
        return self._first_window(shape), f"Memory ran out on {device}: the CPU took over."

    def _attempt(self, prepared: NetworkInput, window: Window | None, tick: Tick) -> FloatArray | None:
        """The probabilities, or None when memory ran out."""
        passes = 2 if self._options.mirror else 1
        total = np.zeros((len(self._description.classes), *prepared.array.shape[1:]), np.float32)
        for number in range(passes):

            def part(share: float, number: int = number) -> None:
                tick((number + share) / passes)

            step = -1 if number else 1  # left-right, as everywhere in the program
            made = self._pass(prepared.array[..., ::step], prepared.brain[..., ::step], window, part)
            if made is None:
                return None
            total += made[..., ::step]
        total /= passes
        return total

    def _pass(
        self, image: FloatArray, brain: npt.NDArray[np.bool_], window: Window | None, tick: Tick
    ) -> FloatArray | None:
        size = image.shape[1:]

        def forward(part: FloatArray) -> FloatArray:
            return self._forward(part, tick)

        try:
            if window is None:
                made = forward(_padded(image, [-s % self._foreign.multiple for s in size]))
                tick(1.0)
            else:
                step = 1 if self._fixed else self._foreign.multiple
                added, boxes = window_grid(size, brain, window, step)
                padded = _padded(image, added)
                total = np.zeros((len(self._description.classes), *padded.shape[1:]), np.float32)
                seen = np.zeros(padded.shape[1:], np.float32)
                made = slide(forward, padded, boxes, window_weights(window), total, seen, tick)
        except (MemoryError, RuntimeError) as error:
            if devices.is_out_of_memory(error):
                return None
            raise self._failed(str(error)) from error
        return np.asarray(made[:, : size[0], : size[1], : size[2]])

    def _forward(self, part: FloatArray, tick: Tick) -> FloatArray:
        image = np.ascontiguousarray(self._foreign.layout.to_model(part), np.float32)
        raw = self._runner.run(image, tick)
        expected = (len(self._foreign.output.channels), *image.shape[1:])
        if raw.shape != expected:
            got, wanted = ("x".join(map(str, shape)) for shape in (raw.shape, expected))
            raise self._failed(f"it gave an array of {got} where its model.json promises {wanted}")
        if not np.isfinite(raw).all():
            raise self._failed("it gave numbers that are not finite")
        if misfit := self._foreign.output.misfit(raw):
            raise self._failed(misfit)
        return self._foreign.output.probabilities(self._foreign.layout.from_model(raw))

    def _failed(self, reason: str) -> ModelRefused:
        first = reason.strip().splitlines()[-1][:300] if reason.strip() else "no reason was given"
        return ModelRefused(
            f"The model {self._description.name} failed ({first}): check its model.json, or "
            "choose another model."
        )


def _padded(image: FloatArray, added: Sequence[int]) -> FloatArray:
    return np.pad(image, [(0, 0), *((0, a) for a in added)])
