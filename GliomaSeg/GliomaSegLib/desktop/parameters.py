"""The panel's state: it lives in the scene alone, so that a saved scene opens with the same panel."""

from __future__ import annotations

from slicer import vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
from slicer.parameterNodeWrapper import parameterNodeWrapper


@parameterNodeWrapper
class PanelState:
    """What a person chose, and the result that is shown.

    ``t1`` to ``flair``: the four sequences. ``reference``: the role whose grid the result gets. ``device``:
    what ``gliomaseg segment --device`` takes. ``model``: a model's name, empty for the bundled default.
    ``brain``: auto or off; ``brainMaskNode``, when there is one, is used instead.
    """

    t1: vtkMRMLScalarVolumeNode
    t1c: vtkMRMLScalarVolumeNode
    t2: vtkMRMLScalarVolumeNode
    flair: vtkMRMLScalarVolumeNode
    reference: str = "t1c"
    device: str = "auto"
    model: str = ""
    mirror: bool = False
    registration: bool = True
    brain: str = "auto"
    brainMaskNode: vtkMRMLSegmentationNode
    result: vtkMRMLSegmentationNode


def chosen_volumes(state: PanelState) -> dict[str, vtkMRMLScalarVolumeNode]:
    """The chosen nodes by role, in the order T1, T1c, T2, FLAIR; roles without a node are left out."""
    pairs = (("t1", state.t1), ("t1c", state.t1c), ("t2", state.t2), ("flair", state.flair))
    return {role: node for role, node in pairs if node is not None}
