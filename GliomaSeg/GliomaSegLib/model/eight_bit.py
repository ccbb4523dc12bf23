"""The eight-bit graph that a model may bring beside its weights, and whether it may be used.

``training/quantisation.py`` writes three files: the graph (``int8.xml``, ``int8.bin``) and ``int8.json``,
which says what they were made from and how much Dice each structure lost. Weights that were trained anew have
another checksum: the graph of the old ones is then left aside.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ModelRefused
from .weights import ModelDescription, file_sha256

RECORD, GRAPH, CONSTANTS = "int8.json", "int8.xml", "int8.bin"
MOST_LOST = 0.005
"""Dice that any structure may lose, as a mean over the cases of the gate that have it."""


@dataclass(frozen=True)
class EightBit:
    """Where the graph and its constants are."""

    graph: Path
    constants: Path


def find_eight_bit(description: ModelDescription) -> EightBit | None:
    """The model's eight-bit graph; None where there is none, it is not of these weights, or it lost too much.

    Raises ``ModelRefused`` when the files are damaged: their checksums are in the record.
    """
    path = description.folder / RECORD
    if not path.is_file():
        return None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        made_from, sums, passed = record["made_from"], record["sha256"], record["passed"]
        current = made_from == origin(description)
        expected = {name: str(sums[name]) for name in (GRAPH, CONSTANTS)}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise _damaged(description, RECORD) from error
    if not current or passed is not True:
        return None
    for name, checksum in expected.items():
        file = description.folder / name
        if not file.is_file() or file_sha256(file) != checksum:
            raise _damaged(description, name)
    return EightBit(description.folder / GRAPH, description.folder / CONSTANTS)


def origin(description: ModelDescription) -> dict[str, Any]:
    """What an eight-bit graph depends on: it is of no use once one of these has changed."""
    return {"weights_sha256": description.sha256, "temperature": description.temperature}


def _damaged(description: ModelDescription, name: str) -> ModelRefused:
    return ModelRefused(
        f"The model {description.name} can't be used: its {name} was damaged or changed. Install it again, "
        "or take --precision full."
    )
