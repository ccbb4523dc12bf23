"""A finished result and the pictures that it was made on become ``report.html`` and ``report.pdf``."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from .errors import InputRefused, OutputRefused, UsageError
from .intake.alignment import moved_grid
from .intake.exam import read_exam
from .intake.volume import ROLE_NAMES, Volume
from .outcome.dicom_export import identity_beside
from .outcome.pictures import structure_strips
from .outcome.report import report_html
from .provenance import fingerprint
from .result import StoredResult, read_result

_BROWSERS = (
    "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome",
    "microsoft-edge", "msedge",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
    r"C:\Program Files\Google\Chrome\Application\chrome.exe",
    r"C:\Program Files (x86)\Microsoft\Edge\Application\msedge.exe",
)  # fmt: skip
"""Where a browser that can print is looked for: on the path, then where installers put it."""
_SECONDS = 120


def write_report(
    result_folder: Path,
    paths: Mapping[str, Path],
    study: Path | None,
    output: Path,
    title: str = "",
    keep_identity: bool = False,
    overwrite: bool = False,
) -> None:
    """Write the page of the result in ``result_folder`` to ``output``.

    ``paths`` by role and the folder ``study`` are given as to ``segment``; without any the page has no
    pictures. ``keep_identity``: say whose exam it is, as its DICOM headers do. Raises ``InputRefused`` for no
    result, or for pictures on which it was not made; ``UsageError`` for an identity that nothing tells.
    """
    _check(output, ".html", overwrite)
    result = read_result(result_folder)
    if keep_identity and not (paths or study):
        raise UsageError("--keep-identity needs the DICOM exam: give --study as to  segment.")
    volumes = _volumes(result, paths, study) if paths or study else {}
    strips = structure_strips(volumes, result.labels, result.grid)
    identity = _identity(result, volumes, paths, study) if keep_identity else ""
    page = report_html(result.current_measures, result.run, result.grid, strips, title, identity)
    try:
        output.write_text(page, encoding="utf-8")
    except OSError as error:
        raise OutputRefused(f"{output.name} can't be written: choose another folder.") from error


def find_browser() -> str | None:
    """A browser that can print to PDF, if one is installed."""
    return next((found for name in _BROWSERS if (found := shutil.which(name))), None)


def print_report(page: Path, output: Path, overwrite: bool = False) -> None:
    """Print an HTML page to PDF with the browser that is installed.

    Raises ``UsageError`` when there is none, ``OutputRefused`` when it fails.
    """
    _check(output, ".pdf", overwrite)
    browser = find_browser()
    if browser is None:
        raise UsageError(
            "Printing to PDF needs Chromium, Chrome or Edge: "
            "install one, or print report.html from any browser."
        )
    # Browsers refuse their sandbox to root, who runs inside containers.
    root = ["--no-sandbox"] if getattr(os, "geteuid", lambda: 1)() == 0 else []
    with tempfile.TemporaryDirectory() as profile:
        words = [browser, "--headless", "--disable-gpu", *root, f"--user-data-dir={profile}"]
        words += ["--no-pdf-header-footer", f"--print-to-pdf={output.resolve()}", page.resolve().as_uri()]
        try:
            subprocess.run(words, check=True, capture_output=True, timeout=_SECONDS)
        except (OSError, subprocess.SubprocessError) as error:
            raise OutputRefused(
                f"The browser could not print {page.name}: open it and print it by hand."
            ) from error
    if not output.is_file():
        raise OutputRefused(f"The browser printed nothing to {output.name}: print {page.name} by hand.")


def _identity(
    result: StoredResult, volumes: Mapping[str, Volume], paths: Mapping[str, Path], study: Path | None
) -> str:
    role = result.run["reference"]
    given = paths.get(role) or study
    told = identity_beside(volumes[role], given) if role in volumes and given is not None else ""
    if not told:
        raise UsageError(
            f"Nothing says whose exam {result.name} is: "
            f"--keep-identity needs its {ROLE_NAMES[role]} as DICOM."
        )
    return told


def _check(output: Path, ending: str, overwrite: bool) -> None:
    if output.suffix.lower() != ending:
        raise OutputRefused(f"The output {output.name} must end with {ending}.")
    if not output.parent.is_dir():
        raise OutputRefused(f"The folder of {output.name} does not exist: create it first.")
    if output.exists() and not overwrite:
        raise OutputRefused(f"The file {output.name} exists: take another name or add --overwrite.")


def _volumes(result: StoredResult, paths: Mapping[str, Path], study: Path | None) -> dict[str, Volume]:
    """The volumes as the run saw them: the very same pictures, moved as it moved them."""
    read, _ = read_exam(paths, study, result.run["reference"], True)
    known = result.run.get("inputs_sha256", {})
    moves = result.run.get("intake", {}).get("alignment", {})
    volumes = {}
    for role, volume in read.volumes.items():
        if known.get(role) != fingerprint(volume):
            raise InputRefused(
                f"{volume.name} is not the {ROLE_NAMES[role]} that {result.name} was made on: "
                "give the same files as to  segment."
            )
        move = moves.get(role)
        if move and move["moved"]:
            matrix = np.reshape(move["matrix_lps"], (4, 4))
            volume = replace(volume, grid=moved_grid(volume.grid, matrix))
        volumes[role] = volume
    return volumes
