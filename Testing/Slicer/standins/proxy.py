"""Qt objects with PythonQt's manners: properties are attributes, methods are calls, nothing else exists."""

from __future__ import annotations

import warnings
import weakref
from typing import Any

import shiboken6
from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets

from .api import ClassApi, class_api
from .values import EnumInt, from_native, to_native

ALWAYS = frozenset({"className", "delete", "connect", "disconnect"})
_INTERNAL = {"QFile", "QUiLoader"}
"""Classes that only slicer.util itself uses; what they offer is not checked."""

_alive: dict[int, Any] = {}
"""Every native object that a proxy was made for: PySide6 forgets Python attributes of forgotten wrappers."""

_custom_classes: dict[str, type] = {}


def register_custom_class(native_class: type) -> None:
    """Make a class of widgets.py known under its own name."""
    _custom_classes[native_class.__name__] = native_class


def native_class(name: str) -> type:
    """The PySide6 class, or the one of ours, that stands under a proxy class."""
    if name in _custom_classes:
        return _custom_classes[name]
    for module in (QtWidgets, QtCore, QtGui, QtUiTools):
        if hasattr(module, name):
            return getattr(module, name)
    raise AttributeError(f"no class {name}")


class _SlotProxy:
    """A method before it is called."""

    def __init__(self, owner: Any, name: str) -> None:
        self._owner, self._slot_name = owner, name

    def __repr__(self) -> str:
        return f"<qt slot {self._slot_name} of {type(self._owner).__name__} instance>"

    def __call__(self, *arguments: Any) -> Any:
        method = getattr(self._owner._native, self._slot_name)
        return from_native(method(*[to_native(argument) for argument in arguments]))


class _SignalProxy:
    """``widget.clicked``: only ``connect`` and ``disconnect`` are used."""

    def __init__(self, owner: Any, name: str) -> None:
        self._owner, self._name = owner, name

    def connect(self, slot: Any) -> bool:
        """Connect the overload with the most arguments."""
        signatures = [s for s in self._owner._api.signals if s.startswith(self._name + "(")]
        return bool(self._owner.connect(max(signatures, key=len), slot))


class ProxyMeta(type):
    """Class attributes of a proxy class: enumeration values and static methods."""

    def __getattr__(cls, name: str) -> Any:
        api: ClassApi | None = cls.__dict__.get("_api")
        if name.startswith("_") or (api and not api.knows(name)):
            raise AttributeError(f"type object '{cls.__name__}' has no attribute '{name}'")
        native = native_class(cls.__name__)
        value = getattr(native, name)
        if callable(value) and not isinstance(value, type):
            if cls.__name__ == "QFileDialog":
                return lambda *a: from_native(value(*map(to_native, a)))[0]
            return lambda *a: from_native(value(*[to_native(item) for item in a]))
        return EnumInt(value) if hasattr(value, "value") else value


class Proxy(metaclass=ProxyMeta):
    """One Qt object. Subclasses are made per class name by ``proxy_class``."""

    _api: ClassApi | None = None
    _native: Any

    def __init__(self, *arguments: Any, _native: Any = None) -> None:
        made = (
            _native if _native is not None else native_class(type(self).__name__)(*map(to_native, arguments))
        )
        object.__setattr__(self, "_native", made)
        _adopt(made)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Proxy) and other._native is self._native

    def __hash__(self) -> int:
        return hash(id(self._native))

    def __bool__(self) -> bool:
        return True

    def __getattr__(self, name: str) -> Any:
        api = self._api
        if name == "name":
            return self._native.objectName()
        if api is None:
            return _SlotProxy(self, name)
        if name in api.properties:
            return _read_property(self._native, name)
        if name in api.signal_names() and hasattr(self._native, name):
            return _SignalProxy(self, name)
        if api.undivided and name in api.methods and self._native.metaObject().indexOfProperty(name) >= 0:
            return _read_property(self._native, name)
        if name in api.methods and hasattr(self._native, name):
            return _SlotProxy(self, name)
        if name in api.values:
            return getattr(type(self), name)
        raise AttributeError(f"{api.name} has no attribute named '{name}'")

    def __setattr__(self, name: str, value: Any) -> None:
        api = self._api
        if name == "name" or (api is None and name == "objectName"):
            self._native.setObjectName(value)
        elif api is None or name not in api.properties:
            raise AttributeError(
                f"'{name}' does not exist on {type(self).__name__} and creating new attributes on C++ "
                "objects is not allowed"
            )
        elif name in api.read_only:
            raise AttributeError(f"property '{name}' of {api.name} object is not writable")
        else:
            _write_property(self._native, name, value, api.properties[name])

    def className(self) -> str:
        """The Qt class name."""
        return type(self).__name__

    def delete(self) -> None:
        """Destroy the C++ object."""
        _alive.pop(_pointer(self._native), None)
        shiboken6.delete(self._native)

    def children(self) -> list[Proxy]:
        """Child objects."""
        return [proxy_of(child) for child in self._native.children()]

    def findChildren(self, _kind: Any = None) -> list[Proxy]:
        """All descendants that are widgets."""
        return [proxy_of(child) for child in self._native.findChildren(QtWidgets.QWidget)]

    def connect(self, signature: str, slot: Any) -> bool:
        """Connect a signal by its C++ signature; False and a warning when there is none, as PythonQt does."""
        name, _, rest = signature.partition("(")
        types = [part for part in rest.rstrip(")").split(",") if part]
        known = self._api is None or signature in self._api.signals
        if not known or not _native_has(self._native, name, types):
            warnings.warn(f"connect: {type(self).__name__} has no signal {signature}", stacklevel=2)
            return False
        signal = getattr(self._native, name)
        receive = _receiver(slot, len(types), weakref.ref(self), self._native)
        signal.connect(receive)
        _connections.setdefault((_pointer(self._native), signature), []).append((slot, signal, receive))
        return True

    def disconnect(self, signature: str, slot: Any = None) -> bool:
        """Disconnect one slot, or all slots of a signal."""
        key = (_pointer(self._native), signature)
        kept, removed = [], False
        for entry in _connections.get(key, []):
            if slot is None or entry[0] == slot:
                entry[1].disconnect(entry[2])
                removed = True
            else:
                kept.append(entry)
        _connections[key] = kept
        return removed


