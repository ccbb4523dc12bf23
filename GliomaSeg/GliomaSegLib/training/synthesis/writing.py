"""Simulated cases as files, in BraTS 2024 naming, each with a note that says it is simulated."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ... import __version__
from ...errors import Cancelled, OutputRefused, UsageError
from ...labels import STRUCTURES
from .cases import SyntheticCase, synthesise_case
from .gallery import draw_slices, need_matplotlib, real_slices, simulated_slice
from .sources import Sources

SUFFIXES = {"t1": "t1n", "t1c": "t1c", "t2": "t2w", "flair": "t2f"}
"""How BraTS 2024 names the sequences."""

NOTE_FILE = "synthesis.json"
MOST_CASES = 10_000
SEEDS_PER_RUN = 100_000
SPACINGS_MM = (0.5, 8.0)
"""Finer ones exceed memory, in coarser ones no structure is left."""


def case_name(number: int) -> str:
    """Folder name of the simulated case ``number``; the 9 in front sets it apart from every real case.

    >>> case_name(7)
    'BraTS-GLI-90007-100'
    """
    return f"BraTS-GLI-9{number:04d}-100"


def write_cases(
    sources: Sources,
    output: Path,
    count: int,
    seed: int,
    spacing_mm: float = 1.0,
    progress: Callable[[int], None] = lambda done: None,
    gallery: Path | None = None,
) -> list[Path]:
    """Write ``count`` simulated cases below ``output``; gives their folders.

    Each folder appears whole or not at all and holds the sequences (a missing one has no file), the label map
    (uint8, BraTS 2024 numbers) and `NOTE_FILE`. The same ``seed`` gives the same cases. ``progress`` is
    called with the number of cases done. ``gallery`` is a PNG to draw, the real scans first. Raises
    `UsageError` for a count, seed or spacing out of range and for a gallery without matplotlib,
    `OutputRefused` when one of the folders exists already or none can be made.
    """
    _refuse_unfit(count, seed, spacing_mm)
    if gallery:
        need_matplotlib()
    folders = [output / case_name(number) for number in range(count)]
    for folder in folders:
        if folder.exists():
            raise OutputRefused(f"The folder {folder.name} exists already: give an empty output folder.")
    _make_writable(output)
    slices = real_slices(sources, spacing_mm) if gallery else []
    for number, folder in enumerate(folders):
        case_seed = seed * SEEDS_PER_RUN + number
        beside = output / f".{folder.name}.part"
        try:
            case = synthesise_case(sources, case_seed, spacing_mm)
            shutil.rmtree(beside, ignore_errors=True)
            beside.mkdir()
            _write_case(case, beside, folder.name, case_seed)
            beside.rename(folder)
            if gallery:
                slices.append(simulated_slice(str(number), case))
        except Cancelled as told:
            raise Cancelled(f"Cancelled: {number} of {count} cases were made.") from told
        finally:
            shutil.rmtree(beside, ignore_errors=True)
        progress(number + 1)
    if gallery:
        draw_slices(slices, gallery)
    return folders


def _refuse_unfit(count: int, seed: int, spacing_mm: float) -> None:
    if not 1 <= count <= MOST_CASES:
        raise UsageError(f"The number of cases is {count}: give 1 to {MOST_CASES}.")
    if seed < 0:
        raise UsageError(f"The seed is {seed}: give 0 or more.")
    low, high = SPACINGS_MM
    if not low <= spacing_mm <= high:
        raise UsageError(f"The spacing is {spacing_mm:g} mm: give {low:g} to {high:g}.")


def _make_writable(output: Path) -> None:
    """Make the folder; better refused now than after the first case."""
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputRefused(f"The folder {output.name} can't be made: {error.strerror}.") from error
    if not os.access(output, os.W_OK | os.X_OK):
        raise OutputRefused(f"Nothing can be written into {output.name}: choose a folder of yours.")


def _write_case(case: SyntheticCase, folder: Path, name: str, seed: int) -> None:
    import SimpleITK as sitk

    images = {SUFFIXES[role]: case.grid.image(volume) for role, volume in case.volumes.items()}
    images["seg"] = case.grid.image(case.labels)
    note = json.dumps(describe_case(case, seed), indent=2) + "\n"
    try:
        for suffix, image in images.items():
            sitk.WriteImage(image, str(folder / f"{name}-{suffix}.nii.gz"), useCompression=True)
        (folder / NOTE_FILE).write_text(note, encoding="utf-8")
    except (OSError, RuntimeError) as error:
        raise OutputRefused(f"The case {name} can't be written: is the disk full?") from error


def describe_case(case: SyntheticCase, seed: int) -> dict[str, object]:
    """What `NOTE_FILE` says: that the case is simulated, how it was made, and its volumes in millilitres."""
    return {
        "simulated": True,
        "note": "Simulated by GliomaSeg for training and tests. Not a patient, not for diagnosis.",
        "gliomaseg": __version__,
        "seed": seed,
        "kind": case.kind,
        "anatomy": case.source,
        "spacing_mm": case.grid.spacing_mm[0],
        "missing_sequences": sorted(set(SUFFIXES) - set(case.volumes)),
        "volumes_ml": {
            s.abbreviation: round(float(np.sum(case.labels == s.number)) * case.grid.voxel_ml, 3)
            for s in STRUCTURES
        },
    }
