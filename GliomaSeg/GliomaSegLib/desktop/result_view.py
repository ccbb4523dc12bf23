"""The panel's lower half: the table of a result; below it, its corrections and its export."""

from __future__ import annotations

from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from . import display, scene
from .choices import say
from .correct_view import CorrectView
from .dependencies import Dependencies
from .dialogs import Dialogs
from .editing import mark_segments
from .export_view import ExportView
from .geometry import volume_grid
from .parameters import PanelState
from .record import RunRecord, recall
from .results import Row, table

REFRESH_MS = 200
"""Edits come in bursts while a person paints: the table waits for a pause this long."""
LINE_MARGIN, HEADING_MARGIN = 4, 6
"""Pixels that a line of the table gets beyond its letters, and heading and frame beyond a line."""
_EVENTS = (
    "SourceRepresentationModified",
    "RepresentationModified",
    "SegmentModified",
    "SegmentAdded",
    "SegmentRemoved",
)


class ResultView:
    """Shows and corrects the result that a panel's state names. ``ui``: the widgets of GliomaSeg.ui."""

    def __init__(self, ui: Any, dialogs: Dialogs, dependencies: Dependencies) -> None:
        self.ui = ui
        self.rows: list[Row] = []
        self.correct = CorrectView(ui, self.refresh)
        self.export = ExportView(ui, dialogs, dependencies, lambda: self.rows)
        self._state: PanelState | None = None
        self._observed: tuple[Any, list[int]] | None = None
        self._pause = qt.QTimer()
        self._pause.setSingleShot(True)
        self._pause.setInterval(REFRESH_MS)
        self._pause.connect("timeout()", self.refresh)
        self._prepare_table()
        say(ui.warningsLabel, "")
        ui.show3dCheckBox.connect("toggled(bool)", self._toggle_3d)

    def _prepare_table(self) -> None:
        heads = (_("Structure"), _("Model (ml)"), _("Now (ml)"), _("Lesions"))
        self.ui.resultTable.setColumnCount(len(heads))
        self.ui.resultTable.setHorizontalHeaderLabels(list(heads))
        self.ui.resultTable.verticalHeader().setVisible(False)
        header = self.ui.resultTable.horizontalHeader()
        for column in range(len(heads)):
            stretch = qt.QHeaderView.Stretch if column == 0 else qt.QHeaderView.ResizeToContents
            header.setSectionResizeMode(column, stretch)

    def set_state(self, state: PanelState | None) -> None:
        """Show the result of another state, or of none."""
        self._state = state
        self.correct.set_state(state)
        self.export.set_state(state)
        self.update()

    def update(self) -> None:
        """The state changed: show the result that it names now."""
        result = self._state.result if self._state is not None else None
        if result is not (self._observed[0] if self._observed else None):
            self._observe(result)
            self.correct.result_changed()
            self.export.result_changed()
        self.refresh()

    def close(self) -> None:
        """Stop watching; the module or the scene is going."""
        self._pause.stop()
        self._observe(None)
        self.correct.close()

    def _observe(self, result: Any) -> None:
        if self._observed is not None:
            segmentation, tags = self._observed[0].GetSegmentation(), self._observed[1]
            for tag in tags:
                segmentation.RemoveObserver(tag)
        self._observed = None
        if result is not None:
            segmentation = result.GetSegmentation()
            events = [getattr(slicer.vtkSegmentation, name) for name in _EVENTS]
            tags = [segmentation.AddObserver(event, lambda *_a: self._pause.start()) for event in events]
            self._observed = (result, tags)

    def refresh(self) -> None:
        """Count again and fill the table; mark what a person edited."""
        result = self._state.result if self._state is not None else None
        reference = scene.reference_of(result) if result is not None else None
        for name in ("correctSection", "exportSection", "resultTable", "show3dCheckBox"):
            getattr(self.ui, name).enabled = reference is not None
        self.ui.resultTable.visible = self.ui.show3dCheckBox.visible = reference is not None
        if result is None or reference is None:
            self._show_none(result)
            return
        record = recall(result) or RunRecord()
        current, model = scene.current_labels(result, reference), scene.model_labels(result)
        kept, said = self.correct.editing.settle(result, reference, current)
        if said:
            say(self.ui.correctLabel, said)
        spacing = volume_grid(reference, reference).spacing_mm
        self.rows = table(kept, model, spacing, record.assessable)
        mark_segments(result, {row.abbreviation: row.edited for row in self.rows})
        self._show_name(result, record)
        warnings = [*record.warnings, *_uncounted(result)]
        say(self.ui.warningsLabel, "\n".join(f"\u26a0 {warning}" for warning in warnings))
        self.ui.show3dCheckBox.checked = display.is_in_3d(result)
        self._fill_table(record)

    def _show_none(self, result: Any) -> None:
        self.rows = []
        self.ui.resultTable.setRowCount(0)
        say(self.ui.warningsLabel, "")
        self.ui.resultNameLabel.text = (
            _("No result yet. It will be a segmentation of its own; the volumes stay as they are.")
            if result is None
            else _("The volume of {name} is no longer in the scene: load it again.").format(
                name=result.GetName()
            )
        )

    def _show_name(self, result: Any, record: RunRecord) -> None:
        edited = any(row.edited for row in self.rows)
        name = result.GetName() + (_("  (* corrected)") if edited else "")
        self.ui.resultNameLabel.text = "\n".join(line for line in (name, _made_by(record)) if line)

    def _fill_table(self, record: RunRecord) -> None:
        widget = self.ui.resultTable
        widget.setRowCount(len(self.rows))
        for index, row in enumerate(self.rows):
            for column, text in enumerate(_cells(row)):
                item = qt.QTableWidgetItem(text)
                item.setToolTip(_interval(row, record) if column == 1 else row.name)
                if column == 0:
                    # The regions get an empty square, so that all names begin at one place.
                    colour = qt.QColor(*row.colour) if row.colour is not None else qt.QColor(0, 0, 0, 0)
                    item.setData(qt.Qt.DecorationRole, colour)
                else:
                    item.setTextAlignment(qt.Qt.AlignRight | qt.Qt.AlignVCenter)
                widget.setItem(index, column, item)
        _fit_height(widget, len(self.rows))

    def _toggle_3d(self, visible: bool) -> None:
        result = self._state.result if self._state is not None else None
        if result is not None and visible != display.is_in_3d(result):
            display.show_in_3d(result, visible)


def _made_by(record: RunRecord) -> str:
    """What ran the model, where, and how long it took; empty for results of older versions."""
    if record.seconds is None or not record.engine:
        return ""
    return _("{seconds:.0f} s on {device}, by {engine}").format(
        seconds=record.seconds, device=record.device, engine=record.engine
    )


def _fit_height(table_widget: Any, rows: int) -> None:
    """As high as its lines, whatever the size of the letters: nobody scrolls in a table of six lines."""
    table_widget.resizeRowsToContents()
    line = max(table_widget.rowHeight(index) for index in range(rows)) + LINE_MARGIN
    for index in range(rows):
        table_widget.setRowHeight(index, line)
    table_widget.setFixedHeight((rows + 1) * line + HEADING_MARGIN)


def _uncounted(result: Any) -> list[str]:
    """A sentence about segments that the table does not know."""
    names = scene.foreign_segments(result)
    if not names:
        return []
    return [_("Not counted and not exported: {names}.").format(names=", ".join(names))]


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
    now = ("* " if row.edited else "") + f"{row.current_ml:.2f}"
    return f"{row.abbreviation}  {row.name}", model, now, "" if row.lesions is None else str(row.lesions)
