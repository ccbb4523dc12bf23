"""Our own networks, run by OpenVINO on the processor: faster than torch, which is not even imported.

Full precision is float32 and gives torch's labels. The eight-bit graph that a model may bring was made from
its weights by NNCF and is taken only when its own record says that it lost no Dice (see ``eight_bit``).
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...errors import ModelRefused, OutOfMemory, UsageError, missing_extra
from .. import devices
from ..eight_bit import EightBit, find_eight_bit
from ..tiling import Budget, rounded_up, slide, smaller_window, window_grid, window_notes, window_weights
from ..weights import ModelDescription, read_arrays
from .base import EngineOptions, Prediction, Tick, only_inside

if TYPE_CHECKING:
    from ...intake.preparation import NetworkInput

FloatArray = npt.NDArray[np.float32]
_POLL_MS = 200
"""How often a pass looks whether the run was cancelled."""
_FIRST_SHAPE = (32, 32, 32)
"""Shape (z, y, x) that a graph is built with, before it takes the input's."""


def usable(description: ModelDescription, options: EngineOptions) -> bool:
    """Whether OpenVINO is installed and the processor is what the run would take anyway."""
    if find_spec("openvino") is None or options.device not in ("auto", "cpu"):
        return False
    return options.device == "cpu" or not devices.accelerator_at_hand()


def open_engine(description: ModelDescription, options: EngineOptions) -> OpenVinoEngine:
    """Build or read the graph.

    Raises ``UsageError`` without OpenVINO or for a device other than the processor, ``ModelRefused`` for
    damaged weights.
    """
    if options.device not in ("auto", "cpu"):
        raise UsageError(f"OpenVINO runs on the processor, not on {options.device}: choose --engine torch.")
    try:
        import openvino
    except ImportError as error:
        raise missing_extra("openvino", "fast", "The engine openvino") from error
    eight_bit = find_eight_bit(description) if options.precision == "auto" else None
    return OpenVinoEngine(description, options, openvino, eight_bit)


def passed(request: Any, image: FloatArray, tick: Tick) -> FloatArray:
    """The first output of an OpenVINO request for ``image`` (channel, ...), valid until its next pass.

    The pass runs beside this thread, so that a cancelled run ends within ``_POLL_MS``.
    """
    request.start_async({0: image[None]})
    try:
        while not request.wait_for(_POLL_MS):
            tick(0.0)
    except BaseException:
        request.cancel()
        raise
    made: FloatArray = request.get_output_tensor(0).data
    return made


