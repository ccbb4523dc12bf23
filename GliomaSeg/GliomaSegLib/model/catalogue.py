"""Public models that were trained on treated or untreated glioma: what they are and where, nothing more."""

from __future__ import annotations

import json
from typing import Any

from ..errors import ModelRefused
from ..locations import models_folder

CATALOGUE_FILE = "catalogue.json"
KEYS = ("name", "what", "where", "licence", "format", "needs", "import", "verified", "not_verified")
"""What each entry says. ``import``: whether and how the import takes it; ``verified``: what was looked at."""


def read_catalogue() -> list[dict[str, Any]]:
    """The entries, each with all of ``KEYS``. Raises ``ModelRefused`` when the file is missing or damaged."""
    try:
        data = json.loads((models_folder() / CATALOGUE_FILE).read_text(encoding="utf-8"))
        entries = list(data["models"])
        if not all(set(KEYS) <= set(entry) for entry in entries):
            raise ValueError("an entry is incomplete")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelRefused(
            "The catalogue of public models can't be read: install GliomaSeg again."
        ) from error
    return entries
