"""Numbers from a label map: millilitres for each structure and region."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..intake.volume import Grid
from ..labels import REGIONS, STRUCTURES


def volumes_ml(labels: npt.NDArray[np.uint8], grid: Grid) -> dict[str, Any]:
    """Voxels and millilitres of each structure and region of ``labels`` (z, y, x), for ``measures.json``."""
    counts = np.bincount(labels.ravel(), minlength=len(STRUCTURES) + 1)
    voxels = {s.abbreviation: int(counts[s.number]) for s in STRUCTURES}

    def row(name: str, number: int) -> dict[str, Any]:
        return {"name": name, "voxels": number, "volume_ml": round(number * grid.voxel_ml, 4)}

    return {
        "unit": "ml",
        "voxel_ml": grid.voxel_ml,
        "structures": {s.abbreviation: row(s.name, voxels[s.abbreviation]) for s in STRUCTURES},
        "regions": {r.abbreviation: row(r.name, sum(voxels[m] for m in r.members)) for r in REGIONS},
    }
