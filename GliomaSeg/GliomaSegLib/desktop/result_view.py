"""The panel's lower half: the table of a result, its corrections and its export."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from ..errors import GliomaSegError
from ..labels import STRUCTURES
from . import display, scene
from .choices import say
from .dialogs import Dialogs
from .doubts import Doubts
from .editing import Editing, mark_segments
from .export import dicom_file_of, export_dicom, export_labels, export_table
from .geometry import volume_grid
from .parameters import PanelState
from .record import RunRecord, recall
from .results import Row, table

REFRESH_MS = 200
"""Edits come in bursts while a person paints: the table waits for a pause this long."""
ROW_HEIGHT = 24
"""Pixels of a line of the table, so that all lines are seen without scrolling."""


class ResultView:
    """Shows and corrects the result that a panel's state names. ``ui``: the widgets of GliomaSeg.ui."""

    def __init__(self, ui: Any, dialogs: Dialogs) -> None:
        self.ui = ui
        self.dialogs = dialogs
        self.editing = Editing(ui.editorLayout)
        self.doubts = Doubts()
        self.rows: list[Row] = []
        self._state: PanelState | None = None
        self._observed: tuple[Any, list[int]] | None = None
        self._refresh_due = False
        self._prepare_table()
        for each in STRUCTURES:
            ui.revertCombo.addItem(f"{each.abbreviation}  {each.name}", each.abbreviation)
        for label in (ui.correctLabel, ui.exportLabel, ui.warningsLabel):
            say(label, "")
        self._connect()

    def _prepare_table(self) -> None:
        heads = (_("Structure"), _("Model ml"), _("Now ml"), _("Lesions"))
        self.ui.resultTable.setColumnCount(len(heads))
        self.ui.resultTable.setHorizontalHeaderLabels(list(heads))
        self.ui.resultTable.verticalHeader().setVisible(False)
        self.ui.resultTable.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
        header = self.ui.resultTable.horizontalHeader()
        header.setFixedHeight(ROW_HEIGHT)
        for column in range(len(heads)):
            stretch = qt.QHeaderView.Stretch if column == 0 else qt.QHeaderView.ResizeToContents
            header.setSectionResizeMode(column, stretch)

    def _connect(self) -> None:
        pairs: list[tuple[Any, Callable[[], None]]] = [
            (self.ui.doubtButton, lambda: self._edit(self._next_doubt)),
            (self.ui.smoothButton, lambda: self._edit(self.editing.smooth)),
            (self.ui.fillButton, lambda: self._edit(self.editing.fill)),
            (self.ui.snapButton, lambda: self._edit(self.editing.snap)),
            (self.ui.islandButton, lambda: self._edit(self.editing.remove_island)),
            (self.ui.revertButton, self._revert),
            (self.ui.undoButton, lambda: self._edit(lambda _state: self.editing.undo())),
            (self.ui.redoButton, lambda: self._edit(lambda _state: self.editing.redo())),
            (self.ui.exportImageButton, self._export_image),
            (self.ui.exportTableButton, self._export_table),
            (self.ui.exportDicomButton, self._export_dicom),
        ]
        for button, action in pairs:
            button.connect("clicked()", action)
        self.ui.show3dCheckBox.connect("toggled(bool)", self._toggle_3d)
        self.ui.correctSection.connect("contentsCollapsed(bool)", self._correct_folded)

    def set_state(self, state: PanelState | None) -> None:
        """Show the result of another state, or of none."""
        self._state = state
        self.update()

    def update(self) -> None:
        """The state changed: show the result that it names now."""
        result = self._state.result if self._state is not None else None
        if result is not (self._observed[0] if self._observed else None):
            self._observe(result)
            self._attach_editor()
        self.refresh()

    def close(self) -> None:
        """Stop watching; the module or the scene is going."""
        self._observe(None)
        self.editing.detach()

    def _observe(self, result: Any) -> None:
        self.doubts.clear()
        if self._observed is not None:
            segmentation, tags = self._observed[0].GetSegmentation(), self._observed[1]
            for tag in tags:
                segmentation.RemoveObserver(tag)
        self._observed = None
        if result is not None:
            segmentation = result.GetSegmentation()
            events = (
                slicer.vtkSegmentation.SourceRepresentationModified,
                slicer.vtkSegmentation.SegmentModified,
            )
            tags = [segmentation.AddObserver(event, lambda *_a: self._refresh_soon()) for event in events]
            self._observed = (result, tags)

    def _attach_editor(self) -> None:
        if (
            self._state is not None
            and self._state.result is not None
            and not self.ui.correctSection.collapsed
        ):
            reference = scene.reference_of(self._state.result)
            if reference is not None:
                self.editing.attach(self._state.result, self._state.t1c or reference)

    def _correct_folded(self, folded: bool) -> None:
        if not folded:
            self._attach_editor()
            self.refresh()

    def _refresh_soon(self) -> None:
        if not self._refresh_due:
            self._refresh_due = True
            qt.QTimer.singleShot(REFRESH_MS, self._refresh_now)

    def _refresh_now(self) -> None:
        self._refresh_due = False
        self.refresh()

    def refresh(self) -> None:
        """Count again and fill the table; mark what a person edited."""
        result = self._state.result if self._state is not None else None
        reference = scene.reference_of(result) if result is not None else None
        for name in ("correctSection", "exportSection", "resultTable", "show3dCheckBox"):
            getattr(self.ui, name).enabled = reference is not None
        if result is None or reference is None:
            self.rows = []
            self.ui.resultNameLabel.text = (
                _("No result yet.") if result is None else _("Its volume was removed.")
            )
            say(self.ui.warningsLabel, "")
            self.ui.resultTable.setRowCount(0)
            return
        record = recall(result) or RunRecord()
        grid = volume_grid(reference, reference)
        current, model = scene.current_labels(result, reference), scene.model_labels(result)
        kept = self.editing.keep_tumour(result, reference, current)
        if kept is not current:
            say(self.ui.correctLabel, _("The cavity took no enhancing tissue and no core: they were kept."))
        self.rows = table(kept, model, grid.spacing_mm, record.assessable)
        mark_segments(result, {row.abbreviation: row.edited for row in self.rows})
        edited = any(row.edited for row in self.rows)
        self.ui.resultNameLabel.text = result.GetName() + (_("  (* corrected)") if edited else "")
        say(self.ui.warningsLabel, "\n".join(f"\u26a0 {warning}" for warning in record.warnings))
        self.ui.show3dCheckBox.checked = display.is_in_3d(result)
        self._fill_table(record)

    def _fill_table(self, record: RunRecord) -> None:
        widget = self.ui.resultTable
        widget.setRowCount(len(self.rows))
        for index, row in enumerate(self.rows):
            for column, text in enumerate(_cells(row)):
                item = qt.QTableWidgetItem(text)
                item.setToolTip(_interval(row, record) if column == 1 else row.name)
                if column == 0 and row.colour is not None:
                    item.setData(qt.Qt.DecorationRole, qt.QColor(*row.colour))
                if column > 0:
                    item.setTextAlignment(qt.Qt.AlignRight | qt.Qt.AlignVCenter)
                widget.setItem(index, column, item)
        widget.setFixedHeight((len(self.rows) + 1) * ROW_HEIGHT + 6)

    def _edit(self, action: Callable[[PanelState], None]) -> None:
        if self._state is None or self._state.result is None:
            return
        say(self.ui.correctLabel, "")
        try:
            action(self._state)
        except GliomaSegError as refusal:
            say(self.ui.correctLabel, str(refusal))
        self.refresh()

    def _next_doubt(self, state: PanelState) -> None:
        say(self.ui.correctLabel, self.doubts.show_next(state.result))

    def _revert(self) -> None:
        abbreviation = self.ui.revertCombo.itemData(self.ui.revertCombo.currentIndex)
        self._edit(lambda state: self.editing.revert(state, abbreviation))

    def _toggle_3d(self, visible: bool) -> None:
        result = self._state.result if self._state is not None else None
        if result is not None and visible != display.is_in_3d(result):
            display.show_in_3d(result, visible)

    def _export_image(self) -> None:
        filters = _("NIfTI (*.nii.gz);;Slicer segmentation (*.seg.nrrd)")
        self._save(_("Save the segmentation"), "segmentation.nii.gz", filters, self._write_labels)

    def _export_table(self) -> None:
        self._save(_("Save the measurements"), "measurements.csv", _("Table (*.csv)"), self._write_table)

    def _export_dicom(self) -> None:
        reference = scene.reference_of(self._state.result) if self._state and self._state.result else None
        if reference is None:
            return
        source = dicom_file_of(reference)
        if source is None:
            title = _("Folder of the DICOM series that {name} was made from").format(name=reference.GetName())
            chosen = self.dialogs.folder(title)
            if not chosen:
                return
            source = Path(chosen)
        filters = _("DICOM segmentation (*.dcm)")
        self._save(
            _("Save the segmentation"), "segmentation.dcm", filters, lambda p: self._write_dicom(source, p)
        )

    def _write_dicom(self, source: Path, path: Path) -> str:
        assert self._state is not None
        keep_identity = bool(self.ui.identityCheckBox.checked)
        return _written(path, export_dicom(self._state, self.rows, source, path, keep_identity))

    def _write_labels(self, path: Path) -> str:
        assert self._state is not None
        return _written(path, export_labels(self._state, path))

    def _write_table(self, path: Path) -> str:
        export_table(self.rows, path)
        return _("{name} was written.").format(name=path.name)

    def _save(self, title: str, suggested: str, filters: str, write: Callable[[Path], str]) -> None:
        chosen = self.dialogs.save_path(title, suggested, filters)
        if not chosen:
            return
        try:
            say(self.ui.exportLabel, write(Path(chosen)))
        except (GliomaSegError, OSError) as error:
            logging.warning("GliomaSeg: an export failed: %s", type(error).__name__)
            say(self.ui.exportLabel, "")
            self.dialogs.error(_("{name} could not be written.").format(name=Path(chosen).name), str(error))


def _written(path: Path, absent: list[str]) -> str:
    """What to say after an export; absent structures are named, not written."""
    note = _(" Absent: {names}.").format(names=", ".join(absent)) if absent else ""
    return _("{name} was written.").format(name=path.name) + note


def _interval(row: Row, record: RunRecord) -> str:
    """What the model itself says about how sure its volume is; the structure's name where it says nothing."""
    limits = record.intervals_ml.get(row.abbreviation)
    if limits is None or record.interval_level is None or not row.assessable:
        return row.name
    return _("{name}: {low:.2f} to {high:.2f} ml ({share:.0%} interval of the model)").format(
        name=row.name, low=limits[0], high=limits[1], share=record.interval_level
    )


def _cells(row: Row) -> tuple[str, str, str, str]:
    """The texts of a table line."""
    if not row.assessable:
        return f"{row.abbreviation}  {row.name}", "", _("not assessable"), ""
    model = "" if row.model_ml is None else f"{row.model_ml:.2f}"
    now = f"{row.current_ml:.2f}" + (" *" if row.edited else "")
    return f"{row.abbreviation}  {row.name}", model, now, "" if row.lesions is None else str(row.lesions)
