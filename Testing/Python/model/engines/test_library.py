"""The verb ``models``, the folder of imported models, and what may stand in a ``model.json``."""

from __future__ import annotations

import copy
import json
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any

import platformdirs
import pytest
from foreign_models import LABELS, REGIONS, write_onnx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from samples import write_tiny_model

from GliomaSegLib import locations
from GliomaSegLib.cli import main
from GliomaSegLib.errors import GliomaSegError, ModelRefused, OutputRefused, UsageError
from GliomaSegLib.model import importing
from GliomaSegLib.model.catalogue import KEYS, read_catalogue
from GliomaSegLib.model.importing import ImportOptions, import_model
from GliomaSegLib.model.library import list_models, remember_run, remove_model, verify_model
from GliomaSegLib.model.weights import check_files, find_model, read_description


def imported_names() -> list[str]:
    return [entry.name for entry in list_models() if entry.imported]


def test_imported_models_live_where_platformdirs_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("GLIOMASEG_MODELS")
    expected = Path(platformdirs.user_data_dir("gliomaseg", appauthor=False)) / "models"
    assert locations.user_models_folder() == expected
    if sys.platform.startswith("linux"):
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
        assert locations.user_models_folder() == tmp_path / "gliomaseg" / "models"
        monkeypatch.setenv("XDG_DATA_HOME", "relative")
        assert locations.user_models_folder() == Path.home() / ".local" / "share" / "gliomaseg" / "models"


