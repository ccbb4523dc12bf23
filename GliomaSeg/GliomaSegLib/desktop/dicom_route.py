"""Which way a result goes into DICOM: by Slicer's own export, or with a series that is made for it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import slicer
import slicer.util
from slicer.i18n import tr as _

from ..errors import InputRefused, OutputRefused
from ..labels import STRUCTURES
from . import scene
from .export import author_of, labels_and_grid, reference_of_result
from .parameters import PanelState
from .results import Row

PLUGIN = "DICOMSegmentationPlugin"
"""Slicer's own writer: part of Slicer since April 2026, of the extension QuantitativeReporting before."""
NEW_FOLDER = "gliomaseg-dicom"


def dicom_file_of(volume: Any) -> Path | None:
    """A file of the series that ``volume`` was loaded from by Slicer's DICOM database, or None."""
    instances = _instances(volume)
    database = getattr(slicer, "dicomDatabase", None)
    found = str(database.fileForInstance(instances[0]) or "") if instances and database is not None else ""
    return Path(found) if found else None


def _instances(volume: Any) -> list[str]:
    return (volume.GetAttribute("DICOM.instanceUIDs") or "").split()


def _plugin() -> Any:
    known = getattr(slicer.modules, "dicomPlugins", {})
    return known[PLUGIN]() if PLUGIN in known else None


def slicer_can_export() -> bool:
    """Whether this Slicer has its own writer of DICOM segmentations."""
    return _plugin() is not None


def by_slicer(state: PanelState, folder: Path) -> str:
    """Let Slicer's DICOM export write the result into ``folder`` and into its database; a sentence about it.

    Slicer gets a copy without the absent structures: it would write them as empty segments. The copy leaves
    the scene afterwards. Raises ``OutputRefused`` with Slicer's own reason when it does not write.
    """
    reference = reference_of_result(state)
    labels, _grid = labels_and_grid(state)
    present = [each.abbreviation for each in STRUCTURES if (labels == each.number).any()]
    if not present:
        raise InputRefused(_("The result is empty: there is nothing that DICOM could hold."))
    copy = scene.copy_of_present(state.result, labels, reference)
    try:
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
        item = hierarchy.GetItemByDataNode(copy)
        hierarchy.SetItemAttribute(item, "DICOM.ReferencedInstanceUIDs", " ".join(_instances(reference)))
        _export(item, folder)
    finally:
        scene.remove(copy)
    absent = [each.name for each in STRUCTURES if each.abbreviation not in present]
    said = _("Written into {folder} and Slicer's DICOM database by Slicer's own export.").format(
        folder=folder.name
    )
    return said + (_(" Absent: {names}.").format(names=", ".join(absent)) if absent else "")


def _export(item: int, folder: Path) -> None:
    plugin = _plugin()
    exportables = plugin.examineForExport(item)
    if not exportables:
        raise OutputRefused(_("Slicer's DICOM database no longer holds the series: import it again."))
    for exportable in exportables:
        exportable.directory = str(folder)
        exportable.setTag("SeriesDescription", "GliomaSeg segmentation")
    reason = plugin.export(exportables)
    if reason:
        logging.warning("GliomaSeg: Slicer's DICOM export refused")
        raise OutputRefused(_("Slicer's DICOM export says: {reason}").format(reason=reason))


def with_new_series(state: PanelState, rows: list[Row], folder: Path) -> str:
    """Write the reference as a series of an invented patient, and the result on it, into a new folder.

    Returns a sentence that says what was invented. Raises a ``GliomaSegError`` as the writers do.
    """
    from ..outcome.dicom_export import export_dicom_seg
    from ..outcome.dicom_invented import INVENTED_NAME, write_series

    reference = reference_of_result(state)
    labels, grid = labels_and_grid(state)
    made = _new_folder(folder)
    series = made / "series"
    series.mkdir(parents=True)
    array = slicer.util.arrayFromVolume(reference).astype(np.float32)
    write_series(series, array, grid, _("Reference of a segmentation"))
    export_dicom_seg(
        labels, grid, series, made / "segmentation.dcm", author_of(state, rows), keep_identity=True
    )
    absent = [each.name for each in STRUCTURES if not (labels == each.number).any()]
    said = _(
        "{folder} holds the series and the segmentation on it. Invented: the patient ({name}), study, series "
        "and frame of reference, today's date; the grey values were scaled."
    ).format(folder=made.name, name=INVENTED_NAME)
    return said + (_(" Absent: {names}.").format(names=", ".join(absent)) if absent else "")


def _new_folder(parent: Path) -> Path:
    """A folder that does not exist yet."""
    number, candidate = 1, parent / NEW_FOLDER
    while candidate.exists():
        number += 1
        candidate = parent / f"{NEW_FOLDER}-{number}"
    return candidate
