"""``slicer.packaging``: its parameters, and a refusal. No test installs anything unless it says how."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path


def pip_install(
    requirements: str | list[str],
    constraints: str | Path | None = None,
    no_deps_requirements: str | list[str] | None = None,
    skip_packages: list[str] | None = None,
    blocking: bool = True,
    show_progress: bool = True,
    requester: str | None = None,
    logCallback: Callable[[str], None] | None = None,
    completedCallback: Callable[[int], None] | None = None,
) -> list[str] | None:
    """Refuses; the real one runs pip."""
    if not isinstance(requirements, str | list):
        raise ValueError("pip_install requirement input must be string or list")
    raise RuntimeError("the stand-in of slicer.packaging installs nothing")
