"""The picture of an evaluation: scores where a structure exists, invented volume where it doesn't."""

from __future__ import annotations

import io
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from ..errors import missing_extra
from ..labels import STRUCTURES
from ..outcome.lesions import REGION_ORDER
from .summary import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = {s.abbreviation: tuple(value / 255 for value in s.colour) for s in STRUCTURES}
_REGION_COLOUR = (0.55, 0.55, 0.6)
_NOTICED_ML = 0.1
"""Invented volume above which a reader would notice it; drawn as a line."""


def require_matplotlib() -> None:
    """Raises ``UsageError`` when matplotlib is not installed."""
    if find_spec("matplotlib") is None:
        raise missing_extra("matplotlib", "train", "The plot beside the table")


def plot_png(rows: Sequence[Row]) -> bytes:
    """Two panels as PNG, a dot per case: lesion-wise Dice, and false-positive volume. Needs matplotlib."""
    require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    scores = [row.score for row in rows]
    having = [s for s in scores if s.has_structure]
    lacking = [s for s in scores if s.lacks_structure]
    dice = {region: [s.lesion_dice for s in having if s.region == region] for region in REGION_ORDER}
    volume = {region: [s.prediction_ml for s in lacking if s.region == region] for region in REGION_ORDER}
    _dots(left, dice)
    left.set(ylim=(-0.03, 1.03), ylabel="lesion-wise Dice", title="Cases that have the structure")
    _dots(right, volume)
    highest = max((ml for column in volume.values() for ml in column), default=0.0)
    right.set_yscale("symlog", linthresh=_NOTICED_ML)
    right.yaxis.set_major_formatter("{x:g}")
    right.set(ylabel="false-positive volume, ml", title="Cases that don't have it")
    right.set_ylim(-0.02, max(1.0, 2.0 * highest))
    right.axhline(_NOTICED_ML, color="0.6", linewidth=0.8, linestyle="--")
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=130, metadata={"Software": None})
    return picture.getvalue()


def _dots(axes: Axes, values: dict[str, list[float]]) -> None:
    """A column of dots per region, spread sideways so that equal values stay visible; a bar at the median."""
    for position, (region, column) in enumerate(values.items()):
        spread = np.linspace(-0.22, 0.22, len(column)) if len(column) > 1 else np.zeros(len(column))
        colour = _COLOURS.get(region, _REGION_COLOUR)
        axes.scatter(position + spread, column, s=28, color=[colour], edgecolors="0.25", lw=0.6, zorder=3)
        if column:
            axes.hlines(float(np.median(column)), position - 0.32, position + 0.32, color="0.1", linewidth=2)
    axes.set_xticks(range(len(values)), [f"{region}\nn = {len(column)}" for region, column in values.items()])
    axes.set_xlim(-0.6, len(values) - 0.4)
    axes.grid(axis="y", color="0.92")
