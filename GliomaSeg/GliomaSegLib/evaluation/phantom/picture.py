"""A phantom and a segmentation of it, side by side: three planes, four contrasts, two sets of contours."""

from __future__ import annotations

import io
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ...errors import missing_extra
from ...intake.volume import ROLE_NAMES, ROLES
from ...labels import STRUCTURES, Structure
from .rendering import PhantomCase

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PLANES = ("axial", "coronal", "sagittal")
_MARGIN_VOXELS = 4
_GROUND, _INK = "#101214", "#d8dade"


def require_matplotlib() -> None:
    """Raises ``UsageError`` when matplotlib is not installed."""
    if find_spec("matplotlib") is None:
        raise missing_extra("matplotlib", "demo", "The picture")


def contours_png(case: PhantomCase, prediction: npt.NDArray[np.uint8], title: str) -> bytes:
    """PNG: slices through the lesion; the truth's contours dashed, ``prediction``'s (z, y, x) solid."""
    require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    centre = _centre(case.labels if case.labels.any() else case.brain.astype(np.uint8))
    box = ndimage.find_objects(case.brain.astype(np.uint8))[0]
    figure = Figure(figsize=(13.2, 11.4), facecolor=_GROUND)
    FigureCanvasAgg(figure)
    rows = figure.subplots(
        3,
        4,
        gridspec_kw={
            "wspace": 0.02,
            "hspace": 0.03,
            "left": 0.03,
            "right": 0.99,
            "top": 0.90,
            "bottom": 0.06,
        },
    )
    for row, plane in enumerate(_PLANES):
        for column, role in enumerate(ROLES):
            axes = rows[row][column]
            top = float(np.percentile(case.volumes[role][case.brain], 99.7))
            picture = _slice(case.volumes[role], row, centre[row], box)
            axes.imshow(picture, cmap="gray", vmin=0.0, vmax=top, origin="upper", interpolation="bilinear")
            _draw_contours(axes, _slice(case.labels, row, centre[row], box), dashed=True)
            _draw_contours(axes, _slice(prediction, row, centre[row], box), dashed=False)
            axes.set(xticks=[], yticks=[], facecolor=_GROUND)
            axes.spines[:].set_visible(False)
            if row == 0:
                axes.set_title(ROLE_NAMES[role], color=_INK, fontsize=13)
            if column == 0:
                axes.set_ylabel(plane, color=_INK, fontsize=12)
    figure.suptitle(title, color=_INK, fontsize=14, y=0.965)
    _add_legend(figure)
    written = io.BytesIO()
    figure.savefig(written, format="png", dpi=100, facecolor=_GROUND, metadata={"Software": None})
    return written.getvalue()


def _centre(labels: npt.NDArray[np.uint8]) -> tuple[int, int, int]:
    """The slices (z, y, x) on which most of the lesion's core is seen, or of the lesion without a core."""
    core = np.isin(labels, [s.number for s in STRUCTURES if s.abbreviation != "SNFH"])
    mask = core if core.any() else labels > 0
    z, y, x = (int(mask.sum(tuple(k for k in range(3) if k != axis)).argmax()) for axis in range(3))
    return z, y, x


def _slice(array: np.ndarray, axis: int, index: int, box: tuple[slice, ...]) -> np.ndarray:
    """One slice within the brain's box, head up and the patient's right on the left, or front on the left."""
    grown = [
        slice(max(0, part.start - _MARGIN_VOXELS), min(size, part.stop + _MARGIN_VOXELS))
        for part, size in zip(box, array.shape, strict=True)
    ]
    plane = array[tuple(index if k == axis else grown[k] for k in range(3))]
    return plane if axis == 0 else plane[::-1]


def _draw_contours(axes: Axes, labels: npt.NDArray[np.uint8], dashed: bool) -> None:
    for structure in STRUCTURES:
        mask = labels == structure.number
        if mask.any():
            colour = _colour(structure)
            style, width = (("--",), 1.0) if dashed else (("-",), 1.5)
            axes.contour(
                mask.astype(float), levels=[0.5], colors=[colour], linestyles=style, linewidths=width
            )


def _colour(structure: Structure) -> tuple[float, float, float]:
    red, green, blue = structure.colour
    return red / 255, green / 255, blue / 255


def _add_legend(figure: Figure) -> None:
    from matplotlib.lines import Line2D

    entries = [
        Line2D([], [], color=_colour(s), lw=3, label=f"{s.abbreviation}  {s.name}") for s in STRUCTURES
    ]
    entries += [
        Line2D([], [], color=_INK, lw=1.0, ls="--", label="truth"),
        Line2D([], [], color=_INK, lw=1.5, label="segmented"),
    ]
    figure.legend(handles=entries, loc="lower center", ncols=3, frameon=False, labelcolor=_INK, fontsize=10)
