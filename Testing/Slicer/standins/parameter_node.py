"""``slicer.parameterNodeWrapper`` as far as the panel needs it, written from its documented behaviour.

Typed fields live in a vtkMRMLScriptedModuleNode; node fields are node references; ``connectGui`` binds
widgets that carry the dynamic property ``SlicerParameterName``. A field of another type, or a widget that
the real connectors don't serve, is refused as the real one refuses it.
"""

from __future__ import annotations

import types
import typing
from typing import Any

import slicer
import vtk

_PLAIN = {str: str, bool: lambda text: text == "True", int: int, float: float}


def _is_node_type(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, slicer.vtkMRMLNode)


def _read(node: Any, name: str, kind: Any) -> Any:
    if _is_node_type(kind):
        return node.GetNodeReference(name)
    return _PLAIN[kind](node.GetParameter(name))


def _write(node: Any, name: str, kind: Any, value: Any) -> None:
    if _is_node_type(kind):
        if value is not None and not isinstance(value, kind):
            raise ValueError(f"{name} must be a {kind.__name__}, not {type(value).__name__}")
        node.SetParameter(name, "")
        node.SetNodeReferenceID(name, value.GetID() if value is not None else None)
        return
    if not isinstance(value, kind):
        raise ValueError(f"{name} must be {kind.__name__}, not {type(value).__name__}")
    node.SetParameter(name, str(value))


class _Connector:
    """One widget and one field: how to read, write and listen."""

    def __init__(self, widget: Any, kind: Any) -> None:
        table = {
            "qMRMLNodeComboBox": ("currentNodeChanged(vtkMRMLNode*)", _is_node_type(kind)),
            "QCheckBox": ("stateChanged(int)", kind is bool),
            "QLineEdit": ("textChanged(QString)", kind is str),
        }
        signal, fits = table.get(widget.className(), ("", False))
        if not fits:
            raise RuntimeError(f"Unable to create GUI connector from datatype {kind} to {widget.className()}")
        self.widget, self.signal, self.slot = widget, signal, None

    def read(self) -> Any:
        if self.widget.className() == "qMRMLNodeComboBox":
            return self.widget.currentNode()
        return self.widget.checked if self.widget.className() == "QCheckBox" else self.widget.text

    def write(self, value: Any) -> None:
        if self.widget.className() == "qMRMLNodeComboBox":
            self.widget.setCurrentNode(value)
        elif self.widget.className() == "QCheckBox":
            self.widget.checked = value
        else:
            self.widget.text = value

    def listen(self, callback: Any) -> None:
        self.slot = lambda *_: callback()
        assert self.widget.connect(self.signal, self.slot)

    def stop(self) -> None:
        self.widget.disconnect(self.signal, self.slot)


class _Wrapped:
    """What the decorator mixes into a class."""

    _kinds: typing.ClassVar[dict[str, Any]]
    _defaults: typing.ClassVar[dict[str, Any]]

    def __init__(self, parameterNode: Any, prefix: str | None = None) -> None:
        self.__dict__.update(parameterNode=parameterNode, _guis={}, _busy=False, _next=0)
        for name, default in self._defaults.items():
            if not parameterNode.HasParameter(name):
                _write(parameterNode, name, self._kinds[name], default)

    def setValue(self, name: str, value: Any) -> None:
        """Set a field by its name."""
        _write(self.parameterNode, name, self._kinds[name], value)

    def getValue(self, name: str) -> Any:
        """A field by its name."""
        return _read(self.parameterNode, name, self._kinds[name])

    def connectGui(self, gui: Any) -> int:
        """Bind every widget of ``gui`` that names a field."""
        connectors = {}
        for widget in list(gui.__dict__.values()):
            name = widget.property("SlicerParameterName")
            if name:
                if name not in self._kinds:
                    raise ValueError(f"Cannot find a param with the given name: {name}")
                connectors[name] = _Connector(widget, self._kinds[name])
        tag = self._next
        self.__dict__["_next"] = tag + 1
        for name, connector in connectors.items():
            connector.write(self.getValue(name))
            connector.listen(lambda n=name, c=connector: self._from_gui(n, c))
        observer = self.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: self._to_gui())
        self._guis[tag] = (connectors, observer)
        return tag

    def disconnectGui(self, tag: int | None) -> None:
        """Undo ``connectGui``."""
        if tag in self._guis:
            connectors, observer = self._guis.pop(tag)
            for connector in connectors.values():
                connector.stop()
            self.RemoveObserver(observer)

    def _from_gui(self, name: str, connector: _Connector) -> None:
        if not self._busy:
            self.setValue(name, connector.read())

    def _to_gui(self) -> None:
        if self._busy:
            return
        self.__dict__["_busy"] = True
        try:
            for connectors, _ in self._guis.values():
                for name, connector in connectors.items():
                    connector.write(self.getValue(name))
        finally:
            self.__dict__["_busy"] = False

    def StartModify(self) -> Any:
        return self.parameterNode.StartModify()

    def EndModify(self, was: Any) -> Any:
        return self.parameterNode.EndModify(was)

    def AddObserver(self, event: Any, callback: Any, priority: float = 0.0) -> int:
        return self.parameterNode.AddObserver(event, callback, priority)

    def RemoveObserver(self, tag: int) -> None:
        self.parameterNode.RemoveObserver(tag)

    def Modified(self) -> None:
        self.parameterNode.Modified()


def parameterNodeWrapper(classtype: type) -> type:
    """The class decorator."""
    kinds = typing.get_type_hints(classtype)
    defaults = {}
    for name, kind in kinds.items():
        if isinstance(kind, types.UnionType) or not (_is_node_type(kind) or kind in _PLAIN):
            raise TypeError(f"Unable to create serializer for {classtype} member {name}")
        empty = None if _is_node_type(kind) else kind()
        defaults[name] = getattr(classtype, name, empty)

    def make(name: str) -> property:
        return property(lambda self: self.getValue(name), lambda self, value: self.setValue(name, value))

    body = {name: make(name) for name in kinds}
    body |= {key: value for key, value in vars(classtype).items() if isinstance(value, types.FunctionType)}
    body.pop("__init__", None)
    return type(classtype.__name__, (_Wrapped,), {**body, "_kinds": kinds, "_defaults": defaults})
