"""What the table shows: millilitres of the model and of the person, lesions, by structure and region."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..labels import ET, NETC, RC, REGIONS, STRUCTURES, region_labels
from ..outcome.lesions import find_lesions

LabelArray = npt.NDArray[np.uint8]
Spacing = tuple[float, float, float]
COUNTED = (ET.abbreviation, NETC.abbreviation, RC.abbreviation)
"""Structures whose lesions are counted, as in measures.json."""


@dataclass(frozen=True)
class Row:
    """One line: structure or region, ml by the model, ml now, lesions now, whether a person edited.

    ``lesions`` is None for what has no count of its own (the hyperintensity, the regions); ``model_ml`` is
    None when the scene no longer holds the model's version. ``assessable`` is False for a structure that the
    given sequences can't show; its numbers then mean nothing.
    """

    abbreviation: str
    name: str
    colour: tuple[int, int, int] | None
    model_ml: float | None
    current_ml: float
    lesions: int | None
    edited: bool
    assessable: bool = True


def volume_ml(labels: LabelArray, abbreviation: str, voxel_ml: float) -> float:
    """Millilitres of a structure or region in ``labels`` (z, y, x)."""
    return int(np.isin(labels, region_labels(abbreviation)).sum()) * voxel_ml


def count_lesions(labels: LabelArray, spacing_mm: Spacing) -> dict[str, int]:
    """Lesions of the structures in ``labels`` (z, y, x), by the rule and for the structures of measures.json.

    ``spacing_mm`` is (x, y, z). The hyperintensity and the regions are volumes only and have no count.
    """
    if not labels.any():
        return dict.fromkeys(COUNTED, 0)
    x, y, z = spacing_mm
    found = find_lesions(labels, spacing_zyx_mm=(z, y, x), regions=COUNTED)
    return {name: lesions.count for name, lesions in found.items()}


def table(
    current: LabelArray,
    model: LabelArray | None,
    spacing_mm: Spacing,
    assessable: Mapping[str, bool] | None = None,
) -> list[Row]:
    """The rows: four structures in the order of their numbers, then the regions. ``spacing_mm`` is (x, y, z).

    Everything is counted in the box that holds all labels, because this runs after each stroke of a brush.
    """
    current, model = _cropped(current, model)
    named: list[tuple[str, str, tuple[int, int, int] | None]] = [
        (s.abbreviation, s.name, s.colour) for s in STRUCTURES
    ]
    named += [(region.abbreviation, region.name, None) for region in REGIONS]
    known = assessable or {}
    voxel_ml = math.prod(spacing_mm) / 1000
    lesions = count_lesions(current, spacing_mm)
    return [
        Row(
            abbreviation,
            name,
            colour,
            None if model is None else volume_ml(model, abbreviation, voxel_ml),
            volume_ml(current, abbreviation, voxel_ml),
            lesions.get(abbreviation),
            model is not None and _differs(current, model, abbreviation),
            known.get(abbreviation, True),
        )
        for abbreviation, name, colour in named
    ]


def _cropped(current: LabelArray, model: LabelArray | None) -> tuple[LabelArray, LabelArray | None]:
    """Both label maps in the smallest box around what either labels, or one voxel where nothing is."""
    found = current > 0 if model is None else (current > 0) | (model > 0)
    box = []
    for axis in range(found.ndim):
        others = tuple(other for other in range(found.ndim) if other != axis)
        places = np.flatnonzero(found.any(axis=others))
        box.append(slice(places[0], places[-1] + 1) if places.size else slice(0, 1))
    return current[tuple(box)], None if model is None else model[tuple(box)]


def _differs(current: LabelArray, model: LabelArray, abbreviation: str) -> bool:
    numbers = region_labels(abbreviation)
    return bool((np.isin(current, numbers) != np.isin(model, numbers)).any())


def as_csv(rows: list[Row]) -> str:
    """The rows as CSV with a header line; millilitres with three decimals, unknown cells empty."""
    lines = ["structure,name,model_ml,corrected_ml,lesions,edited,assessable"]
    for row in rows:
        if not row.assessable:
            lines.append(f"{row.abbreviation},{row.name},,,,no,no")
            continue
        model = "" if row.model_ml is None else f"{row.model_ml:.3f}"
        edited = "yes" if row.edited else "no"
        lesions = "" if row.lesions is None else row.lesions
        lines.append(f"{row.abbreviation},{row.name},{model},{row.current_ml:.3f},{lesions},{edited},yes")
    return "\n".join(lines) + "\n"
