"""A model that a person brings, from the panel: the import is the command's own, the models are tiny."""

import io
import json
import os
import subprocess
import sys
import time
import zipfile
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
import torch
from fakes import launcher
from samples import write_tiny_model

from GliomaSegLib.cli import main
from GliomaSegLib.desktop import model_import, models_view
from GliomaSegLib.desktop.model_import import explain
from GliomaSegLib.desktop.process import CRASHED, FAILED_TO_START, QtProcessRunner, python_program
from GliomaSegLib.desktop.progress import Refusal
from GliomaSegLib.errors import ModelRefused
from GliomaSegLib.labels import CLASS_NAMES
from GliomaSegLib.model.catalogue import read_catalogue

SLOW = '''\
"""Plays an import that takes its time: half a model lies in its hidden folder."""
import json, os, socket, sys, time
from pathlib import Path

assert sys.argv[1:6] == ["-u", "-m", "GliomaSegLib", "models", "import"], sys.argv
time.sleep(@SECONDS@)
half = Path(os.environ["GLIOMASEG_MODELS"]) / f".importing-{socket.gethostname()}-{os.getpid()}-x"
half.mkdir(parents=True)
(half / "weights").write_text("half")
print(json.dumps({"stage": "start", "fraction": 0.0, "pid": os.getpid()}), flush=True)
time.sleep(60)
'''


class InProcess:
    """Runs the command inside the test: its code and its lines, without a new interpreter."""

    running = False

    def __init__(self):
        self.commands = []

    def start(self, arguments, on_output, on_log, on_end):
        assert arguments[:3] == ["-u", "-m", "GliomaSegLib"]
        self.commands.append(arguments[5:])
        with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
            code = main(arguments[3:])
        for line in out.getvalue().splitlines():
            on_output(line)
        for line in err.getvalue().splitlines():
            on_log(line)
        on_end(code)

    def kill(self, child_pid):
        """Nothing runs."""


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """The folder of imported models, empty."""
    folder = tmp_path / "shelf"
    monkeypatch.setenv("GLIOMASEG_MODELS", str(folder))
    return folder


@pytest.fixture
def desk(shelf, bench):
    """The panel, whose imports run inside the test."""
    bench.panel.imports.runner = InProcess()
    return bench


def write_script(folder, name="theirs"):
    """A TorchScript model: a program, that is."""
    folder.mkdir()
    network = torch.nn.Conv3d(4, 5, 1).eval()
    torch.jit.save(torch.jit.trace(network, torch.zeros(1, 4, 16, 16, 16)), folder / "model.ts")
    facts = {
        "format": 1, "name": name, "version": "1", "licence": "CC0-1.0", "runtime": "torchscript",
        "input": {"channels": ["t1", "t1c", "t2", "flair"], "spacing_mm": [4, 4, 4]},
        "output": {"kind": "labels", "values": "logits", "channels": list(CLASS_NAMES)},
        "weights": {"file": "model.ts"}, "inference": {"multiple": 4},
    }  # fmt: skip
    (folder / "model.json").write_text(json.dumps(facts))
    return folder


def bring(bench, button, path):
    bench.answers.path = str(path)
    getattr(bench.ui, button).click()


def bring_to_end(bench, button, path, seconds=60.0):
    bring(bench, button, path)
    bench.wait(lambda: not bench.panel.imports.running, seconds)


def offered(bench):
    combo = bench.ui.modelCombo
    return [combo.itemData(index) for index in range(combo.count)]


