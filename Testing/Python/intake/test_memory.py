"""Peak memory of ``gliomaseg segment`` on the largest volumes that scanners make of a head."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from samples import CHECKOUT

from GliomaSegLib.intake.volume import ROLES

SHAPE, SPACING_ZYX_MM = (300, 512, 512), (0.6, 0.45, 0.45)
LEAST_MB, MOST_MB = 1200.0, 6000.0
"""Four volumes of float32 are 1258 MB by themselves: less would mean that nothing was measured."""
GREY = {"t1": (600, 800, 450), "t1c": (620, 820, 1500), "t2": (700, 500, 1100), "flair": (650, 550, 1200)}
"""Values of the cortex, the white matter and the lesion."""

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]


def write_head(folder: Path, angle_deg: float) -> dict[str, Path]:
    """Four simulated stripped heads, 512 x 512 x 300; each is turned a little further by ``angle_deg``."""
    axes = [
        ((np.arange(n) - (n - 1) / 2) * s).astype(np.float32)
        for n, s in zip(SHAPE, SPACING_ZYX_MM, strict=True)
    ]
    z, y, x = np.meshgrid(*axes, indexing="ij", sparse=True)
    brain = (z / 68) ** 2 + (y / 86) ** 2 + (x / 70) ** 2 < 1
    white = (z / 50) ** 2 + (y / 64) ** 2 + (x / 52) ** 2 < 1
    lesion = (z - 10) ** 2 + (y - 10) ** 2 + (x - 28) ** 2 < 18**2
    rng = np.random.default_rng(1)
    paths = {}
    for number, role in enumerate(ROLES):
        cortex, inside, spot = GREY[role]
        values = np.where(lesion, spot, np.where(white, inside, cortex)).astype(np.float32)
        values += 25 * rng.standard_normal(SHAPE, dtype=np.float32)
        image = sitk.GetImageFromArray(np.where(brain, np.rint(values), 0).astype(np.int16))
        image.SetSpacing(SPACING_ZYX_MM[::-1])
        image.SetOrigin([-s * (n - 1) / 2 for n, s in zip(SHAPE[::-1], SPACING_ZYX_MM[::-1], strict=True)])
        turn = sitk.Euler3DTransform()
        turn.SetRotation(0.0, 0.0, np.deg2rad(number * angle_deg))
        image.SetDirection(turn.GetMatrix())
        paths[role] = folder / f"{role}.nii.gz"
        sitk.WriteImage(image, str(paths[role]), True, 1)
    return paths


@pytest.mark.parametrize("angle_deg", [0.0, 2.0], ids=["one grid", "four grids, registered"])
def test_four_volumes_of_512_by_512_by_300_stay_below_6_gb(
    angle_deg: float, tiny_model: Path, tmp_path: Path
) -> None:
    words = [sys.executable, "-m", "GliomaSegLib", "segment"]
    for role, path in write_head(tmp_path, angle_deg).items():
        words += [f"--{role}", str(path)]
    words += ["--model", str(tiny_model), "--device", "cpu", "--progress", "none"]
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT / "GliomaSeg")}
    subprocess.run([*words, "--output", str(tmp_path / "out")], env=environment, check=True)
    stages = json.loads((tmp_path / "out" / "run.json").read_text())["stages"]
    peaks = {stage["stage"]: stage["peak_memory_mb"] for stage in stages}
    if None in peaks.values():
        pytest.skip("this system does not tell a process's peak memory")
    assert LEAST_MB < max(peaks.values()) < MOST_MB, peaks
