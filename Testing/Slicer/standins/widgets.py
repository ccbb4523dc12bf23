"""CTK's and Slicer's own widgets, as far as the panel uses them, made of PySide6."""

from __future__ import annotations

from typing import Any

import shiboken6
from PySide6 import QtCore, QtGui, QtWidgets

from .editor_widget import qMRMLSegmentEditorWidget

HEADER_HEIGHT = 24


class ctkCollapsibleButton(QtWidgets.QAbstractButton):
    """A header that folds its children away."""

    contentsCollapsed = QtCore.Signal(bool)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._collapsed = False
        self._forcing = False
        self._hidden: set[QtWidgets.QWidget] = set()
        self.setContentsMargins(0, HEADER_HEIGHT, 0, 0)
        self.clicked.connect(lambda: self._set_collapsed(not self._collapsed))

    def childEvent(self, event: QtCore.QChildEvent) -> None:
        """Watch what becomes of each child's own visibility."""
        if event.added():
            event.child().installEventFilter(self)
        super().childEvent(event)

    def eventFilter(self, watched: QtCore.QObject, event: QtCore.QEvent) -> bool:
        """Remember what somebody else hides or shows."""
        if not self._forcing and isinstance(watched, QtWidgets.QWidget):
            if event.type() == QtCore.QEvent.Type.HideToParent:
                self._hidden.add(watched)
            elif event.type() == QtCore.QEvent.Type.ShowToParent:
                self._hidden.discard(watched)
                if self._collapsed:
                    self._apply()
        return super().eventFilter(watched, event)

    def sizeHint(self) -> QtCore.QSize:
        """Header plus contents."""
        inner = self.layout().totalSizeHint() if self.layout() and not self._collapsed else QtCore.QSize(0, 0)
        return QtCore.QSize(max(inner.width(), 80), HEADER_HEIGHT if self._collapsed else inner.height())

    def minimumSizeHint(self) -> QtCore.QSize:
        """As small as the header when folded."""
        if self._collapsed or not self.layout():
            return QtCore.QSize(80, HEADER_HEIGHT)
        return self.layout().totalMinimumSize()

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
        """As CTK's: what was hidden on its own stays hidden when the section opens."""
        self._forcing = True
        for child in self.children():
            if isinstance(child, QtWidgets.QWidget):
                child.setVisible(not self._collapsed and child not in self._hidden)
        self._forcing = False
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
        self._forget_scene()
        self._scene = scene
        if scene is not None:
            events = (scene.NodeAddedEvent, scene.NodeRemovedEvent, scene.EndCloseEvent, scene.EndImportEvent)
            self._tags = [scene.AddObserver(event, self._scene_changed) for event in events]
        self._refill()

    def _forget_scene(self) -> None:
        for tag in self._tags:
            self._scene.RemoveObserver(tag)
        self._tags = []

    def _scene_changed(self, *_: Any) -> None:
        """The C++ half of a widget may have gone with its window while Python still holds this half."""
        if shiboken6.isValid(self._box):
            self._refill()
        else:
            self._forget_scene()

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


CUSTOM = (ctkCollapsibleButton, qMRMLWidget, qSlicerWidget, qMRMLNodeComboBox, qMRMLSegmentEditorWidget)
