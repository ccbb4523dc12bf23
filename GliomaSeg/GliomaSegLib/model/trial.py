"""A first run of an imported model on made-up numbers: what can't work is refused before any scan."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np

from ..errors import UsageError
from ..intake.preparation import NetworkInput
from ..intake.volume import Grid
from .engines import EngineOptions, open_engine
from .weights import NATIVE, ModelDescription, load_network

_EDGE = 32


def try_model(description: ModelDescription, trusted: bool) -> bool:
    """Open a model and, unless it is nnU-Net's, run it once; False when the package for it is missing here.

    nnU-Net models are only built and loaded: one window of theirs may take a minute on a processor.
    Raises ``ModelRefused`` when it fails, or gives another shape than its ``model.json`` says.
    """
    try:
        engine = open_engine(description, EngineOptions(device="cpu", trusted=trusted))
    except UsageError:
        # Its package (ONNX Runtime, nnU-Net) is not installed: the first run will say so.
        return False
    if description.runtime == NATIVE and find_spec("torch") is not None:
        load_network(description)  # torch wants these tensors and no more, OpenVINO takes what it needs
    if description.runtime != "nnunet":
        engine.predict(_made_up(description))
    return True


def _made_up(description: ModelDescription) -> NetworkInput:
    foreign = description.foreign
    multiple = foreign.multiple if foreign else description.network.multiple
    edge = -(-_EDGE // multiple) * multiple
    shape = foreign.window if foreign and foreign.window else (edge, edge, edge)
    channels = description.input.channels
    array = np.random.default_rng(0).normal(size=(len(channels), *shape)).astype(np.float32)
    spacing = description.input.spacing_mm[::-1]
    grid = Grid(shape, spacing, (0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
    whole = (slice(0, shape[0]), slice(0, shape[1]), slice(0, shape[2]))
    return NetworkInput(array, np.ones(shape, bool), grid, grid, whole, channels, {})
