"""The panel runs the very command of the shell: same labels, its refusals, its cancelling."""

import json
import os
import shutil

import numpy as np
import pytest
import SimpleITK as sitk
import slicer.util
from workbench import Bench

from GliomaSegLib.desktop import scene
from GliomaSegLib.desktop.process import QtProcessRunner, python_program
from GliomaSegLib.desktop.record import read_record
from GliomaSegLib.intake.volume import Grid
from GliomaSegLib.pipeline import SegmentOptions, segment

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


@pytest.fixture
def bench(desktop, tmp_path, tiny_study, monkeypatch):
    """The panel on a tiny study, with the real process runner; the model has random weights."""
    made = Bench(tmp_path, "unused")
    made.panel.run.runner = QtProcessRunner(python_program(), {**os.environ, "OMP_NUM_THREADS": "1"})
    volumes = {}
    for role, path in tiny_study.items():
        image = sitk.ReadImage(str(path))
        volumes[role] = slicer.util.addVolumeFromArray(
            sitk.GetArrayFromImage(image),
            ijkToRAS=RAS_TO_LPS @ Grid.of_image(image).index_to_lps(),
            name=role,
        )
    made.choose(volumes)
    made.volumes = volumes
    yield made
    made.close()


def test_the_button_gives_what_the_shell_gives(bench, tiny_study, tiny_model, tmp_path):
    segment(
        tiny_study,
        tmp_path / "shell",
        SegmentOptions(model=str(tiny_model), device="cpu", progress="none", threads=1),
    )
    shell = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "shell" / "segmentation.nii.gz")))
    bench.state.model, bench.state.device = str(tiny_model), "cpu"
    fractions = []
    told = bench.panel.run.listener.progress
    bench.panel.run.listener.progress = lambda each: (fractions.append(each.fraction), told(each))
    bench.click_run()
    bench.wait(lambda: not bench.panel.run.running, seconds=120)
    assert bench.ui.messageLabel.text == ""
    assert " s on cpu, by " in bench.ui.resultNameLabel.text
    labels = scene.current_labels(bench.state.result, bench.volumes["t1c"])
    assert shell.any()
    np.testing.assert_array_equal(labels, shell)
    doubt = scene.uncertainty(bench.state.result)
    assert doubt.shape == labels.shape and 0 < doubt.max() <= 100
    assert fractions == sorted(fractions) and fractions[-1] == 1.0
    assert list(bench.work.iterdir()) == []


def test_damaged_weights_are_refused_in_words(bench, tiny_model, tmp_path):
    damaged = tmp_path / "damaged"
    shutil.copytree(tiny_model, damaged)
    weights = bytearray((damaged / "weights.safetensors").read_bytes())
    weights[-1] ^= 0xFF
    (damaged / "weights.safetensors").write_bytes(weights)
    bench.state.model = str(damaged)
    bench.click_run()
    bench.wait(lambda: not bench.panel.run.running, seconds=120)
    assert bench.state.result is None
    assert bench.ui.messageLabel.text and "(code" not in bench.ui.messageLabel.text
    assert list(bench.work.iterdir()) == []


def test_the_real_command_stops_at_the_cancel_file(bench, tiny_model):
    bench.panel.run.grace_ms = 60_000
    bench.state.model = str(tiny_model)
    bench.click_run()
    bench.wait(lambda: bench.ui.progressBar.value > 0 or bench.panel.run._child_pid, seconds=60)
    bench.click_run()
    bench.wait(lambda: not bench.panel.run.running, seconds=60)
    assert bench.ui.messageLabel.text == "Cancelled. Nothing was changed."
    assert bench.state.result is None and list(bench.work.iterdir()) == []


def test_the_record_of_a_real_run_says_what_could_not_be_seen(tiny_model, tiny_study, tmp_path):
    some = {role: tiny_study[role] for role in ("t1", "t2", "flair")}
    options = SegmentOptions(reference="flair", model=str(tiny_model), device="cpu", progress="none")
    segment(some, tmp_path / "out", options)
    record = read_record(tmp_path / "out", "GliomaSeg 0")
    run = json.loads((tmp_path / "out" / "run.json").read_text(encoding="utf-8"))
    assert record.algorithm == "GliomaSeg 0 tiny 0.0.0"
    assert (record.seconds, record.device, record.engine) == (run["seconds"], "cpu", run["engine"])
    assert record.warnings == run["warnings"] and any("T1c" in each for each in record.warnings)
    assert record.assessable["ET"] is False and record.assessable["RC"] is True
