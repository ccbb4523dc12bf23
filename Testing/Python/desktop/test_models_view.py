"""The models under *Advanced*: what each is, and how an imported one goes."""

import json

import pytest
from workbench import add_volumes

from GliomaSegLib.desktop import models_view
from GliomaSegLib.errors import OutputRefused


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """Two imported models, of which one has run here."""
    folder = tmp_path / "shelf"
    monkeypatch.setenv("GLIOMASEG_MODELS", str(folder))
    for name in ("theirs", "other"):
        (folder / name).mkdir(parents=True)
        facts = {"version": "1", "licence": "CC-BY-4.0", "classes": ["background", "ET", "RC"]}
        (folder / name / "model.json").write_text(json.dumps(facts))
    run = {"version": "1", "seconds": 12.4, "device": "cpu", "engine": "torch", "day": "2026-11-22"}
    (folder / "seconds.json").write_text(json.dumps({"theirs": run}))
    return folder


def choose(bench, name):
    combo = bench.ui.modelCombo
    combo.setCurrentIndex(next(i for i in range(combo.count) if combo.itemData(i) == name))


def test_licence_structures_and_seconds_of_every_model_are_listed(shelf, bench):
    lines = bench.ui.modelInfoLabel.text.split("\n")
    assert "theirs: CC-BY-4.0; outlines ET, RC; 12 s on cpu" in lines
    assert "other: CC-BY-4.0; outlines ET, RC; not run here yet" in lines
    assert any(line.startswith("gliomaseg-small: Apache-2.0; outlines NETC, SNFH, ET, RC") for line in lines)


def test_only_imported_models_can_be_removed(shelf, bench):
    assert not bench.ui.removeModelButton.enabled
    choose(bench, "gliomaseg-small")
    assert not bench.ui.removeModelButton.enabled and "bundled" in bench.ui.removeModelButton.toolTip
    choose(bench, "theirs")
    assert bench.ui.removeModelButton.enabled


def test_a_removed_model_is_gone_from_disk_list_and_choice(shelf, bench):
    choose(bench, "theirs")
    bench.ui.removeModelButton.click()
    assert bench.answers.questions == [
        "Delete the model theirs from this computer? Results that it made stay."
    ]
    assert not (shelf / "theirs").exists() and (shelf / "other").exists()
    assert "theirs" not in bench.ui.modelInfoLabel.text
    combo = bench.ui.modelCombo
    assert "theirs" not in [combo.itemData(i) for i in range(combo.count)]
    assert bench.state.model == "" and not bench.ui.removeModelButton.enabled


def test_a_person_who_changes_their_mind_keeps_the_model(shelf, bench):
    bench.answers.agrees = False
    choose(bench, "theirs")
    bench.ui.removeModelButton.click()
    assert (shelf / "theirs" / "model.json").exists() and bench.state.model == "theirs"


def test_a_model_that_can_not_be_deleted_is_told_of(shelf, bench, monkeypatch):
    def stuck(name):
        raise OutputRefused(f"The model {name} could not be removed: close what uses it.")

    monkeypatch.setattr(models_view, "remove_model", stuck)
    choose(bench, "theirs")
    bench.ui.removeModelButton.click()
    assert bench.answers.errors == ["The model theirs could not be removed: close what uses it."]


def test_a_damaged_model_is_listed_as_such(shelf, bench):
    (shelf / "other" / "model.json").write_text("{")
    bench.panel.models.update()
    assert "other: damaged" in bench.ui.modelInfoLabel.text


def test_after_a_run_its_seconds_are_shown(shelf, bench):
    run = {"version": "1", "seconds": 7.4, "device": "cpu", "engine": "torch", "day": "2026-11-22"}
    (shelf / "seconds.json").write_text(json.dumps({"other": run}))
    bench.result_without_process(add_volumes())
    assert "other: CC-BY-4.0; outlines ET, RC; 7 s on cpu" in bench.ui.modelInfoLabel.text.split("\n")
