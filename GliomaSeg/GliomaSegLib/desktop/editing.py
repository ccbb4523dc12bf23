"""Corrections of a result in the scene: the embedded Segment Editor and the one-click helpers, undoable."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from hashlib import blake2b
from typing import Any

import numpy as np
import slicer
import slicer.util
import vtk
from slicer.i18n import tr as _

from ..errors import InputRefused
from ..labels import RC, STRUCTURES, structure
from . import edits, scene
from .display import voxel_at
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
        self._entered = False
        self._seen: LabelArray | None = None
        self._known: deque[bytes] = deque(maxlen=4 * UNDO_STATES)

    @property
    def widget(self) -> Any:
        """The Segment Editor widget; made when first wanted, because that takes a second.

        Its own undo buttons, and those that add or remove segments, are hidden: the panel has its own, and
        the four structures are all that its table counts.
        """
        if self._widget is None:
            self._widget = slicer.qMRMLSegmentEditorWidget()
            self._widget.setMaximumNumberOfUndoStates(UNDO_STATES)
            self._widget.setMRMLScene(slicer.mrmlScene)
            self._widget.segmentationNodeSelectorVisible = False
            self._widget.sourceVolumeNodeSelectorVisible = False
            self._widget.switchToSegmentationsButtonVisible = False
            self._widget.addRemoveSegmentButtonsVisible = False
            self._widget.show3DButtonVisible = False
            self._widget.undoEnabled = False
            self._host_layout.addWidget(self._widget)
        return self._widget

    def attach(self, result: Any, background: Any) -> None:
        """Edit ``result`` over ``background``, with the cavity selected; keys as in Slicer's own editor."""
        if not self._edits(result):
            self._seen = None
            self._known.clear()
        editor = _editor_node()
        self.widget.setMRMLSegmentEditorNode(editor)
        self.widget.setSegmentationNode(result)
        self.widget.setSourceVolumeNode(background)
        self.widget.setCurrentSegmentID(RC.abbreviation)
        # A stroke replaces what it covers; what it must not take is given back after it (see settle).
        editor.SetMaskMode(slicer.vtkMRMLSegmentationNode.EditAllowedEverywhere)
        editor.SetOverwriteMode(editor.OverwriteAllSegments)
        self._take_keys()

    def _take_keys(self) -> None:
        """The keys are the main window's: taken only while this module is shown, and where there is one."""
        if self._entered and slicer.util.mainWindow() is not None:
            self.widget.installKeyboardShortcuts()

    def detach(self) -> None:
        """Let go of mouse and keys: the section is folded away, or another module is shown."""
        if self._widget is not None:
            self._widget.setActiveEffect(None)
            self._widget.uninstallKeyboardShortcuts()
            self._widget.removeViewObservations()

    def pause(self) -> None:
        """Put the editor's tool away, so that a click in a slice is no stroke."""
        if self._widget is not None:
            self._widget.setActiveEffect(None)

    def forget(self) -> None:
        """Let go of the result: the scene is closing, or the result has left it."""
        self.detach()
        self._seen = None
        self._known.clear()
        if self._widget is not None:
            self._widget.setSegmentationNode(None)

    def enter(self, unfolded: bool) -> None:
        """The module is shown again, with the editor in sight or not."""
        self._entered = True
        if unfolded and self._widget is not None and self._widget.segmentationNode() is not None:
            self._take_keys()
            self._widget.updateWidgetFromMRML()

    def leave(self) -> None:
        """Another module is shown."""
        self._entered = False
        self.detach()

    def undo(self) -> None:
        """Take the last correction back."""
        self.widget.undo()

    def redo(self) -> None:
        """Do the undone correction again."""
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

    def remove_island(self, state: PanelState, ras: np.ndarray) -> None:
        """Remove the piece at a world point (R, A, S mm). Raises ``InputRefused`` where there is none."""
        index = voxel_at(_reference(state), ras)
        self._apply(state, lambda labels: edits.remove_island(labels, index))

    def revert(self, state: PanelState, abbreviation: str) -> None:
        """Bring one segment back as the model gave it. Raises ``InputRefused`` when the scene lost that."""
        original = scene.model_labels(state.result)
        if original is None:
            raise InputRefused(_("The model's version of this result is no longer in the scene."))
        number = structure(abbreviation).number
        self._apply(state, lambda labels: _reverted(labels, original, number))

    def settle(self, result: Any, reference: Any, current: LabelArray) -> tuple[LabelArray, str]:
        """Give back what a stroke must not take; the labels (z, y, x) then, and a sentence when it did.

        The cavity takes voxels from the hyperintensity, not from enhancing tissue or core; nothing takes
        voxels from the cavity. The editor's own masks know all segments or one, not these pairs. A state that
        was there before is the work of an undo or redo, whoever asked for it, and is left alone.
        ``current``: the labels as they are, returned as the same object when nothing had to be given back.
        """
        before, self._seen = self._seen, current
        if before is None or not self._edits(result) or _digest(current) in self._known:
            self._remember(current)
            return current, ""
        cavity = self._widget.currentSegmentID() == RC.abbreviation
        kept = edits.keep_tumour(before, current) if cavity else edits.keep_cavity(before, current)
        self._seen = kept
        self._remember(kept)
        if kept is current:
            return current, ""
        self._write(result, reference, current, kept)
        if cavity:
            return kept, _("The cavity took no enhancing tissue and no core: they were kept.")
        return kept, _("The resection cavity kept its voxels: erase it there first.")

    def _remember(self, labels: LabelArray) -> None:
        self._known.append(_digest(labels))

    def _edits(self, result: Any) -> bool:
        return self._widget is not None and self._widget.segmentationNode() is result

    def _apply(self, state: PanelState, change: Callable[[LabelArray], LabelArray]) -> None:
        reference = _reference(state)
        if not self._edits(state.result):
            self.attach(state.result, state.t1c or reference)
        current = scene.current_labels(state.result, reference)
        before, _said = self.settle(state.result, reference, current)
        after = change(before)
        self.widget.saveStateForUndo()
        self._write(state.result, reference, before, after)
        self._seen = after
        self._remember(after)

    @staticmethod
    def _write(result: Any, reference: Any, before: LabelArray, after: LabelArray) -> None:
        """Write the segments in which ``after`` differs from ``before``."""
        for each in STRUCTURES:
            mask = after == each.number
            if (mask != (before == each.number)).any():
                scene.set_segment(result, each.abbreviation, mask, reference)


def _digest(labels: LabelArray) -> bytes:
    return blake2b(labels.tobytes(), digest_size=16).digest()


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
