"""The Segment Editor widget, as far as a module can see it from outside."""

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
    """The Segment Editor's outside: it keeps node, segment and undo states, and paints nothing."""

    segmentationNodeChanged = QtCore.Signal(object)
    sourceVolumeNodeChanged = QtCore.Signal(object)
    currentSegmentIDChanged = QtCore.Signal(str)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFrameShape(QtWidgets.QFrame.Shape.StyledPanel)
        self._scene: Any = None
        self._node: Any = None
        self._active: str | None = None
        self._undo: list[Any] = []
        self._redo: list[Any] = []
        self._limit = 10
        self._visible = {"segmentationNodeSelectorVisible": True, "sourceVolumeNodeSelectorVisible": True}
        self._visible["switchToSegmentationsButtonVisible"] = True
        grid = QtWidgets.QGridLayout(self)
        for index, name in enumerate(EFFECTS):
            button = QtWidgets.QToolButton(self)
            button.setText(name)
            button.setAccessibleName(name)
            button.setSizePolicy(QtWidgets.QSizePolicy.Policy.Ignored, QtWidgets.QSizePolicy.Policy.Fixed)
            grid.addWidget(button, index // 3, index % 3)

    def _require_node(self) -> Any:
        if self._node is None:
            raise RuntimeError("qMRMLSegmentEditorWidget: no segment editor node was set")
        return self._node

    def setMRMLScene(self, scene: Any) -> None:
        """Set the scene."""
        self._scene = scene

    def mrmlScene(self) -> Any:
        """The scene."""
        return self._scene

    def setMRMLSegmentEditorNode(self, node: Any) -> None:
        """Set the node that keeps the editor's state."""
        if self._scene is None and node is not None:
            raise RuntimeError("qMRMLSegmentEditorWidget: setMRMLScene comes first")
        self._node = node

    def mrmlSegmentEditorNode(self) -> Any:
        """The node that keeps the editor's state."""
        return self._node

    def setSegmentationNode(self, node: Any) -> None:
        """Edit this segmentation."""
        editor = self._require_node()
        if editor.GetSegmentationNode() is node:
            return
        editor.SetAndObserveSegmentationNode(node)
        self._undo.clear()
        self._redo.clear()
        self.segmentationNodeChanged.emit(node)

    def segmentationNode(self) -> Any:
        """The segmentation under edit."""
        return self._node.GetSegmentationNode() if self._node else None

    def setSourceVolumeNode(self, node: Any) -> None:
        """Edit over this volume."""
        self._require_node().SetAndObserveSourceVolumeNode(node)
        self.sourceVolumeNodeChanged.emit(node)

    def sourceVolumeNode(self) -> Any:
        """The volume below."""
        return self._node.GetSourceVolumeNode() if self._node else None

    def setCurrentSegmentID(self, segment_id: str) -> None:
        """Select a segment."""
        self._require_node().SetSelectedSegmentID(segment_id)
        self.currentSegmentIDChanged.emit(segment_id)

    def currentSegmentID(self) -> str:
        """The selected segment."""
        return (self._node.GetSelectedSegmentID() or "") if self._node else ""

    def availableEffectNames(self) -> list[str]:
        """Names of all effects."""
        return list(EFFECTS)

    def setActiveEffectByName(self, name: str) -> None:
        """Activate an effect; an empty or unknown name deactivates."""
        self._active = name if name in EFFECTS else None

    def activeEffect(self) -> str | None:
        """The active effect."""
        return self._active

    def setActiveEffect(self, effect: Any) -> None:
        """None deactivates."""
        self._active = effect

    def setMaximumNumberOfUndoStates(self, count: int) -> None:
        """How far back undo goes."""
        self._limit = count

    def _copy(self) -> Any:
        copied = slicer.vtkSegmentation()
        copied.DeepCopy(self.segmentationNode().GetSegmentation())
        return copied

    def saveStateForUndo(self) -> None:
        """Remember the segmentation as it is."""
        self._undo = [*self._undo, self._copy()][-self._limit :]
        self._redo.clear()

    def undo(self) -> None:
        """Go back one state."""
        if self._undo:
            self._redo.append(self._copy())
            self._restore(self._undo.pop())

    def redo(self) -> None:
        """Go forward one state."""
        if self._redo:
            self._undo.append(self._copy())
            self._restore(self._redo.pop())

    def _restore(self, state: Any) -> None:
        self.segmentationNode().GetSegmentation().DeepCopy(state)

    def setupViewObservations(self) -> None:
        """Real: watches the slice views."""

    def removeViewObservations(self) -> None:
        """Real: stops watching them."""

    def installKeyboardShortcuts(self, *_: Any) -> None:
        """Real: keys for effects."""

    def uninstallKeyboardShortcuts(self) -> None:
        """Real: takes the keys back."""

    def updateWidgetFromMRML(self) -> None:
        """Real: refreshes."""

    def _toggle(name: str) -> Any:
        return QtCore.Property(
            bool,
            lambda self: self._visible.get(name, True),
            lambda self, value: self._visible.__setitem__(name, bool(value)),
        )

    segmentationNodeSelectorVisible = _toggle("segmentationNodeSelectorVisible")
    sourceVolumeNodeSelectorVisible = _toggle("sourceVolumeNodeSelectorVisible")
    switchToSegmentationsButtonVisible = _toggle("switchToSegmentationsButtonVisible")
    addRemoveSegmentButtonsVisible = _toggle("addRemoveSegmentButtonsVisible")
    undoEnabled = _toggle("undoEnabled")
