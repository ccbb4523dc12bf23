"""Between the scene and files: volumes out, the segmentation in. No node of the person's is changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import slicer
import slicer.util
from slicer.i18n import tr as _

from ..errors import InputRefused
from ..intake.volume import Grid
from ..labels import ET, NETC, RC, SNFH, STRUCTURES, Structure
from ..outcome.segmentation_file import segment_tags
from .geometry import volume_grid

MODEL_VERSION_ROLE = "GliomaSeg.modelVersion"
"""Node reference of a result: the hidden label map with the labels as the model gave them."""

UNCERTAINTY_ROLE = "GliomaSeg.uncertainty"
"""Node reference of a result: the hidden map of the model's uncertainty in per cent."""

_BINARY_LABELMAP = "Binary labelmap"

LabelArray = npt.NDArray[np.uint8]


def export_volume(volume: Any, reference: Any, path: Path) -> None:
    """Write ``volume`` as NRRD, hardened relative to ``reference``, in its own scalar type.

    Raises ``InputRefused`` for a volume with several values per voxel, and as ``volume_grid`` does.
    """
    import SimpleITK as sitk

    grid = volume_grid(volume, reference)
    array = slicer.util.arrayFromVolume(volume)
    if array.ndim != 3:
        raise InputRefused(
            _(
                "{name} has several values in each voxel: choose a volume with one grey value per voxel."
            ).format(name=volume.GetName())
        )
    sitk.WriteImage(grid.image(np.ascontiguousarray(array)), str(path), False)


def export_mask(segmentation: Any, reference: Any, path: Path) -> None:
    """Write all visible segments together as a mask (uint8, 0 and 1) on the reference's grid.

    Raises ``InputRefused`` when no segment is visible, or all are empty.
    """
    import SimpleITK as sitk

    grid = volume_grid(reference, reference)
    mask = np.zeros(grid.shape, np.uint8)
    display = segmentation.GetDisplayNode()
    for segment_id in segmentation.GetSegmentation().GetSegmentIDs():
        if display is None or display.GetSegmentVisibility(segment_id):
            mask |= slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, segment_id, reference) > 0
    if not mask.any():
        raise InputRefused(
            _("{name} shows no segment that could be the brain: show one, or choose no mask.").format(
                name=segmentation.GetName()
            )
        )
    sitk.WriteImage(grid.image(mask), str(path), True)


def read_labels(path: Path, reference: Any) -> LabelArray:
    """A map (z, y, x) uint8 of a finished run, labels or uncertainty, checked against the reference's grid.

    Raises ``InputRefused`` when the file is on another grid than the node (the node was changed meanwhile).
    """
    import SimpleITK as sitk

    image = sitk.ReadImage(str(path))
    grid = volume_grid(reference, reference)
    if not Grid.of_image(image).matches(grid, tolerance_mm=1e-2):
        raise InputRefused(
            _(
                "{name} was changed during the run, so the result does not fit it any more: please run again."
            ).format(name=reference.GetName())
        )
    return sitk.GetArrayFromImage(image).astype(np.uint8)


def add_segmentation(labels: LabelArray, reference: Any, name: str, algorithm: str) -> Any:
    """A new segmentation node with the four structures of ``labels`` (z, y, x) on the reference's grid.

    Segment IDs are the abbreviations, empty structures included; terminology, colours and order come from
    ``labels.py``; the reference's parent transform and place in the subject hierarchy are taken over. The
    model's labels are kept beside it, hidden, for *Revert*. Returns the vtkMRMLSegmentationNode.
    """
    scene = slicer.mrmlScene
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", scene.GenerateUniqueName(name))
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(reference)
    kept = _hidden_map(labels, reference, f"{node.GetName()} (model)")
    layer = slicer.vtkSlicerSegmentationsModuleLogic.CreateOrientedImageDataFromVolumeNode(kept)
    layer.UnRegister(None)
    for structure in STRUCTURES:
        node.GetSegmentation().AddSegment(_segment(structure, layer, algorithm), structure.abbreviation)
    for follower in (node, kept):
        follower.SetAndObserveTransformNodeID(reference.GetTransformNodeID())
    node.SetNodeReferenceID(MODEL_VERSION_ROLE, kept.GetID())
    place_beside(node, reference)
    return node


