"""TorchScript files: a network and its weights in one file that torch runs without the code that made it.

Such a file is a program (PyTorch's own security notes say so; its operators can write files), so that it is
opened only when a person has said that they trust its source (see ``importing``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...errors import ModelRefused
from .. import devices
from ..weights import ModelDescription, check_files
from .base import EngineOptions, Tick
from .foreign_engine import ForeignEngine

if TYPE_CHECKING:
    import torch

FloatArray = npt.NDArray[np.float32]


def usable(description: ModelDescription, options: EngineOptions) -> bool:
    """Torch is always there."""
    return True


def open_engine(description: ModelDescription, options: EngineOptions) -> ForeignEngine:
    """Load the file. Raises ``ModelRefused`` when it is not trusted, damaged or no TorchScript."""
    from ..library import require_trust

    if not options.trusted:
        require_trust(description, "TorchScript files are programs")
    check_files(description)
    return ForeignEngine("torchscript", description, options, _TorchScript(description, options))


class _TorchScript:
    def __init__(self, description: ModelDescription, options: EngineOptions) -> None:
        import torch

        if options.threads:
            torch.set_num_threads(options.threads)
        self._device = devices.choose_device(options.device)
        self.version, self.threads = f"{torch.__version__} float32", torch.get_num_threads()
        self._module = _load(description, self._device)

    fixed_window = None

    @property
    def device(self) -> str:
        return str(self._device)

    def free_bytes(self) -> float:
        return devices.free_memory_bytes(self._device)

    def run(self, image: FloatArray, tick: Tick) -> FloatArray:
        import torch

        with torch.inference_mode():
            raw = self._module(torch.from_numpy(image)[None].to(self._device))
            while isinstance(raw, tuple | list) and raw:
                raw = raw[0]  # deep supervision: the first output has the full resolution
            if not isinstance(raw, torch.Tensor) or raw.ndim != 5:
                raise RuntimeError("its output is no array (batch, channel, and three axes)")
            return np.asarray(raw[0].float().cpu().numpy())

    def move_to_cpu(self) -> bool:
        import torch

        if self._device.type == "cpu":
            return False
        self._device = torch.device("cpu")
        self._module = self._module.to(self._device)
        return True


def _load(description: ModelDescription, device: torch.device) -> Any:
    import torch

    try:
        module = torch.jit.load(str(description.weights_file), map_location=device)
    except (RuntimeError, ValueError, OSError) as error:
        raise ModelRefused(
            f"The model {description.name} can't be used: {description.weights_file.name} is no TorchScript "
            "file that this torch reads. Export it again with torch.jit.save."
        ) from error
    return module.float().eval()
