"""Questions and messages to the person, behind a small protocol, so that tests answer them."""

from __future__ import annotations

from typing import Protocol

import qt
import slicer.util
from slicer.i18n import tr as _

PAGE_SIZE = (720, 600)
"""Width and height of a page that is shown, in pixels."""


class Dialogs(Protocol):
    """What the panel asks a person."""

    def error(self, text: str, detail: str = "") -> None:
        """Show a sentence, with the detail folded away."""

    def confirm(self, text: str) -> bool:
        """Whether the person agrees (OK, Cancel)."""

    def decide(self, text: str) -> bool:
        """Which of two ways the person takes (Yes, No)."""

    def allow(self, text: str) -> bool:
        """Whether the person allows something risky (Yes, No; the Enter key means No)."""

    def show(self, title: str, page: str) -> None:
        """Show a page of HTML until it is closed."""

    def open_path(self, title: str, filters: str) -> str:
        """A file that exists; empty when the person changed their mind. ``filters`` as Qt writes them."""

    def save_path(self, title: str, suggested: str, filters: str) -> str:
        """Where to save; empty when the person changed their mind. ``filters`` as Qt writes them."""

    def folder(self, title: str) -> str:
        """A folder that exists; empty when the person changed their mind."""


class SlicerDialogs:
    """Dialogs on Slicer's screen."""

    def error(self, text: str, detail: str = "") -> None:
        """See ``Dialogs``."""
        # Slicer makes the window wide for a detailed text, even for an empty one.
        more = {"detailedText": detail} if detail else {}
        slicer.util.errorDisplay(text, windowTitle=_("Glioma Segmentation"), **more)

    def confirm(self, text: str) -> bool:
        """See ``Dialogs``."""
        return bool(slicer.util.confirmOkCancelDisplay(text, windowTitle=_("Glioma Segmentation")))

    def decide(self, text: str) -> bool:
        """See ``Dialogs``."""
        return bool(slicer.util.confirmYesNoDisplay(text, windowTitle=_("Glioma Segmentation")))

    def allow(self, text: str) -> bool:
        """See ``Dialogs``. Slicer's own questions have no default answer that can be chosen."""
        box = qt.QMessageBox(slicer.util.mainWindow())
        box.setWindowTitle(_("Glioma Segmentation"))
        box.setIcon(qt.QMessageBox.Warning)
        box.setText(text)
        box.setStandardButtons(qt.QMessageBox.Yes | qt.QMessageBox.No)
        box.setDefaultButton(qt.QMessageBox.No)
        answer = box.exec()
        box.deleteLater()
        return bool(answer == qt.QMessageBox.Yes)

    def show(self, title: str, page: str) -> None:
        """See ``Dialogs``."""
        dialog = qt.QDialog(slicer.util.mainWindow())
        dialog.setWindowTitle(title)
        layout = qt.QVBoxLayout(dialog)
        browser = qt.QTextBrowser()
        browser.setHtml(page)
        layout.addWidget(browser)
        close = qt.QPushButton(_("Close"))
        close.connect("clicked()", lambda: dialog.accept())
        layout.addWidget(close)
        dialog.resize(*PAGE_SIZE)
        dialog.exec()
        dialog.deleteLater()

    def open_path(self, title: str, filters: str) -> str:
        """See ``Dialogs``."""
        return str(qt.QFileDialog.getOpenFileName(slicer.util.mainWindow(), title, "", filters) or "")

    def save_path(self, title: str, suggested: str, filters: str) -> str:
        """See ``Dialogs``."""
        return str(qt.QFileDialog.getSaveFileName(slicer.util.mainWindow(), title, suggested, filters) or "")

    def folder(self, title: str) -> str:
        """See ``Dialogs``."""
        return str(qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), title) or "")
