"""Which Python packages Slicer has, and installing more without replacing those that it is built against."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import logging
import site
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import slicer.util

KEPT = ("numpy", "scipy", "SimpleITK", "pydicom")
"""Packages that Slicer ships and that pip must not replace: parts of Slicer are built against them."""


def is_installed(name: str, versions: str) -> bool:
    """Whether a distribution is there as a whole, in one of ``versions`` (such as ``>=2.4``).

    pip writes the list of a distribution's files last: one without it is the rest of a broken installation.
    """
    from packaging.specifiers import SpecifierSet

    importlib.invalidate_caches()
    try:
        found = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    whole = found.files is not None and importlib.util.find_spec(name) is not None
    return whole and SpecifierSet(versions).contains(found.version, prereleases=True)


def pip_install(arguments: Sequence[str]) -> None:
    """Let Slicer's pip install, with Slicer's own packages kept as they are.

    Raises what Slicer raises: ``CalledProcessError`` when pip fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder) / "constraints.txt"
        constraints.write_text("".join(f"{pin}\n" for pin in _pins()), encoding="utf-8")
        wanted = [*arguments, "-c", str(constraints)]
        try:
            packaging: Any = importlib.import_module("slicer.packaging")
        except ModuleNotFoundError:  # Slicer before April 2026
            slicer.util.pip_install(wanted)
        else:
            packaging.pip_install(wanted, requester="GliomaSeg")


def _pins() -> list[str]:
    pins = []
    for name in KEPT:
        try:
            pins.append(f"{name}=={importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            logging.debug("GliomaSeg: %s is not installed, so nothing keeps it", name)
    return pins


def package_folders() -> list[Path]:
    """The folders that pip may write into and that exist: packages, programs, the user's own packages."""
    paths = sysconfig.get_paths()
    named = [paths["purelib"], paths["platlib"], paths["scripts"], site.getusersitepackages()]
    return [folder for folder in map(Path, dict.fromkeys(named)) if folder.is_dir()]
