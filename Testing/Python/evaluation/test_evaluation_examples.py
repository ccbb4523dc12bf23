"""The examples in the docstrings of the room."""

from __future__ import annotations

import doctest
import importlib

import pytest


@pytest.mark.parametrize("name", ["surfaces", "lesionwise", "summary", "calibration"])
def test_examples_hold(name):
    result = doctest.testmod(importlib.import_module(f"GliomaSegLib.evaluation.{name}"))
    assert result.attempted > 0
    assert result.failed == 0
