"""Where the files are: models and terminology that travel with the code, models that a person brought."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from .errors import ModelRefused, OutputRefused

PACKAGE_FOLDER = Path(__file__).resolve().parent
"""The folder of this package, wherever it was installed."""

_PACKAGED = "resources"
_CHECKOUT = "Resources"


def resources_folder(package_folder: Path = PACKAGE_FOLDER) -> Path:
    """The folder that holds ``Models/`` and ``Terminology/``.

    Looked for beside the code first (``GliomaSegLib/resources``: a wheel, the CMake build and install trees),
    then at the root of a source checkout (``Resources``). ``package_folder`` is the package to look from;
    tests pass another one.

    Raises ``ModelRefused`` when there is neither: the installation is incomplete.
    """
    candidates = (package_folder / _PACKAGED, package_folder.parent.parent / _CHECKOUT)
    for candidate in candidates:
        if (candidate / "Models").is_dir():
            return candidate
    raise ModelRefused(
        "The models that ship with GliomaSeg were not found beside the program: the installation is "
        "incomplete, please install GliomaSeg again."
    )


def models_folder() -> Path:
    """The folder with one sub-folder for each bundled model. Raises ``ModelRefused`` as above."""
    return resources_folder() / "Models"


def terminology_folder() -> Path:
    """The folder with the terminology files for Slicer. Raises ``ModelRefused`` as above."""
    return resources_folder() / "Terminology"


MODELS_VARIABLE = "GLIOMASEG_MODELS"
"""Environment variable that names another folder for imported models, such as a department's."""


def user_models_folder() -> Path:
    """Where imported models live, whether it exists or not: ``models`` in the user's data folder.

    By the rules of ``platformdirs.user_data_dir("gliomaseg", appauthor=False)``: ``XDG_DATA_HOME`` or
    ``~/.local/share`` on Linux, ``~/Library/Application Support`` on macOS, ``LOCALAPPDATA`` on Windows.
    Raises ``OutputRefused`` where the system knows no home folder, as in some containers.
    """
    try:
        if told := os.environ.get(MODELS_VARIABLE, "").strip():
            return Path(told).expanduser().absolute()
        return _user_data_folder() / "gliomaseg" / "models"
    except RuntimeError as error:  # so pathlib says it
        raise OutputRefused(
            f"No home folder is known: name a folder for imported models in the variable {MODELS_VARIABLE}."
        ) from error


def _user_data_folder() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support"
    told = os.environ.get("XDG_DATA_HOME", "").strip()
    # The XDG specification says that relative paths are to be ignored.
    return Path(told) if Path(told).is_absolute() else Path.home() / ".local" / "share"