def test_a_model_is_imported_listed_used_verified_and_removed(
    tmp_path: Path, shelf: Path, capsys: pytest.CaptureFixture[str], segment_arguments: list[str]
) -> None:
    source = write_tiny_model(tmp_path / "given", name="given", licence="CC-BY-4.0")
    assert main(["models", "import", str(source)]) == 0
    assert "Imported given (native, outlines NETC, SNFH, ET, RC)" in capsys.readouterr().out
    shutil.rmtree(source)
    assert find_model("given") == shelf / "given"
    words = list(segment_arguments)
    words[words.index("--model") + 1] = "given"
    assert main([*words, "--output", str(tmp_path / "out")]) == 0
    capsys.readouterr()
    assert main(["models", "list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert set(rows) == {"gliomaseg-small", "given"}
    row = rows["given"]
    assert (row["licence"], row["imported"], row["trusted"]) == ("CC-BY-4.0", True, False)
    assert row["timing"]["seconds"] > 0 and row["timing"]["device"] == "cpu"
    assert main(["models", "list"]) == 0
    assert "s on cpu" in capsys.readouterr().out
    assert main(["models", "verify"]) == 0
    assert main(["models", "info", "given"]) == 0
    assert "licence: CC-BY-4.0" in capsys.readouterr().out
    assert main(["models", "remove", "given"]) == 0
    assert imported_names() == [] and not (shelf / "given").exists()
    assert main(["segment", *words[1:], "--output", str(tmp_path / "again")]) == 4


def test_a_damaged_model_is_found_by_verify(
    tmp_path: Path, shelf: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import_model(write_tiny_model(tmp_path / "given"), ImportOptions())
    (shelf / "tiny" / "extra.bin").write_bytes(b"x")
    assert verify_model("tiny") == ["tiny: extra.bin was not there when it was imported."]
    facts = json.loads((shelf / "tiny" / "model.json").read_text())
    (shelf / "tiny" / "model.json").write_text(json.dumps({**facts, "licence": "MIT"}))
    assert "tiny: model.json is not as it was imported." in verify_model("tiny")
    (shelf / "tiny" / "weights.safetensors").unlink()
    assert main(["models", "verify", "tiny"]) == 4
    told = capsys.readouterr().err
    assert "weights.safetensors is missing" in told and "Traceback" not in told


def test_a_model_whose_description_is_damaged_is_listed_and_can_be_removed(
    tmp_path: Path, shelf: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import_model(write_tiny_model(tmp_path / "given"), ImportOptions())
    (shelf / "tiny" / "model.json").write_text("{")
    assert main(["models", "list"]) == 0
    assert "The model tiny can't be used" in capsys.readouterr().err
    remove_model("tiny")
    assert imported_names() == []


def test_bundled_and_unknown_models_are_not_removed() -> None:
    with pytest.raises(UsageError, match="part of GliomaSeg"):
        remove_model("gliomaseg-small")
    for name in ("nothing", "..", "../gliomaseg-small", "/etc", ""):
        with pytest.raises(UsageError, match="no imported model"):
            remove_model(name)


def test_names_that_clash_are_refused_unless_replaced(tmp_path: Path, shelf: Path) -> None:
    source = write_tiny_model(tmp_path / "given")
    import_model(source, ImportOptions())
    for name in ("tiny", "TINY"):
        with pytest.raises(UsageError, match="There is a model tiny already"):
            import_model(source, ImportOptions(name=name))
    with pytest.raises(UsageError, match="bundled"):
        import_model(source, ImportOptions(name="GliomaSeg-Small"))
    newer = write_tiny_model(tmp_path / "newer", version="9.9")
    assert import_model(newer, ImportOptions(replace=True)).version == "9.9"
    assert imported_names() == ["tiny"] and {p.name for p in shelf.iterdir()} == {"tiny"}


@pytest.mark.parametrize("name", ["../up", "a/b", ".hidden", "con", "NUL.x", "a b", "x" * 65, "é", "a."])
def test_names_that_are_no_plain_folder_names_are_refused(tmp_path: Path, shelf: Path, name: str) -> None:
    with pytest.raises(UsageError, match="can't be a model's name"):
        import_model(write_tiny_model(tmp_path / "given"), ImportOptions(name=name))
    assert list(shelf.iterdir()) == []


def test_a_zip_with_a_model_deep_inside_is_imported(tmp_path: Path, shelf: Path) -> None:
    source = write_tiny_model(tmp_path / "given")
    archive = tmp_path / "my model.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        for file in source.iterdir():
            opened.write(file, f"release/v1/{file.name}")
    assert import_model(archive, ImportOptions(name="zipped")).name == "zipped"
    assert {p.name for p in (shelf / "zipped").iterdir()} == {
        "model.json", "weights.safetensors", "installed.json",
    }  # fmt: skip


def test_a_zip_without_a_model_is_refused_by_its_own_name(tmp_path: Path, shelf: Path) -> None:
    archive = tmp_path / "holiday.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("a/b.txt", "no model")
    with pytest.raises(ModelRefused, match=r"^holiday\.zip holds no model\.json"):
        import_model(archive, ImportOptions())
    assert list(shelf.iterdir()) == []


def test_a_wrong_model_json_is_refused_at_import_by_its_folders_name(
    tmp_path: Path, shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_tiny_model(tmp_path / "given")
    facts = json.loads((source / "model.json").read_text())
    (source / "model.json").write_text(json.dumps(facts | {"temperature": -1}))
    monkeypatch.chdir(source)
    with pytest.raises(ModelRefused, match=r"^The model given can't be used: .*temperature.*Correct it"):
        import_model(Path("."), ImportOptions())
    assert list(shelf.iterdir()) == []


def test_of_several_models_one_must_be_named(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_tiny_model(tmp_path / "given" / name, name=name)
    with pytest.raises(ModelRefused, match=r"several models \(one, two\).*--inside"):
        import_model(tmp_path / "given", ImportOptions())
    assert import_model(tmp_path / "given", ImportOptions(inside="two")).name == "two"


def test_nothing_is_left_of_an_import_that_fails(tmp_path: Path, shelf: Path) -> None:
    source = write_tiny_model(tmp_path / "given")
    (source / "weights.safetensors").write_bytes(b"broken")
    with pytest.raises(ModelRefused, match="checksum"):
        import_model(source, ImportOptions())
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelRefused, match=r"no model\.json and no trained nnU-Net"):
        import_model(tmp_path / "empty", ImportOptions())
    (tmp_path / "text.zip").write_text("no zip")
    with pytest.raises(ModelRefused, match="damaged or no zip file"):
        import_model(tmp_path / "text.zip", ImportOptions())
    assert list(shelf.iterdir()) == []


def test_a_disk_that_fills_up_leaves_nothing(
    tmp_path: Path, shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(importing.shutil, "copyfile", full)
    with pytest.raises(OutputRefused, match="free some space"):
        import_model(write_tiny_model(tmp_path / "given"), ImportOptions())
    assert list(shelf.iterdir()) == []


def test_what_a_killed_import_left_is_cleared_by_the_next(tmp_path: Path, shelf: Path) -> None:
    import socket

    dead = shelf / f".importing-{socket.gethostname()}-999999999-abc"
    dead.mkdir(parents=True)
    (dead / "part").write_bytes(b"x")
    import_model(write_tiny_model(tmp_path / "given"), ImportOptions())
    assert {p.name for p in shelf.iterdir()} == {"tiny"}


def test_an_import_that_was_killed_while_it_replaced_gives_the_old_model_back(
    tmp_path: Path, shelf: Path
) -> None:
    import os
    import socket

    import_model(write_tiny_model(tmp_path / "given"), ImportOptions())
    half = shelf / f".importing-{socket.gethostname()}-{os.getpid()}-abc"
    (half / "replaced").mkdir(parents=True)
    (shelf / "tiny").rename(half / "replaced" / "tiny")
    importing.clear_after(None)
    assert half.exists(), "its process is alive"
    importing.clear_after(os.getpid())
    assert {p.name for p in shelf.iterdir()} == {"tiny"} and verify_model("tiny") == []


def test_programs_are_told_what_they_may_ask_about(
    tmp_path: Path, shelf: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_tiny_model(tmp_path / "given")
    words = ["models", "import", str(source), "--progress", "json"]

    def last() -> dict[str, Any]:
        told: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
        return told

    assert main(words) == 0
    assert last() == {"stage": "done", "fraction": 1.0, "message": "Done", "name": "tiny"}
    assert main(words) == 2
    told = last()
    assert (told["stage"], told["kind"], told["what"]) == ("error", "NameTaken", "tiny")
    assert main([*words, "--name", "TINY"]) == 2
    assert last()["kind"] == "UsageError", "another way to write it can't be replaced"


def test_seconds_are_remembered_for_listed_models_of_the_same_version(tmp_path: Path, shelf: Path) -> None:
    run = {
        "model": {"name": "tiny", "version": "0.0.0"}, "seconds": 4.2, "device": "cpu", "engine": "torch",
    }  # fmt: skip
    remember_run("tiny", run)
    assert not shelf.exists()
    import_model(write_tiny_model(tmp_path / "given"), ImportOptions())
    remember_run("tiny", run)
    timing = next(e.timing for e in list_models() if e.name == "tiny")
    assert timing is not None and (timing.seconds, timing.device) == (4.2, "cpu")
    remember_run("tiny", {**run, "model": {"name": "tiny", "version": "0.0.1"}})
    assert next(e.timing for e in list_models() if e.name == "tiny") is None
    row = {"version": "0.0.0", "seconds": float("nan"), "device": "cpu", "engine": "torch", "day": "1"}
    for damaged in (json.dumps({"tiny": row}), "[broken"):
        (shelf / "seconds.json").write_text(damaged)
        assert next(e.timing for e in list_models() if e.name == "tiny") is None


def test_the_catalogue_says_what_was_and_was_not_verified(capsys: pytest.CaptureFixture[str]) -> None:
    entries = read_catalogue()
    assert len(entries) >= 5 and len({e["name"] for e in entries}) == len(entries)
    for entry in entries:
        assert all(isinstance(entry[key], str) and len(entry[key]) > 3 for key in KEYS), entry["name"]
    assert main(["models", "catalogue"]) == 0
    told = capsys.readouterr().out
    assert "Nothing is downloaded by GliomaSeg" in told and told.count("not verified: ") == len(entries)


class TestAnyModelJson:
    """Whatever stands in ``model.json``: it is read, or refused with a sentence. Never anything else."""

    @pytest.fixture(scope="class")
    def folders(self, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
        root = tmp_path_factory.mktemp("fuzz")
        return [
            write_tiny_model(root / "native"),
            write_onnx(root / "labels", LABELS),
            write_onnx(root / "regions", REGIONS),
        ]

    junk = st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text(max_size=12)
        | st.sampled_from(["../x", "a\x1b[2J", "WT", "background", "/etc/passwd", "C:\\x", "10" * 200]),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
        max_leaves=6,
    )

    @given(data=st.data())
    @settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_is_read_or_refused(self, folders: list[Path], tmp_path: Path, data: st.DataObject) -> None:
        source = data.draw(st.sampled_from(folders))
        facts = copy.deepcopy(json.loads((source / "model.json").read_text()))
        for _ in range(data.draw(st.integers(1, 3))):
            _spoil(facts, data, self.junk)
        folder = tmp_path / source.name
        folder.mkdir(exist_ok=True)
        (folder / "model.json").write_text(json.dumps(facts))
        try:
            description = read_description(folder)
            assert description.classes[0] == "background"
            check_files(description)
        except ModelRefused as refusal:
            assert str(refusal).startswith("The model ") and len(str(refusal)) < 1000
            assert str(tmp_path) not in str(refusal)

    @given(data=st.data())
    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_an_import_of_it_succeeds_or_leaves_nothing(
        self, folders: list[Path], tmp_path: Path, shelf: Path, data: st.DataObject
    ) -> None:
        source = data.draw(st.sampled_from(folders[:1]))
        facts = copy.deepcopy(json.loads((source / "model.json").read_text()))
        _spoil(facts, data, self.junk)
        folder = tmp_path / "spoilt"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(source, folder)
        (folder / "model.json").write_text(json.dumps(facts))
        before = set(shelf.iterdir()) if shelf.exists() else set()
        try:
            made = import_model(folder, ImportOptions(replace=True)).folder
            assert made.parent == shelf and set(shelf.iterdir()) == before | {made}
        except GliomaSegError:
            assert set(shelf.iterdir()) == before


def _spoil(facts: dict[str, Any], data: st.DataObject, junk: st.SearchStrategy[Any]) -> None:
    """Change or drop one value, at the top or one level down."""
    place: dict[str, Any] = facts
    inner = [value for value in facts.values() if isinstance(value, dict) and value]
    if inner and data.draw(st.booleans()):
        place = data.draw(st.sampled_from(inner))
    if not place:
        return
    key = data.draw(st.sampled_from(sorted(place)))
    if data.draw(st.integers(0, 4)) == 0:
        del place[key]
    else:
        place[key] = data.draw(junk)
