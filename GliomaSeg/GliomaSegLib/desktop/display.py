"""What the slice and 3D views show, and where they meet."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import slicer
import slicer.util
import vtk
from slicer.i18n import tr as _

from ..errors import InputRefused


def show(node: Any, background: Any) -> None:
    """Show a segmentation over ``background`` in all slice views."""
    display = node.GetDisplayNode()
    if display is not None:
        display.SetVisibility(True)
        display.SetOpacity2DFill(0.25)
        display.SetOpacity2DOutline(1.0)
    slicer.util.setSliceViewerLayers(background=background, fit=True)


def show_in_3d(node: Any, visible: bool) -> None:
    """Make and show, or drop, the surfaces of a segmentation."""
    if visible:
        node.CreateClosedSurfaceRepresentation()
        layout = slicer.app.layoutManager()
        if layout is not None and layout.threeDViewCount > 0:
            layout.threeDWidget(0).threeDView().resetFocalPoint()
    else:
        node.RemoveClosedSurfaceRepresentation()


def is_in_3d(node: Any) -> bool:
    """Whether the segmentation has surfaces."""
    return bool(node.GetSegmentation().ContainsRepresentation("Closed surface"))


def crossing_ras() -> npt.NDArray[np.float64]:
    """The point (R, A, S mm) where the three slice views meet.

    Raises ``InputRefused`` when they do not meet in one point.
    """
    normals, offsets = [], []
    layout = slicer.app.layoutManager()
    for name in ("Red", "Green", "Yellow"):
        matrix = layout.sliceWidget(name).mrmlSliceNode().GetSliceToRAS()
        normal = np.array([matrix.GetElement(row, 2) for row in range(3)])
        point = np.array([matrix.GetElement(row, 3) for row in range(3)])
        normals.append(normal)
        offsets.append(float(normal @ point))
    planes = np.array(normals)
    if abs(np.linalg.det(planes)) < 1e-3:
        raise InputRefused(
            _("The three slice views do not meet in a point: reset them to axial, sagittal, coronal.")
        )
    return np.linalg.solve(planes, np.array(offsets))


def jump_to(ras: npt.NDArray[np.float64]) -> None:
    """Centre all slice views on a world point (R, A, S mm)."""
    kind = slicer.vtkMRMLSliceNode
    kind.JumpAllSlices(slicer.mrmlScene, *(float(part) for part in ras), kind.CenteredJumpSlice)


def voxel_at(volume: Any, ras: npt.NDArray[np.float64]) -> tuple[int, int, int]:
    """The voxel (z, y, x) of ``volume`` at a world point, which may lie outside of it."""
    x, y, z, _one = np.linalg.solve(_index_to_world(volume), np.append(ras, 1.0))
    return round(float(z)), round(float(y)), round(float(x))


def point_of(volume: Any, index_zyx: tuple[int, int, int]) -> npt.NDArray[np.float64]:
    """The world point (R, A, S mm) of the middle of a voxel (z, y, x) of ``volume``."""
    return (_index_to_world(volume) @ np.array([*reversed(index_zyx), 1.0]))[:3]


def _index_to_world(volume: Any) -> npt.NDArray[np.float64]:
    """4x4: voxel index (x, y, z, 1) of ``volume`` to world RAS mm, linear transforms included."""
    to_world, own = vtk.vtkMatrix4x4(), vtk.vtkMatrix4x4()
    slicer.vtkMRMLTransformNode.GetMatrixTransformBetweenNodes(
        volume.GetParentTransformNode(), None, to_world
    )
    volume.GetIJKToRASMatrix(own)
    return slicer.util.arrayFromVTKMatrix(to_world) @ slicer.util.arrayFromVTKMatrix(own)
