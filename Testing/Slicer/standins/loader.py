"""Loading .ui files: Slicer's loader creates Slicer's widgets and follows the file's connections."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from typing import Any

from PySide6 import QtCore, QtUiTools

from . import widgets
from .api import class_api
from .proxy import Proxy, proxy_of, register_custom_class

for _custom in widgets.CUSTOM:
    register_custom_class(_custom)


class _Loader(QtUiTools.QUiLoader):
    """Creates the classes of widgets.py by their names."""

    made: list[Any]

    def createWidget(self, class_name: str, parent: Any = None, name: str = "") -> Any:
        """A widget of ours or of Qt's; a class that is neither is refused."""
        for custom in widgets.CUSTOM:
            if custom.__name__ == class_name:
                widget = custom(parent)
                widget.setObjectName(name)
                break
        else:
            if class_api(class_name) is None:
                raise RuntimeError(f"the .ui file uses {class_name}: not in slicer_api_used.json")
            widget = super().createWidget(class_name, parent, name)
        self.made.append(widget)
        return widget


class QFile:
    """What slicer.util.loadUI opens."""

    ReadOnly = 1

    def __init__(self, path: str) -> None:
        self.path = path

    def exists(self) -> bool:
        """Whether the file is there."""
        return QtCore.QFile.exists(self.path)

    def open(self, _mode: int) -> bool:
        """Always possible here."""
        return True


class QUiLoader:
    """What slicer.util.loadUI loads with."""

    kept: list[Any] = []  # noqa: RUF012 (PySide6 drops Python halves of widgets nobody holds)

    def load(self, file: QFile) -> Proxy:
        """The top widget, its children made and its connections followed."""
        with open(file.path, encoding="utf-8") as handle:
            tree = ElementTree.parse(handle)
        connections = [
            tuple(node.findtext(key, "") for key in ("sender", "signal", "receiver", "slot"))
            for node in tree.iter("connection")
        ]
        for parent in tree.getroot().findall("connections"):
            tree.getroot().remove(parent)
        loader = _Loader()
        loader.made = []
        buffer = QtCore.QBuffer()
        buffer.setData(ElementTree.tostring(tree.getroot()))
        buffer.open(QtCore.QIODevice.OpenModeFlag.ReadOnly)
        top = loader.load(buffer)
        self.kept.extend(loader.made)
        by_name = {widget.objectName(): widget for widget in loader.made}
        for sender, signal, receiver, slot in connections:
            proxy = proxy_of(by_name[sender])
            target = getattr(by_name[receiver], slot.partition("(")[0])
            if not proxy.connect(signal, target):
                raise RuntimeError(f"{file.path}: {sender} has no signal {signal}")
        return proxy_of(top)
