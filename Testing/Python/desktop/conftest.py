"""The panel's tests run on stand-ins for Slicer's screen, over slicer-core and an offscreen Qt."""

import os
import sys
from pathlib import Path

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
try:
    from PySide6 import QtWidgets
except ImportError as missing:
    pytest.skip(f"Qt can't be loaded here: {missing}", allow_module_level=True)

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "Testing" / "Slicer"))

from standins import install  # noqa: E402

DESKTOP = install()
assert QtWidgets.QApplication.instance() is not None


@pytest.fixture
def desktop():
    """The stand-in desktop with an empty scene."""
    DESKTOP.scene.Clear(0)
    yield DESKTOP
    DESKTOP.scene.Clear(0)


@pytest.fixture
def bench(desktop, tmp_path, request, monkeypatch):
    """The panel with a played command; the fixture's parameter says how that behaves.

    Packages live in a folder of the test's own: a snapshot of the real ones takes a minute on a busy disk.
    """
    from workbench import Bench

    from GliomaSegLib.desktop import dependencies

    site = tmp_path / "site-packages"
    site.mkdir()
    monkeypatch.setattr(dependencies, "package_folders", lambda: [site])
    made = Bench(tmp_path, getattr(request, "param", "good"))
    yield made
    made.close()
