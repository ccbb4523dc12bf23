"""Corrections of a result in the scene: the embedded Segment Editor and the one-click helpers, undoable."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import slicer
import slicer.util
import vtk
from slicer.i18n import tr as _

from ..errors import InputRefused
from ..labels import RC, STRUCTURES, structure
from . import edits, scene
from .display import crossing_ras, voxel_at
from .geometry import volume_grid
from .parameters import PanelState
from .results import LabelArray

EDITOR_TAG = "GliomaSegEditor"
UNDO_STATES = 20


class Editing:
    """Edits the result of a panel's state. ``host_layout`` gets the editor widget when it is first wanted."""

    def __init__(self, host_layout: Any) -> None:
        self._host_layout = host_layout
        self._widget: Any = None
        self._seen: LabelArray | None = None

    @property
    def widget(self) -> Any:
        """The Segment Editor widget; made when first wanted, because that takes a second."""
        if self._widget is None:
            self._widget = slicer.qMRMLSegmentEditorWidget()
            self._widget.setMRMLScene(slicer.mrmlScene)
            self._widget.segmentationNodeSelectorVisible = False
            self._widget.sourceVolumeNodeSelectorVisible = False
            self._widget.switchToSegmentationsButtonVisible = False
            self._widget.setMaximumNumberOfUndoStates(UNDO_STATES)
            self._widget.connect("currentSegmentIDChanged(QString)", self._protect_others)
            self._host_layout.addWidget(self._widget)
        return self._widget

    def attach(self, result: Any, background: Any) -> None:
        """Edit ``result`` over ``background``, with the cavity selected."""
        self._seen = None
        self.widget.setMRMLSegmentEditorNode(_editor_node())
        self.widget.setSegmentationNode(result)
        self.widget.setSourceVolumeNode(background)
        self.widget.setCurrentSegmentID(RC.abbreviation)

    def detach(self) -> None:
        """Let go of the scene: it is closing, or another module is shown."""
        if self._widget is not None:
            self._widget.setActiveEffect(None)
            self._widget.removeViewObservations()

    def forget(self) -> None:
        """The scene has gone, and the editor's node with it."""
        if self._widget is not None:
            self._widget.setMRMLSegmentEditorNode(None)

    def enter(self) -> None:
        """The module is shown again."""
        if self._widget is not None and self._widget.mrmlSegmentEditorNode() is not None:
            self._widget.setupViewObservations()
            self._widget.updateWidgetFromMRML()

    def undo(self) -> None:
        """Take the last correction back."""
        self._seen = None
        self.widget.undo()

    def redo(self) -> None:
        """Do the undone correction again."""
        self._seen = None
        self.widget.redo()

    def smooth(self, state: PanelState) -> None:
        """Smooth the cavity's edge. Raises ``InputRefused`` as ``edits.smooth_cavity``."""
        self._apply(state, lambda labels: edits.smooth_cavity(labels, _spacing(state)))

    def fill(self, state: PanelState) -> None:
        """Fill the cavity's holes. Raises ``InputRefused`` as ``edits.fill_cavity``."""
        self._apply(state, edits.fill_cavity)

    def snap(self, state: PanelState) -> None:
        """Snap the cavity's edge to fluid by T1 and FLAIR. Raises as ``edits.snap_to_fluid``."""
        reference = _reference(state)
        images = [_on_grid(node, reference) for node in (state.t1, state.flair) if node is not None]
        if not images:
            raise InputRefused(_("Choose T1 or FLAIR among the inputs: the edge is found on them."))
        self._apply(state, lambda labels: edits.snap_to_fluid(labels, images, _spacing(state)))

    def remove_island(self, state: PanelState) -> None:
        """Remove the piece where the slice views meet. Raises ``InputRefused`` where there is none."""
        index = voxel_at(_reference(state), crossing_ras())
        self._apply(state, lambda labels: edits.remove_island(labels, index))

    def revert(self, state: PanelState, abbreviation: str) -> None:
        """Bring one segment back as the model gave it. Raises ``InputRefused`` when the scene lost that."""
        original = scene.model_labels(state.result)
        if original is None:
            raise InputRefused(_("The model's version of this result is no longer in the scene."))
        number = structure(abbreviation).number
        self._apply(state, lambda labels: _reverted(labels, original, number))

    def keep_tumour(self, result: Any, reference: Any, current: LabelArray) -> LabelArray:
        """Give enhancing tissue and core back that a stroke with the cavity took; the labels (z, y, x) then.

        The editor's own masks know all segments or one, not these two. ``current``: the labels as they are,
        which are returned as the same object when nothing had to be given back.
        """
        before, self._seen = self._seen, current
        painted = self._widget is not None and self._widget.segmentationNode() is result
        if not painted or before is None or self._widget.currentSegmentID() != RC.abbreviation:
            return current
        self._seen = edits.keep_tumour(before, current)
        self._write(result, reference, current, self._seen)
        return self._seen

    def _apply(self, state: PanelState, change: Callable[[LabelArray], LabelArray]) -> None:
        reference = _reference(state)
        current = scene.current_labels(state.result, reference)
        before = self.keep_tumour(state.result, reference, current)
        after = change(before)
        if self._widget is None or self._widget.segmentationNode() is not state.result:
            self.attach(state.result, state.t1c or reference)
        self.widget.saveStateForUndo()
        self._write(state.result, reference, before, after)
        self._seen = after

    @staticmethod
    def _write(result: Any, reference: Any, before: LabelArray, after: LabelArray) -> None:
        """Write the segments in which ``after`` differs from ``before``."""
        for each in STRUCTURES:
            mask = after == each.number
            if (mask != (before == each.number)).any():
                scene.set_segment(result, each.abbreviation, mask, reference)

    def _protect_others(self, segment_id: str) -> None:
        """Painting the cavity takes voxels from SNFH; painting the others takes none from it.

        What it must not take from enhancing tissue and core, ``keep_tumour`` gives back after the stroke.
        """
        editor = self.widget.mrmlSegmentEditorNode()
        if editor is not None:
            cavity = segment_id == RC.abbreviation
            editor.SetMaskMode(slicer.vtkMRMLSegmentationNode.EditAllowedEverywhere)
            editor.SetOverwriteMode(editor.OverwriteAllSegments if cavity else editor.OverwriteNone)


