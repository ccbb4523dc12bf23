"""``slicer.app``, the layout manager and the module logics, over a real MRML scene."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import slicer
import vtk
from PySide6 import QtCore, QtWidgets

from .api import data
from .values import EnumInt


class _Strict:
    """An object whose attributes must be known of the real one."""

    _list = ""

    def __getattr__(self, name: str) -> Any:
        if name in data()["app"][self._list]:
            raise NotImplementedError(f"the stand-in of {self._list} does not do {name} yet")
        raise AttributeError(f"{self._list} has no attribute named '{name}'")


class Interactor:
    """A view's interactor: VTK's own events and observers, and the mouse. slicer-core has no views."""

    def __init__(self) -> None:
        self._events = vtk.vtkObject()
        self._place = (0, 0)

    def AddObserver(self, event: str, callback: Any) -> int:
        """Listen to an event of VTK's; an unknown name is refused."""
        if vtk.vtkCommand.GetEventIdFromString(event) == vtk.vtkCommand.NoEvent:
            raise TypeError(f"no event {event}")
        return self._events.AddObserver(event, callback)

    def RemoveObserver(self, tag: int) -> None:
        """Listen no more."""
        self._events.RemoveObserver(tag)

    def GetEventPosition(self) -> tuple[int, int]:
        """The mouse in pixels, from the lower left corner."""
        return self._place

    def press(self, x: int, y: int) -> None:
        """What a person's left mouse button does."""
        self._place = (x, y)
        self._events.InvokeEvent("LeftButtonPressEvent")


class _InteractorStyle:
    def __init__(self) -> None:
        self._interactor = Interactor()

    def GetInteractor(self) -> Interactor:
        """The interactor."""
        return self._interactor


class _SliceView:
    def __init__(self) -> None:
        self._style = _InteractorStyle()

    def interactorStyle(self) -> _InteractorStyle:
        """What handles the mouse."""
        return self._style


class _SliceWidget:
    """One slice view: its MRML node and its mouse."""

    def __init__(self, node: Any) -> None:
        self._node = node
        self._view = _SliceView()

    def mrmlSliceNode(self) -> Any:
        """The slice node."""
        return self._node

    def sliceView(self) -> _SliceView:
        """The view in the widget."""
        return self._view


class _ThreeDView:
    def __init__(self) -> None:
        self.focal_point_resets = 0

    def resetFocalPoint(self) -> None:
        """Centre the 3D view on what it shows."""
        self.focal_point_resets += 1


class _ThreeDWidget:
    def __init__(self) -> None:
        self._view = _ThreeDView()

    def threeDView(self) -> _ThreeDView:
        """The view in the widget."""
        return self._view


class LayoutManager(_Strict):
    """Three slice views and one 3D view."""

    _list = "layoutManager"
    NAMES = ("Red", "Green", "Yellow")

    def __init__(self, scene: Any) -> None:
        self._slices = {}
        for name in self.NAMES:
            node = slicer.vtkMRMLSliceNode()
            node.SetName(name)
            node.SetLayoutName(name)
            node.SetSingletonTag(name)
            composite = slicer.vtkMRMLSliceCompositeNode()
            composite.SetLayoutName(name)
            composite.SetSingletonTag(name)
            node.SetDimensions(256, 256, 1)
            self._slices[name] = _SliceWidget(scene.AddNode(node))
            scene.AddNode(composite)
        crosshair = slicer.vtkMRMLCrosshairNode()
        crosshair.SetCrosshairName("default")
        scene.AddNode(crosshair)
        self._three_d = _ThreeDWidget()
        self.threeDViewCount = 1

    def sliceViewNames(self) -> tuple[str, ...]:
        """Names of the slice views."""
        return self.NAMES

    def sliceWidget(self, name: str) -> _SliceWidget:
        """The widget of one slice view."""
        return self._slices[name]

    def threeDWidget(self, _index: int) -> _ThreeDWidget:
        """The 3D widget."""
        return self._three_d

    def mrmlSliceLogics(self) -> Any:
        """No logics: nothing is rendered."""
        return vtk.vtkCollection()


