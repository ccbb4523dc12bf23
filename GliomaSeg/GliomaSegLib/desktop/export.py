"""Files that leave the panel: the corrected labels as NIfTI, NRRD or DICOM, the measurements as CSV."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer
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
    reference = _reference(state)
    labels, grid = current_labels(state.result, reference), volume_grid(reference, reference)
    if path.name.endswith(SEG_NRRD):
        record = recall(state.result) or RunRecord()
        write_seg_nrrd(path, labels, grid, record.algorithm)
    elif path.name.endswith((NIFTI, ".nii")):
        write_nifti(path, labels, grid)
    else:
        raise InputRefused(_("{name}: end the name with .nii.gz or .seg.nrrd.").format(name=path.name))
    return [each.name for each in STRUCTURES if not (labels == each.number).any()]


def dicom_file_of(volume: Any) -> Path | None:
    """A file of the series that ``volume`` was loaded from by Slicer's DICOM database, or None."""
    instances = (volume.GetAttribute("DICOM.instanceUIDs") or "").split()
    database = getattr(slicer, "dicomDatabase", None)
    found = str(database.fileForInstance(instances[0]) or "") if instances and database is not None else ""
    return Path(found) if found else None


def export_dicom(
    state: PanelState, rows: list[Row], source: Path, path: Path, keep_identity: bool
) -> list[str]:
    """Write the result as it is now as a DICOM segmentation of the series that ``source`` belongs to.

    ``rows`` say what a person edited. Returns the names of the absent structures, which get no segment.
    Raises a ``GliomaSegError`` as ``outcome.dicom_export.export_dicom_seg``.
    """
    from ..outcome.dicom_export import export_dicom_seg
    from ..outcome.dicom_seg import SegmentationAuthor

    reference = _reference(state)
    labels, grid = current_labels(state.result, reference), volume_grid(reference, reference)
    record = recall(state.result) or RunRecord()
    edited = [row.abbreviation for row in rows if row.edited]
    author = SegmentationAuthor(algorithm=record.algorithm, edited=edited)
    export_dicom_seg(labels, grid, source, path, author, keep_identity, overwrite=True)
    return [each.name for each in STRUCTURES if not (labels == each.number).any()]


def _reference(state: PanelState) -> Any:
    reference = reference_of(state.result)
    if reference is None:
        raise InputRefused(
            _("The volume that this result was made on is no longer in the scene: load it again.")
        )
    return reference


def export_table(rows: list[Row], path: Path) -> None:
    """Write the measurements as CSV, UTF-8. Raises ``OSError`` when the file can't be written."""
    path.write_text(as_csv(rows), encoding="utf-8")
