"""Every Slicer, Qt and CTK attribute that the module's text touches exists in the real application.

The stand-ins refuse unknown attributes when a line runs; this reads the text, so that lines that no test runs
are checked as well.
"""

import ast
import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import slicer
from standins.api import class_api, data

MODULE = Path(__file__).resolve().parents[3] / "GliomaSeg"
FILES = [MODULE / "GliomaSeg.py", *sorted((MODULE / "GliomaSegLib" / "desktop").glob("*.py"))]
WIDGETS = {
    node.get("name"): node.get("class")
    for kind in ("widget", "layout")
    for node in ElementTree.parse(MODULE / "Resources" / "UI" / "GliomaSeg.ui").iter(kind)
}
QT_NAMESPACES = {"Qt"}
KNOWN_OBJECTS = {
    ("editing.py", "self.widget"): "qMRMLSegmentEditorWidget",
    ("editing.py", "self._widget"): "qMRMLSegmentEditorWidget",
    ("process.py", "process"): "QProcess",
    ("process.py", "self._process"): "QProcess",
    ("process.py", "environment"): "QProcessEnvironment",
    ("panel.py", "self._clock"): "QTimer",
    ("panel.py", "combo"): "QComboBox",
    ("choices.py", "combo"): "QComboBox",
    ("choices.py", "label"): "QLabel",
    ("result_view.py", "self._pause"): "QTimer",
    ("result_view.py", "widget"): "QTableWidget",
    ("result_view.py", "table_widget"): "QTableWidget",
    ("result_view.py", "item"): "QTableWidgetItem",
    ("result_view.py", "colour"): "QColor",
    ("result_view.py", "header"): "QHeaderView",
    ("correct_view.py", "button"): "QPushButton",
    ("display.py", "layout"): "layoutManager",
    ("pointing.py", "layout"): "layoutManager",
    ("dialogs.py", "box"): "QMessageBox",
    ("dialogs.py", "dialog"): "QDialog",
    ("dialogs.py", "layout"): "QVBoxLayout",
    ("dialogs.py", "browser"): "QTextBrowser",
    ("dialogs.py", "close"): "QPushButton",
    ("selftest.py", "host"): "QWidget",
}
"""Variables of the module's text that hold Qt objects, by file."""


def _chains(path):
    """Every dotted name in a file, longest form, as a list of parts with its line."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute):
            parts, inner = [node.attr], node.value
            while isinstance(inner, ast.Attribute):
                parts.append(inner.attr)
                inner = inner.value
            if isinstance(inner, ast.Name):
                yield [inner.id, *reversed(parts)], node.lineno


def _problem(file_name, parts):
    """What is wrong with a dotted name, or None."""
    if parts[0] == "qt":
        return _qt_problem(parts[1:])
    if parts[:2] == ["slicer", "util"] and len(parts) > 2:
        known = parts[2] in data()["functions"]["slicer.util"] or parts[2] == "getNodesByClass"
        return None if known else f"slicer.util has no {parts[2]}"
    if parts[:2] == ["slicer", "app"] and len(parts) > 2:
        return None if parts[2] in data()["app"]["slicer.app"] else f"slicer.app has no {parts[2]}"
    if parts[:2] == ["slicer", "modules"] and len(parts) > 2:
        return None if parts[2] in data()["modules"] else f"slicer.modules has no {parts[2]}"
    if parts[:2] == ["slicer", "packaging"] and len(parts) > 2:
        known = data()["functions"]["slicer.packaging"]
        return None if parts[2] in known else f"slicer.packaging has no {parts[2]}"
    if parts[0] == "slicer" and parts[1].startswith(("vtk", "qMRML")):
        return None if hasattr(slicer, parts[1]) else f"slicer has no {parts[1]}"
    return _widget_problem(file_name, parts)


def _qt_problem(parts):
    if parts[0] in QT_NAMESPACES:
        return None
    if parts[0] not in data()["qt"]:
        return f"qt has no {parts[0]}"
    if len(parts) > 1 and not class_api(parts[0]).knows(parts[1]):
        return f"qt.{parts[0]} has no {parts[1]}"
    return None


def _widget_problem(file_name, parts):
    if "ui" in parts[:2] and len(parts) > parts.index("ui") + 1:
        at = parts.index("ui") + 1
        if parts[at] not in WIDGETS:
            return f"the .ui file has no {parts[at]}"
        kind, rest = WIDGETS[parts[at]], parts[at + 1 :]
    else:
        for length in (1, 2):
            kind = KNOWN_OBJECTS.get((file_name, ".".join(parts[:length])))
            rest = parts[length:]
            if kind:
                break
        else:
            return None
    known = rest[:1] and (
        rest[0] in data()["app"][kind] if kind in data()["app"] else class_api(kind).knows(rest[0])
    )
    return None if known or not rest else f"{kind} has no {rest[0]}"


def touched():
    """What the module's text touches of Qt, CTK and the application, each with its places."""
    found = {}
    for path in FILES:
        for parts, line in _chains(path):
            for name in _touched_names(path.name, parts):
                found.setdefault(name, []).append(f"{path.name}:{line}")
    return found


