"""The flat ``qt`` and ``ctk`` modules and the classes under ``slicer`` that the application adds."""

from __future__ import annotations

import types
from typing import Any

from PySide6 import QtCore

from .api import data
from .loader import QFile, QUiLoader
from .proxy import proxy_class
from .values import EnumInt


class _Namespace:
    """``qt.Qt``: enumeration values by their short names."""

    def __getattr__(self, name: str) -> Any:
        value = getattr(QtCore.Qt, name)
        return EnumInt(value) if hasattr(value, "value") else value


class _ClassModule(types.ModuleType):
    """A module that makes proxy classes of one group on demand and knows no others."""

    _group = ""

    def __getattr__(self, name: str) -> Any:
        if name in data()[self._group]:
            return proxy_class(name)
        raise AttributeError(f"module '{self.__name__}' has no attribute '{name}' in slicer_api_used.json")


class _QtModule(_ClassModule):
    _group = "qt"
    Qt = _Namespace()
    QFile = QFile
    QUiLoader = QUiLoader


class _CtkModule(_ClassModule):
    _group = "ctk"


def qt_module() -> types.ModuleType:
    """``import qt``."""
    return _QtModule("qt")


def ctk_module() -> types.ModuleType:
    """``import ctk``."""
    return _CtkModule("ctk")