def _reverted(labels: LabelArray, original: LabelArray, number: int) -> LabelArray:
    """``labels`` with one structure as in ``original``; voxels that it gives up go back, too."""
    changed = labels.copy()
    changed[labels == number] = 0
    given_up = (labels == number) & (original != number)
    changed[given_up] = original[given_up]
    changed[original == number] = number
    return changed


def _editor_node() -> Any:
    node = slicer.mrmlScene.GetSingletonNode(EDITOR_TAG, "vtkMRMLSegmentEditorNode")
    if node is None:
        node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLSegmentEditorNode")
        node.UnRegister(None)
        node.SetSingletonTag(EDITOR_TAG)
        node = slicer.mrmlScene.AddNode(node)
    return node


def _reference(state: PanelState) -> Any:
    reference = scene.reference_of(state.result) if state.result is not None else None
    if reference is None:
        raise InputRefused(
            _("The volume that this result was made on is no longer in the scene: load it again.")
        )
    return reference


def _spacing(state: PanelState) -> tuple[float, float, float]:
    reference = _reference(state)
    return volume_grid(reference, reference).spacing_mm


def _on_grid(volume: Any, reference: Any) -> np.ndarray:
    """A volume's array (z, y, x) float32, resampled onto the reference's grid in memory where it differs."""
    array = slicer.util.arrayFromVolume(volume).astype(np.float32)
    own, wanted = volume_grid(volume, reference), volume_grid(reference, reference)
    if own.matches(wanted):
        return array
    import SimpleITK as sitk

    moved = sitk.Resample(
        own.image(array), wanted.image(np.zeros(wanted.shape, np.float32)), sitk.Transform(), sitk.sitkLinear
    )
    return sitk.GetArrayFromImage(moved)


def mark_segments(node: Any, edited: dict[str, bool]) -> None:
    """Tag segments SEMIAUTOMATIC where a person edited them, AUTOMATIC elsewhere (DICOM's words)."""
    for each in STRUCTURES:
        segment = node.GetSegmentation().GetSegment(each.abbreviation)
        if segment is None:
            continue
        wanted = "SEMIAUTOMATIC" if edited.get(each.abbreviation) else "AUTOMATIC"
        found = vtk.reference("")
        if not segment.GetTag("DICOM.SegmentAlgorithmType", found) or str(found) != wanted:
            segment.SetTag("DICOM.SegmentAlgorithmType", wanted)
