"""The examples in the docstrings of model and training hold."""

from __future__ import annotations

import doctest
import importlib

import pytest

NAMES = ["errors", "labels", "model.spec", "training.cases", "training.validation"]


@pytest.mark.parametrize("name", NAMES)
def test_examples_hold(name: str) -> None:
    result = doctest.testmod(importlib.import_module(f"GliomaSegLib.{name}"))
    assert result.attempted > 0 and result.failed == 0