class Application(_Strict):
    """``slicer.app``."""

    _list = "slicer.app"
    majorVersion, minorVersion = 5, 13
    applicationName = "Slicer"

    def __init__(self, scene: Any) -> None:
        self._layout = LayoutManager(scene)
        self._temporary = tempfile.mkdtemp(prefix="slicer-standin-")
        self.temporaryPath = self._temporary
        self.slicerHome = "/nonexistent/Slicer"
        self.connected: dict[str, list[Any]] = {}
        self.testing = False

    def testingEnabled(self) -> bool:
        """Whether the application runs in testing mode."""
        return self.testing

    def layoutManager(self) -> LayoutManager:
        """The layout manager."""
        return self._layout

    def connect(self, signature: str, slot: Any) -> bool:
        """Only what the module connects at start-up; tests call the slots."""
        name = signature.partition("(")[0]
        if name not in data()["app"]["slicer.app"]:
            return False
        self.connected.setdefault(signature, []).append(slot)
        return True

    def processEvents(self) -> None:
        """Let Qt work."""
        QtWidgets.QApplication.processEvents()

    def setOverrideCursor(self, cursor: Any) -> None:
        """A wait cursor."""
        QtWidgets.QApplication.setOverrideCursor(cursor.native if isinstance(cursor, EnumInt) else cursor)

    def restoreOverrideCursor(self) -> None:
        """The usual cursor."""
        QtWidgets.QApplication.restoreOverrideCursor()

    def startupEnvironment(self) -> dict[str, str]:
        """The environment that Slicer was started in."""
        return dict(os.environ)

    def topLevelWidgets(self) -> tuple[Any, ...]:
        """No main window."""
        return ()

    def moduleManager(self) -> Any:
        """No module factory here."""
        raise NotImplementedError("no module manager in the stand-in")


class _Module:
    """``slicer.modules.<name>``."""

    def __init__(self, logic: Any) -> None:
        self._logic = logic

    def logic(self) -> Any:
        """The module's logic."""
        return self._logic


class Modules:
    """``slicer.modules``: the real logic classes; a module that Slicer does not ship is an AttributeError."""

    def __init__(self, scene: Any) -> None:
        self._application_logic = slicer.vtkSlicerApplicationLogic()
        colors = slicer.vtkSlicerColorLogic()
        colors.SetMRMLScene(scene)
        self._application_logic.SetModuleLogic("Colors", colors)
        self.colors = _Module(colors)
        kinds = {
            "segmentations": slicer.vtkSlicerSegmentationsModuleLogic,
            "volumes": slicer.vtkSlicerVolumesLogic,
            "terminologies": slicer.vtkSlicerTerminologiesModuleLogic,
            "subjecthierarchy": slicer.vtkSlicerSubjectHierarchyModuleLogic,
            "transforms": slicer.vtkSlicerTransformLogic,
        }
        for name, kind in kinds.items():
            logic = kind()
            logic.SetMRMLApplicationLogic(self._application_logic)
            logic.SetMRMLScene(scene)
            setattr(self, name, _Module(logic))


def observe_subject_hierarchy(scene: Any) -> int:
    """What the application's plugins do: every data node that is shown gets an item in the hierarchy."""

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def added(_caller: Any, _event: str, node: Any) -> None:
        if not node.IsA("vtkMRMLDisplayableNode") and not node.IsA("vtkMRMLTransformNode"):
            return
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
        if hierarchy and not hierarchy.GetItemByDataNode(node) and not node.GetHideFromEditors():
            hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def removed(_caller: Any, _event: str, node: Any) -> None:
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
        item = hierarchy.GetItemByDataNode(node) if hierarchy else 0
        if item:
            hierarchy.RemoveItem(item, False, False)

    scene.AddObserver(scene.NodeAboutToBeRemovedEvent, removed)
    return scene.AddObserver(scene.NodeAddedEvent, added)


@contextmanager
def quiet() -> Iterator[None]:
    """Without the terminology logic's complaint about default files that slicer-core lacks."""
    before = vtk.vtkLogger.GetCurrentVerbosityCutoff()
    vtk.vtkLogger.SetStderrVerbosity(vtk.vtkLogger.VERBOSITY_OFF)
    try:
        yield
    finally:
        vtk.vtkLogger.SetStderrVerbosity(before)


def timer_wait(milliseconds: int) -> None:
    """Run Qt's event loop for a while."""
    loop = QtCore.QEventLoop()
    QtCore.QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()
