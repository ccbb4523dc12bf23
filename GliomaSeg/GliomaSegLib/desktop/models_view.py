"""The models, under *Advanced*: what each is, buttons to bring and remove one, and where public ones are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from ..errors import GliomaSegError
from ..model.catalogue import read_catalogue
from ..model.library import ModelEntry, list_models, remove_model
from . import choices
from .dialogs import Dialogs


def described(entry: ModelEntry) -> str:
    """One line about a model: licence, structures, seconds that its latest run took here."""
    if entry.problem:
        return _("{name}: damaged").format(name=entry.name)
    timing = entry.timing
    took = (
        _("{seconds:.0f} s on {device}").format(seconds=timing.seconds, device=timing.device)
        if timing
        else _("not run here yet")
    )
    return _("{name}: {licence}; outlines {classes}; {took}").format(
        name=entry.name,
        licence=entry.licence or _("licence not stated"),
        classes=", ".join(entry.classes),
        took=took,
    )


def catalogue_page(entries: list[dict[str, Any]]) -> str:
    """The catalogue of public models as HTML. What it says stays as it was written, in English."""
    headings = {
        "what": _("What it outlines"),
        "where": _("Where"),
        "licence": _("Licence"),
        "format": _("Format"),
        "needs": _("What it needs"),
        "import": _("Can it be imported"),
        "verified": _("What was verified"),
        "not_verified": _("What was not verified"),
    }
    lead = _(
        "Nothing is downloaded by GliomaSeg: get a model from its authors, under their terms, and import it."
    )
    return f"<p>{escape(lead)}</p>" + "".join(_entry_page(entry, headings) for entry in entries)


def _entry_page(entry: Mapping[str, Any], headings: Mapping[str, str]) -> str:
    lines = [f"<b>{escape(text)}:</b> {escape(str(entry[key]))}" for key, text in headings.items()]
    return f"<h3>{escape(str(entry['name']))}</h3><p>{'<br>'.join(lines)}</p>"


class ModelsView:
    """Fills the label under the model's combo box; removes the chosen model; asks which one to bring.

    ``bring`` imports the zip or folder that a person chose.
    """

    def __init__(self, ui: Any, dialogs: Dialogs, bring: Callable[[Path], None]) -> None:
        self._ui, self._dialogs, self._bring = ui, dialogs, bring
        ui.importZipButton.connect("clicked()", self.bring_zip)
        ui.importFolderButton.connect("clicked()", self.bring_folder)
        ui.catalogueButton.connect("clicked()", self.show_catalogue)
        ui.removeModelButton.connect("clicked()", self.remove)
        ui.modelCombo.connect("currentIndexChanged(int)", lambda _index: self.update())
        ui.advancedSection.connect("contentsCollapsed(bool)", lambda _folded: self.update())
        self.update()

    def _chosen(self) -> str:
        return str(self._ui.modelCombo.itemData(self._ui.modelCombo.currentIndex) or "")

    def _listed(self) -> list[ModelEntry]:
        try:
            return list_models()
        except (GliomaSegError, OSError):
            return []

    def update(self) -> None:
        """Say again what there is; only an imported model can be removed."""
        entries = self._listed()
        choices.say(self._ui.modelInfoLabel, "\n".join(described(entry) for entry in entries))
        imported = {entry.name for entry in entries if entry.imported}
        can = self._chosen() in imported
        self._ui.removeModelButton.enabled = can
        self._ui.removeModelButton.toolTip = (
            _("Delete the files of this model from this computer")
            if can
            else _("Choose an imported model to remove it; bundled ones stay")
        )

    def remove(self) -> None:
        """Ask, delete the chosen model, choose the default."""
        name = self._chosen()
        question = _("Delete the model {name} from this computer? Results that it made stay.")
        if not self._dialogs.confirm(question.format(name=name)):
            return
        try:
            remove_model(name)
        except GliomaSegError as error:
            self._dialogs.error(str(error))
        self.choose("")

    def choose(self, name: str) -> None:
        """List the models again, and choose one (empty: the default)."""
        choices.fill(self._ui.modelCombo, choices.models())
        choices.select(self._ui.modelCombo, name)
        self.update()

    def runtime(self, name: str) -> str:
        """The kind of a listed model, or an empty text."""
        return next((entry.runtime for entry in self._listed() if entry.name == name), "")

    def bring_zip(self) -> None:
        """Ask for a zip, and import it."""
        chosen = self._dialogs.open_path(_("Zip of a model"), _("Zip files (*.zip)"))
        if chosen:
            self._bring(Path(chosen))

    def bring_folder(self) -> None:
        """Ask for a folder, and import it."""
        chosen = self._dialogs.folder(_("Folder of a model: model.json and weights, or a trained nnU-Net v2"))
        if chosen:
            self._bring(Path(chosen))

    def show_catalogue(self) -> None:
        """Show what public models there are, and what is known about each."""
        try:
            page = catalogue_page(read_catalogue())
        except GliomaSegError as error:
            self._dialogs.error(str(error))
            return
        self._dialogs.show(_("Public models"), page)
