"""Finding cases on disk, and bringing each onto the model's grid with its labels."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import InputRefused
from ..intake.label_maps import read_label_map
from ..intake.preparation import InputSpec, labels_on_grid, prepare
from ..intake.reading import read_study
from ..intake.volume import ROLES, Grid
from ..labels import CLASS_NAMES, numbers_of

SUFFIXES: dict[str, dict[str, str]] = {
    "brats2024": {"t1": "-t1n", "t1c": "-t1c", "t2": "-t2w", "flair": "-t2f", "labels": "-seg"},
    "brats2021": {"t1": "_t1", "t1c": "_t1ce", "t2": "_t2", "flair": "_flair", "labels": "_seg"},
}
"""How the BraTS releases name a case's files: ``<case><suffix>.nii.gz`` in a folder ``<case>``."""


@dataclass(frozen=True)
class CaseFiles:
    """Where one case lies: ``images`` by role, ``labels`` or None where every voxel is background.

    ``numbering`` is brats2021 (1, 2, 4) or brats2024 (1 to 4).
    """

    name: str
    images: dict[str, Path]
    labels: Path | None
    numbering: str

    @property
    def patient(self) -> str:
        """What identifies the patient, so that two visits never fall on both sides of a split.

        >>> CaseFiles("BraTS-GLI-00005-101", {}, None, "brats2024").patient
        'BraTS-GLI-00005'
        """
        return re.sub(r"-\d{3}$", "", self.name) if self.numbering == "brats2024" else self.name

    @property
    def reference_role(self) -> str:
        """The sequence on whose grid the label map lies: T1c where there is one."""
        return "t1c" if "t1c" in self.images else next(iter(self.images))


@dataclass(frozen=True)
class TrainingCase:
    """One case on the model's grid: ``image`` (channel, z, y, x) float16, ``labels`` (z, y, x) uint8.

    ``kind`` is real, or the kind of synthesis that made it.
    """

    name: str
    kind: str
    image: npt.NDArray[np.float16]
    labels: npt.NDArray[np.uint8]


def _brats_case(folder: Path) -> CaseFiles | None:
    for numbering, suffixes in SUFFIXES.items():
        paths = {key: folder / f"{folder.name}{suffix}.nii.gz" for key, suffix in suffixes.items()}
        if paths["labels"].is_file():
            images = {role: paths[role] for role in ROLES if paths[role].is_file()}
            return CaseFiles(folder.name, images, paths["labels"], numbering)
    return None


def _plain_case(folder: Path) -> CaseFiles | None:
    """A folder of t1, t1c, t2, flair and ``fused_labels``, or ``ms_lesions`` (no tumour, all background)."""
    images = {role: folder / f"{role}.nii.gz" for role in ROLES if (folder / f"{role}.nii.gz").is_file()}
    if (folder / "fused_labels.nii.gz").is_file():
        return CaseFiles(folder.name, images, folder / "fused_labels.nii.gz", "brats2021")
    if images and (folder / "ms_lesions.nii.gz").is_file():
        return CaseFiles(folder.name, images, None, "brats2024")
    return None


def find_cases(folders: Collection[Path]) -> list[CaseFiles]:
    """Every case below ``folders``, by name.

    Raises ``InputRefused`` for a folder that is missing or holds none, or two cases of one name.
    """
    found: dict[str, CaseFiles] = {}
    for top in folders:
        if not top.is_dir():
            raise InputRefused(f"There is no data folder {top.name}: check the path.")
        here = 0
        for folder in sorted(p for p in [top, *top.rglob("*")] if p.is_dir()):
            case = _brats_case(folder) or _plain_case(folder)
            if case is None:
                continue
            if found.setdefault(case.name, case) != case:
                raise InputRefused(
                    f"There are two cases named {case.name}: rename one, or leave a folder out."
                )
            here += 1
        if not here:
            raise InputRefused(
                f"The data folder {top.name} holds no case in BraTS naming, "
                "such as BraTS-GLI-00005-100/BraTS-GLI-00005-100-t1c.nii.gz with its -seg.nii.gz."
            )
    return [found[name] for name in sorted(found)]


def case_labels(case: CaseFiles, grid: Grid) -> npt.NDArray[np.uint8]:
    """The case's label map (z, y, x) on its own ``grid``, with BraTS 2024 numbers.

    Raises ``InputRefused`` when its grid is another one, or it holds other numbers.
    """
    if case.labels is None:
        return np.zeros(grid.shape, np.uint8)
    values, its_grid = read_label_map(case.labels)
    if not its_grid.matches(grid, tolerance_mm=0.1):
        raise InputRefused(
            f"The label map {case.labels.name} is on another grid than its scans: resample it first."
        )
    known = numbers_of(case.numbering)
    unknown = sorted(set(np.unique(values).tolist()) - set(known))
    if unknown:
        raise InputRefused(f"The label map {case.labels.name} holds {unknown}: expected {sorted(known)}.")
    table = np.zeros(max(known) + 1, np.uint8)
    for stored, number in known.items():
        table[stored] = number
    return table[values]


def load_case(case: CaseFiles, spec: InputSpec, kind: str = "real") -> TrainingCase:
    """Read, prepare and crop one case, labels with it."""
    study = read_study(case.images, case.reference_role)
    labels = case_labels(case, study.reference.grid)
    prepared = prepare(study, spec)
    on_grid = labels_on_grid(labels, study.reference.grid, prepared.grid, len(CLASS_NAMES))
    return TrainingCase(case.name, kind, prepared.array.astype(np.float16), on_grid)


def split_by_patient(
    cases: Collection[CaseFiles], share: float, seed: int
) -> tuple[list[CaseFiles], list[CaseFiles]]:
    """Training and validation cases, ``share`` (0 to 1) for validation; a patient's visits stay together."""
    patients = sorted({case.patient for case in cases})
    order = np.random.default_rng(seed).permutation(len(patients))
    held = {patients[i] for i in order[: max(1, round(share * len(patients)))]}
    ordered = sorted(cases, key=lambda c: c.name)
    return [c for c in ordered if c.patient not in held], [c for c in ordered if c.patient in held]


def iter_loaded(cases: Collection[CaseFiles], spec: InputSpec) -> Iterator[TrainingCase]:
    """Load cases one by one."""
    for case in cases:
        yield load_case(case, spec)
