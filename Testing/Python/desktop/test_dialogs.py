"""The dialogs on Slicer's screen call Slicer with what it takes."""

import pytest
import qt
import slicer
import slicer.util
from PySide6 import QtCore, QtWidgets

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
    FileDialog.getOpenFileName = staticmethod(lambda parent, title, folder, filters: None)
    assert SlicerDialogs().open_path("Which?", "Zip (*.zip)") == ""


def meanwhile(act):
    """Do something with the dialog that is open a moment later."""

    def later():
        act(QtWidgets.QApplication.activeModalWidget())

    QtCore.QTimer.singleShot(100, later)


@pytest.mark.parametrize("answer", ["Yes", "No", "Enter", "closed"])
def test_a_risk_is_taken_only_by_a_click_on_yes(desktop, monkeypatch, answer):
    monkeypatch.setattr(slicer.util, "mainWindow", lambda *a, **k: None)
    seen = []

    def click(box):
        seen.append(box.text())
        kinds = QtWidgets.QMessageBox.StandardButton
        if answer == "closed":
            box.close()
        else:
            chosen = {"Yes": box.button(kinds.Yes), "No": box.button(kinds.No), "Enter": box.defaultButton()}
            chosen[answer].click()

    meanwhile(click)
    assert SlicerDialogs().allow("Do you trust it?") is (answer == "Yes")
    assert seen == ["Do you trust it?"]


def test_a_page_is_shown_until_it_is_closed(desktop, monkeypatch):
    monkeypatch.setattr(slicer.util, "mainWindow", lambda *a, **k: None)
    seen = []

    def look(dialog):
        seen.append((dialog.windowTitle(), dialog.findChild(QtWidgets.QTextBrowser).toPlainText()))
        dialog.findChild(QtWidgets.QPushButton).click()

    meanwhile(look)
    SlicerDialogs().show("Public models", "<h3>One</h3>")
    assert seen == [("Public models", "One")]
