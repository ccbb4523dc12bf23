"""Two visits side by side: which enhancing lesion is new, growing, stable, shrinking or gone, by how much.

Lesions are measured on their own visit's grid; only their places are compared, after a rigid registration.
The thresholds are those of RANO 2.0 (Wen et al. 2023, doi:10.1200/JCO.23.01059). They are named beside each
number; none of this is a diagnosis, which also rests on steroids, time since radiotherapy and the patient.
What is smaller than the noise between two scans of one head (see ``noise.py``) is not called a change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from ..intake.volume import Grid
from ..labels import ET
from . import noise
from .lesions import find_lesions, region_mask
from .measures import largest_first

Points = npt.NDArray[np.float64]

MATCHED_WITHIN_MM = 5.0
"""Lesions whose nearest voxels are at most this far apart are taken as one."""
PRODUCT_LIMITS = (-50.0, 25.0)
"""Change of the bidimensional product, per cent: partial response, progression."""
VOLUME_LIMITS = (-65.0, 40.0)
"""Change of the volume, per cent: partial response, progression."""
GROWING, SHRINKING, STABLE, NEW, GONE = "growing", "shrinking", "stable", "new", "gone"
WITHIN_NOISE = "within noise"
"""A lesion on one visit only, too small to be called new or gone."""
PROGRESSION, RESPONSE = "progression", "response"


@dataclass(frozen=True)
class Visit:
    """One visit: ``labels`` (z, y, x) on ``grid`` and what :func:`..measures.measure` says about them."""

    labels: npt.NDArray[np.uint8]
    grid: Grid
    measures: dict[str, Any]

    def lesions(self) -> list[VisitLesion]:
        """Its enhancing lesions, in the order of their numbers."""
        spacing = self.grid.spacing_mm[::-1]
        name = ET.abbreviation
        found = find_lesions(
            self.labels, spacing_zyx_mm=(spacing[0], spacing[1], spacing[2]), regions=[name]
        )[name]
        matrix = self.grid.index_to_lps()
        boxes = ndimage.find_objects(found.labels)
        lesions = []
        for number, row in zip(largest_first(found), self.measures["lesions"][name], strict=True):
            box = boxes[number - 1]
            mask = found.labels[box] == number
            index = np.argwhere(mask) + [part.start for part in box]
            points = index[:, ::-1] @ matrix[:3, :3].T + matrix[:3, 3]
            lesions.append(VisitLesion(row, points, noise.surface_mm2(mask, self.grid.spacing_mm)))
        return lesions

    def surface_mm2(self, name: str) -> float:
        """The surface of a structure or region."""
        return noise.surface_mm2(region_mask(self.labels, name), self.grid.spacing_mm)


@dataclass(frozen=True)
class VisitLesion:
    """One enhancing lesion: its row of ``measures.json``, voxel centres (n, 3) LPS mm, surface mm^2."""

    row: dict[str, Any]
    points: Points
    surface_mm2: float


def compare(before: Visit, after: Visit, matrix: npt.NDArray[np.float64]) -> dict[str, Any]:
    """What changed from ``before`` to ``after``, for ``follow_up.json``.

    ``matrix`` (4x4, LPS mm) takes a point of the later visit to the same anatomy in the earlier one. Lesions
    that merged or split are compared together. Numbers are None where a visit can't assess enhancement.
    """
    lesions = _lesions(before, after, matrix)
    new = [row for row in lesions or () if row["status"] == NEW and row["measurable_now"]]
    return {
        "thresholds_percent": {
            "source": "RANO 2.0",
            "product": {RESPONSE: PRODUCT_LIMITS[0], PROGRESSION: PRODUCT_LIMITS[1]},
            "volume": {RESPONSE: VOLUME_LIMITS[0], PROGRESSION: VOLUME_LIMITS[1]},
        },
        "noise": noise.statement(before.grid, after.grid),
        "structures": _structures(before, after),
        "sum_of_products": totals(before.measures, after.measures),
        "lesions": lesions,
        "new_measurable_lesions": None if lesions is None else len(new),
    }


def totals(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """The change of the sum of products of measurable lesions, against the thresholds for products."""
    first, second = before["sum_of_products_mm2"], after["sum_of_products_mm2"]
    change = change_percent(first, second)
    return {
        "before_mm2": first,
        "after_mm2": second,
        "change_percent": change,
        "trend": trend(change, PRODUCT_LIMITS),
    }


def against(then: Visit, now: Visit, kind: str) -> dict[str, Any]:
    """One visit against the one that a person named: the nadir for progression, the baseline for response.

    ``kind`` is ``PROGRESSION`` or ``RESPONSE``; only its thresholds are told. ``reached`` is None where a
    percentage is unknown: nothing measurable then, or enhancement not assessable.
    """
    side = 1 if kind == PROGRESSION else 0
    volume = _volume_row(ET.abbreviation, "structures", then, now)
    products = [visit.measures["sum_of_products_mm2"] for visit in (then, now)]
    return {
        "kind": kind,
        "product": _reached(products[0], products[1], PRODUCT_LIMITS[side]) | {"unit": "mm2"},
        "volume": _reached(volume["before_ml"], volume["after_ml"], VOLUME_LIMITS[side]) | {"unit": "ml"},
        "volume_above_noise": volume["above_noise"],
    }


def _reached(then: float | None, now: float | None, limit: float) -> dict[str, Any]:
    change = change_percent(then, now)
    reached = None if change is None else change >= limit if limit > 0 else change <= limit
    return {
        "then": then,
        "now": now,
        "change_percent": change,
        "threshold_percent": limit,
        "reached": reached,
    }


def _noise_ml(name: str, before: Visit, after: Visit) -> float:
    """The change of a structure's volume that is noise, ml."""
    surface = (before.surface_mm2(name) + after.surface_mm2(name)) / 2
    return round(surface * noise.edge_noise_mm(name, before.grid, after.grid) / 1000.0, 4)


