"""One picture of simulated cases beside real ones, to be looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from scipy import ndimage

from ...errors import OutputRefused, missing_extra
from ...intake.volume import ROLE_NAMES, ROLES
from ...labels import STRUCTURES
from .cases import SyntheticCase
from .fields import FloatArray
from .sources import Sources, load_scan

PER_ROW = 3
"""Cases in a row; each takes five panels: four sequences, and the labels over FLAIR."""


@dataclass(frozen=True)
class Slice:
    """What the gallery shows of one case: ``panels`` by role (y, x) in 0..1, ``labels`` (y, x), ``title``."""

    title: str
    panels: dict[str, FloatArray]
    labels: np.ndarray


def telling_slice(title: str, volumes: dict[str, FloatArray], labels: np.ndarray, brain: np.ndarray) -> Slice:
    """The axial slice with most lesion, cavity and enhancing tissue counting more; windowed to the brain."""
    weight = np.array([0.0, 1.0, 0.2, 3.0, 3.0])[labels].sum(axis=(1, 2))
    at = int(weight.argmax()) if weight.any() else int(brain.sum(axis=(1, 2)).argmax())
    panels = {}
    for role, volume in volumes.items():
        low, high = np.percentile(volume[brain], [0.5, 99.5])
        panels[role] = np.clip((volume[at] - low) / max(float(high - low), 1e-6), 0, 1).astype(np.float32)
    return Slice(title, panels, labels[at])


def real_slices(sources: Sources, spacing_mm: float = 2.0) -> list[Slice]:
    """The real scans with tumour among the sources, to look at beside simulated cases."""
    scans = [load_scan(source, spacing_mm) for source in sources.with_tumour]
    return [telling_slice(f"real: {s.name}", s.volumes, s.labels, s.brain) for s in scans]


def simulated_slice(name: str, case: SyntheticCase) -> Slice:
    """One simulated case under its ``name``."""
    title = f"simulated {name}: {case.kind}, {case.source}"
    return telling_slice(title, case.volumes, case.labels, case.brain)


def need_matplotlib() -> None:
    """Raise `UsageError` when matplotlib is missing."""
    if find_spec("matplotlib") is None:
        raise missing_extra("matplotlib", "train", "The gallery")


def draw_slices(slices: Sequence[Slice], path: Path) -> Path:
    """Write the slices as one PNG with a legend.

    Raises `UsageError` when matplotlib is missing, `OutputRefused` when the file can't be written.
    """
    need_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    rows = int(np.ceil(len(slices) / PER_ROW))
    figure = Figure(figsize=(15.0, 1.2 * rows + 0.4), facecolor="black")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots(rows, 5 * PER_ROW, squeeze=False)
    for axis in axes.ravel():
        axis.set_axis_off()
    for number, item in enumerate(slices):
        row, column = divmod(number, PER_ROW)
        _draw_slice(axes[row, 5 * column : 5 * column + 5], item)
    handles = [
        Patch(color="#{:02x}{:02x}{:02x}".format(*s.colour), label=f"{s.abbreviation}: {s.name}")
        for s in STRUCTURES
    ]
    figure.legend(handles=handles, loc="lower center", ncols=4, fontsize=7, frameon=False, labelcolor="white")
    figure.subplots_adjust(0.002, 0.03, 0.998, 0.985, 0.02, 0.14)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        canvas.print_png(str(path))
    except OSError as error:
        raise OutputRefused(f"The picture {path.name} can't be written: {error.strerror}.") from error
    return path


def _draw_slice(axes: np.ndarray, item: Slice) -> None:
    """Five panels: the sequences (a missing one stays black, and says so), the labels over FLAIR or T2."""
    shape = item.labels.shape
    for axis, role in zip(axes, ROLES, strict=False):
        axis.imshow(item.panels.get(role, np.zeros(shape)), cmap="gray", vmin=0, vmax=1)
        if role not in item.panels:
            axis.text(
                shape[1] / 2, shape[0] / 2, f"no {ROLE_NAMES[role]}", color="0.6", fontsize=5, ha="center"
            )
    under = item.panels["flair"] if "flair" in item.panels else item.panels["t2"]
    axes[4].imshow(overlay(under, item.labels))
    axes[0].set_title(item.title, fontsize=5, color="white", loc="left", pad=1.5)


def overlay(under: FloatArray, labels: np.ndarray) -> FloatArray:
    """Grey (y, x) in 0..1 with the structures' colours over it: outlines full, insides faint."""
    picture = np.repeat(under[..., None], 3, axis=2)
    for structure in STRUCTURES:
        mask = labels == structure.number
        colour = np.array(structure.colour, dtype=np.float32) / 255
        inside = ndimage.binary_erosion(mask)
        picture[inside] = 0.6 * picture[inside] + 0.4 * colour
        picture[mask & ~inside] = colour
    return picture
