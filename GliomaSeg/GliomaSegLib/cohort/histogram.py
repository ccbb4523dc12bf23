"""A histogram as a piece of SVG, drawn here so that the page needs no plotting package and no script."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

_WIDTH, _HEIGHT, _FOOT, _TOP = 240, 120, 18, 12
_BINS = 16
_SMALLEST = 1e-3


def histogram(
    values: Sequence[float], unit: str, logarithmic: bool, colour: tuple[int, int, int] = (70, 110, 160)
) -> str:
    """Bars of how many ``values`` fall into each of 16 equal parts, with the ends, the median and the most.

    ``logarithmic``: parts are equal in the logarithm; values must be above 0 then.
    """
    if not values:
        return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="no values">' + (
            f'<text x="{_WIDTH / 2}" y="{_HEIGHT / 2}" text-anchor="middle" font-size="12" fill="#666">'
            "none</text></svg>"
        )
    bars = counted(values, logarithmic)
    most = max(bars)
    step = _WIDTH / len(bars)
    room = _HEIGHT - _FOOT - _TOP
    fill = f"rgb({colour[0]},{colour[1]},{colour[2]})"
    drawn = "".join(
        f'<rect x="{i * step + 0.5:.1f}" y="{_TOP + room * (1 - n / most):.1f}" width="{step - 1:.1f}" '
        f'height="{room * n / most:.1f}" fill="{fill}" stroke="#555" stroke-width="0.5"/>'
        for i, n in enumerate(bars)
        if n
    )
    median = statistics.median(values)
    low, high = (_short(v) for v in (min(values), max(values)))
    told = f"{len(values)} values from {low} to {high} {unit}, median {_short(median)} {unit}"
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{told}"><title>{told}</title>{drawn}'
        f'<line x1="0" x2="{_WIDTH}" y1="{_HEIGHT - _FOOT}" y2="{_HEIGHT - _FOOT}" stroke="#555"/>'
        + _text(0, _HEIGHT - 5, "start", f"{low}")
        + _text(_WIDTH / 2, _HEIGHT - 5, "middle", f"median {_short(median)} {unit}")
        + _text(_WIDTH, _HEIGHT - 5, "end", f"{high}")
        + _text(_WIDTH, 9, "end", f"n={len(values)}, tallest {most}")
        + "</svg>"
    )


def counted(values: Sequence[float], logarithmic: bool) -> list[int]:
    """How many values fall into each part between the smallest and the largest.

    >>> sum(counted([1.0, 2.0, 4.0], True)), counted([5.0, 5.0], False)
    (3, [2])
    """
    placed = [math.log(max(v, _SMALLEST)) for v in values] if logarithmic else list(values)
    low, high = min(placed), max(placed)
    if high <= low:
        return [len(placed)]
    bars = [0] * _BINS
    for value in placed:
        bars[min(int((value - low) / (high - low) * _BINS), _BINS - 1)] += 1
    return bars


def _text(x: float, y: float, anchor: str, text: str) -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-size="10" fill="#444">{text}</text>'


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
