"""Engines: what runs a model. Each is a module with ``usable`` and ``open_engine``, imported when wanted."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING

from ...errors import UsageError
from .base import Engine, EngineOptions

if TYPE_CHECKING:
    from ..weights import ModelDescription

_ENGINES: dict[str, dict[str, str]] = {
    "native": {"openvino": "openvino_engine", "torch": "torch_engine"},
    "torchscript": {"torchscript": "torchscript_engine"},
    "onnx": {"onnxruntime": "onnx_engine", "openvino": "openvino_onnx_engine"},
    "nnunet": {"nnunet": "nnunet_engine"},
}
"""By kind of model: the engines that run it, the preferred first, and the module of each.

A module has ``usable(description, options) -> bool`` (cheap: whether ``auto`` may take it here) and
``open_engine(description, options) -> Engine`` (which raises with a sentence where it can't).
"""

ENGINE_NAMES: tuple[str, ...] = ("auto", *dict.fromkeys(name for kind in _ENGINES.values() for name in kind))


def runs(engine: str, description: ModelDescription) -> bool:
    """Whether an engine of this name runs models of this kind."""
    return engine in _ENGINES[description.runtime]


def open_engine(description: ModelDescription, options: EngineOptions, engine: str = "auto") -> Engine:
    """The engine for a model: ``engine`` by name, or the first that is usable on this machine.

    Raises ``UsageError`` for an engine that does not run this kind of model or is not installed, and
    ``ModelRefused`` for a model that can't be loaded.
    """
    known = _ENGINES[description.runtime]
    if options.mirror is None:
        options = replace(options, mirror=description.mirror)
    if engine != "auto" and engine not in known:
        raise UsageError(
            f"The engine {engine} does not run the model {description.name}: "
            f"choose {', '.join(known)} or auto."
        )
    for name, module in known.items():
        opener = import_module(f".{module}", __name__)
        if engine == name or (engine == "auto" and opener.usable(description, options)):
            opened: Engine = opener.open_engine(description, options)
            return opened
    return import_module(f".{next(reversed(known.values()))}", __name__).open_engine(description, options)
