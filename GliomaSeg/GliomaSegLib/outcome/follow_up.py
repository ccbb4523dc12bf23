"""Two visits side by side: which enhancing lesion is new, growing, stable, shrinking or gone, by how much.

Lesions are measured on their own visit's grid; only their places are compared, after a rigid registration.
The thresholds are those of RANO 2.0 (Wen et al. 2023, doi:10.1200/JCO.23.01059). They are named beside each
number; none of this is a diagnosis, which also rests on steroids, time since radiotherapy and the patient.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from ..intake.volume import Grid
from ..labels import ET
from .lesions import find_lesions
from .measures import largest_first

Points = npt.NDArray[np.float64]

MATCHED_WITHIN_MM = 5.0
"""Lesions whose nearest voxels are at most this far apart are taken as one."""
PRODUCT_LIMITS = (-50.0, 25.0)
"""Change of the bidimensional product, per cent: partial response, progression."""
VOLUME_LIMITS = (-65.0, 40.0)
"""Change of the volume, per cent: partial response, progression."""
GROWING, SHRINKING, STABLE, NEW, GONE = "growing", "shrinking", "stable", "new", "gone"


@dataclass(frozen=True)
class Visit:
    """One visit: ``labels`` (z, y, x) on ``grid`` and what :func:`..measures.measure` says about them."""

    labels: npt.NDArray[np.uint8]
    grid: Grid
    measures: dict[str, Any]

    def lesion_points(self) -> list[Points]:
        """Voxel centres (n, 3), LPS mm, of each enhancing lesion, in the order of its number."""
        spacing = self.grid.spacing_mm[::-1]
        name = ET.abbreviation
        found = find_lesions(
            self.labels, spacing_zyx_mm=(spacing[0], spacing[1], spacing[2]), regions=[name]
        )[name]
        matrix = self.grid.index_to_lps()
        return [
            np.argwhere(found.labels == number)[:, ::-1] @ matrix[:3, :3].T + matrix[:3, 3]
            for number in largest_first(found)
        ]


def compare(before: Visit, after: Visit, matrix: npt.NDArray[np.float64]) -> dict[str, Any]:
    """What changed from ``before`` to ``after``, for ``follow_up.json``.

    ``matrix`` (4x4, LPS mm) takes a point of the later visit to the same anatomy in the earlier one. Lesions
    that merged or split are compared together. Numbers are None where a visit can't assess enhancement.
    """
    return {
        "thresholds_percent": {
            "source": "RANO 2.0",
            "product": {"response": PRODUCT_LIMITS[0], "progression": PRODUCT_LIMITS[1]},
            "volume": {"response": VOLUME_LIMITS[0], "progression": VOLUME_LIMITS[1]},
        },
        "structures": _structures(before.measures, after.measures),
        "sum_of_products": totals(before.measures, after.measures),
        "lesions": _lesions(before, after, matrix),
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


def _structures(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    rows = {}
    for kind in ("structures", "regions"):
        for name, row in after[kind].items():
            first, second = before[kind][name]["volume_ml"], row["volume_ml"]
            rows[name] = {
                "name": row["name"],
                "before_ml": first,
                "after_ml": second,
                "change_ml": None if first is None or second is None else round(second - first, 4),
                "change_percent": change_percent(first, second),
            }
    return rows


def _lesions(before: Visit, after: Visit, matrix: npt.NDArray[np.float64]) -> list[dict[str, Any]] | None:
    first, second = before.measures["lesions"][ET.abbreviation], after.measures["lesions"][ET.abbreviation]
    if first is None or second is None:
        return None
    back = np.linalg.inv(matrix)
    moved = [points @ back[:3, :3].T + back[:3, 3] for points in before.lesion_points()]
    groups = matched(moved, after.lesion_points())
    rows = [_row([first[i] for i in old], [second[i] for i in new]) for old, new in groups]
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


def _row(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> dict[str, Any]:
    """One group of lesions: numbers of both visits, sums, changes, and the words for them."""
    volumes = [sum(each["volume_ml"] for each in side) for side in (before, after)]
    products = [sum(each["product_mm2"] for each in side) for side in (before, after)]
    measurable = all(any(each["measurable"] for each in side) for side in (before, after))
    volume_change, product_change = change_percent(*volumes), change_percent(*products)
    by_volume = trend(volume_change, VOLUME_LIMITS)
    # The product of lesions too small to be measurable is mostly chance.
    by_product = trend(product_change, PRODUCT_LIMITS) if measurable else None
    if not before or not after:
        volume_change = product_change = by_volume = by_product = None
        status = GONE if before else NEW
    else:
        said = {by_volume, by_product}
        status = GROWING if GROWING in said else SHRINKING if SHRINKING in said else STABLE
    return {
        "before": [each["number"] for each in before],
        "after": [each["number"] for each in after],
        "status": status,
        "measurable_now": any(each["measurable"] for each in after),
        "before_ml": round(volumes[0], 4),
        "after_ml": round(volumes[1], 4),
        "volume_change_percent": volume_change,
        "by_volume": by_volume,
        "before_mm2": round(products[0], 1),
        "after_mm2": round(products[1], 1),
        "product_change_percent": product_change,
        "by_product": by_product,
    }
