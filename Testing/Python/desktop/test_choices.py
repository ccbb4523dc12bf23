"""What the combo boxes offer, and how a saved choice survives a machine that lacks it."""

import json
import platform

import pytest
import qt

from GliomaSegLib.desktop import choices

TWO_CARDS = "0, NVIDIA RTX A4000, 16376\n1, NVIDIA, with comma, 8192\n"


def test_each_graphics_card_is_listed_with_its_memory(monkeypatch):
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    assert choices.devices(lambda: TWO_CARDS) == [
        ("Automatic", "auto"),
        ("NVIDIA RTX A4000 (16 GB)", "cuda:0"),
        ("NVIDIA, with comma (8 GB)", "cuda:1"),
        ("CPU", "cpu"),
    ]


@pytest.mark.parametrize("answer", ["", "No devices were found", "0; broken"])
def test_a_driver_that_answers_nonsense_leaves_the_cpu(answer, monkeypatch):
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    assert [value for _text, value in choices.devices(lambda: answer)] == ["auto", "cpu"]


def test_apples_gpu_is_offered_on_its_machines_only(monkeypatch):
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    assert choices.devices(lambda: "")[-1][1] == "mps"


def test_a_machine_without_nvidia_is_no_error(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert choices._ask_nvidia() == ""


def test_a_saved_choice_that_this_machine_lacks_is_kept():
    combo = qt.QComboBox()
    choices.fill(combo, [("Automatic", "auto"), ("CPU", "cpu")])
    choices.select(combo, "cuda:3")
    assert combo.itemData(combo.currentIndex) == "cuda:3" and combo.count == 3
    choices.select(combo, "cpu")
    assert combo.currentText == "CPU"


def test_the_default_model_comes_first_and_imported_ones_say_so(monkeypatch, tmp_path):
    monkeypatch.setenv("GLIOMASEG_MODELS", str(tmp_path))
    (tmp_path / "theirs").mkdir()
    facts = {"version": "1", "classes": ["background", "ET"]}
    (tmp_path / "theirs" / "model.json").write_text(json.dumps(facts))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "model.json").write_text("{")
    listed = choices.models()
    assert listed[0] == ("Default", "") and listed[-1] == ("theirs (imported)", "theirs")
    assert "broken" not in [value for _text, value in listed]
