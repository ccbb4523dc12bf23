"""*Next doubtful region*: where the model was least sure, one region after the other, largest first."""

from __future__ import annotations

from typing import Any

import slicer
import slicer.util
from slicer.i18n import tr as _

from ..errors import InputRefused
from ..outcome.doubt import DoubtfulRegion, doubtful_regions
from . import scene
from .display import jump_to, point_of
from .geometry import volume_grid

COLOUR = (1.0, 0.0, 1.0)
"""Magenta: no structure has it."""
OUTLINE_PIXELS = 3
_SHOWN = "GliomaSeg.DoubtfulRegionsShown"
"""Attribute of a result: how many of its regions were visited, so that a saved scene goes on where it was."""


class Doubts:
    """Visits the doubtful regions of a result and outlines the one that is visited."""

    def __init__(self) -> None:
        self._outline: Any = None
        self._found: tuple[Any, list[DoubtfulRegion]] | None = None

    def show_next(self, result: Any) -> str:
        """Bring all slice views to the largest region not visited yet and outline it; a sentence about it.

        After the last one the outline goes, and the next call begins anew. Raises ``InputRefused`` when the
        result has no uncertainty map, or its volume has left the scene.
        """
        reference = scene.reference_of(result)
        if self._found is None or self._found[0] is not result or reference is None:
            self._found = result, _regions(result, reference)  # takes seconds where much is in doubt
        regions = self._found[1]
        self.clear()
        shown = int(result.GetAttribute(_SHOWN) or 0)
        if shown >= len(regions):
            result.SetAttribute(_SHOWN, "0")
            if not regions:
                return _("The model is in doubt nowhere but along edges.")
            return _("All {count} doubtful regions were shown; click again to begin anew.").format(
                count=len(regions)
            )
        region = regions[shown]
        result.SetAttribute(_SHOWN, str(shown + 1))
        self._outline = _outlined(region, reference)
        jump_to(point_of(reference, region.deepest_zyx))
        return _("Doubtful region {number} of {count}, {ml:.2f} ml.").format(
            number=shown + 1, count=len(regions), ml=region.ml
        )

    def clear(self) -> None:
        """Take the outline out of the scene."""
        outline, self._outline = self._outline, None
        if outline is not None and slicer.mrmlScene.IsNodePresent(outline):
            scene.remove(outline)


def _regions(result: Any, reference: Any) -> list[DoubtfulRegion]:
    """The doubtful regions of what the model segmented; corrections do not change them, nor their order."""
    uncertainty = scene.uncertainty(result)
    if reference is None or uncertainty is None:
        raise InputRefused(
            _("This result has no uncertainty map in the scene: segment the scan again to get one.")
        )
    labels = scene.model_labels(result)
    if labels is None:
        labels = scene.current_labels(result, reference)
    return doubtful_regions(uncertainty, labels, volume_grid(reference, reference).spacing_mm)


def _outlined(region: DoubtfulRegion, reference: Any) -> Any:
    """A segmentation of its own, hidden in lists and not saved, so that the result is not touched."""
    node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLSegmentationNode")
    node.UnRegister(None)
    node.SetName(_("Doubtful region"))
    node.SetHideFromEditors(True)
    node.SetSaveWithScene(False)
    node = slicer.mrmlScene.AddNode(node)
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(reference)
    segment_id = node.GetSegmentation().AddEmptySegment("doubt", _("Doubtful region"), COLOUR)
    node.SetAndObserveTransformNodeID(reference.GetTransformNodeID())
    layer = scene.oriented(region.on(slicer.util.arrayFromVolume(reference).shape), reference)
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    logic.SetBinaryLabelmapToSegment(layer, node, segment_id, logic.MODE_REPLACE)
    display = node.GetDisplayNode()
    display.SetVisibility2DFill(False)
    display.SetVisibility3D(False)
    display.SetOpacity2DOutline(1.0)
    display.SetSliceIntersectionThickness(OUTLINE_PIXELS)
    return node
