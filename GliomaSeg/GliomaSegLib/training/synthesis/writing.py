"""Simulated cases as files, in BraTS 2024 naming, each with a note that says it is simulated."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ... import __version__
from ...errors import OutputRefused, UsageError
from ...labels import STRUCTURES
from .cases import SyntheticCase, synthesise_case
from .sources import Sources

SUFFIXES = {"t1": "t1n", "t1c": "t1c", "t2": "t2w", "flair": "t2f"}
"""How BraTS 2024 names the sequences."""

NOTE_FILE = "synthesis.json"
MOST_CASES = 10_000
SEEDS_PER_RUN = 100_000


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
) -> list[Path]:
    """Write ``count`` simulated cases below ``output``; gives their folders.

    Each folder appears whole or not at all and holds the sequences (a missing one has no file), the label map
    (uint8, BraTS 2024 numbers) and `NOTE_FILE`. The same ``seed`` gives the same cases. ``progress`` is
    called with the number of cases done. Raises `UsageError` for a count or seed out of range,
    `OutputRefused` when one of the folders exists already.
    """
    if not 1 <= count <= MOST_CASES:
        raise UsageError(f"The number of cases is {count}: give 1 to {MOST_CASES}.")
    if seed < 0:
        raise UsageError(f"The seed is {seed}: give 0 or more.")
    folders = [output / case_name(number) for number in range(count)]
    for folder in folders:
        if folder.exists():
            raise OutputRefused(f"The folder {folder.name} exists already: give an empty output folder.")
    for number, folder in enumerate(folders):
        case_seed = seed * SEEDS_PER_RUN + number
        case = synthesise_case(sources, case_seed, spacing_mm)
        beside = output / f".{folder.name}.part"
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        _write_case(case, beside, folder.name, case_seed)
        beside.rename(folder)
        progress(number + 1)
    return folders


def _write_case(case: SyntheticCase, folder: Path, name: str, seed: int) -> None:
    import SimpleITK as sitk

    for role, volume in case.volumes.items():
        image = case.grid.image(volume)
        sitk.WriteImage(image, str(folder / f"{name}-{SUFFIXES[role]}.nii.gz"), useCompression=True)
    sitk.WriteImage(case.grid.image(case.labels), str(folder / f"{name}-seg.nii.gz"), useCompression=True)
    (folder / NOTE_FILE).write_text(json.dumps(describe_case(case, seed), indent=2) + "\n", encoding="utf-8")


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
