"""A model stays in a worker's memory from one study to the next."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from ..pipeline import SegmentOptions, open_model

if TYPE_CHECKING:
    from ..pipeline import OpenModel

_LOCK = threading.Lock()
_KEPT: dict[tuple[object, ...], OpenModel] = {}


def model_identity(name: str) -> dict[str, Any]:
    """Name, version and checksums of a model by its name or folder. Raises ``ModelRefused``."""
    from ..model.weights import DEFAULT_MODEL, MODEL_FILE, file_sha256, find_model, read_description

    folder = find_model(name or DEFAULT_MODEL)
    described = read_description(folder)
    return {
        "name": described.name,
        "version": described.version,
        "weights": described.sha256,
        "settings": file_sha256(folder / MODEL_FILE),
    }


def keeping_engine(options: SegmentOptions) -> OpenModel:
    """As :func:`..pipeline.open_model`, opened once for a choice of model and device; the last one stays."""
    chosen = (options.device, options.engine, options.precision, options.threads)
    how = (options.mirror, options.window)
    # The checksum too: a model may be replaced under its name while a worker lives.
    key = (options.model, *chosen, *how, *model_identity(options.model).values())
    with _LOCK:
        if key not in _KEPT:
            _KEPT.clear()  # one model at a time is in memory
            _KEPT[key] = open_model(options)
        return _KEPT[key]
