"""What the benchmarks run on: a simulated BraTS-size case, cubes of growing size, a native DICOM exam."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from GliomaSegLib.evaluation.phantom import write_phantoms
from GliomaSegLib.intake.reading import read_volume
from GliomaSegLib.intake.volume import ROLES
from GliomaSegLib.model.weights import MODEL_FILE
from GliomaSegLib.training.cases import find_cases

SEED = 4711
CUBES = (64, 96, 128, 192, 256, 320)
"""Edges in voxels of 1 mm."""
NATIVE_CASE = Path("openms/native/patient01")
_NATIVE_FILES = {"t1": "study1_T1W", "t1c": "study2_T1W", "t2": "study1_T2W", "flair": "study1_FLAIR"}
"""No native scan at hand has contrast: the T1 of the second visit stands in its place, for time only."""

Paths = dict[str, Path]


def brats_case(folder: Path) -> Paths:
    """Four NIfTI files of 182x218x182 voxels of 1 mm, skull-stripped, by role."""
    if not folder.is_dir():
        write_phantoms(folder, 1, SEED)
    return find_cases([folder])[0].images


def brain_box(paths: Paths) -> tuple[int, int, int]:
    """Size (z, y, x) of the box around everything that is not 0, to which nnU-Net crops its input."""
    inside = np.any([read_volume(path, role).array != 0 for role, path in paths.items()], axis=0)
    spans = [np.flatnonzero(inside.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    z, y, x = (int(span[-1] - span[0]) + 1 for span in spans)
    return z, y, x


def cube(folder: Path, edge: int) -> Paths:
    """Four NIfTI files of ``edge``^3 voxels of 1 mm: a ball of noise with a bright spot, by role."""
    paths = {role: folder / f"cube{edge}" / f"{role}.nii.gz" for role in ROLES}
    if all(path.is_file() for path in paths.values()):
        return paths
    paths["t1"].parent.mkdir(parents=True, exist_ok=True)
    axis = (np.arange(edge, dtype=np.float32) - (edge - 1) / 2) / edge
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij", sparse=True)
    ball, spot = z**2 + y**2 + x**2 < 0.45**2, z**2 + y**2 + (x - 0.2) ** 2 < 0.1**2
    for number, (role, path) in enumerate(paths.items()):
        values = 100 + 10 * np.random.default_rng(number).standard_normal((edge,) * 3, dtype=np.float32)
        values += np.where(spot, 60 if role in ("t1c", "flair") else 20, 0)
        image = sitk.GetImageFromArray(np.where(ball, values, 0).astype(np.int16))
        sitk.WriteImage(image, str(path), True, 1)
    return paths


def native_exam(data: Path, folder: Path) -> Paths | None:
    """Four DICOM series of a real native exam (Lesjak et al. 2017), by role; None where the scans are absent.

    The public scans are NIfTI: they are written as DICOM, one file a slice, as a scanner exports them.
    """
    source = data / NATIVE_CASE
    if not source.is_dir():
        return None
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "Python" / "intake"))
    from dicom_files import write_classic

    paths = {role: folder / "exam" / role for role in _NATIVE_FILES}
    for role, name in _NATIVE_FILES.items():
        if paths[role].is_dir():
            continue
        volume = read_volume(source / f"{name}.nii.gz", role)
        top = float(np.percentile(volume.array, 99.9)) or 1.0
        write_classic(paths[role], np.clip(volume.array * 2000 / top, -32768, 32767), volume.grid)
    return paths


def finer_model(model: Path, folder: Path, spacing_mm: float) -> Path:
    """A copy of a model that works at another voxel size: as slow as a finer one, and of no use else."""
    copied = folder / f"{model.name}-{spacing_mm:g}mm"
    shutil.copytree(model, copied, dirs_exist_ok=True)
    facts = json.loads((copied / MODEL_FILE).read_text())
    facts["input"]["spacing_mm"] = [spacing_mm] * 3
    (copied / MODEL_FILE).write_text(json.dumps(facts))
    return copied