def change_percent(before: float | None, after: float | None) -> float | None:
    """Relative change; None when either is unknown or there was nothing before.

    >>> change_percent(200.0, 250.0), change_percent(0.0, 3.0)
    (25.0, None)
    """
    if before is None or after is None or before <= 0:
        return None
    return round(100.0 * (after - before) / before, 1)


def trend(change: float | None, limits: tuple[float, float]) -> str | None:
    """Which threshold a change reaches.

    >>> trend(25.0, PRODUCT_LIMITS), trend(-49.9, PRODUCT_LIMITS), trend(-65.0, VOLUME_LIMITS)
    ('growing', 'stable', 'shrinking')
    """
    if change is None:
        return None
    return GROWING if change >= limits[1] else SHRINKING if change <= limits[0] else STABLE


def _structures(before: Visit, after: Visit) -> dict[str, Any]:
    return {
        name: _volume_row(name, kind, before, after)
        for kind in ("structures", "regions")
        for name in after.measures[kind]
    }


def _volume_row(name: str, kind: str, before: Visit, after: Visit) -> dict[str, Any]:
    """The change of one structure's or region's volume.

    It is above noise when it is larger than the edges' noise and, where both visits have volume intervals,
    these lie apart: what a model saw doubtfully on one visit must not become a change.
    """
    then, now = before.measures[kind][name], after.measures[kind][name]
    first, second = then["volume_ml"], now["volume_ml"]
    known = first is not None and second is not None
    band = _noise_ml(name, before, after) if known else None
    change = round(second - first, 4) if known else None
    intervals = [then.get("volume_interval_ml"), now.get("volume_interval_ml")]
    overlap = None
    if intervals[0] and intervals[1]:
        overlap = bool(intervals[0][1] >= intervals[1][0] and intervals[1][1] >= intervals[0][0])
    return {
        "name": now["name"],
        "before_ml": first,
        "after_ml": second,
        "change_ml": change,
        "change_percent": change_percent(first, second),
        "noise_ml": band,
        "intervals_ml": intervals,
        "intervals_overlap": overlap,
        "above_noise": None if change is None or band is None else abs(change) > band and not overlap,
    }


