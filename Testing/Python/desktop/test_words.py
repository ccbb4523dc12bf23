"""What a person reads: every text can be translated, every control has a name, and all of it fits."""

import ast
import re
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path

import pytest
from PySide6 import QtGui, QtWidgets
from workbench import add_volumes

MODULE = Path(__file__).resolve().parents[3] / "GliomaSeg"
FILES = [MODULE / "GliomaSeg.py", *sorted((MODULE / "GliomaSegLib" / "desktop").glob("*.py"))]
UI = ElementTree.parse(MODULE / "Resources" / "UI" / "GliomaSeg.ui")
SHOWN_ATTRIBUTES = {"text", "toolTip", "title", "windowTitle", "helpText", "acknowledgementText"}
SHOWING_CALLS = {
    "say",
    "_say",
    "error",
    "confirm",
    "decide",
    "allow",
    "show",
    "open_path",
    "folder",
    "save_path",
    "InputRefused",
    "OutputRefused",
    "UsageError",
    "setText",
    "setToolTip",
    "setWindowTitle",
    "QTableWidgetItem",
    "addItem",
    "SetName",
    "AddEmptySegment",
    "errorDisplay",
    "delayDisplay",
}
"""Calls whose text arguments a person sees, as dialogs, labels, cells or names of nodes."""


def _name(call):
    return getattr(call.func, "attr", getattr(call.func, "id", ""))


def _logs(call):
    return getattr(getattr(call.func, "value", None), "id", "") == "logging"


def _bare_texts(node):
    """Texts with letters inside an expression that no ``_()`` or ``translate()`` wraps."""
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str) and re.search(r"[A-Za-z]{3}", node.value):
            yield node
        return
    if isinstance(node, ast.Call) and _name(node) in ("_", "translate"):
        return
    if isinstance(node, ast.Call) and _name(node) == "format":
        yield from _bare_texts(node.func.value)
        return
    if isinstance(node, ast.Attribute | ast.Subscript | ast.Lambda | ast.Compare):
        return
    for child in ast.iter_child_nodes(node):
        yield from _bare_texts(child)


def untranslated(source):
    """(line, text) of every text that a person sees and that can't be translated."""
    found = []
    for node in ast.walk(ast.parse(source)):
        shown = []
        if isinstance(node, ast.Assign):
            targets = [target.attr for target in node.targets if isinstance(target, ast.Attribute)]
            shown = [node.value] if SHOWN_ATTRIBUTES & set(targets) else []
        elif isinstance(node, ast.Call) and _name(node) in SHOWING_CALLS and not _logs(node):
            shown = [*node.args, *(word.value for word in node.keywords)]
        for value in shown:
            found.extend((text.lineno, text.value) for text in _bare_texts(value))
    return found


ALLOWED = {
    # names of structures, models and files are the same in every language
    "editing.py": set(),
    "export_view.py": {"segmentation.nii.gz", "measurements.csv", "segmentation.dcm"},
    "doubts.py": {"doubt"},
}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_visible_text_can_be_translated(path):
    allowed = ALLOWED.get(path.name, set())
    found = untranslated(path.read_text(encoding="utf-8"))
    assert [each for each in found if each[1] not in allowed] == []


@pytest.mark.parametrize(
    "source",
    [
        "label.text = 'Ready now'",
        "say(self.label, 'Ready now')",
        "raise InputRefused('That will not do')",
        "dialogs.error('{name} failed'.format(name=x))",
        "label.text = _('Ready') if ready else 'Not ready'",
        "label.text = f'{count} left'",
    ],
)
def test_the_check_finds_what_can_not_be_translated(source):
    assert len(untranslated(source)) == 1


def test_translated_texts_are_whole():
    """Translators see the text between the brackets: it must be a literal, not something put together."""
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and _name(node) == "_":
                assert isinstance(node.args[0], ast.Constant), f"{path.name}:{node.lineno}"


def _texts(kind):
    for widget in UI.iter("widget"):
        for prop in widget.findall("property"):
            if prop.get("name") == kind and prop.findtext("string"):
                yield widget.get("name"), prop.findtext("string")


def test_keys_are_unambiguous_and_leave_slicers_menus_alone():
    keys = [re.search("&(.)", text).group(1).lower() for _widget, text in _texts("text") if "&" in text]
    keys.append("c")  # the run button, while it is Cancel
    assert len(keys) >= 15
    assert [key for key, count in Counter(keys).items() if count > 1] == []
    assert not set(keys) & set("fevh"), "File, Edit, View, Help"


def test_every_control_has_a_name_for_screen_readers_and_a_hint():
    names, hints = dict(_texts("accessibleName")), dict(_texts("toolTip"))
    controls = ("QPushButton", "QComboBox", "QCheckBox", "qMRMLNodeComboBox")
    listed = [widget.get("name") for widget in UI.iter("widget") if widget.get("class") in controls]
    assert len(listed) > 20
    assert [name for name in listed if name not in names] == []
    assert [name for name in listed if name not in hints and name != "runButton"] == []


def test_tab_goes_through_the_panel_from_top_to_bottom(bench):
    bench.lacking = {"openvino"}
    bench.panel.offers.update()
    for name in ("advancedSection", "correctSection", "exportSection", "logSection"):
        getattr(bench.ui, name).collapsed = False
    window = bench.parent.widget
    window.resize(380, 1800)
    window.show()
    stops = [stop.text for stop in UI.iter("tabstop")]
    places = []
    for name in stops:
        widget = getattr(bench.ui, name)._native
        place = widget.mapTo(window, widget.rect().topLeft())
        places.append((place.y(), place.x()))
    window.hide()
    assert places == sorted(places)


@pytest.mark.parametrize("times", [1, 2])
def test_the_panel_fits_also_with_letters_twice_as_large(bench, times):
    bench.result_without_process(add_volumes(("a volume with quite a long name of its own", "b", "c", "d")))
    for name in ("advancedSection", "correctSection", "exportSection", "logSection"):
        getattr(bench.ui, name).collapsed = False
    window = bench.parent.widget
    font = QtGui.QFont(window.font())
    font.setPointSizeF(font.pointSizeF() * times)
    window.setFont(font)
    window.resize(380 * times, 2400)
    window.show()
    bench.panel.results.refresh()
    QtWidgets.QApplication.processEvents()
    table = bench.ui.resultTable._native
    used = table.horizontalHeader().height() + sum(table.rowHeight(row) for row in range(table.rowCount()))
    window.hide()
    assert window.minimumSizeHint().width() <= 380 * times
    assert used <= table.height() and not table.verticalScrollBar().isVisible()
    letters = QtGui.QFontMetrics(font).height()
    assert all(table.rowHeight(row) >= letters for row in range(table.rowCount()))
