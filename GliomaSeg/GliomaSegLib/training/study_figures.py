"""The study's three figures, after the dissertation: class imbalance, Dice over epochs, contours."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import missing_extra
from ..intake.label_maps import read_label_map
from ..intake.reading import read_volume
from ..labels import CLASS_NAMES, STRUCTURES
from .cases import CaseFiles, TrainingCase, case_labels
from .config import Recipe

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .study import NetworkResult

CLASS_IMBALANCE = "class_imbalance.png"
DICE_OVER_EPOCHS = "dice_over_epochs.png"
CONTOURS = "contours.png"
_MOST_ROWS = 8
"""More cases would make the picture of contours unreadable."""
_COLOURS = {s.number: (s.colour[0] / 255, s.colour[1] / 255, s.colour[2] / 255) for s in STRUCTURES}
LabelArray = npt.NDArray[np.uint8]


def require_matplotlib() -> None:
    """Raises ``UsageError`` when matplotlib is missing: better before training than after it."""
    if find_spec("matplotlib") is None:
        raise missing_extra("matplotlib", "train", "The study's figures")


def write_figures(
    output: Path,
    results: Sequence[NetworkResult],
    prepared: Collection[TrainingCase],
    training_cases: int,
    test: Sequence[CaseFiles],
    recipe: Recipe,
) -> None:
    """Write the three PNG files into ``output``.

    ``prepared``: cases on the networks' grid, for the class imbalance. ``training_cases``: how
    many make an epoch. ``test``: the cases of the contours.
    """
    _save(class_imbalance(prepared, recipe), output / CLASS_IMBALANCE)
    _save(dice_over_epochs(results, training_cases, recipe), output / DICE_OVER_EPOCHS)
    _save(contours(results, test), output / CONTOURS)


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, format="png", dpi=110, metadata={"Software": None})


def _figure(width: float, height: float) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as NewFigure

    figure = NewFigure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def class_shares(cases: Collection[TrainingCase]) -> npt.NDArray[np.float64]:
    """Share of all voxels in each class (background first), over the cases' brain boxes; sums to 1."""
    counts = sum(np.bincount(case.labels.ravel(), minlength=len(CLASS_NAMES)) for case in cases)
    return np.asarray(counts / np.sum(counts), dtype=np.float64)


def class_imbalance(cases: Collection[TrainingCase], recipe: Recipe) -> Figure:
    """Bars: share of the voxels of each class, logarithmic, and the number of cases that have the class."""
    shares = 100 * class_shares(cases)
    having = [sum(bool((case.labels == n).any()) for case in cases) for n in range(len(CLASS_NAMES))]
    figure = _figure(6.5, 4)
    axes = figure.subplots()
    colours = [(0.6, 0.6, 0.6), *_COLOURS.values()]
    bars = axes.bar(CLASS_NAMES, np.maximum(shares, 1e-4), color=colours, edgecolor="0.3")
    texts = [f"{share:.2g}%\n{n} cases" for share, n in zip(shares, having, strict=True)]
    axes.bar_label(bars, texts, padding=2, fontsize=8)
    spacing = " x ".join(f"{mm:g}" for mm in recipe.input.spacing_mm)
    axes.set(yscale="log", ylim=(1e-4, 1000), ylabel=f"share of voxels of {spacing} mm, %")
    axes.set_title(f"Class imbalance over {len(cases)} training and validation cases")
    return figure


def mean_dice(row: dict[str, Any]) -> float | None:
    """Mean voxel Dice over the structures in one row of a history, None when none was there to be scored."""
    values = [row[f"dice_{s.abbreviation}"] for s in STRUCTURES if f"dice_{s.abbreviation}" in row]
    return float(np.mean(values)) if values else None


def dice_over_epochs(results: Sequence[NetworkResult], cases: int, recipe: Recipe) -> Figure:
    """Lines: mean validation Dice of each network over epochs, a step for each of ``cases`` making one."""
    figure = _figure(6.5, 4)
    axes = figure.subplots()
    for result in results:
        points = [(row["step"] * recipe.batch_size / cases, mean_dice(row)) for row in result.history]
        known = [(epoch, dice) for epoch, dice in points if dice is not None]
        axes.plot(
            [e for e, _ in known],
            [d for _, d in known],
            marker="o",
            markersize=3,
            label=result.spec.display_name,
        )
    axes.set(xlabel="epochs", ylabel="mean validation Dice over structures", ylim=(0, 1))
    axes.grid(color="0.92")
    axes.legend(fontsize=8)
    return figure


def contours(results: Sequence[NetworkResult], test: Sequence[CaseFiles]) -> Figure:
    """A row for each case, at the slice with most reference tissue: truth, then every prediction."""
    shown = test[:_MOST_ROWS]
    figure = _figure(2.3 * (1 + len(results)), 2.5 * len(shown) + 0.4)
    grid = figure.subplots(len(shown), 1 + len(results), squeeze=False)
    for row, case in zip(grid, shown, strict=True):
        volume = read_volume(case.images[case.reference_role], case.reference_role)
        reference = case_labels(case, volume.grid)
        predictions = [read_label_map(result.predictions[case.name])[0] for result in results]
        head = volume.array != 0
        index = best_slice(reference, predictions, head)
        window = (index, *_window(head))
        picture = volume.array[window]
        _panel(row[0], picture, reference[window])
        row[0].set_ylabel(case.name, fontsize=6)
        for axes, labels in zip(row[1:], predictions, strict=True):
            _panel(axes, picture, labels[window])
    for axes, title in zip(grid[0], ["reference", *(r.spec.display_name for r in results)], strict=True):
        axes.set_title(title, fontsize=7)
    handles = [_line(_COLOURS[s.number]) for s in STRUCTURES]
    figure.legend(handles, [s.name for s in STRUCTURES], loc="outside lower center", ncols=4, fontsize=7)
    return figure


def best_slice(reference: LabelArray, predictions: Sequence[LabelArray], head: npt.NDArray[np.bool_]) -> int:
    """The slice (first axis) with most reference voxels; if none, with most predicted ones in ``head``.

    If there are none either, the slice with most of ``head``.
    """
    predicted = np.maximum.reduce(list(predictions)) * head
    for mask in (reference > 0, predicted > 0, head):
        area = mask.sum(axis=(1, 2))
        if area.any():
            return int(area.argmax())
    return int(reference.shape[0] // 2)


def _window(head: npt.NDArray[np.bool_]) -> tuple[slice, slice]:
    """Rows and columns that hold the head in any slice."""
    rows, columns = np.flatnonzero(head.any(axis=(0, 2))), np.flatnonzero(head.any(axis=(0, 1)))
    if not rows.size:
        return slice(None), slice(None)
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _panel(axes: Axes, picture: npt.NDArray[np.float32], labels: LabelArray) -> None:
    """One slice in grey with the outlines of its structures."""
    low, high = np.percentile(picture, [1, 99.5])
    axes.imshow(picture, cmap="gray", vmin=low, vmax=max(high, low + 1e-6))
    for number, colour in _COLOURS.items():
        if (labels == number).any():
            axes.contour(labels == number, levels=[0.5], colors=[colour], linewidths=0.9)
    axes.set_xticks([])
    axes.set_yticks([])


def _line(colour: tuple[float, float, float]) -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], color=colour)