def _touched_names(file_name, parts):
    rooms = ("util", "app", "modules", "packaging")
    if (parts[0] == "qt" and len(parts) > 1) or (
        parts[0] == "slicer" and len(parts) > 2 and parts[1] in rooms
    ):
        yield ".".join(parts[:3])
    elif parts[0] == "slicer" and len(parts) > 1:
        yield ".".join(parts[:2])
    else:
        at = parts.index("ui") + 1 if "ui" in parts[:2] and len(parts) > parts.index("ui") + 1 else 0
        kind = WIDGETS.get(parts[at]) if at else None
        rest = parts[at + 1 :] if at else parts
        for length in (1, 2) if not at else ():
            known = KNOWN_OBJECTS.get((file_name, ".".join(parts[:length])))
            if known:
                kind, rest = known, parts[length:]
        if kind and rest:
            yield f"{kind}.{rest[0]}"


BEYOND_THE_RECORD = {
    "slicer.mrmlScene": "the scene, of slicer-core",
    "slicer.i18n": "a module",
    "slicer.ScriptedLoadableModule": "a module",
    "slicer.parameterNodeWrapper": "a module",
}
"""Names under ``slicer`` that are neither widgets nor VTK classes."""


@pytest.mark.parametrize("name", sorted(touched()))
def test_touched(name):
    """One test for each name that is touched: ``pytest --collect-only`` lists them all."""
    parts = name.split(".")
    if name in BEYOND_THE_RECORD or (parts[0] == "qt" and parts[1] in QT_NAMESPACES):
        return
    if parts[0] == "qt":
        assert _qt_problem(parts[1:]) is None
    elif parts[0] == "slicer":
        assert _problem("", parts) is None
        assert len(parts) > 2 or hasattr(slicer, parts[1])
    else:
        kind, attribute = parts
        known = data()["app"].get(kind)
        assert attribute in known if known else class_api(kind).knows(attribute)


def test_the_list_is_complete():
    """Whatever variable is made of a Qt or Slicer widget class is known to the check above."""
    names = touched()
    assert len(names) > 90 and "QProcess.waitForFinished" in names and "slicer.util.errorDisplay" in names
    unknown = []
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
                made = ast.unparse(node.value.func)
                target = ast.unparse(node.targets[0])
                holds_qt = made.startswith(("qt.Q", "slicer.qMRML", "slicer.app.layoutManager"))
                if holds_qt and (path.name, target) not in KNOWN_OBJECTS:
                    unknown.append((path.name, target, made))
    assert unknown == []


@pytest.mark.data
def test_the_data_beside_the_stand_ins_are_those_of_the_record():
    """Nothing was added by hand to what was read off the real application."""
    record = Path(__file__).resolve().parents[4] / "shared" / "design" / "slicer_api.json"
    if not record.exists():
        pytest.skip("the record of the real application is not here")
    whole = json.loads(record.read_text(encoding="utf-8"))
    for group in ("qt", "ctk", "slicer_widgets"):
        for name, entry in data()[group].items():
            assert entry == whole[group][name], name
    for name, attributes in data()["app"].items():
        assert set(attributes) <= set(whole["app"][name])
    assert set(data()["modules"]) <= set(whole["modules"])
    for name, functions in data()["functions"].items():
        assert set(functions) <= set(whole["functions"][name])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_touched_attribute_exists_in_the_application(path):
    problems = [(line, _problem(path.name, parts)) for parts, line in _chains(path)]
    assert [problem for problem in problems if problem[1]] == []


@pytest.mark.parametrize(
    "parts",
    [
        ["qt", "QLCDNumber"],
        ["qt", "QProcess", "NoSuchState"],
        ["slicer", "util", "noSuchFunction"],
        ["slicer", "app", "makeCoffee"],
        ["self", "ui", "noSuchWidget", "text"],
        ["self", "ui", "runButton", "caption"],
    ],
)
def test_the_check_finds_what_does_not_exist(parts):
    assert _problem("panel.py", parts)


def test_connected_signals_exist():
    """The text of every connect() names a signal of some class that the data hold."""
    signals = set()
    for group in ("qt", "ctk", "slicer_widgets"):
        for name in data()[group]:
            signals |= class_api(name).signals
    signals.add("startupCompleted()")
    named = []
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "connect":
                named.append(node.args[0].value)
    assert len(named) >= 12
    assert [name for name in named if name not in signals] == []


def test_the_ui_file_uses_known_classes_and_every_choice_is_reachable_by_keyboard():
    tree = ElementTree.parse(MODULE / "Resources" / "UI" / "GliomaSeg.ui")
    stops = [stop.text for stop in tree.iter("tabstop")]
    assert all(stop in WIDGETS for stop in stops) and len(stops) == len(set(stops))
    wanted = ("QPushButton", "QComboBox", "QCheckBox", "qMRMLNodeComboBox")
    assert {name for name, kind in WIDGETS.items() if kind in wanted} <= set(stops)
