"""Phantoms as files: a folder in BraTS 2024 naming, which ``gliomaseg evaluate`` takes as reference."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np

from ...errors import OutputRefused
from ...intake.volume import ROLES
from ...outcome.measures import volumes_ml
from .rendering import ICBM152, PhantomCase, render_phantom

BRATS_2024_SUFFIXES = {"t1": "t1n", "t1c": "t1c", "t2": "t2w", "flair": "t2f"}
"""How BraTS 2024 names the four contrasts in file names."""
MANIFEST = "phantoms.json"
_FIRST_NUMBER = 80_000
"""BraTS 2024 numbers its own patients far below; training's synthesis begins at 90 000."""


def write_phantoms(
    output: Path,
    count: int,
    seed: int,
    anatomy: str | Path = ICBM152,
    spacing_mm: float = 1.0,
    tell: Callable[[int, int, str], None] | None = None,
) -> tuple[str, ...]:
    """Writes ``count`` phantoms as ``output/CASE/CASE-{t1n,t1c,t2w,t2f,seg}.nii.gz`` and returns their names.

    ``phantoms.json``, written last, says that the cases are simulated, from which seeds, and their ml. Case
    ``k`` depends on ``seed`` and ``k`` alone. ``anatomy`` and ``spacing_mm`` as :func:`render_phantom`.
    ``tell`` is told (done, count, case). Raises ``OutputRefused`` when ``output`` already holds phantoms.
    """
    if (output / MANIFEST).exists():
        raise OutputRefused(f"The folder {output.name} holds phantoms already: take another.")
    told: list[dict[str, object]] = []
    names: list[str] = []
    for number in range(count):
        entry = write_phantom(output, seed, number, anatomy, spacing_mm)
        names.append(phantom_name(number))
        told.append(entry)
        if tell is not None:
            tell(number + 1, count, names[-1])
    source = "ICBM152" if str(anatomy) == ICBM152 else "real four-contrast exam"
    manifest = {"simulated": True, "anatomy": source, "spacing_mm": spacing_mm, "seed": seed, "cases": told}
    output.mkdir(parents=True, exist_ok=True)
    (output / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    return tuple(names)


def write_phantom(
    output: Path, seed: int, number: int, anatomy: str | Path = ICBM152, spacing_mm: float = 1.0
) -> dict[str, object]:
    """Writes the ``number``-th phantom of a set into its own folder below ``output``; its manifest entry.

    The folder appears whole or not at all. Arguments as :func:`write_phantoms`.
    """
    name, case_seed = phantom_name(number), phantom_seed(seed, number)
    case = render_phantom(case_seed, anatomy, spacing_mm)
    write_rendered(case, output, name)
    return _manifest_entry(name, case_seed, case)


def write_rendered(case: PhantomCase, output: Path, name: str) -> None:
    """Writes a rendered case as ``output/name``, whole or not at all."""
    beside = output / f".{name}.part"
    shutil.rmtree(beside, ignore_errors=True)
    write_case(case, beside, {r: f"{name}-{s}.nii.gz" for r, s in BRATS_2024_SUFFIXES.items()})
    _write_labels(case, beside / f"{name}-seg.nii.gz")
    beside.replace(output / name)


def phantom_name(number: int) -> str:
    """Folder name of the ``number``-th phantom of a set.

    >>> phantom_name(7)
    'BraTS-GLI-80007-100'
    """
    return f"BraTS-GLI-{_FIRST_NUMBER + number:05d}-100"


def phantom_seed(seed: int, number: int) -> int:
    """The seed of the ``number``-th phantom of a set: no two sets share one but by accident."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)[0])


def write_case(case: PhantomCase, folder: Path, names: dict[str, str]) -> dict[str, Path]:
    """Writes the four contrasts into ``folder`` under ``names`` by role; returns their paths by role."""
    import SimpleITK as sitk

    folder.mkdir(parents=True, exist_ok=True)
    paths = {role: folder / names[role] for role in ROLES}
    for role, path in paths.items():
        sitk.WriteImage(case.grid.image(case.volumes[role]), str(path), True, 1)
    return paths


def _write_labels(case: PhantomCase, path: Path) -> None:
    from ...outcome.segmentation_file import write_nifti

    write_nifti(path, case.labels, case.grid)


def _manifest_entry(name: str, seed: int, case: PhantomCase) -> dict[str, object]:
    structures = volumes_ml(case.labels, case.grid)["structures"]
    return {
        "case": name,
        "seed": seed,
        "volume_ml": {abbreviation: row["volume_ml"] for abbreviation, row in structures.items()},
        "plan": asdict(case.plan),
    }
