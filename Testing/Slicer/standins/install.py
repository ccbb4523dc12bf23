"""Put the stand-ins into ``sys.modules``, around slicer-core."""

from __future__ import annotations

import ctypes
import os
import sys
import types
from dataclasses import dataclass
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import slicer
import slicer.util
from PySide6 import QtWidgets


@dataclass
class Desktop:
    """The running pretence: the scene, the application, the Qt application."""

    scene: Any
    app: Any
    qt_application: Any


_desktop: Desktop | None = None


def _keep_singletons_alive() -> None:
    """Give None, True and False more references than a test run can lose.

    PySide6's newest wheels (seen: 6.12) are built as if these three were immortal, as they are from Python
    3.12 on. On Python 3.11 each call that returns one of them drops a reference too many, and the
    interpreter aborts after some thousands of calls.
    """
    if sys.version_info < (3, 12):
        for singleton in (None, True, False):
            ctypes.c_ssize_t.from_address(id(singleton)).value += 1 << 40


def _module(name: str, **content: Any) -> types.ModuleType:
    made = types.ModuleType(name)
    made.__dict__.update(content)
    sys.modules[name] = made
    return made


def install() -> Desktop:
    """Make ``import qt``, ``ctk`` and the Slicer modules work; a second call returns the same desktop."""
    global _desktop
    if _desktop is not None:
        return _desktop
    _keep_singletons_alive()
    qt_application = QtWidgets.QApplication.instance() or QtWidgets.QApplication([])
    from . import application, loader, modules, packaging, parameter_node, scripted
    from .api import data
    from .proxy import proxy_class

    assert loader.QUiLoader
    sys.modules["qt"] = modules.qt_module()
    sys.modules["ctk"] = modules.ctk_module()
    scene = slicer.vtkMRMLScene()
    slicer.mrmlScene = scene
    application.observe_subject_hierarchy(scene)
    slicer.app = application.Application(scene)
    with application.quiet():
        slicer.modules = application.Modules(scene)
    for name in data()["slicer_widgets"]:
        setattr(slicer, name, proxy_class(name))
    i18n = _module(
        "slicer.i18n",
        tr=lambda text: text,
        translate=lambda _context, text: text,
        getContext=lambda source: source,
    )
    base = _module(
        "slicer.ScriptedLoadableModule",
        ScriptedLoadableModule=scripted.ScriptedLoadableModule,
        ScriptedLoadableModuleWidget=scripted.ScriptedLoadableModuleWidget,
        ScriptedLoadableModuleLogic=scripted.ScriptedLoadableModuleLogic,
        ScriptedLoadableModuleTest=scripted.ScriptedLoadableModuleTest,
    )
    slicer.packaging = _module("slicer.packaging", pip_install=packaging.pip_install)
    wrapper = _module("slicer.parameterNodeWrapper", parameterNodeWrapper=parameter_node.parameterNodeWrapper)
    slicer.i18n, slicer.ScriptedLoadableModule, slicer.parameterNodeWrapper = i18n, base, wrapper
    _desktop = Desktop(scene, slicer.app, qt_application)
    return _desktop
