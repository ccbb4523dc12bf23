"""ONNX files by OpenVINO (extra ``fast``), on the processor."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import ModelRefused, UsageError, missing_extra
from .. import devices
from ..weights import ModelDescription, check_files
from .base import EngineOptions, Tick
from .foreign_engine import ForeignEngine
from .openvino_engine import passed

FloatArray = npt.NDArray[np.float32]


def usable(description: ModelDescription, options: EngineOptions) -> bool:
    """Whether OpenVINO is installed and the processor may be used."""
    return find_spec("openvino") is not None and options.device in ("auto", "cpu")


def open_engine(description: ModelDescription, options: EngineOptions) -> ForeignEngine:
    """Load the file. Raises ``UsageError`` without OpenVINO, ``ModelRefused`` for a file it can't read."""
    if options.device not in ("auto", "cpu"):
        raise UsageError(f"OpenVINO runs on the processor, not on {options.device}: choose auto or cpu.")
    try:
        import openvino
    except ImportError as error:
        raise missing_extra("openvino", "fast", f"The model {description.name} with OpenVINO") from error
    check_files(description)
    return ForeignEngine("openvino", description, options, _OpenVino(description, options, openvino))


class _OpenVino:
    device = "cpu"

    def __init__(self, description: ModelDescription, options: EngineOptions, openvino: Any) -> None:
        self._core = openvino.Core()
        self.version = f"{openvino.__version__.partition('-')[0]} float32"
        self.threads = options.threads or os.cpu_count() or 1
        self._settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": self.threads}
        try:
            self._model = self._core.read_model(str(description.weights_file))
        except RuntimeError as error:
            raise ModelRefused(
                f"The model {description.name} can't be used: {description.weights_file.name} is no ONNX "
                "file that OpenVINO reads. Export it again, or use ONNX Runtime."
            ) from error
        if len(self._model.inputs) != 1:
            raise ModelRefused(f"The model {description.name} can't be used: it must have one input.")
        told = self._model.inputs[0].partial_shape
        if told.rank.is_dynamic or len(told) != 5:
            raise ModelRefused(
                f"The model {description.name} can't be used: its input must be (batch, channel, three axes)."
            )
        axes = [told[place] for place in (2, 3, 4)]
        fixed = all(axis.is_static for axis in axes)
        self.fixed_window = tuple(axis.get_length() for axis in axes) if fixed else None
        self._compiled: tuple[tuple[int, ...], Any] | None = None

    def free_bytes(self) -> float:
        return devices.free_host_memory_bytes()

    def run(self, image: FloatArray, tick: Tick) -> FloatArray:
        made = passed(self._request(image.shape), image, tick)
        if made.ndim != 5:
            raise RuntimeError("its output is no array (batch, channel, and three axes)")
        return np.array(made[0], np.float32)

    def _request(self, shape: tuple[int, ...]) -> Any:
        if self._compiled is None or self._compiled[0] != shape:
            self._compiled = None
            if self._model.inputs[0].partial_shape.is_dynamic:
                self._model.reshape([1, *shape])
            compiled = self._core.compile_model(self._model, "CPU", self._settings)
            self._compiled = (shape, compiled.create_infer_request())
        return self._compiled[1]

    def move_to_cpu(self) -> bool:
        return False
