"""The Python packages that the command needs and Slicer does not ship, installed after a question."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import slicer
from slicer.i18n import tr as _

from ..errors import UsageError
from .dialogs import Dialogs

REQUIREMENTS: dict[str, str] = {"torch": ">=2.4", "safetensors": ">=0.4"}
"""Import name (which is also the package's name) -> versions."""
BRAIN_FINDER = "deepbet"
"""Finds the brain in scans that show the skull; only then is it needed."""
_BRAIN_REQUIREMENT = "deepbet>=1.0.2"
DOWNLOAD = _("about 0.2 GB to download, or several GB with support for an NVIDIA graphics card")


def missing_packages() -> list[str]:
    """Names of the required packages that can't be found, torch first."""
    importlib.invalidate_caches()
    return [name for name in REQUIREMENTS if importlib.util.find_spec(name) is None]


def _install_torch() -> None:
    """By the PyTorch extension where it is installed, because it picks the build that fits the driver."""
    if importlib.util.find_spec("PyTorchUtils") is not None:
        extension: Any = importlib.import_module("PyTorchUtils")
        extension.PyTorchUtilsLogic().installTorch(torchVersionRequirement=REQUIREMENTS["torch"])
        return
    _install(["torch" + REQUIREMENTS["torch"]])


def _install(requirements: list[str]) -> None:
    slicer.packaging.pip_install(requirements, requester="GliomaSeg")


def install_online(missing: list[str]) -> None:
    """Install the packages of ``missing`` from the internet."""
    if "torch" in missing:
        _install_torch()
    others = [name + REQUIREMENTS[name] for name in missing if name != "torch"]
    if others:
        _install(others)


def install_from_folder(missing: list[str], folder: str) -> None:
    """Install the packages of ``missing`` from a folder of wheels, never from the internet."""
    wanted = [name + REQUIREMENTS[name] for name in missing]
    _install(["--no-index", "--find-links", folder, *wanted])


@dataclass
class Dependencies:
    """Asks and installs. The functions are fields so that tests need no network."""

    dialogs: Dialogs
    missing: Callable[[], list[str]] = missing_packages
    online: Callable[[list[str]], None] = install_online
    offline: Callable[[list[str], str], None] = install_from_folder
    install: Callable[[list[str]], None] = field(default=lambda wanted: _install(wanted))

    def ensure(self) -> bool:
        """Whether everything is there, after asking once where something was missing."""
        missing = self.missing()
        if not missing:
            return True
        question = _(
            "To segment, Slicer needs {names} once: {size}. Without internet, cancel and use "
            "Advanced > Install from a folder. Install now?"
        ).format(names=", ".join(missing), size=DOWNLOAD)
        if not self.dialogs.confirm(question):
            return False
        return self._run(lambda: self.online(missing))

    def ensure_offline(self) -> bool:
        """Install what is missing from a folder that the person names."""
        missing = self.missing()
        if not missing:
            return True
        folder = self.dialogs.folder(_("Folder with the wheels of {names}").format(names=", ".join(missing)))
        return bool(folder) and self._run(lambda: self.offline(missing, folder))

    def ensure_brain_finder(self) -> bool:
        """Whether the package that finds the brain is there now, after asking once."""
        question = _(
            "This scan shows the skull, and Slicer lacks the package {name} that finds the brain "
            "(less than 0.1 GB with what it needs). Install it now, and segment again?"
        ).format(name=BRAIN_FINDER)
        return self.dialogs.confirm(question) and self._run(lambda: self.install([_BRAIN_REQUIREMENT]))

    def _run(self, install: Callable[[], None]) -> bool:
        try:
            install()
        except (subprocess.CalledProcessError, OSError, RuntimeError, ImportError, UsageError) as error:
            logging.warning("GliomaSeg: installing packages failed: %s", error)
            self.dialogs.error(_("The packages could not be installed; Slicer is as it was."), str(error))
            return False
        still = self.missing()
        if still:
            self.dialogs.error(
                _("{names} can't be found after the installation: restart Slicer and try again.").format(
                    names=", ".join(still)
                )
            )
        return not still
