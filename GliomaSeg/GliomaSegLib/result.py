"""A finished result, read back from its folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import InputRefused
from .intake.label_maps import read_label_map
from .intake.volume import Grid
from .labels import STRUCTURES
from .outcome.dicom_seg import SegmentationAuthor
from .outcome.uncertainty import INTERVAL_LEVEL
from .output_folder import RUN_FILE
from .pipeline import MEASURES, NIFTI

LabelArray = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class StoredResult:
    """What ``segment`` wrote: ``labels`` (z, y, x) on ``grid``, ``measures.json`` and ``run.json``."""

    name: str
    labels: LabelArray
    grid: Grid
    measures: dict[str, Any]
    run: dict[str, Any]

    @cached_property
    def current_measures(self) -> dict[str, Any]:
        """What the labels in the folder measure now: a person may have corrected the file since the run.

        Volume intervals are those of the run, where the structure is still as it left it.
        """
        from .outcome.measures import mark_unknown, measure

        stored = {**self.measures["structures"], **self.measures.get("regions", {})}
        fresh = measure(self.labels, self.grid, self.run.get("sequences"))
        # What the model could not outline stays unknown, unless a person has drawn it since.
        drawn = [name for name, row in fresh["structures"].items() if row["voxels"]]
        known = [name for name, row in stored.items() if row.get("assessable", True)]
        mark_unknown(fresh, {*drawn, *known})
        for kind in ("structures", "regions"):
            for name, row in fresh[kind].items():
                before = stored.get(name, {})
                if "volume_interval_ml" in before and before.get("voxels") == row["voxels"]:
                    row["volume_interval_ml"] = before["volume_interval_ml"]
                    fresh["interval_level"] = self.measures.get("interval_level", INTERVAL_LEVEL)
        return fresh

    @property
    def edited(self) -> bool:
        """Whether the labels are no longer those that ``measures.json`` was written about."""
        now, then = self.current_measures["structures"], self.measures["structures"]
        return any(row["voxels"] != then.get(name, {}).get("voxels") for name, row in now.items())

    @property
    def author(self) -> SegmentationAuthor:
        """The model that made the labels, for DICOM."""
        model = self.run["model"]
        return SegmentationAuthor(model["name"], model["version"], model["sha256"])


def read_result(folder: Path) -> StoredResult:
    """The result in ``folder``. Raises ``InputRefused`` when it is missing, unfinished or damaged."""
    if not folder.is_dir():
        raise InputRefused(f"The result {folder.name} does not exist: give the output folder of  segment.")
    if not (folder / RUN_FILE).is_file():
        raise InputRefused(
            f"The folder {folder.name} holds no finished result (no {RUN_FILE}): run  segment  again."
        )
    labels, grid = read_known_labels(folder / NIFTI)
    return StoredResult(
        folder.name, labels, grid, _json(folder, MEASURES, "structures"), _json(folder, RUN_FILE, "model")
    )


def read_known_labels(path: Path) -> tuple[LabelArray, Grid]:
    """A label map with the numbers of ``labels.py`` alone, and its grid. Raises ``InputRefused``."""
    labels, grid = read_label_map(path)
    known = {0, *(s.number for s in STRUCTURES)}
    if unknown := sorted(set(np.unique(labels).tolist()) - known):
        raise InputRefused(
            f"The label map {path.name} holds the number {unknown[0]}, which is no structure: "
            "save it with 1 NETC, 2 SNFH, 3 ET, 4 RC."
        )
    return labels, grid


def _json(folder: Path, name: str, needed: str) -> dict[str, Any]:
    try:
        data = json.loads((folder / name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputRefused(f"{name} of {folder.name} can't be read: run  segment  again.") from error
    if not isinstance(data, dict) or needed not in data:
        raise InputRefused(f"{name} of {folder.name} is not what  segment  writes: run it again.")
    return data
