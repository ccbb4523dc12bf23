"""The Python packages that the command needs and Slicer does not ship, installed after a question."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from ..errors import UsageError
from .dialogs import Dialogs
from .packages import is_installed, package_folders, pip_install
from .snapshot import recover, undone_on_failure

REQUIREMENTS: dict[str, str] = {"torch": ">=2.4", "safetensors": ">=0.4"}
"""Import name (which is also the package's name) -> versions."""
BRAIN_FINDER, DICOM_WRITER, FAST_ENGINE = "deepbet", "highdicom", "openvino"
OPTIONAL: dict[str, str] = {
    BRAIN_FINDER: ">=1.0.2",
    DICOM_WRITER: ">=0.27",
    FAST_ENGINE: ">=2025.0",
    "onnxruntime": ">=1.18",
    "nnunetv2": ">=2.5",
}
"""Finds the brain in scans that show the skull; writes DICOM segmentations where Slicer itself can't; runs
the network faster on a processor; two run imported models of other kinds. Versions as in pyproject.toml."""
_MODEL_QUESTION = _(
    "The chosen model is run by the package {name}, which Slicer lacks (0.1 GB or less to download, with "
    "what it needs). Install it now, and segment again?"
)
QUESTIONS: dict[str, str] = {
    BRAIN_FINDER: _(
        "This scan shows the skull, and Slicer lacks the package {name} that finds the brain "
        "(less than 0.1 GB with what it needs). Install it now, and segment again?"
    ),
    DICOM_WRITER: _(
        "Slicer lacks the package {name} that writes DICOM segmentations (less than 0.1 GB with what "
        "it needs). Install it now?"
    ),
    FAST_ENGINE: _(
        "OpenVINO runs the network about twice as fast on a processor, in less memory. With a graphics card "
        "it is not needed. The package {name} is less than 0.1 GB to download and 0.2 GB on the disk. "
        "Install it now?"
    ),
    "onnxruntime": _MODEL_QUESTION,
    "nnunetv2": _MODEL_QUESTION,
}
DOWNLOAD = _("about 0.2 GB to download, or several GB with support for an NVIDIA graphics card")


def missing_packages() -> list[str]:
    """Names of the required packages that are not there, or not as a whole, torch first.

    When Slicer ended in the middle of an installation, everything is put back first.
    """
    if recover(package_folders()):
        logging.warning("GliomaSeg: an installation had been cut off; it was taken back")
    return [name for name, versions in REQUIREMENTS.items() if not is_installed(name, versions)]


def missing_optional(name: str) -> bool:
    """Whether one of the packages for a single purpose is not there."""
    return not is_installed(name, OPTIONAL[name])


def _install_torch() -> None:
    """By the PyTorch extension where it is installed, because it picks the build that fits the driver."""
    if importlib.util.find_spec("PyTorchUtils") is not None:
        extension: Any = importlib.import_module("PyTorchUtils")
        extension.PyTorchUtilsLogic().installTorch(torchVersionRequirement=REQUIREMENTS["torch"])
        return
    pip_install(["torch" + REQUIREMENTS["torch"]])


def install_online(missing: list[str]) -> None:
    """Install the packages of ``missing`` from the internet."""
    if "torch" in missing:
        _install_torch()
    others = [name + REQUIREMENTS[name] for name in missing if name != "torch"]
    if others:
        pip_install(others)


def install_from_folder(missing: list[str], folder: str) -> None:
    """Install the packages of ``missing`` from a folder of wheels, never from the internet."""
    known = {**REQUIREMENTS, **OPTIONAL}
    pip_install(["--no-index", "--find-links", folder, *(name + known[name] for name in missing)])


def install_optional(name: str) -> None:
    """Install one of the packages for a single purpose from the internet."""
    pip_install([name + OPTIONAL[name]])


def holds(folder: str, name: str) -> bool:
    """Whether a folder holds a wheel, or another archive, of a package."""
    files = Path(folder).iterdir() if Path(folder).is_dir() else ()
    return any(file.name.lower().startswith(f"{name.lower()}-") for file in files)


@dataclass
class Dependencies:
    """Asks and installs. The functions are fields so that tests need no network."""

    dialogs: Dialogs
    missing: Callable[[], list[str]] = missing_packages
    lacks: Callable[[str], bool] = missing_optional
    online: Callable[[list[str]], None] = install_online
    offline: Callable[[list[str], str], None] = install_from_folder
    optional: Callable[[str], None] = install_optional

    def ensure(self) -> bool:
        """Whether everything is there, after asking once where something was missing."""
        missing = self.missing()
        if not missing:
            return True
        question = _(
            "To segment, Slicer needs {names} once: {size}. Without internet, cancel and use "
            "Advanced > Install from a folder. Install now?"
        ).format(names=", ".join(missing), size=DOWNLOAD)
        if not self.dialogs.confirm(question) or not self._run(lambda: self.online(missing)):
            return False
        return self._there(self.missing())

    def ensure_offline(self) -> bool:
        """Install what is missing from a folder that the person names.

        Packages for a single purpose are installed where the folder holds them.
        """
        missing = self.missing()
        optional = [name for name in OPTIONAL if self.lacks(name)]
        if not missing and not optional:
            return True
        names = ", ".join((*missing, *optional))
        folder = self.dialogs.folder(_("Folder with the wheels of {names}").format(names=names))
        if not folder or (missing and not self._run(lambda: self.offline(missing, folder))):
            return False
        for name in optional:
            if holds(folder, name):
                self._try_optional(name, folder)
        return self._there(self.missing())

    def _try_optional(self, name: str, folder: str) -> None:
        """A folder without what these packages need is no failure: only some runs need them."""
        try:
            with undone_on_failure(package_folders()):
                self.offline([name], folder)
        except (subprocess.CalledProcessError, OSError, RuntimeError, ImportError, UsageError) as error:
            logging.info("GliomaSeg: %s was not installed from the folder: %s", name, error)

    def ensure_optional(self, name: str) -> bool:
        """Whether a package for a single purpose is there, after asking once where it was missing."""
        if not self.lacks(name):
            return True
        if not self.dialogs.confirm(QUESTIONS[name].format(name=name)):
            return False
        return self._run(lambda: self.optional(name)) and self._there([name] if self.lacks(name) else [])

    def _run(self, install: Callable[[], None]) -> bool:
        try:
            with undone_on_failure(package_folders()):
                install()
        except (subprocess.CalledProcessError, OSError, RuntimeError, ImportError, UsageError) as error:
            logging.warning("GliomaSeg: installing packages failed: %s", error)
            self.dialogs.error(_("The packages could not be installed; Slicer is as it was."), str(error))
            return False
        return True

    def _there(self, still: list[str]) -> bool:
        if still:
            self.dialogs.error(
                _("{names} can't be found after the installation: restart Slicer and try again.").format(
                    names=", ".join(still)
                )
            )
        return not still
