"""The examples in the docstrings of the room."""

from __future__ import annotations

import doctest
import importlib

import pytest


@pytest.mark.parametrize("name", ["doubt", "lesions", "measures", "uncertainty", "follow_up"])
def test_examples_hold(name: str) -> None:
    result = doctest.testmod(importlib.import_module(f"GliomaSegLib.outcome.{name}"))
    assert result.attempted > 0
    assert result.failed == 0
