"""What the combo boxes offer: references, devices, models; and small things that widgets need."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Callable
from typing import Any

from slicer.i18n import tr as _

from ..errors import ModelRefused
from ..intake.volume import ROLE_NAMES

Choice = tuple[str, str]
"""(text for people, value for the command)."""


def references() -> list[Choice]:
    """Roles that may give the grid, the usual one first."""
    return [(ROLE_NAMES[role], role) for role in ("t1c", "flair", "t1", "t2")]


def brains() -> list[Choice]:
    """How the brain may be found."""
    return [(_("Find it where needed"), "auto"), (_("The skull is stripped already"), "off")]


def models() -> list[Choice]:
    """The default, then the bundled and the imported models by name; damaged ones are left out."""
    from ..model.library import list_models

    found = [(_("Default"), "")]
    try:
        listed = list_models()
    except (ModelRefused, OSError):
        return found
    for each in listed:
        if not each.problem:
            text = _("{name} (imported)").format(name=each.name) if each.imported else each.name
            found.append((text, each.name))
    return found


def devices(ask_driver: Callable[[], str] | None = None) -> list[Choice]:
    """Automatic, each NVIDIA device with its memory, the CPU, Apple's GPU on its machines.

    The driver's own tool is asked, because importing torch into Slicer's process would take memory there.
    """
    found = [(_("Automatic"), "auto")]
    for line in (ask_driver or _ask_nvidia)().splitlines():
        index, _comma, rest = line.partition(",")
        name, _comma, memory = rest.rpartition(",")
        if index.strip().isdigit() and memory.strip().isdigit():
            gigabytes = int(memory) / 1024
            found.append((f"{name.strip()} ({gigabytes:.0f} GB)", f"cuda:{index.strip()}"))
    found.append((_("CPU"), "cpu"))
    if platform.system() == "Darwin" and platform.machine() == "arm64":
        found.append((_("Apple GPU (MPS)"), "mps"))
    return found


def _ask_nvidia() -> str:
    """``index, name, MB`` for each device, or nothing where there is no NVIDIA driver."""
    query = ["nvidia-smi", "--query-gpu=index,name,memory.total", "--format=csv,noheader,nounits"]
    hidden: dict[str, Any] = {"creationflags": 0x08000000} if platform.system() == "Windows" else {}
    try:
        asked = subprocess.run(query, capture_output=True, text=True, timeout=5, check=False, **hidden)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return asked.stdout if asked.returncode == 0 else ""


def fill(combo: Any, choices: list[Choice]) -> None:
    """Put the choices into a QComboBox, values as item data."""
    combo.clear()
    for text, value in choices:
        combo.addItem(text, value)


def select(combo: Any, value: str) -> None:
    """Select the item with this value; an unknown value is added, so that a saved scene loses nothing."""
    for index in range(combo.count):
        if combo.itemData(index) == value:
            combo.setCurrentIndex(index)
            return
    combo.addItem(value, value)
    combo.setCurrentIndex(combo.count - 1)


def say(label: Any, text: str) -> None:
    """Show ``text`` in a label; a label without text takes no room."""
    label.text = text
    label.visible = bool(text)
