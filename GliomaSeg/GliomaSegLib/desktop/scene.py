"""Between the scene and files: volumes out, the segmentation in. No node of the person's is changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import slicer
import slicer.util
import vtk
from slicer.i18n import tr as _
from vtk.util.numpy_support import vtk_to_numpy

from ..errors import InputRefused
from ..intake.volume import Grid
from ..labels import ET, NETC, RC, SNFH, STRUCTURES, Structure
from ..labels import structure as structure_named
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


def _segment(structure: Structure, layer: Any, algorithm: str, number: int | None = None) -> Any:
    """A segment in a layer, where its voxels are ``number``, by default that of the structure.

    The layer is shared by a new result's four, because CollapseBinaryLabelmaps merges into the grid of the
    first segment, and an empty one has none of its own: on an oblique grid that would move voxels.
    """
    segment = slicer.vtkSegment()
    segment.SetName(structure.name)
    segment.SetColor(*(channel / 255 for channel in structure.colour))
    segment.AddRepresentation(_BINARY_LABELMAP, layer)
    segment.SetLabelValue(structure.number if number is None else number)
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
    Segments that are none of ours are left out.
    """
    segments, numbers = vtk.vtkStringArray(), vtk.vtkIntArray()
    for structure in (SNFH, NETC, ET, RC):  # a later one wins
        if node.GetSegmentation().GetSegment(structure.abbreviation) is not None:
            segments.InsertNextValue(structure.abbreviation)
            numbers.InsertNextValue(structure.number)
    shape = slicer.util.arrayFromVolume(reference).shape[:3]
    merged = slicer.vtkOrientedImageData()
    if segments.GetNumberOfValues():
        slicer.vtkSlicerSegmentationsModuleLogic.GenerateMergedLabelmapInReferenceGeometry(
            node, reference, segments, slicer.vtkSegmentation.EXTENT_REFERENCE_GEOMETRY, merged, numbers
        )
    scalars = merged.GetPointData().GetScalars()
    if scalars is None or merged.GetNumberOfPoints() != np.prod(shape):
        return np.zeros(shape, np.uint8)
    return vtk_to_numpy(scalars).reshape(shape).astype(np.uint8)


def foreign_segments(node: Any) -> list[str]:
    """Names of the segments that are none of the four structures: a person or a tool added them."""
    ours = {structure.abbreviation for structure in STRUCTURES}
    segmentation = node.GetSegmentation()
    others = [each for each in segmentation.GetSegmentIDs() if each not in ours]
    return [segmentation.GetSegment(each).GetName() for each in others]


def set_segment(node: Any, abbreviation: str, mask: npt.NDArray[np.bool_], reference: Any) -> None:
    """Replace one segment by ``mask`` (z, y, x) on the reference's grid; the others are not touched.

    Surfaces in the 3D view follow. A segment that a person deleted is made anew.
    """
    segmentation = node.GetSegmentation()
    if segmentation.GetSegment(abbreviation) is None:
        empty = _segment(
            structure_named(abbreviation),
            oriented(np.zeros_like(mask), reference),
            _algorithm(node),
            number=1,
        )
        segmentation.AddSegment(empty, abbreviation)
    if node.GetTransformNodeID() != reference.GetTransformNodeID():
        # Slower, but it knows of transforms: a person moved the one and not the other.
        slicer.util.updateSegmentBinaryLabelmapFromArray(mask.astype(np.uint8), node, abbreviation, reference)
        return
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    if not mask.any():  # an empty layer would change nothing
        taken = logic.ClearSegment(node, abbreviation)
    else:
        layer = oriented(mask, reference)
        taken = logic.SetBinaryLabelmapToSegment(layer, node, abbreviation, logic.MODE_REPLACE)
    if not taken:
        raise RuntimeError(f"Slicer did not take the segment {abbreviation}")


def copy_of_present(node: Any, labels: LabelArray, reference: Any) -> Any:
    """A new segmentation beside ``reference`` with the structures that ``labels`` (z, y, x) hold, tags kept.

    For writers that would make an empty segment of an absent structure. The caller removes it.
    """
    copy = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", node.GetName())
    copy.CreateDefaultDisplayNodes()
    copy.SetReferenceImageGeometryParameterFromVolumeNode(reference)
    found = vtk.reference("")
    for structure in STRUCTURES:
        mask = labels == structure.number
        if mask.any():
            segment = _segment(structure, oriented(mask, reference), _algorithm(node), number=1)
            original = node.GetSegmentation().GetSegment(structure.abbreviation)
            if original is not None and original.GetTag("DICOM.SegmentAlgorithmType", found):
                segment.SetTag("DICOM.SegmentAlgorithmType", str(found))
            copy.GetSegmentation().AddSegment(segment, structure.abbreviation)
    copy.SetAndObserveTransformNodeID(reference.GetTransformNodeID())
    place_beside(copy, reference)
    return copy


def oriented(mask: npt.NDArray[np.bool_], reference: Any) -> Any:
    """``mask`` (z, y, x) as Slicer's image type on the reference's grid, in the reference's own space."""
    layer, matrix = slicer.vtkOrientedImageData(), vtk.vtkMatrix4x4()
    depth, height, width = mask.shape
    layer.SetExtent(0, width - 1, 0, height - 1, 0, depth - 1)
    layer.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    vtk_to_numpy(layer.GetPointData().GetScalars())[:] = mask.ravel()
    reference.GetIJKToRASMatrix(matrix)
    layer.SetGeometryFromImageToWorldMatrix(matrix)
    return layer


def _algorithm(node: Any) -> str:
    """The algorithm that the other segments name."""
    found = vtk.reference("")
    for segment_id in node.GetSegmentation().GetSegmentIDs():
        if node.GetSegmentation().GetSegment(segment_id).GetTag("DICOM.SegmentAlgorithmName", found):
            return str(found)
    return "GliomaSeg"


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
            remove(kept)
    remove(node)


def remove(node: Any) -> None:
    """Take a node out of the scene with its display nodes, which nobody else would remove."""
    for index in reversed(range(node.GetNumberOfDisplayNodes())):
        slicer.mrmlScene.RemoveNode(node.GetNthDisplayNode(index))
    slicer.mrmlScene.RemoveNode(node)
