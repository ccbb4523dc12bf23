"""What the real application offers, class by class, as data read off it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

DATA = Path(__file__).resolve().parents[1] / "slicer_api_used.json"


@dataclass(frozen=True)
class ClassApi:
    """One class: property name -> C++ type, read-only properties, signals, methods, other values."""

    name: str
    properties: dict[str, str]
    read_only: frozenset[str]
    signals: frozenset[str]
    methods: frozenset[str]
    values: frozenset[str]
    undivided: bool = False
    """The record lists all attributes of this class as methods: it could not be made without arguments."""

    def signal_names(self) -> set[str]:
        """Names of the signals without their arguments."""
        return {signal.partition("(")[0] for signal in self.signals}

    def knows(self, attribute: str) -> bool:
        """Whether ``widget.<attribute>`` exists in the real application."""
        return (
            attribute in self.properties
            or attribute in self.methods
            or attribute in self.values
            or attribute in self.signal_names()
        )


@cache
def data() -> dict:
    """The whole data file."""
    return json.loads(DATA.read_text(encoding="utf-8"))


def _entry(name: str) -> dict | None:
    for group in ("qt", "ctk", "slicer_widgets"):
        if name in data()[group]:
            return data()[group][name]
    return None


@cache
def class_api(name: str) -> ClassApi | None:
    """The API of a class with what it inherits, or None when the data do not hold the class."""
    entry = _entry(name)
    if entry is None:
        return None
    parent = class_api(entry["is_a"]) if entry.get("is_a") else None
    properties = dict(parent.properties) if parent else {}
    read_only = set(parent.read_only) if parent else set()
    for key, kind in entry.get("properties", {}).items():
        properties[key.rstrip("*")] = kind
        if key.endswith("*"):
            read_only.add(key.rstrip("*"))
    inherited = (parent.signals, parent.methods, parent.values) if parent else (set(), set(), set())
    return ClassApi(
        name,
        properties,
        frozenset(read_only),
        frozenset(entry.get("signals", ())) | inherited[0],
        frozenset(entry["methods"]) | inherited[1],
        frozenset(entry.get("values", ())) | inherited[2],
        "cannot_construct_without_arguments" in entry,
    )
