"""Odd words and odd records of models: each is told in a sentence, none as something unexpected."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from foreign_models import write_onnx
from samples import write_tiny_model

from GliomaSegLib.cli import main
from GliomaSegLib.errors import ModelRefused
from GliomaSegLib.model import trial
from GliomaSegLib.model.ensemble import model_names
from GliomaSegLib.model.importing import ImportOptions, import_model
from GliomaSegLib.model.library import INSTALLED_FILE, verify_model
from GliomaSegLib.model.weights import find_model, read_description

LONG = "a" * 300


def test_a_name_longer_than_any_files_is_unknown(tmp_path: Path) -> None:
    for name in (LONG, f"{tmp_path}/{LONG}"):
        with pytest.raises(ModelRefused, match="There is no model a"):
            find_model(name)
    with pytest.raises(ModelRefused, match="There is no file or folder a"):
        import_model(tmp_path / LONG, ImportOptions())
    assert model_names(f"{LONG},b") == [LONG, "b"]


def test_a_folder_without_a_name_is_told_as_it_was_given() -> None:
    with pytest.raises(ModelRefused, match=r"There is no model '\.': "):
        find_model(".")


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("input", [], "input must be an object"),
        ("inference", None, "inference must be an object"),
        ("clean_up", None, "clean_up must be an object"),
        ("training_data", 5, "training_data must be a list"),
        ("scores", 5, "scores must be a list"),
        ("clean_up", {"smallest_ml": {"ET": float("inf")}}, "finite volumes"),
    ],
)
def test_a_value_of_the_wrong_kind_is_named(tmp_path: Path, key: str, value: Any, sentence: str) -> None:
    folder = write_onnx(tmp_path / "odd", **({} if key == "input" else {key: value}))
    if key == "input":
        facts = json.loads((folder / "model.json").read_text())
        (folder / "model.json").write_text(json.dumps({**facts, key: value}))
    with pytest.raises(ModelRefused, match=sentence):
        read_description(folder)


@pytest.mark.parametrize("name", ["model.onnx", "weights.safetensors", "Model.PT"])
def test_a_file_of_weights_alone_is_told_to_want_a_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"weights")
    with pytest.raises(
        ModelRefused, match=rf"^{name} holds weights alone: put it into a folder with a model\.json"
    ):
        import_model(tmp_path / name, ImportOptions())


def test_a_byte_order_mark_before_model_json_is_no_damage(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "odd") / "model.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert import_model(path.parent, ImportOptions(name="marked")).problem == ""


def test_our_own_weights_are_tried_without_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenVINO runs them alone."""
    monkeypatch.setattr(trial, "find_spec", lambda name: None)
    monkeypatch.setattr(trial, "load_network", lambda description: pytest.fail("torch was wanted"))
    assert trial.try_model(read_description(write_tiny_model(tmp_path / "own")), trusted=False)


def test_info_tells_a_spacing_that_was_written_as_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_onnx(tmp_path / "odd", input={"spacing_mm": ["4", 4, 4]})
    assert main(["models", "info", str(folder)]) == 0
    assert "spacing: 4 x 4 x 4 mm" in capsys.readouterr().out


@pytest.mark.parametrize("record", ["", "[]", "{}", '{"files": []}', '{"files": {"model.onnx": 5}}', None])
def test_a_model_without_a_readable_record_is_not_called_as_it_was_imported(
    tmp_path: Path, shelf: Path, record: str | None
) -> None:
    import_model(write_onnx(tmp_path / "odd"), ImportOptions(name="odd"))
    assert verify_model("odd") == []
    if record is None:
        (shelf / "odd" / INSTALLED_FILE).unlink()
    else:
        (shelf / "odd" / INSTALLED_FILE).write_text(record)
    assert verify_model("odd") == ["odd: installed.json is missing or damaged: import the model again."]


@pytest.mark.parametrize(
    ("part", "key"), [("input", "normalization"), ("output", "Order"), ("inference", "mirroring")]
)
def test_a_key_of_another_spelling_is_refused_not_ignored(tmp_path: Path, part: str, key: str) -> None:
    folder = write_onnx(tmp_path / "odd")
    facts = json.loads((folder / "model.json").read_text())
    facts[part][key] = "none"
    (folder / "model.json").write_text(json.dumps(facts))
    with pytest.raises(ModelRefused, match=f"{part} can't have '{key}'"):
        read_description(folder)


@pytest.mark.parametrize("key", ["runtime", "format"])
def test_a_refusal_does_not_quote_without_end(tmp_path: Path, key: str) -> None:
    folder = write_onnx(tmp_path / "odd")
    facts = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**facts, key: ["x\n" * 5000]}))
    with pytest.raises(ModelRefused, match="Update GliomaSeg") as refusal:
        read_description(folder)
    assert len(str(refusal.value)) < 600 and "\n" not in str(refusal.value)


def test_a_key_with_a_line_break_is_quoted_on_one_line(tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path / "own")
    facts = json.loads((folder / "model.json").read_text())
    facts["network"]["two\nlines"] = 1
    (folder / "model.json").write_text(json.dumps(facts))
    with pytest.raises(ModelRefused, match="unknown network setting two lines"):
        read_description(folder)
