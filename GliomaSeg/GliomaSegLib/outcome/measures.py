"""Numbers from a label map: millilitres, lesions, RANO diameters, the distance from cavity to enhancement."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import cKDTree

from ..intake.volume import Grid
from ..labels import ET, NETC, RC, REGIONS, STRUCTURES
from .diameters import MEASURABLE_MM, bidimensional
from .distances import smallest_distance_mm, surface_points
from .lesions import Lesions, bounding_box, find_lesions
from .uncertainty import INTERVAL_LEVEL

LabelArray = npt.NDArray[np.uint8]
Interval = tuple[float, float]

LESION_RULE = (
    "26-connected components, merged and joined by the BraTS 2024 glioma rules in millimetres; "
    "largest first; those of at most 0.01 ml (ET) or 0.02 ml are counted apart"
)
DIAMETER_RULE = (
    "longest line inside the lesion on one axial slice and its longest crossing perpendicular "
    f"(RANO 2.0); measurable from {MEASURABLE_MM:.0f} x {MEASURABLE_MM:.0f} mm"
)
_LESIONS_OF = (ET, NETC, RC)
"""Structures whose lesions are told one by one; the hyperintensity is a volume only."""
_SEEN_ON: dict[str, tuple[str, ...]] = {
    "ET": ("t1c",),
    "NETC": ("t1c",),
    "TC": ("t1c",),
    "SNFH": ("flair", "t2"),
    "WT": ("flair", "t2"),
}
"""Sequences of which one is needed to see a structure or region. The cavity shows on every sequence."""


def volumes_ml(labels: LabelArray, grid: Grid) -> dict[str, Any]:
    """Voxels and millilitres of each structure and region of ``labels`` (z, y, x), for ``measures.json``."""
    voxels = {s.abbreviation: int(np.count_nonzero(labels == s.number)) for s in STRUCTURES}

    def row(name: str, number: int) -> dict[str, Any]:
        return {"name": name, "voxels": number, "volume_ml": round(number * grid.voxel_ml, 4)}

    return {
        "unit": "ml",
        "voxel_ml": grid.voxel_ml,
        "structures": {s.abbreviation: row(s.name, voxels[s.abbreviation]) for s in STRUCTURES},
        "regions": {r.abbreviation: row(r.name, sum(voxels[m] for m in r.members)) for r in REGIONS},
    }


def assessable(abbreviation: str, sequences: Collection[str]) -> bool:
    """Whether a structure or region can be seen with these sequences (roles as in ``ROLES``).

    >>> assessable("ET", ["flair", "t1"]), assessable("RC", ["flair", "t1"])
    (False, True)
    """
    needed = _SEEN_ON.get(abbreviation)
    return needed is None or any(role in sequences for role in needed)


def measure(
    labels: LabelArray,
    grid: Grid,
    sequences: Collection[str] | None = None,
    intervals_ml: Mapping[str, Interval] | None = None,
) -> dict[str, Any]:
    """Everything that ``measures.json`` holds about ``labels`` (z, y, x) on ``grid``.

    ``sequences``: roles that were given; what they can't show has ``assessable`` False and None for numbers.
    ``intervals_ml``: volume interval by structure and region. Lengths are mm, positions LPS mm, products mm2.
    """
    measures = volumes_ml(labels, grid)
    _add_intervals(measures, intervals_ml or {})
    measures["rules"] = {"lesions": LESION_RULE, "diameters": DIAMETER_RULE}
    measures["lesions"], measures["too_small"] = _lesions(labels, grid)
    enhancing = measures["lesions"][ET.abbreviation]
    measures["sum_of_products_mm2"] = round(
        sum((each["product_mm2"] for each in enhancing if each["measurable"]), 0.0), 1
    )
    gaps = [each["distance_to_cavity_mm"] for each in enhancing]
    measures["cavity_to_enhancement_mm"] = min((gap for gap in gaps if gap is not None), default=None)
    if sequences is not None:
        _mark_unseen(measures, sequences)
    return measures


def _add_intervals(measures: dict[str, Any], intervals_ml: Mapping[str, Interval]) -> None:
    if intervals_ml:
        measures["interval_level"] = INTERVAL_LEVEL
    for kind in ("structures", "regions"):
        for name, row in measures[kind].items():
            row["assessable"] = True
            if name in intervals_ml:
                row["volume_interval_ml"] = [round(limit, 4) for limit in intervals_ml[name]]


def _mark_unseen(measures: dict[str, Any], sequences: Collection[str]) -> None:
    for kind in ("structures", "regions"):
        for name, row in measures[kind].items():
            if not assessable(name, sequences):
                _mark_row(measures, name, row)
    if not assessable(ET.abbreviation, sequences):
        measures["sum_of_products_mm2"] = measures["cavity_to_enhancement_mm"] = None


def _mark_row(measures: dict[str, Any], name: str, row: dict[str, Any]) -> None:
    row |= {"voxels": None, "volume_ml": None, "assessable": False}
    row.pop("volume_interval_ml", None)
    if name in measures["lesions"]:
        measures["lesions"][name], measures["too_small"][name] = None, None


def mark_unknown(measures: dict[str, Any], classes: Collection[str]) -> list[str]:
    """Mark in ``measures`` what a model with these ``classes`` can't outline; the structures' abbreviations.

    A region is marked when the model knows none of its members.
    """
    parts: dict[str, tuple[str, ...]] = {s.abbreviation: (s.abbreviation,) for s in STRUCTURES}
    parts |= {region.abbreviation: region.members for region in REGIONS}
    for kind in ("structures", "regions"):
        for name, row in measures[kind].items():
            if not set(parts[name]) & set(classes):
                _mark_row(measures, name, row)
    unknown = [s.abbreviation for s in STRUCTURES if s.abbreviation not in classes]
    if ET.abbreviation in unknown:
        measures["sum_of_products_mm2"] = None
    if {ET.abbreviation, RC.abbreviation} & set(unknown):
        measures["cavity_to_enhancement_mm"] = None
    return unknown


def _lesions(labels: LabelArray, grid: Grid) -> tuple[dict[str, Any], dict[str, Any]]:
    """The lesions of each structure, largest first, and what was too small to count."""
    counted: dict[str, Any] = {s.abbreviation: [] for s in _LESIONS_OF}
    small = {s.abbreviation: {"count": 0, "volume_ml": 0.0} for s in _LESIONS_OF}
    if not labels.any():
        return counted, small
    box = bounding_box(labels > 0)
    corner = (box[0].start, box[1].start, box[2].start)
    cropped = np.ascontiguousarray(labels[box])
    spacing = grid.spacing_mm[::-1]
    names = [s.abbreviation for s in _LESIONS_OF]
    found = find_lesions(cropped, spacing_zyx_mm=(spacing[0], spacing[1], spacing[2]), regions=names)
    scene = _Scene(grid, corner, _cavity(cropped, grid, corner))
    for structure in _LESIONS_OF:
        lesions = found[structure.abbreviation]
        numbers = largest_first(lesions)
        boxes = ndimage.find_objects(lesions.labels)
        counted[structure.abbreviation] = [
            scene.lesion(place, lesions.labels[boxes[n - 1]] == n, boxes[n - 1], structure is ET)
            for place, n in enumerate(numbers.tolist(), 1)
        ]
        dropped = int(lesions.voxels[~lesions.kept].sum())
        small[structure.abbreviation] = {
            "count": lesions.dropped,
            "volume_ml": round(dropped * grid.voxel_ml, 4),
        }
    return counted, small


def largest_first(lesions: Lesions) -> npt.NDArray[np.intp]:
    """The labels of the lesions that count, in the order in which ``measures.json`` numbers them."""
    numbers = np.flatnonzero(lesions.kept)
    return np.asarray(numbers[np.argsort(-lesions.voxels[numbers], kind="stable")])


def _cavity(labels: LabelArray, grid: Grid, corner: tuple[int, int, int]) -> cKDTree | None:
    mask = labels == RC.number
    if not mask.any():
        return None
    spacing = grid.spacing_mm[::-1]
    points = surface_points(mask, (spacing[0], spacing[1], spacing[2]), corner)
    return cKDTree(points, balanced_tree=False)


@dataclass(frozen=True)
class _Scene:
    """What a lesion is measured in: the grid, where the crop begins in it (z, y, x), the cavity's surface."""

    grid: Grid
    corner: tuple[int, int, int]
    cavity: cKDTree | None

    def lesion(
        self, number: int, mask: npt.NDArray[np.bool_], box: tuple[slice, ...], enhancing: bool
    ) -> dict[str, Any]:
        """One lesion's row; ``mask`` is its part of the crop, ``box`` where that lies in the crop."""
        voxels = np.argwhere(mask)
        corner = tuple(c + part.start for c, part in zip(self.corner, box, strict=True))
        matrix = self.grid.index_to_lps()
        centre = matrix[:3, :3] @ (voxels.mean(axis=0) + corner)[::-1] + matrix[:3, 3]
        row: dict[str, Any] = {
            "number": number,
            "voxels": len(voxels),
            "volume_ml": round(len(voxels) * self.grid.voxel_ml, 4),
            "centroid_lps_mm": _rounded(centre),
        }
        return row | self._enhancing(mask, (corner[0], corner[1], corner[2])) if enhancing else row

    def _enhancing(self, mask: npt.NDArray[np.bool_], corner: tuple[int, int, int]) -> dict[str, Any]:
        lines = bidimensional(mask, self.grid, corner)
        distance = None
        if self.cavity is not None:
            spacing = self.grid.spacing_mm[::-1]
            points = surface_points(mask, (spacing[0], spacing[1], spacing[2]), corner)
            distance = round(smallest_distance_mm(points, self.cavity), 2)
        return {
            "longest_mm": round(lines.longest_mm, 2),
            "perpendicular_mm": round(lines.perpendicular_mm, 2),
            "product_mm2": round(lines.product_mm2, 1),
            "measurable": lines.measurable,
            "slice_axis": "zyx"[lines.slice_axis],
            "slice_index": lines.slice_index,
            "longest_ends_lps_mm": [_rounded(end) for end in lines.longest_ends_lps_mm],
            "perpendicular_ends_lps_mm": [_rounded(end) for end in lines.perpendicular_ends_lps_mm],
            "distance_to_cavity_mm": distance,
        }


def _rounded(point: npt.ArrayLike) -> list[float]:
    return [round(float(value), 2) for value in np.asarray(point)]
