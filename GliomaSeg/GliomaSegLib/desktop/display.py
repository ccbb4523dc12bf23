"""What the slice and 3D views show, and where a voxel lies in them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import slicer
import slicer.util
import vtk


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
