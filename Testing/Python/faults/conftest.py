"""``run_with_faults``: the command in forks, with what is to go wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from samples import CHECKOUT

Items = list[dict[str, Any]]
RunWithFaults = Callable[[Items], list[dict[str, Any]]]


@pytest.fixture
def run_with_faults(tmp_path_factory: pytest.TempPathFactory) -> RunWithFaults:
    """Hand items to ``fault_runs.py``; its answers, and an assertion that the temporary folder is empty."""
    temporary, scratch = tmp_path_factory.mktemp("TMPDIR"), tmp_path_factory.mktemp("scratch")

    def run(items: Items) -> list[dict[str, Any]]:
        environment = {
            **os.environ,
            "PYTHONPATH": str(CHECKOUT / "GliomaSeg"),
            "TMPDIR": str(temporary),
            "FAULTS_SCRATCH": str(scratch),
        }
        done = subprocess.run(
            [sys.executable, str(Path(__file__).with_name("fault_runs.py"))],
            input=json.dumps(items), capture_output=True, text=True, env=environment, check=True,
        )  # fmt: skip
        assert os.listdir(temporary) == [], "temporary files were left behind"
        return [json.loads(line) for line in done.stdout.splitlines()]

    return run


@pytest.fixture
def item(segment_arguments: list[str], tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """``item(*words, **faults)``: the tiny study into ``tmp_path/out/r``, with a fault."""
    watch = tmp_path / "out"
    watch.mkdir()

    def make(*words: str, **faults: Any) -> dict[str, Any]:
        output = ["--output", str(watch / "r")]
        return {"arguments": [*segment_arguments, *output, *words], "watch": str(watch), **faults}

    return make
