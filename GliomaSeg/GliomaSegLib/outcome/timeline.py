"""Any number of visits in their order: what is plotted, and the plot as SVG."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from html import escape
from itertools import pairwise
from typing import Any

from ..labels import ET, NETC, RC, SNFH, STRUCTURES
from .follow_up import PRODUCT_LIMITS, PROGRESSION, VOLUME_LIMITS

_WIDTH, _PANEL, _LEFT, _RIGHT, _TOP, _BOTTOM = 900, 132, 62, 190, 26, 26
_INK, _ALARM = "#1a1a1a", "#9a1c1c"
_TICKS = 4
_ROOM = 1.12
_MOST_DATES = 9


@dataclass(frozen=True)
class TimelinePoint:
    """One visit: its number from 1, its date if a person gave it, its ``measures.json``."""

    number: int
    day: date | None
    measures: dict[str, Any]

    @property
    def label(self) -> str:
        """What stands under the visit."""
        return f"visit {self.number}" if self.day is None else self.day.isoformat()


@dataclass(frozen=True)
class _Curve:
    name: str
    colour: str
    values: list[float | None]
    intervals: list[tuple[float, float] | None]


@dataclass(frozen=True)
class _Line:
    """A threshold: a number on the axis and its words."""

    value: float
    words: str


def timeline_rows(points: Sequence[TimelinePoint]) -> list[dict[str, Any]]:
    """The plotted numbers, for ``follow_up.json``: products in mm2, volumes in ml, None where unknown."""
    return [
        {
            "visit": point.number,
            "date": None if point.day is None else point.day.isoformat(),
            "sum_of_products_mm2": point.measures["sum_of_products_mm2"],
            "volume_ml": {
                s.abbreviation: point.measures["structures"][s.abbreviation]["volume_ml"] for s in STRUCTURES
            },
        }
        for point in points
    ]


def timeline_svg(points: Sequence[TimelinePoint], against: dict[str, dict[str, Any]]) -> str:
    """Three panels over the visits: sum of products, volume of enhancement, volumes of the rest.

    Bars are 80% intervals where the results hold them; dashed lines are the thresholds that ``against`` (by
    ``nadir`` and ``baseline``, as :func:`..follow_up.against`) sets. Visits without dates are evenly spaced.
    """
    panels = [
        _panel(
            0,
            "Sum of products of measurable enhancing lesions, mm²",
            [_curve(points, "Sum of products", ET.colour, None)],
            _thresholds(against, "product", PRODUCT_LIMITS),
            points,
        ),
        _panel(
            1,
            "Enhancing tissue, ml",
            [_curve(points, "Enhancing tissue", ET.colour, ET.abbreviation)],
            _thresholds(against, "volume", VOLUME_LIMITS),
            points,
        ),
        _panel(
            2,
            "Other structures, ml",
            [_curve(points, s.abbreviation, s.colour, s.abbreviation) for s in (SNFH, NETC, RC)],
            [],
            points,
        ),
    ]
    height = len(panels) * _PANEL
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" '
        f'height="{height}" font-family="system-ui, Arial, sans-serif" font-size="12" fill="{_INK}" '
        'role="img" aria-label="Measurements over the visits">'
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>{"".join(panels)}</svg>\n'
    )


def _curve(
    points: Sequence[TimelinePoint], name: str, colour: tuple[int, int, int], structure: str | None
) -> _Curve:
    ink = "#{:02x}{:02x}{:02x}".format(*(round(0.8 * part) for part in colour))
    if structure is None:
        return _Curve(name, ink, [p.measures["sum_of_products_mm2"] for p in points], [None] * len(points))
    rows = [p.measures["structures"][structure] for p in points]
    bars = [row.get("volume_interval_ml") for row in rows]
    pairs = [None if bar is None else (float(bar[0]), float(bar[1])) for bar in bars]
    return _Curve(name, ink, [row["volume_ml"] for row in rows], pairs)


def _thresholds(against: dict[str, dict[str, Any]], measure: str, limits: tuple[float, float]) -> list[_Line]:
    lines = []
    for name, row in against.items():
        then = row[measure]["then"]
        limit = limits[1] if row["kind"] == PROGRESSION else limits[0]
        if then:
            lines.append(_Line(then * (1 + limit / 100), f"{row['kind']}: {name} {limit:+.0f}%"))
    return lines


def _places(points: Sequence[TimelinePoint]) -> list[float]:
    """Where the visits lie along the axis, 0 to 1."""
    days = [point.day for point in points]
    known = [day.toordinal() for day in days if day is not None]
    if len(known) == len(points) and known[-1] > known[0]:
        return [(day - known[0]) / (known[-1] - known[0]) for day in known]
    return [index / max(1, len(points) - 1) for index in range(len(points))]


def nice_step(largest: float) -> float:
    """The distance of ticks: 1, 2, 2.5 or 5 times a power of ten, for about four of them up to ``largest``.

    >>> [nice_step(value) for value in (0.0, 0.9, 4.0, 730.0)]
    [1.0, 0.25, 1.0, 200.0]
    """
    if largest <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(largest / _TICKS))
    return next(power * n for n in (1, 2, 2.5, 5, 10) if power * n * _TICKS >= largest * 0.999)


def _panel(
    index: int,
    title: str,
    curves: Sequence[_Curve],
    lines: Sequence[_Line],
    points: Sequence[TimelinePoint],
) -> str:
    known = [v for curve in curves for v in curve.values if v is not None]
    ends = [bar[1] for curve in curves for bar in curve.intervals if bar is not None]
    highest = max([*known, *ends, *(line.value for line in lines), 0.0])
    step = nice_step(highest)
    top = max(highest * _ROOM, step)
    base, roof = (index + 1) * _PANEL - _BOTTOM, index * _PANEL + _TOP

    def y(value: float) -> float:
        return round(base - (base - roof) * value / top, 1)

    width = _WIDTH - _LEFT - _RIGHT
    xs = [round(_LEFT + 20 + (width - 40) * place, 1) for place in _places(points)]
    parts = [f'<text x="8" y="{roof - 10}" font-weight="600">{escape(title)}</text>']
    for tick in range(math.floor(top / step) + 1):
        level = y(tick * step)
        parts.append(f'<path d="M{_LEFT} {level}H{_LEFT + width}" stroke="#e4e4e4"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{level + 4}" text-anchor="end">{tick * step:g}</text>')
    every = max(1, math.ceil(len(points) / _MOST_DATES))
    for number, (x, point) in enumerate(zip(xs, points, strict=True)):
        if number % every == 0 or number == len(points) - 1:
            parts.append(f'<text x="{x}" y="{base + 16}" text-anchor="middle">{escape(point.label)}</text>')
    lowest = float("inf")
    for line in sorted(lines, key=lambda line: line.value):
        # Words of thresholds that lie close together are moved apart.
        lowest = min(y(line.value), lowest - 13)
        parts.append(_threshold(line, y(line.value), lowest, _LEFT + width))
    parts += [_drawn(curve, xs, y, place) for place, curve in enumerate(curves)]
    if len(curves) > 1:
        parts += [_legend(c, _LEFT + width + 8, roof + 16 * place) for place, c in enumerate(curves)]
    if not known:
        parts.append(f'<text x="{_LEFT + 20}" y="{(base + roof) // 2}">not assessable</text>')
    return "".join(parts)


def _threshold(line: _Line, level: float, words_at: float, right: float) -> str:
    return (
        f'<path d="M{_LEFT} {level}H{right}" stroke="{_ALARM}" stroke-dasharray="6 4"/>'
        f'<text x="{right + 8}" y="{words_at + 4}" fill="{_ALARM}">{escape(line.words)}</text>'
    )


def _legend(curve: _Curve, x: float, y: float) -> str:
    return (
        f'<circle cx="{x + 4}" cy="{y}" r="4" fill="{curve.colour}"/>'
        f'<text x="{x + 14}" y="{y + 4}">{escape(curve.name)}</text>'
    )


def _drawn(curve: _Curve, xs: Sequence[float], y: Callable[[float], float], place: int) -> str:
    """Points, bars of their intervals, and lines between neighbours that are both known."""
    parts: list[str] = []
    known = [(x, y(v)) if v is not None else None for x, v in zip(xs, curve.values, strict=True)]
    for x, bar in zip(xs, curve.intervals, strict=True):
        if bar is not None:
            # Bars of several curves stand beside each other.
            at = x + 5 * place
            parts.append(
                f'<path d="M{at} {y(bar[0])}V{y(bar[1])}" stroke="{curve.colour}" stroke-width="5" '
                'stroke-opacity="0.25"/>'
            )
    for one, two in pairwise(known):
        if one and two:
            parts.append(
                f'<path d="M{one[0]} {one[1]}L{two[0]} {two[1]}" stroke="{curve.colour}" stroke-width="2"/>'
            )
    for point in known:
        if point:
            parts.append(f'<circle cx="{point[0]}" cy="{point[1]}" r="4" fill="{curve.colour}"/>')
    return "".join(parts)