def names(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_a_folder_becomes_a_model_that_is_listed_and_chosen_while_the_window_lives(shelf, bench, tmp_path):
    source = write_tiny_model(tmp_path / "given", name="theirs", licence="CC-BY-4.0")
    bench.panel.imports.runner = QtProcessRunner(python_program(), {**os.environ, "OMP_NUM_THREADS": "1"})
    bring(bench, "importFolderButton", source)
    assert bench.panel.imports.running and bench.ui.runButton.text == "&Cancel"
    assert bench.ui.progressBar.maximum == 0 and not bench.ui.advancedSection.enabled
    assert bench.ui.stageLabel.text == "Importing given (0 s)"
    assert bench.ui.modelInfoLabel.text == "Importing given..."
    bench.wait(lambda: not bench.panel.imports.running, 120.0)
    assert bench.ui.messageLabel.text == "The model theirs is imported and chosen."
    assert bench.answers.errors == [] and bench.answers.questions == []
    assert "theirs" in offered(bench) and bench.state.model == "theirs"
    told = "theirs: CC-BY-4.0; outlines NETC, SNFH, ET, RC; not run here yet"
    assert told in bench.ui.modelInfoLabel.text.split("\n")
    assert names(shelf) == ["theirs"] and bench.ui.removeModelButton.enabled
    assert bench.ui.progressBar.maximum == 1000 and bench.ui.runButton.text == "&Segment"
    assert bench.ui.advancedSection.enabled


def test_a_zip_becomes_a_model(shelf, desk, tmp_path):
    source = write_tiny_model(tmp_path / "given")
    archive = tmp_path / "release.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        for file in source.iterdir():
            opened.write(file, f"v1/{file.name}")
    bring_to_end(desk, "importZipButton", archive)
    assert desk.state.model == "tiny" and names(shelf) == ["tiny"]
    assert desk.panel.imports.runner.commands == [[str(archive), "--progress", "json"]]


def test_who_closes_the_file_dialog_imports_nothing(shelf, desk):
    for button in ("importZipButton", "importFolderButton"):
        bring(desk, button, "")
    assert desk.panel.imports.runner.commands == [] and not shelf.exists()


def test_without_torch_nothing_is_imported(shelf, desk, tmp_path):
    desk.missing, desk.answers.agrees = ["torch"], False
    bring(desk, "importFolderButton", tmp_path)
    assert desk.panel.imports.runner.commands == []
    assert desk.ui.messageLabel.text == "Nothing was started: some Python packages are still missing."


def test_what_can_not_be_used_is_refused_in_one_sentence(shelf, desk, tmp_path):
    archive = tmp_path / "broken.zip"
    archive.write_text("no zip")
    bring_to_end(desk, "importZipButton", archive)
    sentence = "The archive broken.zip is damaged or no zip file: download or copy it again."
    assert desk.answers.errors == [sentence] and desk.ui.messageLabel.text == sentence
    assert desk.answers.questions == [] and names(shelf) == []
    assert desk.ui.modelInfoLabel.text.startswith("gliomaseg-small") and desk.state.model == ""


def test_options_of_the_command_are_told_as_such(shelf, desk, tmp_path):
    for name in ("one", "two"):
        write_tiny_model(tmp_path / "given" / name, name=name)
    bring_to_end(desk, "importFolderButton", tmp_path / "given")
    (said,) = desk.answers.errors
    assert "several models (one, two)" in said and said.endswith("gliomaseg models import.)")


@pytest.mark.parametrize("trusts", [True, False])
def test_programs_are_opened_only_for_who_trusts_their_source(shelf, desk, tmp_path, trusts):
    desk.answers.allows = trusts
    bring_to_end(desk, "importFolderButton", write_script(tmp_path / "given"))
    (asked,) = desk.answers.questions
    assert asked.startswith("model.ts can run any program") and "Do you trust" in asked
    assert desk.answers.errors == []
    commands = desk.panel.imports.runner.commands
    assert ["--trust" in command for command in commands] == ([False, True] if trusts else [False])
    if trusts:
        assert json.loads((shelf / "theirs" / "installed.json").read_text())["trusted"] is True
        assert desk.state.model == "theirs"
    else:
        assert names(shelf) == [] and desk.ui.messageLabel.text == "Nothing was imported."


@pytest.mark.parametrize("replaces", [True, False])
def test_a_model_of_the_same_name_is_replaced_after_a_question(shelf, desk, tmp_path, replaces):
    bring_to_end(desk, "importFolderButton", write_tiny_model(tmp_path / "old", version="1"))
    desk.answers.allows = replaces
    bring_to_end(desk, "importFolderButton", write_tiny_model(tmp_path / "new", version="2"))
    assert desk.answers.questions == ["There is an imported model tiny already. Replace it by this one?"]
    version = json.loads((shelf / "tiny" / "model.json").read_text())["version"]
    assert version == ("2" if replaces else "1") and names(shelf) == ["tiny"]
    assert desk.state.model == "tiny" and desk.answers.errors == []


def test_trust_and_name_are_asked_one_after_the_other(shelf, desk, tmp_path):
    source = write_script(tmp_path / "given")
    for _time in range(2):
        bring_to_end(desk, "importFolderButton", source)
    assert [("trust" in asked, "Replace" in asked) for asked in desk.answers.questions] == [
        (True, False), (True, False), (False, True),
    ]  # fmt: skip
    assert desk.panel.imports.runner.commands[-1][-2:] == ["--trust", "--replace"]


def test_the_name_of_a_bundled_model_is_not_offered_for_replacement(shelf, desk, tmp_path):
    bring_to_end(desk, "importFolderButton", write_tiny_model(tmp_path / "x", name="gliomaseg-small"))
    assert desk.answers.questions == [] and "bundled" in desk.answers.errors[0]


@pytest.mark.parametrize("lacking", [{"onnxruntime", "openvino"}, {"onnxruntime"}, set()])
def test_a_package_that_the_model_will_need_is_named_at_once(shelf, desk, monkeypatch, lacking):
    desk.lacking = lacking
    monkeypatch.setattr(desk.panel.models, "runtime", lambda name: "onnx")
    desk.panel._import_ended("theirs", "")
    assert ("It needs the package onnxruntime" in desk.ui.messageLabel.text) is (len(lacking) == 2)


def slow_runner(folder, seconds):
    program = launcher(folder, "unused")
    (folder / "command.py").write_text(SLOW.replace("@SECONDS@", str(seconds)))
    return QtProcessRunner(program)


def ended(pid):
    """Whether a process is gone, or only waits to be counted."""
    listed = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True)
    return listed.stdout.strip()[:1] in ("", "Z")


