"""Files that leave the panel: the corrected labels as NIfTI, NRRD or DICOM, the measurements as CSV."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from slicer.i18n import tr as _

from ..errors import InputRefused
from ..intake.volume import Grid
from ..labels import STRUCTURES
from ..outcome.segmentation_file import write_nifti, write_seg_nrrd
from .geometry import volume_grid
from .parameters import PanelState
from .record import RunRecord, recall
from .results import Row, as_csv
from .scene import current_labels, reference_of

if TYPE_CHECKING:
    from ..outcome.dicom_seg import SegmentationAuthor

NIFTI, SEG_NRRD = ".nii.gz", ".seg.nrrd"


def reference_of_result(state: PanelState) -> Any:
    """The volume that the result was made on. Raises ``InputRefused`` when it has left the scene."""
    reference = reference_of(state.result)
    if reference is None:
        raise InputRefused(
            _("The volume that this result was made on is no longer in the scene: load it again.")
        )
    return reference


def labels_and_grid(state: PanelState) -> tuple[npt.NDArray[np.uint8], Grid]:
    """The result as it is now, (z, y, x), and its grid. Raises ``InputRefused`` as above."""
    reference = reference_of_result(state)
    return current_labels(state.result, reference), volume_grid(reference, reference)


def author_of(state: PanelState, rows: list[Row]) -> SegmentationAuthor:
    """Which algorithm made the result, and what a person edited since."""
    from ..outcome.dicom_seg import SegmentationAuthor

    record = recall(state.result) or RunRecord()
    edited = [row.abbreviation for row in rows if row.edited]
    return SegmentationAuthor(algorithm=record.algorithm, edited=edited)


def export_labels(state: PanelState, path: Path) -> list[str]:
    """Write the result as it is now; the ending of ``path`` chooses the form.

    Returns the names of the structures that are absent. Raises ``InputRefused`` for another ending or when
    the reference has left the scene, ``OutputRefused`` when the file can't be written.
    """
    labels, grid = labels_and_grid(state)
    if path.name.endswith(SEG_NRRD):
        record = recall(state.result) or RunRecord()
        write_seg_nrrd(path, labels, grid, record.algorithm)
    elif path.name.endswith((NIFTI, ".nii")):
        write_nifti(path, labels, grid)
    else:
        raise InputRefused(_("{name}: end the name with .nii.gz or .seg.nrrd.").format(name=path.name))
    return [each.name for each in STRUCTURES if not (labels == each.number).any()]


def export_dicom(
    state: PanelState, rows: list[Row], source: Path, path: Path, keep_identity: bool
) -> list[str]:
    """Write the result as it is now as a DICOM segmentation of the series that ``source`` belongs to.

    ``rows`` say what a person edited. Returns the names of the absent structures, which get no segment.
    Raises a ``GliomaSegError`` as ``outcome.dicom_export.export_dicom_seg``.
    """
    from ..outcome.dicom_export import export_dicom_seg

    labels, grid = labels_and_grid(state)
    export_dicom_seg(labels, grid, source, path, author_of(state, rows), keep_identity, overwrite=True)
    return [each.name for each in STRUCTURES if not (labels == each.number).any()]


def export_table(rows: list[Row], path: Path) -> None:
    """Write the measurements as CSV, UTF-8. Raises ``OSError`` when the file can't be written."""
    path.write_text(as_csv(rows), encoding="utf-8")
