"""A result and its DICOM series become a DICOM segmentation."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputRefused, OutputRefused, UsageError
from ..intake.dicom import Series
from ..intake.volume import Grid, Volume
from ..labels import STRUCTURES
from .dicom_seg import SegmentationAuthor, write_dicom_seg, write_fractional_seg
from .dicom_source import (
    LabelArray,
    find_source,
    identity_of,
    labels_on_source,
    open_source,
    series_of_volume,
)
from .labelling import LEVELS

_FROM_DICOM = re.compile(r"\(series -?\d+[a-z]*(, stack \d+)?\)$")
"""How intake ends the name of a volume that it read from a DICOM series."""


def export_dicom_seg(
    labels: LabelArray,
    grid: Grid,
    source: Path | Series,
    output: Path,
    author: SegmentationAuthor,
    keep_identity: bool = False,
    overwrite: bool = False,
) -> None:
    """Write ``labels`` (z, y, x) on ``grid`` as a DICOM segmentation of the series ``source``.

    Raises ``InputRefused`` for a series that can't carry it or labels on another grid, ``OutputRefused`` when
    ``output`` exists without ``overwrite``, is a folder or can't be written.
    """
    _check_output(output, overwrite)
    series = find_source(source) if isinstance(source, Path) else source
    opened = open_source(series, keep_identity)
    write_dicom_seg(output, labels_on_source(labels, grid, opened), opened, author)


def export_fractional_seg(
    levels: LabelArray,
    grid: Grid,
    source: Path,
    output: Path,
    author: SegmentationAuthor,
    keep_identity: bool = False,
    overwrite: bool = False,
) -> None:
    """Write probabilities, ``levels`` (structure, z, y, x) uint8, as a FRACTIONAL segmentation of ``source``.

    Structures in the order of ``STRUCTURES``. Raises as :func:`export_dicom_seg`.
    """
    _check_output(output, overwrite)
    opened = open_source(find_source(source), keep_identity)
    placed = {
        s.abbreviation: labels_on_source(one, grid, opened).astype(np.float32) / LEVELS
        for s, one in zip(STRUCTURES, levels, strict=True)
    }
    write_fractional_seg(output, placed, opened, author)


def export_measurements(
    output: Path,
    segmentation: Path,
    measures: dict[str, Any],
    source: Path,
    author: SegmentationAuthor,
    keep_identity: bool = False,
    overwrite: bool = False,
) -> None:
    """Write ``measures`` as a structured report about the file ``segmentation`` of the series ``source``.

    Raises as :func:`export_dicom_seg`.
    """
    from .dicom_sr import write_measurements

    _check_output(output, overwrite)
    write_measurements(
        output, segmentation, measures, open_source(find_source(source), keep_identity), author
    )


def _check_output(output: Path, overwrite: bool) -> None:
    if output.is_dir():
        raise OutputRefused(f"The output {output.name} is a folder: give a file name such as seg.dcm.")
    if output.exists() and not overwrite:
        raise OutputRefused(f"The file {output.name} exists: take another name or add --overwrite.")
    if not output.parent.is_dir():
        raise OutputRefused(f"The folder of {output.name} does not exist: create it first.")


def export_beside(
    folder: Path,
    name: str,
    labels: LabelArray,
    reference: Volume,
    given: Path,
    author: SegmentationAuthor,
    keep_identity: bool,
) -> str | None:
    """Write ``folder/name`` for labels on a reference that was read from ``given``, where that is DICOM.

    Returns None when all is well or the reference came from no DICOM; otherwise a sentence why there is no
    DICOM segmentation: it is an addition that must not cost the result.
    """
    if not _FROM_DICOM.search(reference.name):
        return None
    try:
        series = series_of_volume(reference, given)
        if series is None:
            return (
                f"No DICOM segmentation was written: {reference.name} could not be found again for sure; "
                "use  gliomaseg export-dicom-seg."
            )
        export_dicom_seg(labels, reference.grid, series, folder / name, author, keep_identity)
    except (InputRefused, UsageError) as error:
        return f"No DICOM segmentation was written. {error}"
    return None


def identity_beside(reference: Volume, given: Path) -> str:
    """Whose exam a reference that was read from ``given`` is, in words; empty where that is no DICOM."""
    if not _FROM_DICOM.search(reference.name):
        return ""
    series = series_of_volume(reference, given)
    return "" if series is None else identity_of(series)


def edited_structures(model: LabelArray, corrected: LabelArray) -> list[str]:
    """Abbreviations of the structures that differ between two label maps (z, y, x) of one shape.

    Raises ``InputRefused`` when the shapes differ.
    """
    if model.shape != corrected.shape:
        raise InputRefused("The corrected labels have another size than the result: save them on its grid.")
    changed = [s for s in STRUCTURES if ((model == s.number) != (corrected == s.number)).any()]
    return [s.abbreviation for s in changed]


def corrected_by(author: SegmentationAuthor, model: LabelArray, corrected: LabelArray) -> SegmentationAuthor:
    """``author``, with what a person changed marked as edited. Raises ``InputRefused`` as above."""
    return replace(author, edited=edited_structures(model, corrected))
