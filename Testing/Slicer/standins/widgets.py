"""CTK's and Slicer's own widgets, as far as the panel uses them, made of PySide6."""

from __future__ import annotations

from typing import Any

import slicer
from PySide6 import QtCore, QtGui, QtWidgets

HEADER_HEIGHT = 24
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


class ctkCollapsibleButton(QtWidgets.QAbstractButton):
    """A header that folds its children away."""

    contentsCollapsed = QtCore.Signal(bool)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._collapsed = False
        self.setContentsMargins(0, HEADER_HEIGHT, 0, 0)
        self.clicked.connect(lambda: self._set_collapsed(not self._collapsed))

    def sizeHint(self) -> QtCore.QSize:
        """Header plus contents."""
        inner = self.layout().sizeHint() if self.layout() and not self._collapsed else QtCore.QSize(0, 0)
        return QtCore.QSize(max(inner.width(), 80), HEADER_HEIGHT if self._collapsed else inner.height())

    def minimumSizeHint(self) -> QtCore.QSize:
        """As small as the header when folded."""
        if self._collapsed or not self.layout():
            return QtCore.QSize(80, HEADER_HEIGHT)
        return self.layout().minimumSize()

    def paintEvent(self, _event: QtGui.QPaintEvent) -> None:
        """Draw the header with an arrow."""
        painter = QtGui.QPainter(self)
        header = QtCore.QRect(0, 0, self.width(), HEADER_HEIGHT - 2)
        painter.fillRect(header, self.palette().button())
        painter.setPen(self.palette().buttonText().color())
        arrow = "\u25b6" if self._collapsed else "\u25bc"
        alignment = QtCore.Qt.AlignmentFlag.AlignVCenter
        painter.drawText(header.adjusted(6, 0, 0, 0), alignment, f"{arrow}  {self.text()}")
        if self.hasFocus():
            painter.drawRect(header.adjusted(0, 0, -1, 0))

    def showEvent(self, event: QtGui.QShowEvent) -> None:
        """Children that arrived late obey too."""
        self._apply()
        super().showEvent(event)

    def _apply(self) -> None:
        for child in self.children():
            if isinstance(child, QtWidgets.QWidget):
                child.setVisible(not self._collapsed)
        if self._collapsed:
            self.setMaximumHeight(HEADER_HEIGHT)
        else:
            self.setMaximumHeight(16777215)
        self.updateGeometry()

    def _get_collapsed(self) -> bool:
        return self._collapsed

    def _set_collapsed(self, value: bool) -> None:
        if value != self._collapsed:
            self._collapsed = bool(value)
            self._apply()
            self.contentsCollapsed.emit(self._collapsed)

    collapsed = QtCore.Property(bool, _get_collapsed, _set_collapsed)


class qMRMLWidget(QtWidgets.QWidget):
    """A widget that hands its scene on."""

    mrmlSceneChanged = QtCore.Signal(object)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene: Any = None

    def setMRMLScene(self, scene: Any) -> None:
        """Set the scene and tell the children."""
        self._scene = scene
        self.mrmlSceneChanged.emit(scene)

    def mrmlScene(self) -> Any:
        """The scene."""
        return self._scene


class qSlicerWidget(qMRMLWidget):
    """The same under another name."""


