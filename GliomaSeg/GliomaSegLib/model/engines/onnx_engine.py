"""ONNX files by ONNX Runtime (extra ``onnx``)."""

from __future__ import annotations

import os
import threading
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import ModelRefused, UsageError, missing_extra
from .. import devices
from ..weights import ModelDescription, check_files
from .base import EngineOptions, Tick
from .foreign_engine import ForeignEngine

FloatArray = npt.NDArray[np.float32]
_POLL_S = 0.2
"""How often a pass looks whether the run was cancelled."""
_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}


def usable(description: ModelDescription, options: EngineOptions) -> bool:
    """Whether ONNX Runtime is installed."""
    return find_spec("onnxruntime") is not None


def open_engine(description: ModelDescription, options: EngineOptions) -> ForeignEngine:
    """Load the file.

    Raises ``UsageError`` without ONNX Runtime or for a device it can't use, ``ModelRefused`` for a damaged
    file or one with operators that ONNX Runtime does not know.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise missing_extra("onnxruntime", "onnx", f"The model {description.name}") from error
    check_files(description)
    return ForeignEngine("onnxruntime", description, options, _OnnxRuntime(description, options, onnxruntime))


def _providers(options: EngineOptions, available: list[str]) -> tuple[list[Any], str]:
    """ONNX Runtime's execution providers for a device, and what ``run.json`` calls it."""
    cuda = "CUDAExecutionProvider" in available
    if options.device.startswith("mps") or (options.device.startswith("cuda") and not cuda):
        raise UsageError(
            f"ONNX Runtime can't use the device {options.device} here: choose auto or cpu, or install its "
            "build for your graphics card."
        )
    if options.device == "cpu" or not cuda:
        return ["CPUExecutionProvider"], "cpu"
    index = int(options.device.partition(":")[2] or 0) if options.device != "auto" else 0
    return [("CUDAExecutionProvider", {"device_id": index}), "CPUExecutionProvider"], f"cuda:{index}"


class _OnnxRuntime:
    def __init__(self, description: ModelDescription, options: EngineOptions, onnxruntime: Any) -> None:
        self._ort, self._description = onnxruntime, description
        told = onnxruntime.SessionOptions()
        self.threads = options.threads or _threads_of_environment() or os.cpu_count() or 1
        told.intra_op_num_threads = self.threads
        told.log_severity_level = 4  # what goes wrong is raised; its log would show paths
        self._told = told
        providers, self.device = _providers(options, onnxruntime.get_available_providers())
        self.version = onnxruntime.__version__
        self._open(providers)

    def _open(self, providers: list[Any]) -> None:
        path = str(self._description.weights_file)
        try:
            self._session = self._ort.InferenceSession(path, self._told, providers=providers)
        except Exception as error:
            raise self._refused("ONNX Runtime can't load it", error) from error
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or inputs[0].type not in _TYPES or len(inputs[0].shape) != 5:
            raise self._refused("it must have one input (batch, channel, and three axes) of real numbers")
        self._input = inputs[0]
        axes = inputs[0].shape[2:]
        self.fixed_window = tuple(axes) if all(type(edge) is int for edge in axes) else None

    def _refused(self, reason: str, error: BaseException | None = None) -> ModelRefused:
        told = f": {str(error).strip().splitlines()[0][:200]}" if error and str(error).strip() else ""
        told = told.replace(str(self._description.folder), self._description.folder.name)
        return ModelRefused(f"The model {self._description.name} can't be used: {reason}{told}.")

    def free_bytes(self) -> float:
        return devices.free_host_memory_bytes()

    def run(self, image: FloatArray, tick: Tick) -> FloatArray:
        """The pass runs beside this thread, so that a cancelled run ends soon."""
        stop, made = self._ort.RunOptions(), _Made()
        feed = {self._input.name: image[None].astype(_TYPES[self._input.type], copy=False)}

        def work() -> None:
            try:
                made.array = self._session.run(None, feed, stop)[0]
            except Exception as error:  # noqa: BLE001 - raised again in the thread that asked
                made.error = error

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        try:
            while thread.is_alive():
                thread.join(_POLL_S)
                tick(0.0)
        except BaseException:
            stop.terminate = True
            thread.join()
            raise
        if made.error is not None:
            raise RuntimeError(" ".join(str(made.error).split())) from made.error
        if made.array is None or made.array.ndim != 5:
            raise RuntimeError("its output is no array (batch, channel, and three axes)")
        return np.asarray(made.array[0], np.float32)

    def move_to_cpu(self) -> bool:
        if self.device == "cpu":
            return False
        self.device = "cpu"
        self._open(["CPUExecutionProvider"])
        return True


class _Made:
    """What a pass in another thread came to."""

    array: Any = None
    error: Exception | None = None


def _threads_of_environment() -> int | None:
    told = os.environ.get("OMP_NUM_THREADS", "")
    return int(told) if told.isdigit() and int(told) > 0 else None
