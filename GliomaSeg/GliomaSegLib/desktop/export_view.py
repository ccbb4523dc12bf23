"""The section *Export*: the corrected labels as image file or DICOM, the measurements as a table."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from ..errors import GliomaSegError
from . import scene
from .choices import say
from .dependencies import DICOM_WRITER, Dependencies
from .dialogs import Dialogs
from .dicom_route import by_slicer, dicom_file_of, slicer_can_export, with_new_series
from .export import export_dicom, export_labels, export_table
from .parameters import PanelState
from .results import Row


class ExportView:
    """Writes the result that a state names. ``rows`` gives the table as it is now."""

    def __init__(
        self, ui: Any, dialogs: Dialogs, dependencies: Dependencies, rows: Callable[[], list[Row]]
    ) -> None:
        self.ui = ui
        self.dialogs = dialogs
        self.dependencies = dependencies
        self._rows = rows
        self._state: PanelState | None = None
        say(ui.exportLabel, "")
        ui.exportImageButton.connect("clicked()", self._image)
        ui.exportTableButton.connect("clicked()", self._table)
        ui.exportDicomButton.connect("clicked()", self._dicom)

    def set_state(self, state: PanelState | None) -> None:
        """Export the result of another state, or of none."""
        self._state = state

    def result_changed(self) -> None:
        """Another result: what was said of the last one goes.

        A series from Slicer's database keeps its patient unless somebody says otherwise, because the
        segmentation goes back into that database; elsewhere the patient is left out unless somebody asks.
        """
        say(self.ui.exportLabel, "")
        reference = self._reference()
        self.ui.identityCheckBox.checked = reference is not None and dicom_file_of(reference) is not None

    def _reference(self) -> Any:
        result = self._state.result if self._state is not None else None
        return scene.reference_of(result) if result is not None else None

    def _image(self) -> None:
        filters = _("NIfTI (*.nii.gz);;Slicer segmentation (*.seg.nrrd)")
        self._save(
            "segmentation.nii.gz", filters, lambda state, path: _written(path, export_labels(state, path))
        )

    def _table(self) -> None:
        self._save("measurements.csv", _("Table (*.csv)"), self._write_table)

    def _write_table(self, _state: PanelState, path: Path) -> str:
        export_table(self._rows(), path)
        return _written(path, [])

    def _dicom(self) -> None:
        reference = self._reference()
        if reference is None:
            return
        from_database = dicom_file_of(reference)
        if from_database is not None and self.ui.identityCheckBox.checked and slicer_can_export():
            self._dicom_by_slicer()
        elif not self.dependencies.ensure_optional(DICOM_WRITER):
            return
        elif from_database is not None:
            self._dicom_of_series(from_database)
        elif self.dialogs.decide(
            _("{name} did not come from Slicer's DICOM database. Is its DICOM series in a folder?").format(
                name=reference.GetName()
            )
        ):
            folder = self.dialogs.folder(
                _("Folder of the DICOM series of {name}").format(name=reference.GetName())
            )
            if folder:
                self._dicom_of_series(Path(folder))
        else:
            self._dicom_with_new_series(reference.GetName())

    def _dicom_by_slicer(self) -> None:
        folder = self.dialogs.folder(_("Folder for the DICOM segmentation"))
        if folder:
            self._try(Path(folder), lambda state, path: by_slicer(state, path))

    def _dicom_of_series(self, source: Path) -> None:
        keep = bool(self.ui.identityCheckBox.checked)

        def write(state: PanelState, path: Path) -> str:
            absent = export_dicom(state, self._rows(), source, path, keep)
            patient = _("The patient is that of the series.") if keep else _("Name and ID were left out.")
            made = _("New in it: the identifiers and the number of the segmentation's own series.")
            return " ".join((_written(path, absent), patient, made))

        self._save("segmentation.dcm", _("DICOM segmentation (*.dcm)"), write)

    def _dicom_with_new_series(self, name: str) -> None:
        question = _(
            "Without a series there is nothing that a DICOM segmentation could lie on. So {name} is "
            "written as a DICOM series, too. Patient, study, dates and all identifiers are invented. Go on?"
        ).format(name=name)
        folder = self.dialogs.confirm(question) and self.dialogs.folder(_("Where the new folder shall be"))
        if folder:
            self._try(Path(folder), lambda state, path: with_new_series(state, self._rows(), path))

    def _save(self, suggested: str, filters: str, write: Callable[[PanelState, Path], str]) -> None:
        chosen = self.dialogs.save_path(_("Save {name}").format(name=suggested), suggested, filters)
        if chosen:
            self._try(Path(chosen), write)

    def _try(self, path: Path, write: Callable[[PanelState, Path], str]) -> None:
        say(self.ui.exportLabel, "")
        if self._state is None or self._state.result is None:
            return
        try:
            say(self.ui.exportLabel, write(self._state, path))
        except (GliomaSegError, OSError, ValueError, RuntimeError) as error:
            logging.warning("GliomaSeg: an export failed: %s", type(error).__name__)
            sentence = str(error) if isinstance(error, GliomaSegError) else ""
            detail = "" if sentence else str(error)
            failed = _("{name} could not be written.").format(name=path.name)
            self.dialogs.error(" ".join(part for part in (failed, sentence) if part), detail)


def _written(path: Path, absent: list[str]) -> str:
    """What to say after an export; absent structures are named, not written."""
    note = _(" Absent: {names}.").format(names=", ".join(absent)) if absent else ""
    return _("{name} was written.").format(name=path.name) + note
