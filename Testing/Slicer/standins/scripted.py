"""``slicer.ScriptedLoadableModule``: the four base classes, as far as a module can see them."""

from __future__ import annotations

import os
import unittest
from typing import Any

import slicer
from PySide6 import QtWidgets

from .proxy import proxy_of


class ScriptedLoadableModule:
    """Base of the module description."""

    def __init__(self, parent: Any) -> None:
        self.parent = parent
        self.moduleName = self.__class__.__name__
        parent.title, parent.categories, parent.dependencies = "", [], []
        parent.contributors, parent.helpText, parent.acknowledgementText = [], "", ""

    def resourcePath(self, filename: str) -> str:
        """Path of a file under the module's Resources."""
        return os.path.join(os.path.dirname(self.parent.path), "Resources", filename)

    def getDefaultModuleDocumentationLink(self, docPage: str | None = None) -> str:
        """A link for the help text."""
        return f"<p>For more information see {docPage or self.moduleName}.</p>"

    def runTest(self, msec: int = 100, **_: Any) -> None:
        """Run the module's own test class."""


class ModuleParent:
    """What Slicer passes to the module's and widget's constructors."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.isEntered = False
        self.widget = QtWidgets.QWidget()
        self._layout = QtWidgets.QVBoxLayout(self.widget)
        self._layout.setContentsMargins(2, 2, 2, 2)

    def layout(self) -> Any:
        """The layout that the widget fills."""
        return proxy_of(self._layout)


class ScriptedLoadableModuleWidget:
    """Base of the panel."""

    def __init__(self, parent: Any = None) -> None:
        self.moduleName = self.__class__.__name__.removesuffix("Widget")
        self.parent = parent
        self.layout = parent.layout()
        self.developerMode = False

    def resourcePath(self, filename: str) -> str:
        """Path of a file under the module's Resources."""
        return os.path.join(os.path.dirname(self.parent.path), "Resources", filename)

    def setup(self) -> None:
        """Called once; the developer section comes here."""

    def cleanup(self) -> None:
        """Called when the widget goes."""


class ScriptedLoadableModuleLogic:
    """Base of the logic: the singleton parameter node."""

    def __init__(self, parent: Any = None) -> None:
        self.moduleName = self.__class__.__name__.removesuffix("Logic")
        self.isSingletonParameterNode = True

    def getParameterNode(self) -> Any:
        """The module's node in the scene, made when missing."""
        found = slicer.mrmlScene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
        return found or slicer.mrmlScene.AddNode(self.createParameterNode())

    def createParameterNode(self) -> Any:
        """A new node, hidden and a singleton."""
        node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLScriptedModuleNode")
        node.UnRegister(None)
        node.SetSingletonTag(self.moduleName)
        node.SetAttribute("ModuleName", self.moduleName)
        node.SetName(slicer.mrmlScene.GenerateUniqueName(self.moduleName))
        return node


class ScriptedLoadableModuleTest(unittest.TestCase):
    """Base of the self-test."""

    def __init__(self, *arguments: Any, **_: Any) -> None:
        super().__init__(*(arguments or ("runTest",)))

    def delayDisplay(self, message: str, requestedDelay: int | None = None, msec: int | None = None) -> None:
        """A message on the screen; nothing here."""

    def runTest(self) -> None:
        """Overridden by the module."""