_connections: dict[tuple[int, str], list[tuple[Any, Any, Any]]] = {}


def _adopt(native: Any) -> None:
    """Hold a native object; what was remembered of a dead one at the same address is forgotten."""
    address = _pointer(native)
    if _alive.get(address) is native:
        return
    _alive[address] = native
    for key in [key for key in _connections if key[0] == address]:
        del _connections[key]


def _pointer(native: Any) -> int:
    return shiboken6.getCppPointer(native)[0] if isinstance(native, shiboken6.Object) else id(native)


def _native_has(native: Any, name: str, types: list[str]) -> bool:
    """Whether the installed Qt has this very overload: one that only Qt 5 had is refused, as Qt 6 would."""
    if not isinstance(native, QtCore.QObject) or not hasattr(native, name):
        return False
    if type(native).__name__ in _custom_classes and name in type(native).__dict__:
        return True
    wanted = [kind.replace(" ", "") for kind in types]
    meta = native.metaObject()
    for index in range(meta.methodCount()):
        method = meta.method(index)
        if (
            bytes(method.name()).decode() != name
            or method.methodType() != QtCore.QMetaMethod.MethodType.Signal
        ):
            continue
        offered = [bytes(kind).decode() for kind in method.parameterTypes()]
        if offered[: len(wanted)] == wanted or "PyObject" in offered:
            return True
    return False


lost: list[str] = []
"""Classes of objects that PythonQt would have deleted inside their own signal: nobody held them any more."""


def _receiver(slot: Any, count: int, owner: weakref.ref[Any], native: Any) -> Any:
    """A function of exactly ``count`` arguments: PySide6 hands a signal's arguments out by that number."""
    made_by_python = _alive.get(_pointer(native)) is native and native.parent() is None

    def forward(*values: Any) -> None:
        slot(*(from_native(value) for value in values))
        if made_by_python and owner() is None and shiboken6.isValid(native) and native.parent() is None:
            lost.append(type(native).__name__)

    return (lambda: forward(), lambda a: forward(a), lambda a, b: forward(a, b))[count]


def _read_property(native: Any, name: str) -> Any:
    value = native.property(name)
    if name == "windowFlags":
        return int(native.windowFlags())
    return from_native(value)


def _write_property(native: Any, name: str, value: Any, kind: str) -> None:
    value = to_native(value)
    if kind == "QString":
        value = "" if value is None else str(value)
        if name == "toolTip" and value and not value.startswith("<"):
            value = f"<p>{value}</p>"
    elif kind in ("int", "double"):
        if not isinstance(value, int | float):
            given = type(value).__name__
            raise AttributeError(
                f"Property '{name}' of type '{kind}' does not accept an object of type {given}"
            )
        value = int(value) if kind == "int" else float(value)
    elif kind == "bool":
        value = bool(value)
    native.setProperty(name, value)


_classes: dict[str, type[Proxy]] = {}


def proxy_class(name: str) -> type[Proxy]:
    """The proxy class for a Qt class name."""
    if name not in _classes:
        body = {"__module__": "PythonQt.QtGui", "_api": class_api(name)}
        _classes[name] = ProxyMeta(name, (Proxy,), body)
    return _classes[name]


def proxy_of(native: Any) -> Proxy:
    """The proxy of a native object."""
    return proxy_class(type(native).__name__)(_native=native)
