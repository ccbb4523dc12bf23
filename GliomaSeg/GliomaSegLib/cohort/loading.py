"""A model stays in a worker's memory from one study to the next."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..pipeline import SegmentOptions, open_model

if TYPE_CHECKING:
    from ..pipeline import OpenModel

_LOCK = threading.Lock()
_KEPT: dict[tuple[object, ...], OpenModel] = {}


def model_identity(words: str) -> dict[str, Any]:
    """Name, version and checksums of a model, or of several by commas. Raises ``ModelRefused``."""
    from ..model.ensemble import described_together, model_names
    from ..model.weights import MODEL_FILE, file_sha256, find_model, read_description

    folders = [find_model(name) for name in model_names(words)]
    described = [read_description(folder) for folder in folders]
    whole = described[0] if len(described) == 1 else described_together(described)
    return {
        "name": whole.name,
        "version": whole.version,
        "weights": whole.sha256,
        "settings": " ".join(file_sha256(folder / MODEL_FILE) for folder in folders),
    }


def found_anywhere(words: str) -> str:
    """The models by names that hold in every folder: a model's folder by its whole path."""
    from ..model.ensemble import model_names
    from ..model.weights import find_model

    names = model_names(words)
    return ",".join(
        str(folder.resolve()) if (folder := find_model(name)) == Path(name) else name for name in names
    )


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
