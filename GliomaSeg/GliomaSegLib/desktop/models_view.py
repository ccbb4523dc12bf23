"""The models on this machine, under *Advanced*: what each is, and a button that removes an imported one."""

from __future__ import annotations

from typing import Any

from slicer.i18n import tr as _

from ..errors import GliomaSegError
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


class ModelsView:
    """Fills the label under the model's combo box, and removes the chosen model when asked."""

    def __init__(self, ui: Any, dialogs: Dialogs) -> None:
        self._ui, self._dialogs = ui, dialogs
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
        choices.fill(self._ui.modelCombo, choices.models())
        choices.select(self._ui.modelCombo, "")
        self.update()