def _segment(structure: Structure, layer: Any, algorithm: str) -> Any:
    """A segment in the shared layer.

    The layer is shared from the start, because CollapseBinaryLabelmaps merges into the grid of the first
    segment, and an empty one has none of its own: on an oblique grid that would move voxels.
    """
    segment = slicer.vtkSegment()
    segment.SetName(structure.name)
    segment.SetColor(*(channel / 255 for channel in structure.colour))
    segment.AddRepresentation(_BINARY_LABELMAP, layer)
    segment.SetLabelValue(structure.number)
    for tag, value in segment_tags(structure, algorithm).items():
        segment.SetTag(tag, value)
    return segment


def keep_uncertainty(node: Any, uncertainty: LabelArray, reference: Any) -> None:
    """Keep the uncertainty (z, y, x), uint8 in per cent on the reference's grid, hidden beside a result."""
    kept = _hidden_map(uncertainty, reference, f"{node.GetName()} (uncertainty)")
    kept.SetAndObserveTransformNodeID(reference.GetTransformNodeID())
    node.SetNodeReferenceID(UNCERTAINTY_ROLE, kept.GetID())


def uncertainty(node: Any) -> LabelArray | None:
    """The uncertainty (z, y, x) in per cent that was kept with a result, or None when there is none."""
    kept = node.GetNodeReference(UNCERTAINTY_ROLE)
    return None if kept is None else slicer.util.arrayFromVolume(kept).astype(np.uint8)


def _hidden_map(values: LabelArray, reference: Any, name: str) -> Any:
    """A hidden label map on the reference's grid, not yet under the reference's transform."""
    kept = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    kept.SetName(name)
    kept.SetHideFromEditors(True)
    kept.CopyOrientation(reference)
    slicer.util.updateVolumeFromArray(kept, values)
    return kept


def model_labels(node: Any) -> LabelArray | None:
    """The labels (z, y, x) as the model gave them, or None when the scene no longer holds them."""
    kept = node.GetNodeReference(MODEL_VERSION_ROLE)
    return None if kept is None else slicer.util.arrayFromVolume(kept).astype(np.uint8)


def current_labels(node: Any, reference: Any) -> LabelArray:
    """The labels (z, y, x) of the segmentation as it is, on the reference's grid.

    Where segments overlap, the cavity wins over enhancing tissue, that over the core, that over SNFH.
    """
    labels = np.zeros(slicer.util.arrayFromVolume(reference).shape[:3], np.uint8)
    for structure in (SNFH, NETC, ET, RC):
        if node.GetSegmentation().GetSegment(structure.abbreviation) is None:
            continue
        mask = slicer.util.arrayFromSegmentBinaryLabelmap(node, structure.abbreviation, reference)
        if mask is not None and mask.shape == labels.shape:
            labels[mask > 0] = structure.number
    return labels


def set_segment(node: Any, abbreviation: str, mask: npt.NDArray[np.bool_], reference: Any) -> None:
    """Replace one segment by ``mask`` (z, y, x) on the reference's grid; the others are not touched."""
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask.astype(np.uint8), node, abbreviation, reference)


def reference_of(node: Any) -> Any:
    """The volume whose grid a result has, or None when it left the scene."""
    return node.GetNodeReference(slicer.vtkMRMLSegmentationNode.GetReferenceImageGeometryReferenceRole())


def place_beside(node: Any, reference: Any) -> None:
    """Put ``node`` under the same parent in the subject hierarchy as ``reference``."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    item, beside = hierarchy.GetItemByDataNode(node), hierarchy.GetItemByDataNode(reference)
    if item and beside:
        hierarchy.SetItemParent(item, hierarchy.GetItemParent(beside))


def study_name(reference: Any) -> str:
    """The name of the study that the reference belongs to, else the reference's own name."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    item = hierarchy.GetItemByDataNode(reference)
    study = hierarchy.GetItemAncestorAtLevel(item, "Study") if item else 0
    return hierarchy.GetItemName(study) if study else reference.GetName()


def remove_result(node: Any) -> None:
    """Take a segmentation and its hidden maps out of the scene."""
    for role in (MODEL_VERSION_ROLE, UNCERTAINTY_ROLE):
        kept = node.GetNodeReference(role)
        if kept is not None:
            slicer.mrmlScene.RemoveNode(kept)
    slicer.mrmlScene.RemoveNode(node)
