"""The module on the stand-in desktop, with its process, dialogs and packages in the tests' hands."""

import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import slicer
import slicer.util
from fakes import expected_labels, launcher
from standins.application import timer_wait
from standins.module_file import load_module
from standins.scripted import ModuleParent

from GliomaSegLib.desktop.dependencies import Dependencies
from GliomaSegLib.desktop.geometry import volume_grid
from GliomaSegLib.desktop.panel import Panel
from GliomaSegLib.desktop.process import QtProcessRunner
from GliomaSegLib.desktop.run import Request
from GliomaSegLib.outcome.segmentation_file import write_nifti, write_uncertainty

MODULE = Path(__file__).resolve().parents[3] / "GliomaSeg" / "GliomaSeg.py"
ROLES = ("t1", "t1c", "t2", "flair")
SHAPE = (8, 10, 12)


@dataclass
class Answers:
    """A person who answers dialogs as told."""

    agrees: bool = True
    decides: bool = True
    allows: bool = True
    path: str = ""
    pages: list = field(default_factory=list)
    errors: list = field(default_factory=list)
    details: list = field(default_factory=list)
    questions: list = field(default_factory=list)

    def error(self, text, detail=""):
        self.errors.append(text)
        self.details.append(detail)

    def confirm(self, text):
        self.questions.append(text)
        return self.agrees

    def decide(self, text):
        self.questions.append(text)
        return self.decides

    def allow(self, text):
        self.questions.append(text)
        return self.allows

    def show(self, title, page):
        self.pages.append((title, page))

    def open_path(self, title, filters):
        return self.path

    def save_path(self, title, suggested, filters):
        return self.path

    def folder(self, title):
        return self.path


def add_volumes(names=ROLES):
    rng = np.random.default_rng(0)
    matrix = np.array([[0.9, -0.2, 0, 5], [0.2, 0.9, 0, -8], [0, 0, 3, 2], [0, 0, 0, 1.0]])
    return {
        role: slicer.util.addVolumeFromArray(
            rng.normal(100, 20, SHAPE).astype(np.float32), ijkToRAS=matrix, name=name
        )
        for role, name in zip(ROLES, names, strict=True)
    }


class Bench:
    """The module's widget on the stand-in desktop, with its runner, dialogs and packages in our hands."""

    def __init__(self, folder: Path, behaviour: str):
        self.answers = Answers()
        self.folder = folder
        self.missing: list[str] = []
        self.lacking: set[str] = set()
        self.parent = ModuleParent(str(MODULE))
        self.widget = load_module(MODULE).GliomaSegWidget(self.parent)
        self.widget.makePanel = lambda: Panel(
            self.widget.ui,
            lambda: QtProcessRunner(launcher(folder / "bin", behaviour)),
            self.answers,
            Dependencies(
                self.answers,
                missing=lambda: list(self.missing),
                lacks=lambda name: name in self.lacking,
            ),
        )
        self.widget.setup()
        self.panel = self.widget.panel
        self.panel.run.grace_ms = 100
        self.work = folder / "work"
        self.panel.run.parent_folder = str(self.work)
        self.ui = self.widget.ui

    def close(self):
        """The module goes, and its widgets with it."""
        self.widget.cleanup()
        self.parent.widget.deleteLater()

    @property
    def state(self):
        return self.panel._state

    def choose(self, volumes):
        for role, node in volumes.items():
            getattr(self.ui, f"{role}Selector").setCurrentNode(node)

    def click_run(self):
        self.ui.runButton.click()

    def wait(self, condition, seconds=20.0):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "nothing happened"
            timer_wait(10)

    def without(self, package):
        """``package`` is missing until the panel installs it."""
        self.lacking = {package}

        def install(name):
            (self.folder / "bin" / "installed").touch()
            self.lacking.clear()

        self.panel.dependencies.optional = install

    def run_to_end(self):
        self.click_run()
        assert self.panel.run.running, self.ui.messageLabel.text
        self.wait(lambda: not self.panel.run.running)

    def result_without_process(self, volumes, labels=None, uncertainty=None):
        """What the panel does with a finished run's folder, without the seconds that a process takes."""
        self.choose(volumes)
        folder = self.work / "finished"
        folder.mkdir(parents=True)
        reference = volumes["t1c"]
        labels = expected_labels(SHAPE) if labels is None else labels
        grid = volume_grid(reference, reference)
        write_nifti(folder / "segmentation.nii.gz", labels, grid)
        if uncertainty is not None:
            write_uncertainty(folder / "uncertainty.nii.gz", uncertainty, grid)
        (folder / "run.json").write_text('{"warnings": []}', encoding="utf-8")
        self.panel._done(Request(volumes, "t1c"), folder)
        assert self.ui.messageLabel.text == ""
