"""The Segment Editor widget, as far as a module can see it from outside, over Slicer's own editor logic."""

from __future__ import annotations

from typing import Any

import slicer
from PySide6 import QtCore, QtWidgets

EFFECTS = (
    "Paint",
    "Erase",
    "Scissors",
    "Draw",
    "Fill between slices",
    "Grow from seeds",
    "Hollow",
    "Islands",
    "Level tracing",
    "Logical operators",
    "Margin",
    "Mask volume",
    "Smoothing",
    "Threshold",
)
"""The effects that came up in the real application (slicer_behaviour: embed editor)."""


class qMRMLSegmentEditorWidget(QtWidgets.QFrame):
    """The Segment Editor's outside. Nodes, selection and undo are those of vtkSlicerSegmentEditorLogic.

    As in qMRMLSegmentEditorWidget.cxx: ``currentSegmentIDChanged`` tells of a person's click in the table,
    not of ``setCurrentSegmentID``; a segmentation that comes in gets its first segment selected; without a
    node every setter is ignored with a complaint, which here is an error.
    """

    segmentationNodeChanged = QtCore.Signal(object)
    sourceVolumeNodeChanged = QtCore.Signal(object)
    currentSegmentIDChanged = QtCore.Signal(str)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFrameShape(QtWidgets.QFrame.Shape.StyledPanel)
        self._scene: Any = None
        self._logic = slicer.vtkSlicerSegmentEditorLogic()
        self._shortcuts = 0
        self._shown = dict.fromkeys(_VISIBLE, True)
        layout = QtWidgets.QVBoxLayout(self)
        self._undo_row = QtWidgets.QWidget(self)
        row = QtWidgets.QHBoxLayout(self._undo_row)
        for name in ("Undo", "Redo"):
            row.addWidget(_button(name, self._undo_row))
        self._segments = QtWidgets.QListWidget(self)
        self._segments.setMaximumHeight(96)
        layout.addWidget(self._segments)
        grid = QtWidgets.QGridLayout()
        for index, name in enumerate(EFFECTS):
            grid.addWidget(_button(name, self), index // 3, index % 3)
        layout.addLayout(grid)
        layout.addWidget(self._undo_row)

    def _require_node(self) -> Any:
        if self.mrmlSegmentEditorNode() is None:
            raise RuntimeError("qMRMLSegmentEditorWidget: no segment editor node was set")
        return self.mrmlSegmentEditorNode()

    def setMRMLScene(self, scene: Any) -> None:
        """Set the scene."""
        self._scene = scene
        self._logic.SetMRMLScene(scene)

    def mrmlScene(self) -> Any:
        """The scene."""
        return self._scene

    def setMRMLSegmentEditorNode(self, node: Any) -> None:
        """Set the node that keeps the editor's state."""
        if self._scene is None and node is not None:
            raise RuntimeError("qMRMLSegmentEditorWidget: setMRMLScene comes first")
        self._logic.SetSegmentEditorNode(node)

    def mrmlSegmentEditorNode(self) -> Any:
        """The node that keeps the editor's state."""
        return self._logic.GetSegmentEditorNode()

    def setSegmentationNode(self, node: Any) -> None:
        """Edit this segmentation, its first segment selected."""
        if self.segmentationNode() is node:
            return
        self._require_node()
        self._logic.SetSegmentationNode(node)
        self.setActiveEffect(None)
        self._segments.clear()
        if node is not None:
            self._logic.SelectFirstSegment(False)
            segmentation = node.GetSegmentation()
            names = [segmentation.GetSegment(each).GetName() for each in segmentation.GetSegmentIDs()]
            self._segments.addItems(names)
        self.segmentationNodeChanged.emit(node)

    def segmentationNode(self) -> Any:
        """The segmentation under edit."""
        return self._logic.GetSegmentationNode() if self.mrmlSegmentEditorNode() is not None else None

    def setSourceVolumeNode(self, node: Any) -> None:
        """Edit over this volume."""
        self._require_node()
        self._logic.SetSourceVolumeNode(node)
        self.sourceVolumeNodeChanged.emit(node)

    def sourceVolumeNode(self) -> Any:
        """The volume below."""
        return self._logic.GetSourceVolumeNode() if self.mrmlSegmentEditorNode() is not None else None

    def setCurrentSegmentID(self, segment_id: str) -> None:
        """Select a segment; no signal tells of it."""
        self._require_node().SetSelectedSegmentID(segment_id)

    def clickSegment(self, segment_id: str) -> None:
        """What a person does in the table of segments."""
        self._require_node().SetSelectedSegmentID(segment_id)
        self.currentSegmentIDChanged.emit(segment_id)

    def currentSegmentID(self) -> str:
        """The selected segment."""
        node = self.mrmlSegmentEditorNode()
        return (node.GetSelectedSegmentID() or "") if node is not None else ""

    def availableEffectNames(self) -> list[str]:
        """Names of all effects."""
        return list(EFFECTS)

    def setActiveEffectByName(self, name: str) -> None:
        """Activate an effect; an empty or unknown name deactivates."""
        self._require_node().SetActiveEffectName(name if name in EFFECTS else "")

    def activeEffect(self) -> str | None:
        """The active effect: its name here, an object in the real widget."""
        node = self.mrmlSegmentEditorNode()
        return (node.GetActiveEffectName() or None) if node is not None else None

    def setActiveEffect(self, effect: Any) -> None:
        """None deactivates; that needs no node."""
        if self.mrmlSegmentEditorNode() is not None:
            self.setActiveEffectByName(effect or "")

    def setMaximumNumberOfUndoStates(self, count: int) -> None:
        """How far back undo goes."""
        self._logic.SetMaximumNumberOfUndoStates(count)

    def saveStateForUndo(self) -> None:
        """Remember the segmentation as it is."""
        self._logic.SaveStateForUndo()

    def undo(self) -> None:
        """Go back one state."""
        self._logic.Undo()

    def redo(self) -> None:
        """Go forward one state."""
        self._logic.Redo()

    def setupViewObservations(self) -> None:
        """Real: watches the slice views."""

    def removeViewObservations(self) -> None:
        """Real: stops watching them."""

    def installKeyboardShortcuts(self, *_: Any) -> None:
        """Real: keys for effects, segments, undo. Installing twice is installing once."""
        self._shortcuts = 1

    def uninstallKeyboardShortcuts(self) -> None:
        """Real: takes the keys back."""
        self._shortcuts = 0

    def hasKeyboardShortcuts(self) -> bool:
        """Whether the keys are installed; the tests ask."""
        return bool(self._shortcuts)

    def updateWidgetFromMRML(self) -> None:
        """Real: refreshes."""

    def _show(self, name: str, value: bool) -> None:
        self._shown[name] = bool(value)
        self._undo_row.setVisible(self._shown["undoEnabled"])

    def _toggle(name: str) -> Any:
        return QtCore.Property(
            bool, lambda self: self._shown[name], lambda self, value: self._show(name, value)
        )

    segmentationNodeSelectorVisible = _toggle("segmentationNodeSelectorVisible")
    sourceVolumeNodeSelectorVisible = _toggle("sourceVolumeNodeSelectorVisible")
    switchToSegmentationsButtonVisible = _toggle("switchToSegmentationsButtonVisible")
    addRemoveSegmentButtonsVisible = _toggle("addRemoveSegmentButtonsVisible")
    show3DButtonVisible = _toggle("show3DButtonVisible")
    undoEnabled = _toggle("undoEnabled")


_VISIBLE = (
    "segmentationNodeSelectorVisible",
    "sourceVolumeNodeSelectorVisible",
    "switchToSegmentationsButtonVisible",
    "addRemoveSegmentButtonsVisible",
    "show3DButtonVisible",
    "undoEnabled",
)


def _button(text: str, parent: QtWidgets.QWidget) -> QtWidgets.QToolButton:
    button = QtWidgets.QToolButton(parent)
    button.setText(text)
    button.setAccessibleName(text)
    button.setSizePolicy(QtWidgets.QSizePolicy.Policy.Ignored, QtWidgets.QSizePolicy.Policy.Fixed)
    return button