class OpenVinoEngine:
    """One pass or sliding windows of a ``GliomaNetwork`` on the processor, by ``eight_bit`` where given."""

    name = "openvino"

    def __init__(
        self,
        description: ModelDescription,
        options: EngineOptions,
        openvino: Any,
        eight_bit: EightBit | None = None,
    ) -> None:
        self._description, self._options = description, options
        self._multiple = description.network.multiple
        self._core = openvino.Core()
        self._model = self._read(eight_bit) if eight_bit else self._build()
        self.precision = "int8" if eight_bit else "float32"
        self._version = openvino.__version__.partition("-")[0]
        self._compiled: tuple[tuple[int, ...], Any, Any] | None = None

    def _build(self) -> Any:
        from .openvino_graph import build_graph

        told = self._description
        arrays = read_arrays(told)
        try:
            return build_graph(told.network, arrays, told.temperature, _FIRST_SHAPE)
        except (KeyError, RuntimeError, ValueError) as error:
            raise ModelRefused(
                f"The model {told.name} can't be used: its weights do not fit its architecture. "
                "Install it again."
            ) from error

    def _read(self, eight_bit: EightBit) -> Any:
        return self._core.read_model(model=str(eight_bit.graph), weights=str(eight_bit.constants))

    def predict(self, prepared: NetworkInput, tick: Tick = lambda share: None) -> Prediction:
        """Probabilities of the prepared study; see ``Engine``.

        Out of memory, the window is halved, down to 32 voxels; then ``OutOfMemory`` is raised.
        """
        shape = prepared.array.shape[1:]
        warnings: list[str] = []
        window = self._first_window(shape)
        while True:
            probabilities = self._attempt(prepared, window, tick)
            if probabilities is not None:
                only_inside(prepared.brain, probabilities)
                told = f"openvino {self._version} {self.precision}"
                threads = self._threads_used()
                notes = (*warnings, *window_notes(self._description.network.norm, window))
                return Prediction(probabilities, window, "cpu", notes, told, threads)
            window = smaller_window(window, shape)
            if window is None:
                raise OutOfMemory(devices.NO_MEMORY_AT_ALL)
            warnings.append(
                f"Memory ran out on cpu: went on with windows of {window} voxels, which is slower."
            )

    def _first_window(self, shape: tuple[int, ...]) -> int | None:
        if self._options.window is not None:
            return rounded_up(self._options.window, self._multiple)
        budget = Budget(devices.free_host_memory_bytes(), self._description.bytes_per_voxel)
        return budget.window_for(shape, self._multiple)

    def _attempt(self, prepared: NetworkInput, window: int | None, tick: Tick) -> FloatArray | None:
        """The probabilities, or None when memory ran out; what was held is given back before the next try."""
        try:
            return self._run(prepared, window, tick)
        except (MemoryError, RuntimeError) as error:
            if not devices.is_out_of_memory(error):
                raise
        self._compiled = None
        return None

    def _run(self, prepared: NetworkInput, window: int | None, tick: Tick) -> FloatArray:
        passes = 2 if self._options.mirror else 1
        total = np.zeros((len(self._description.classes), *prepared.array.shape[1:]), np.float32)
        for number in range(passes):

            def part(share: float, number: int = number) -> None:
                tick((number + share) / passes)

            # Training flips left and right only, so mirroring does too.
            step = -1 if number else 1
            made = self._pass(prepared.array[..., ::step], prepared.brain[..., ::step], window, part)
            total += made[..., ::step]
        total /= passes
        return total

    def _pass(
        self, image: FloatArray, brain: npt.NDArray[np.bool_], window: int | None, tick: Tick
    ) -> FloatArray:
        size = image.shape[1:]
        if window is None:
            added: tuple[int, ...] = tuple(-s % self._multiple for s in size)
            made = self._forward(_padded(image, added), tick)
            tick(1.0)
        else:
            added, boxes = window_grid(size, brain, window, self._multiple)
            whole = tuple(s + a for s, a in zip(size, added, strict=True))
            total = np.zeros((len(self._description.classes), *whole), np.float32)
            seen = np.zeros(whole, np.float32)
            padded = _padded(image, added)
            made = slide(self._forward, padded, boxes, window_weights(window), total, seen, tick)
        return np.asarray(made[:, : size[0], : size[1], : size[2]])

    def _forward(self, image: FloatArray, tick: Tick = lambda share: None) -> FloatArray:
        """Probabilities (class, z, y, x) of one window or of the whole, valid until the next call."""
        request = self._request(image.shape)
        return np.asarray(passed(request, np.ascontiguousarray(image), tick)[0])

    def _request(self, shape: tuple[int, ...]) -> Any:
        if self._compiled is None or self._compiled[0] != shape:
            self._compiled = None
            self._model.reshape([1, *shape])
            compiled = self._core.compile_model(self._model, "CPU", self._settings())
            self._compiled = (shape, compiled, compiled.create_infer_request())
        return self._compiled[2]

    def _settings(self) -> dict[str, Any]:
        # bfloat16 would be faster on a few processors and give other labels there.
        settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        # Torch goes by this variable; whoever sets it means every engine.
        told = os.environ.get("OMP_NUM_THREADS", "")
        if threads := self._options.threads or (int(told) if told.isdigit() else 0):
            settings["INFERENCE_NUM_THREADS"] = threads
        return settings

    def _threads_used(self) -> int:
        assert self._compiled is not None  # a pass has been made
        return int(self._compiled[1].get_property("INFERENCE_NUM_THREADS"))


def _padded(image: FloatArray, added: tuple[int, ...]) -> FloatArray:
    if not any(added):
        return np.ascontiguousarray(image)
    return np.pad(image, [(0, 0), *((0, a) for a in added)])
