"""Where the files that travel with the code are: models and terminology."""

from __future__ import annotations

from pathlib import Path

from .errors import ModelRefused

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
