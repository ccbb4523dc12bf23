"""The dialogs on Slicer's screen call Slicer with what it takes."""

import pytest
import qt
import slicer
import slicer.util

from GliomaSegLib.desktop.dialogs import SlicerDialogs


def test_an_error_without_detail_gets_no_empty_detail(monkeypatch):
    """Slicer pads the title of a dialog with detailed text to make it wide, for an empty text, too."""
    shown = []
    monkeypatch.setattr(slicer.util, "errorDisplay", lambda text, **more: shown.append((text, more)))
    SlicerDialogs().error("It failed.")
    SlicerDialogs().error("It failed.", "Because.")
    assert shown[0] == ("It failed.", {"windowTitle": "Glioma Segmentation"})
    assert shown[1][1]["detailedText"] == "Because."


@pytest.mark.parametrize("answer", [True, False])
def test_questions_are_those_of_slicer(monkeypatch, answer):
    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda text, windowTitle=None: answer)
    monkeypatch.setattr(slicer.util, "confirmYesNoDisplay", lambda text, windowTitle=None: not answer)
    assert SlicerDialogs().confirm("Now?") is answer
    assert SlicerDialogs().decide("This or that?") is not answer


def test_a_file_dialog_that_is_closed_gives_an_empty_text(monkeypatch):
    class FileDialog:
        getSaveFileName = staticmethod(lambda parent, title, suggested, filters: None)
        getExistingDirectory = staticmethod(lambda parent, title: "/some/folder")

    monkeypatch.setattr(slicer.util, "mainWindow", lambda *a, **k: None)
    monkeypatch.setattr(qt, "QFileDialog", FileDialog, raising=False)
    assert SlicerDialogs().save_path("Save", "x.csv", "Table (*.csv)") == ""
    assert SlicerDialogs().folder("Where?") == "/some/folder"
