"""Files that leave the panel: the corrected labels as NIfTI or NRRD, the measurements as CSV."""

from __future__ import annotations

from pathlib import Path

from slicer.i18n import tr as _

from ..errors import InputRefused
from ..labels import STRUCTURES
from ..outcome.segmentation_file import write_nifti, write_seg_nrrd
from .geometry import volume_grid
from .parameters import PanelState
from .record import RunRecord, recall
from .results import Row, as_csv
from .scene import current_labels, reference_of

NIFTI, SEG_NRRD = ".nii.gz", ".seg.nrrd"


def export_labels(state: PanelState, path: Path) -> list[str]:
    """Write the result as it is now; the ending of ``path`` chooses the form.

    Returns the names of the structures that are absent. Raises ``InputRefused`` for another ending or when
    the reference has left the scene, ``OutputRefused`` when the file can't be written.
    """
    reference = reference_of(state.result)
    if reference is None:
        raise InputRefused(
            _("The volume that this result was made on is no longer in the scene: load it again.")
        )
    labels, grid = current_labels(state.result, reference), volume_grid(reference, reference)
    if path.name.endswith(SEG_NRRD):
        record = recall(state.result) or RunRecord()
        write_seg_nrrd(path, labels, grid, record.algorithm)
    elif path.name.endswith((NIFTI, ".nii")):
        write_nifti(path, labels, grid)
    else:
        raise InputRefused(_("{name}: end the name with .nii.gz or .seg.nrrd.").format(name=path.name))
    return [each.name for each in STRUCTURES if not (labels == each.number).any()]


def export_table(rows: list[Row], path: Path) -> None:
    """Write the measurements as CSV, UTF-8. Raises ``OSError`` when the file can't be written."""
    path.write_text(as_csv(rows), encoding="utf-8")
