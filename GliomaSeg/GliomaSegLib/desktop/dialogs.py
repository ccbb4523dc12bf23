"""Questions and messages to the person, behind a small protocol, so that tests answer them."""

from __future__ import annotations

from typing import Protocol

import qt
import slicer.util
from slicer.i18n import tr as _


class Dialogs(Protocol):
    """What the panel asks a person."""

    def error(self, text: str, detail: str = "") -> None:
        """Show a sentence, with the detail folded away."""

    def confirm(self, text: str) -> bool:
        """Whether the person agrees."""

    def save_path(self, title: str, suggested: str, filters: str) -> str:
        """Where to save; empty when the person changed their mind. ``filters`` as Qt writes them."""

    def folder(self, title: str) -> str:
        """A folder that exists; empty when the person changed their mind."""


class SlicerDialogs:
    """Dialogs on Slicer's screen."""

    def error(self, text: str, detail: str = "") -> None:
        """See ``Dialogs``."""
        slicer.util.errorDisplay(text, windowTitle=_("Glioma Segmentation"), detailedText=detail)

    def confirm(self, text: str) -> bool:
        """See ``Dialogs``."""
        return bool(slicer.util.confirmOkCancelDisplay(text, windowTitle=_("Glioma Segmentation")))

    def save_path(self, title: str, suggested: str, filters: str) -> str:
        """See ``Dialogs``."""
        return str(qt.QFileDialog.getSaveFileName(None, title, suggested, filters) or "")

    def folder(self, title: str) -> str:
        """See ``Dialogs``."""
        return str(qt.QFileDialog.getExistingDirectory(None, title) or "")