class qMRMLNodeComboBox(QtWidgets.QWidget):
    """A selector of scene nodes; it forgets a node that leaves the scene."""

    currentNodeChanged = QtCore.Signal(object)
    currentNodeIDChanged = QtCore.Signal(str)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene: Any = None
        self._tags: list[int] = []
        self._types: list[str] = []
        self._flags = {"noneEnabled": False}
        self._none_text = "None"
        self._box = QtWidgets.QComboBox(self)
        self._box.setMinimumContentsLength(8)
        self._box.setSizeAdjustPolicy(
            QtWidgets.QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._box)
        self._box.currentIndexChanged.connect(self._announce)
        self.setFocusProxy(self._box)
        self._last: str = ""

    def setMRMLScene(self, scene: Any) -> None:
        """Observe ``scene`` and list its nodes."""
        if scene is self._scene:
            return
        for tag in self._tags:
            self._scene.RemoveObserver(tag)
        self._scene, self._tags = scene, []
        if scene is None:
            self._refill()
            return
        events = (scene.NodeAddedEvent, scene.NodeRemovedEvent, scene.EndCloseEvent, scene.EndImportEvent)
        self._tags = (
            [scene.AddObserver(event, lambda *_: self._refill()) for event in events] if scene else []
        )
        self._refill()

    def mrmlScene(self) -> Any:
        """The scene."""
        return self._scene

    def _nodes(self) -> list[Any]:
        if self._scene is None:
            return []
        nodes = [self._scene.GetNthNode(i) for i in range(self._scene.GetNumberOfNodes())]
        listed = [n for n in nodes if any(n.GetClassName() == kind for kind in self._types)]
        return [node for node in listed if not node.GetHideFromEditors()]

    def _refill(self) -> None:
        current = self._last
        self._box.blockSignals(True)
        self._box.clear()
        if self._flags["noneEnabled"]:
            self._box.addItem(self._none_text, "")
        for node in self._nodes():
            self._box.addItem(node.GetName(), node.GetID())
        index = self._box.findData(current) if current else -1
        self._box.setCurrentIndex(index if index >= 0 else (0 if self._box.count() else -1))
        self._box.blockSignals(False)
        self._announce()

    def _announce(self, *_: Any) -> None:
        current = self._box.currentData() or ""
        if current != self._last:
            self._last = current
            self.currentNodeChanged.emit(self.currentNode())
            self.currentNodeIDChanged.emit(current)

    def currentNode(self) -> Any:
        """The chosen node or None."""
        return self._scene.GetNodeByID(self._last) if self._scene and self._last else None

    def setCurrentNode(self, node: Any) -> None:
        """Choose a node; None chooses none."""
        self.setCurrentNodeID(node.GetID() if node is not None else "")

    def setCurrentNodeID(self, node_id: str | None) -> None:
        """Choose by ID; an unknown ID chooses none."""
        index = self._box.findData(node_id or "")
        self._box.setCurrentIndex(index)

    def nodeCount(self) -> int:
        """How many nodes are listed."""
        return len(self._nodes())

    def addAttribute(self, *_: Any) -> None:
        """Accepted; the tests' scenes need no filter."""

    def _get_types(self) -> list[str]:
        return self._types

    def _set_types(self, types: list[str]) -> None:
        self._types = list(types)
        self._refill()

    def _get_none(self) -> bool:
        return self._flags["noneEnabled"]

    def _set_none(self, value: bool) -> None:
        self._flags["noneEnabled"] = bool(value)
        self._refill()

    def _get_none_text(self) -> str:
        return self._none_text

    def _set_none_text(self, value: str) -> None:
        self._none_text = value
        self._refill()

    nodeTypes = QtCore.Property("QStringList", _get_types, _set_types)
    noneEnabled = QtCore.Property(bool, _get_none, _set_none)
    noneDisplay = QtCore.Property(str, _get_none_text, _set_none_text)
    currentNodeID = QtCore.Property(str, lambda self: self._last, setCurrentNodeID)

    def _flag(name: str, default: bool) -> Any:
        return QtCore.Property(
            bool,
            lambda self: self._flags.get(name, default),
            lambda self, value: self._flags.__setitem__(name, bool(value)),
        )

    addEnabled = _flag("addEnabled", True)
    removeEnabled = _flag("removeEnabled", True)
    renameEnabled = _flag("renameEnabled", False)
    editEnabled = _flag("editEnabled", False)
    showHidden = _flag("showHidden", False)
    showChildNodeTypes = _flag("showChildNodeTypes", True)
    selectNodeUponCreation = _flag("selectNodeUponCreation", True)


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


CUSTOM = (ctkCollapsibleButton, qMRMLWidget, qSlicerWidget, qMRMLNodeComboBox, qMRMLSegmentEditorWidget)
