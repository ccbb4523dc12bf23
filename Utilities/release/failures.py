"""The worst held-out cases, found by their scores and drawn: the card must show where the model fails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from bench_model import Job
from bench_scored import EXPERT_SHAPE, IN_REAL_BRAIN, REAL, SIMULATED, WITHOUT_TUMOUR, Scored
from scipy import ndimage

from GliomaSegLib.intake.label_maps import read_label_map
from GliomaSegLib.labels import STRUCTURES, region_labels
from GliomaSegLib.training.cases import case_labels

LEAST_INVENTED_ML = 0.1
_SHOWN = ("t1c", "flair")
_SIMULATED = (SIMULATED, IN_REAL_BRAIN, EXPERT_SHAPE)
_TITLES = {"t1c": "T1c", "flair": "FLAIR"}
LabelArray = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Failure:
    """One row of the picture: ``region`` is what went wrong in the case of ``job``, ``told`` says how."""

    job: Job
    region: str
    told: str


def worst_cases(rows: Sequence[Scored], jobs: Sequence[Job]) -> list[Failure]:
    """At most six: the largest inventions in real held-out cases, the lowest Dice by set and region.

    No case and region is shown twice.
    """
    held = [(row, job) for row, job in zip(rows, jobs, strict=True) if not row.seen]
    wanted = [
        _most_invented(held, (REAL, WITHOUT_TUMOUR), "RC"),
        _most_invented(held, (REAL, WITHOUT_TUMOUR), "ET"),
        _lowest(held, (REAL,), "WT"),
        _lowest(held, _SIMULATED, "RC"),
        _lowest(held, _SIMULATED, "ET"),
        _lowest(held, _SIMULATED, "WT"),
        _most_invented(held, _SIMULATED, "NETC"),
    ]
    kept: list[Failure] = []
    for failure in wanted:
        if failure and all((k.job, k.region) != (failure.job, failure.region) for k in kept):
            kept.append(failure)
    return kept[:6]


def _most_invented(held: Sequence[tuple[Scored, Job]], groups: Sequence[str], region: str) -> Failure | None:
    lacking = [(s, j) for s, j in held if s.group in groups and s.scores[region].lacks_structure]
    if not lacking:
        return None
    row, job = max(lacking, key=lambda pair: pair[0].scores[region].prediction_ml)
    invented = row.scores[region].prediction_ml
    if invented < LEAST_INVENTED_ML:
        return None
    return Failure(job, region, f"{invented:.1f} ml of {region} invented")


def _lowest(held: Sequence[tuple[Scored, Job]], groups: Sequence[str], region: str) -> Failure | None:
    """The lowest lesion-wise Dice; of several at 0, the one that has most of the structure."""
    having = [(s, j) for s, j in held if s.group in groups and s.scores[region].has_structure]
    if not having:
        return None
    row, job = min(
        having, key=lambda p: (round(p[0].scores[region].lesion_dice, 2), -p[0].scores[region].reference_ml)
    )
    score = row.scores[region]
    return Failure(
        job, region, f"lesion-wise Dice of {region} {score.lesion_dice:.2f} ({score.reference_ml:.1f} ml)"
    )


def worst_slice(reference: LabelArray, predicted: LabelArray, region: str) -> int:
    """The slice (first axis) in which most voxels of ``region`` differ."""
    members = region_labels(region)
    wrong = np.isin(reference, members) != np.isin(predicted, members)
    return int(wrong.sum(axis=(1, 2)).argmax())


def draw_failures(failures: Sequence[Failure], path: Path) -> None:
    """A row a failure: reference and model on T1c, then on FLAIR, in the slice where they differ most."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 2.9 * max(len(failures), 1)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(max(len(failures), 1), 4, squeeze=False)
    for row, failure in zip(axes, failures, strict=True) if failures else ():
        _draw_row(row, failure)
    for panel in axes.ravel():
        panel.axis("off")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=80, metadata={"Software": None})


def _draw_row(row: npt.NDArray[np.object_], failure: Failure) -> None:
    case = failure.job.case
    predicted, grid = read_label_map(failure.job.label_map)
    reference = case_labels(case, grid)
    place = worst_slice(reference, predicted, failure.region)
    for number, role in enumerate(role for role in _SHOWN if role in case.images):
        volume = sitk.GetArrayFromImage(sitk.ReadImage(str(case.images[role]), sitk.sitkFloat32))
        window = (place, *_window(volume))
        top = np.percentile(volume[volume > 0], 99.7)
        panels = row[2 * number : 2 * number + 2]
        for panel, labels, whose in zip(panels, (reference, predicted), ("reference", "model"), strict=True):
            panel.imshow(volume[window], cmap="gray", vmin=0, vmax=top)
            for structure in STRUCTURES:
                mask = labels[window] == structure.number
                if mask.any():
                    colour = [c / 255 for c in structure.colour]
                    panel.contour(mask, [0.5], colors=[colour], linewidths=1.0)
            panel.set_title(f"{_TITLES[role]}: {whose}", fontsize=7)
    told = f"{case.name} ({failure.job.group}): {failure.told}"
    row[0].set_title(f"{told}\n{row[0].get_title()}", fontsize=7, loc="left")
    row[0].set_title("")


def _window(volume: npt.NDArray[np.float32]) -> tuple[slice, slice]:
    """Rows and columns that hold the head in any slice."""
    head = volume > 0.05 * np.percentile(volume, 99.5)
    box = ndimage.find_objects(head.any(axis=0).astype(np.uint8))[0]
    return box[0], box[1]