@pytest.mark.parametrize("seconds", [0, 0.5])
def test_cancel_leaves_nothing_also_before_the_process_has_told_its_number(shelf, bench, tmp_path, seconds):
    bench.panel.imports.runner = slow_runner(tmp_path / "slow", seconds)
    bring(bench, "importFolderButton", tmp_path)
    if not seconds:
        bench.wait(lambda: bench.panel.imports._child_pid)
        assert len(names(shelf)) == 1, "half a model, hidden"
    bench.click_run()
    assert bench.ui.stageLabel.text == "Cancelling..."
    bench.wait(lambda: not bench.panel.imports.running)
    assert names(shelf) == [] and ended(bench.panel.imports._child_pid)
    assert bench.ui.messageLabel.text == "Cancelled. Nothing was changed."
    assert bench.answers.errors == [] and bench.ui.runButton.text == "&Segment"


def test_when_the_module_goes_the_import_goes(shelf, bench, tmp_path):
    bench.panel.imports.runner = slow_runner(tmp_path / "slow", 0.3)
    bring(bench, "importFolderButton", tmp_path)
    imports = bench.panel.imports
    bench.panel.close()
    assert not imports.running and not imports.runner.running
    time.sleep(0.1)
    assert names(shelf) == [] and ended(imports._child_pid)


def test_nothing_else_starts_during_an_import(shelf, bench, tmp_path):
    bench.panel.imports.runner = slow_runner(tmp_path / "slow", 0)
    bring(bench, "importFolderButton", tmp_path)
    bench.panel._start()
    bench.panel.bring_model(tmp_path)
    assert not bench.panel.run.running
    with pytest.raises(RuntimeError, match="going on"):
        bench.panel.imports.start(tmp_path)
    bench.wait(lambda: bench.panel.imports._child_pid)
    bench.click_run()
    bench.wait(lambda: not bench.panel.imports.running)


def test_a_python_that_does_not_start_is_told(shelf, bench, tmp_path):
    bench.panel.imports.runner = QtProcessRunner(str(tmp_path / "no such program"))
    bring_to_end(bench, "importFolderButton", tmp_path)
    assert "reinstall 3D Slicer" in bench.answers.errors[0]


@pytest.mark.parametrize(
    ("code", "refusal", "part"),
    [
        (CRASHED, None, "ended unexpectedly"),
        (FAILED_TO_START, None, "could not be started"),
        (4, Refusal("It is odd."), "It is odd."),
        (2, Refusal("Give one with --name."), "belong to the command  gliomaseg models import.)"),
    ],
)
def test_every_end_has_a_sentence(code, refusal, part):
    told = explain(code, refusal)
    assert part in told and told[-1] in ".)"


def test_a_person_who_closes_slicer_over_the_question_starts_nothing(shelf, desk, tmp_path, monkeypatch):
    def closing(text):
        desk.panel.imports.abandon()
        return True

    monkeypatch.setattr(desk.answers, "allow", closing)
    desk.panel.imports.runner.wait = lambda milliseconds: None
    bring_to_end(desk, "importFolderButton", write_script(tmp_path / "given"))
    assert len(desk.panel.imports.runner.commands) == 1 and names(shelf) == []


def test_the_catalogue_is_shown_with_what_was_not_verified(desk):
    desk.ui.catalogueButton.click()
    ((title, page),) = desk.answers.pages
    entries = read_catalogue()
    assert title == "Public models" and page.count("<h3>") == len(entries) >= 5
    assert page.count("What was not verified:") == page.count("Licence:") == len(entries)
    assert "Nothing is downloaded" in page and "href" not in page


def test_a_catalogue_can_not_bring_markup():
    entry = dict.fromkeys(("name", *read_catalogue()[0]), "<b>x</b> & y")
    page = models_view.catalogue_page([entry])
    assert "<b>x" not in page and "&amp; y" in page


def test_a_missing_catalogue_is_told(desk, monkeypatch):
    def missing():
        raise ModelRefused("The catalogue of public models can't be read: install GliomaSeg again.")

    monkeypatch.setattr(models_view, "read_catalogue", missing)
    desk.ui.catalogueButton.click()
    assert desk.answers.errors == ["The catalogue of public models can't be read: install GliomaSeg again."]
    assert desk.answers.pages == []


def test_an_import_loads_no_torch_into_slicer(shelf):
    """The panel's own process only reads lists; torch stays in the import's."""
    script = (
        "import sys; sys.path[:0] = sys.argv[1:]\n"
        "from GliomaSegLib.model.importing import clear_after\n"
        "clear_after(None)\n"
        "assert 'torch' not in sys.modules\n"
    )
    parent = str(Path(model_import.__file__).parents[2])
    assert subprocess.run([sys.executable, "-c", script, parent]).returncode == 0
