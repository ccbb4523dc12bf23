"""How much a segmentation of the same head changes from scan to scan, with nothing new in the head.

Errors move edges. A change of volume is therefore put in relation to the surface: it is noise as long as it
is smaller than that surface moved by a certain distance. That distance was measured on scans that were moved,
resampled and given new noise, by ``Testing/Benchmarks/repeatability.py``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..intake.volume import Grid
from ..labels import REGIONS, STRUCTURES

EDGE_NOISE_MM: dict[str, float] = {"NETC": 0.45, "SNFH": 0.55, "ET": 0.6, "RC": 1.1}
"""How far a structure's edge shifts in the mean, on voxels of 1 mm, while nothing changes in the head.

Twice the largest shift measured: 0.23, 0.27, 0.29 and 0.56 mm.
"""
NEW_NOISE_ML = 0.3
"""The bundled model drops enhancing islands below this, so that one of about this size comes and goes."""
MEASURED_ON = (
    "8 real pre-operative exams, 2 real brains without tumour (all of them trained on) and 4 simulated "
    "post-treatment ones, each segmented again by gliomaseg-small 0.3.0 after it was turned and shifted by "
    "up to 6 degrees and 6 mm and given new noise; the largest shift is doubled, because two days differ by "
    "more than that"
)
_STAIRCASE = 2.0 / 3.0
"""True area over the area of voxel faces, for a surface whose parts face every way alike."""


def surface_mm2(mask: npt.NDArray[np.bool_], spacing_mm: tuple[float, float, float]) -> float:
    """The area of a mask (z, y, x), mm^2, from its voxel faces. ``spacing_mm`` is (x, y, z).

    >>> z, y, x = np.mgrid[:31, :31, :31] - 15.0
    >>> round(surface_mm2(z**2 + y**2 + x**2 <= 144, (1.0, 1.0, 1.0)) / (4 * np.pi * 12.0**2), 2)
    1.02
    """
    padded = np.pad(mask, 1)
    x, y, z = spacing_mm
    faces = [int(np.count_nonzero(np.diff(padded, axis=axis))) for axis in range(3)]
    return float(np.dot(faces, [x * y, x * z, y * z])) * _STAIRCASE


def edge_noise_mm(name: str, *grids: Grid) -> float:
    """The edge noise of a structure or region, mm, on the coarsest of the ``grids``.

    It was measured at 1 mm and grows with the voxel: with the cube root of its volume above that.
    """
    members = next((r.members for r in REGIONS if r.abbreviation == name), (name,))
    coarsest = max([1.0, *((1000.0 * grid.voxel_ml) ** (1 / 3) for grid in grids)])
    return max(EDGE_NOISE_MM[member] for member in members) * coarsest


def statement(*grids: Grid) -> dict[str, Any]:
    """What a comparison on these grids can't tell from noise, for ``follow_up.json``."""
    edges = {s.abbreviation: round(edge_noise_mm(s.abbreviation, *grids), 2) for s in STRUCTURES}
    return {"edge_mm": edges, "new_lesion_ml": NEW_NOISE_ML, "measured_on": MEASURED_ON}