def _lesions(before: Visit, after: Visit, matrix: npt.NDArray[np.float64]) -> list[dict[str, Any]] | None:
    if any(visit.measures["lesions"][ET.abbreviation] is None for visit in (before, after)):
        return None
    back = np.linalg.inv(matrix)
    first, second = before.lesions(), after.lesions()
    moved = [lesion.points @ back[:3, :3].T + back[:3, 3] for lesion in first]
    groups = matched(moved, [lesion.points for lesion in second])
    edge = noise.edge_noise_mm(ET.abbreviation, before.grid, after.grid)
    rows = [_row([first[i] for i in old], [second[i] for i in new], edge) for old, new in groups]
    return sorted(rows, key=lambda row: -max(row["before_ml"], row["after_ml"]))


def matched(
    before: Sequence[Points], after: Sequence[Points], within_mm: float = MATCHED_WITHIN_MM
) -> list[tuple[list[int], list[int]]]:
    """Lesions (each (n, 3), LPS mm, in one space) in groups of those that lie within ``within_mm``.

    A group is (indices before, indices after); a lesion without a partner is a group of its own.
    """
    count = len(before) + len(after)
    links = [
        (i, len(before) + j)
        for i, old in enumerate(before)
        for j, new in enumerate(after)
        if cKDTree(old).query(new, distance_upper_bound=within_mm * (1 + 1e-9))[0].min() <= within_mm
    ]
    if not count:
        return []
    ends = np.array(links, dtype=int).reshape(-1, 2)
    graph = coo_matrix((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), (count, count))
    number, group = connected_components(graph, directed=False)
    members = [np.flatnonzero(group == n).tolist() for n in range(number)]
    return [
        ([m for m in g if m < len(before)], [m - len(before) for m in g if m >= len(before)]) for g in members
    ]


def _row(before: list[VisitLesion], after: list[VisitLesion], edge_mm: float) -> dict[str, Any]:
    """One group of lesions: numbers of both visits, sums, changes, and the words for them."""
    sides = (before, after)
    volumes = [sum(each.row["volume_ml"] for each in side) for side in sides]
    products = [sum(each.row["product_mm2"] for each in side) for side in sides]
    measurable = [any(each.row["measurable"] for each in side) for side in sides]
    surfaces = [sum(each.surface_mm2 for each in side) for side in sides if side]
    band = edge_mm * sum(surfaces) / len(surfaces) / 1000.0
    volume_change, product_change = change_percent(*volumes), change_percent(*products)
    by_volume = by_product = None
    if not before or not after:
        volume_change = product_change = None
        # Lesions of this size come and go between scans of one head.
        band += noise.NEW_NOISE_ML
        status = WITHIN_NOISE if max(volumes) <= band else GONE if before else NEW
    else:
        moved = abs(volumes[1] - volumes[0]) > band
        by_volume = trend(volume_change, VOLUME_LIMITS) if moved else STABLE
        # The product of lesions too small to be measurable is mostly chance.
        by_product = trend(product_change, PRODUCT_LIMITS) if all(measurable) and moved else None
        said = {by_volume, by_product}
        status = GROWING if GROWING in said else SHRINKING if SHRINKING in said else STABLE
    return {
        "before": [each.row["number"] for each in before],
        "after": [each.row["number"] for each in after],
        "status": status,
        "measurable_now": measurable[1],
        "before_ml": round(volumes[0], 4),
        "after_ml": round(volumes[1], 4),
        "noise_ml": round(band, 4),
        "volume_change_percent": volume_change,
        "by_volume": by_volume,
        "before_mm2": round(products[0], 1),
        "after_mm2": round(products[1], 1),
        "product_change_percent": product_change,
        "by_product": by_product,
    }
