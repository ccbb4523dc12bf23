"""Pictures of the panel: ``python Testing/Slicer/screenshots.py --output FOLDER``.

The real panel on the stand-ins of Slicer's screen, 380 px wide, drawn twice as fine. The volumes are noise
and the result is a drawn one: the pictures show the panel, not how good a model is.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("QT_SCALE_FACTOR", "2")
os.environ["GLIOMASEG_MODELS"] = tempfile.mkdtemp(prefix="gliomaseg-no-models-")
HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT / "GliomaSeg")]

from standins import install  # noqa: E402

DESKTOP = install()

import numpy as np  # noqa: E402
import slicer  # noqa: E402
import slicer.util  # noqa: E402
from PySide6 import QtCore, QtGui, QtWidgets  # noqa: E402
from standins.module_file import load_module  # noqa: E402
from standins.scripted import ModuleParent  # noqa: E402

MODULE = ROOT / "GliomaSeg" / "GliomaSeg.py"
WIDTH = 380
NAMES = {"t1": "4: AX T1", "t1c": "9: AX T1 +C", "t2": "5: AX T2", "flair": "6: AX FLAIR"}


class HeldRunner:
    """A process that runs for as long as the picture takes."""

    def __init__(self) -> None:
        self.running = False
        self.on_output = self.on_end = None

    def start(self, arguments, on_output, on_log, on_end):
        """Remember whom to tell."""
        self.running, self.on_output, self.on_end = True, on_output, on_end
        on_log("GliomaSeg 0.1.0")

    def kill(self, child_pid):
        """End at once."""
        self.running = False
        self.on_end(-2)


class Silent:
    """Dialogs that nobody sees."""

    def decide(self, text):
        """Always."""
        return True

    def error(self, text, detail=""):
        """Nothing."""

    def confirm(self, text):
        """Always."""
        return True

    def allow(self, text):
        """Always."""
        return True

    def show(self, title, page):
        """Nothing."""

    def open_path(self, title, filters):
        """Never."""
        return ""

    def save_path(self, title, suggested, filters):
        """Never."""
        return ""

    def folder(self, title):
        """Never."""
        return ""


class Studio:
    """The module's widget, ready to be drawn."""

    def __init__(self) -> None:
        from GliomaSegLib.desktop.dependencies import Dependencies
        from GliomaSegLib.desktop.panel import Panel

        self.runner = HeldRunner()
        self.parent = ModuleParent(str(MODULE))
        self.widget = load_module(MODULE).GliomaSegWidget(self.parent)
        dialogs = Silent()
        self.widget.makePanel = lambda: Panel(
            self.widget.ui,
            lambda: self.runner,
            dialogs,
            Dependencies(dialogs, missing=list, lacks=lambda name: name == "openvino"),
        )
        self.widget.setup()
        self.panel, self.ui = self.widget.panel, self.widget.ui

    def picture(self, path: Path) -> None:
        """Draw the panel as high as it wants to be."""
        window = self.parent.widget
        window.resize(WIDTH, 1400)
        window.show()
        for _ in range(3):
            DESKTOP.app.processEvents()
        last = self.ui.noticeLabel._native
        bottom = last.mapTo(window, last.rect().bottomLeft()).y()
        window.grab(QtCore.QRect(0, 0, WIDTH, bottom + 8)).save(str(path))


def labels(shape: tuple[int, int, int]) -> np.ndarray:
    """A drawn result: a cavity with an enhancing nodule at its wall in a hyperintensity."""
    z, y, x = np.indices(shape)

    def ball(cz, cy, cx, radius):
        return (z - cz) ** 2 + (y - cy) ** 2 + (x - cx) ** 2 <= radius**2

    drawn = np.zeros(shape, np.uint8)
    drawn[ball(20, 24, 28, 13)] = 2
    drawn[ball(20, 24, 28, 7)] = 4
    drawn[ball(22, 31, 30, 4)] = 3
    drawn[ball(22, 32, 30, 1.6)] = 1
    return drawn


def uncertainty(drawn: np.ndarray) -> np.ndarray:
    """A drawn doubt: two places at the rim of the hyperintensity."""
    z, y, x = np.indices(drawn.shape)
    doubt = np.zeros(drawn.shape, np.uint8)
    for place, radius in (((20, 14, 20), 5), ((26, 32, 34), 3)):
        away = (z - place[0]) ** 2 + (y - place[1]) ** 2 + (x - place[2]) ** 2
        doubt[away <= radius**2] = 60
    return doubt


