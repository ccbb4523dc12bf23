"""Seconds and memory by stage, versions; nothing about the person or the machine."""

from __future__ import annotations

import getpass
import json
import platform
import time
from importlib import metadata

import numpy as np
import pytest

from GliomaSegLib import __version__
from GliomaSegLib.provenance import StageClock, peak_memory_mb, system, versions


def test_stages_are_timed_in_order() -> None:
    clock = StageClock()
    with clock.stage("read"):
        time.sleep(0.02)
    with clock.stage("segment"):
        pass
    assert [s["stage"] for s in clock.stages] == ["read", "segment"]
    assert 0.02 <= clock.stages[0]["seconds"] < 5 and clock.stages[1]["seconds"] < 0.02
    assert clock.seconds == pytest.approx(sum(s["seconds"] for s in clock.stages), abs=2e-3)


@pytest.mark.skipif(platform.system() != "Linux", reason="only Linux gives a peak for each stage")
def test_memory_taken_in_a_stage_shows_in_its_peak() -> None:
    clock = StageClock()
    with clock.stage("large"):
        block = np.ones(25_000_000)
        assert block[-1] == 1
        del block
    with clock.stage("small"):
        pass
    large, small = (stage["peak_memory_mb"] for stage in clock.stages)
    assert large > 200 and large >= small


def test_a_failed_stage_is_not_recorded() -> None:
    clock = StageClock()
    with pytest.raises(ValueError, match="broken"), clock.stage("read"):
        raise ValueError("broken")
    assert clock.stages == []


def test_versions_name_what_shapes_a_result() -> None:
    made = versions()
    assert made["gliomaseg"] == __version__ and made["numpy"] == np.__version__
    always = {"gliomaseg", "python", "torch", "numpy", "scipy", "SimpleITK", "safetensors"}
    optional = {"deepbet", "openvino", "onnxruntime", "nnunetv2", "pydicom", "highdicom"}
    assert always <= set(made) <= always | optional
    assert made["pydicom"] == metadata.version("pydicom")
    text = json.dumps([made, system()])
    assert getpass.getuser() not in system() and platform.node() not in text


def test_peak_memory_is_plausible() -> None:
    peak = peak_memory_mb()
    assert peak is None or 20 < peak < 1e6
