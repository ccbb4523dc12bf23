"""Our own networks, run by torch: the way that needs nothing but what the package depends on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..weights import ModelDescription, load_network
from .base import EngineOptions, Prediction, Tick

if TYPE_CHECKING:
    from ...intake.preparation import NetworkInput


def usable(description: ModelDescription, options: EngineOptions) -> bool:
    """Torch runs on every device."""
    return True


def open_engine(description: ModelDescription, options: EngineOptions) -> TorchEngine:
    """Load the weights. Raises ``ModelRefused`` for damaged ones, ``UsageError`` for a device not there."""
    return TorchEngine(description, options)


class TorchEngine:
    """One pass or sliding windows of a ``GliomaNetwork``, on any device (see ``inference.predict``)."""

    name = "torch"

    def __init__(self, description: ModelDescription, options: EngineOptions) -> None:
        import torch

        from ..devices import choose_device
        from ..inference import InferenceOptions

        if options.threads:
            torch.set_num_threads(options.threads)

        self._options = InferenceOptions(
            choose_device(options.device),
            options.window,
            bool(options.mirror),
            description.temperature,
            description.bytes_per_voxel,
            half=options.precision == "auto",
        )
        self._network = load_network(description)

    def predict(self, prepared: NetworkInput, tick: Tick = lambda share: None) -> Prediction:
        """Probabilities of the prepared study; see ``Engine``."""
        from ..inference import predict

        return predict(self._network, prepared, self._options, tick)