def add_volumes() -> dict[str, object]:
    """Four volumes with the names that a scanner gives."""
    noise = np.random.default_rng(0).normal(100, 10, (40, 48, 56)).astype(np.float32)
    matrix = np.diag([1.0, 1.0, 1.5, 1.0])
    return {role: slicer.util.addVolumeFromArray(noise, matrix, name) for role, name in NAMES.items()}


def finish(studio: Studio) -> None:
    """Let the held run end with the drawn result."""
    from GliomaSegLib.desktop.geometry import volume_grid
    from GliomaSegLib.outcome.segmentation_file import write_nifti, write_uncertainty

    run = studio.panel.run
    reference = run._request.reference
    folder = run._result_folder()
    folder.mkdir()
    drawn = labels(slicer.util.arrayFromVolume(reference).shape)
    grid = volume_grid(reference, reference)
    write_nifti(folder / "segmentation.nii.gz", drawn, grid)
    write_uncertainty(folder / "uncertainty.nii.gz", uncertainty(drawn), grid)
    warnings = ["The sequences were taken as aligned: they lie on grids of one physical space."]
    (folder / "run.json").write_text(json.dumps({"warnings": warnings}), encoding="utf-8")
    studio.runner.running = False
    studio.runner.on_end(0)


def shoot(output: Path) -> None:
    """All pictures."""
    output.mkdir(parents=True, exist_ok=True)
    studio = Studio()
    ui = studio.ui
    studio.picture(output / "panel-empty.png")
    add_volumes()
    ui.autoAssignButton.click()
    ui.resultSection.collapsed = True
    ui.advancedSection.collapsed = False
    studio.picture(output / "panel-ready.png")
    ui.advancedSection.collapsed = True
    with tempfile.TemporaryDirectory() as work:
        studio.panel.run.parent_folder = work
        ui.runButton.click()
        told = {"stage": "predicting", "fraction": 0.62, "message": "Segmenting", "pid": 1}
        studio.runner.on_output(json.dumps(told))
        studio.panel.run.started_at -= 17
        studio.panel._tick()
        studio.picture(output / "panel-running.png")
        finish(studio)
    ui.inputsSection.collapsed = True
    ui.resultSection.collapsed = False
    ui.correctSection.collapsed = False
    ui.exportSection.collapsed = False
    ui.smoothButton.click()
    ui.doubtButton.click()
    studio.picture(output / "panel-result.png")
    error(studio, output)
    dark(studio, output)
    studio.widget.cleanup()


def error(studio: Studio, output: Path) -> None:
    """A run that was refused."""
    ui = studio.ui
    for name in ("resultSection", "correctSection", "exportSection"):
        getattr(ui, name).collapsed = True
    ui.inputsSection.collapsed = False
    with tempfile.TemporaryDirectory() as work:
        studio.panel.run.parent_folder = work
        ui.runButton.click()
        sentence = "t2.nrrd is constant: every voxel has the value 0. Load the right series."
        told = {"stage": "error", "message": sentence, "exit_code": 3}
        studio.runner.on_output(json.dumps(told))
        studio.runner.running = False
        studio.runner.on_end(3)
    studio.picture(output / "panel-error.png")


def dark(studio: Studio, output: Path) -> None:
    """The result in a dark theme."""
    palette = QtGui.QPalette()
    role = QtGui.QPalette.ColorRole
    for part, grey in ((role.Window, 45), (role.Base, 30), (role.AlternateBase, 40), (role.Button, 60)):
        palette.setColor(part, QtGui.QColor(grey, grey, grey))
    for part in (role.WindowText, role.Text, role.ButtonText, role.PlaceholderText):
        palette.setColor(part, QtGui.QColor(225, 225, 225))
    QtWidgets.QApplication.setPalette(palette)
    ui = studio.ui
    studio.panel._say("")
    ui.inputsSection.collapsed = True
    ui.resultSection.collapsed = False
    studio.picture(output / "panel-dark.png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=ROOT / "Resources" / "Screenshots")
    QtWidgets.QApplication.setStyle("Fusion")
    shoot(parser.parse_args().output)
