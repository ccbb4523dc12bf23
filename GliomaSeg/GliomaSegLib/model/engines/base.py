"""What an engine is: something that turns a prepared study into probabilities. No heavy import here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ...intake.preparation import NetworkInput

Tick = Callable[[float], None]
"""Told the share done, 0 to 1; raises ``Cancelled`` when the run is to stop."""


@dataclass(frozen=True)
class EngineOptions:
    """How to run a model, whatever its kind.

    ``device``: auto, cpu, cuda, cuda:N or mps. ``window``: edge of the sliding window in voxels, None to let
    the engine decide. ``mirror``: average with the left-right mirror image, None: as the model wants.
    ``threads``: of the processor, None for all that the system gives. ``precision``: auto takes half
    precision on CUDA and eight bits where a model's own record allows them; full is float32 everywhere.
    ``trusted``: the caller vouches for a model that is a program; else only models that were imported with
    trust are opened.
    """

    device: str = "auto"
    window: int | None = None
    mirror: bool | None = None
    threads: int | None = None
    precision: str = "auto"
    trusted: bool = False


@dataclass(frozen=True)
class Prediction:
    """``probabilities`` (class, z, y, x) float32, summing to 1, on the grid of the network's input.

    ``window`` is the edge that was used, None for one pass; ``device`` where; ``warnings`` what fell back.
    ``engine`` is what ran the network, with its version where that is not torch's, and its number type.
    ``threads``: of the processor, that it was given.
    """

    probabilities: npt.NDArray[np.float32]
    window: int | None
    device: str
    warnings: tuple[str, ...] = ()
    engine: str = "torch float32"
    threads: int = 1


class Engine(Protocol):
    """Runs one model. ``name`` is what ``--engine`` and ``run.json`` call it."""

    name: str

    def predict(self, prepared: NetworkInput, tick: Tick = lambda share: None) -> Prediction:
        """Calibrated probabilities of ``prepared.array`` (channel, z, y, x) float32, as the model wants it.

        The channels of the result are the description's ``classes``. Raises ``OutOfMemory`` when every
        fallback failed, and whatever ``tick`` raises.
        """


def only_inside(brain: npt.NDArray[np.bool_], probabilities: npt.NDArray[np.float32]) -> None:
    """Outside the brain everything is background (class 0): the input is empty there, whatever comes out."""
    probabilities[:, ~brain] = 0.0
    probabilities[0, ~brain] = 1.0
