"""Where a volume node lies in space, and whether it can be written and given back there."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import slicer
import vtk
from slicer.i18n import tr as _

from ..errors import InputRefused
from ..intake.volume import Grid

Matrix = npt.NDArray[np.float64]
_SHEAR_TOLERANCE = 1e-3
"""Largest cosine between two voxel axes that still counts as a right angle."""
_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def _array(matrix: vtk.vtkMatrix4x4) -> Matrix:
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


def is_linear(node: Any) -> bool:
    """Whether everything between ``node`` and the world is a linear transform."""
    parent = node.GetParentTransformNode()
    return parent is None or bool(parent.IsTransformToWorldLinear())


def index_to_parent_ras(volume: Any, reference: Any) -> Matrix:
    """4x4: voxel index (x, y, z, 1) of ``volume`` to RAS mm in the space of ``reference``'s own grid.

    Transforms above the two volumes are hardened in memory; the scene is not touched. Raises ``InputRefused``
    when a transform on the way is not linear: a warped volume would have to be resampled.
    """
    for node, what in ((reference, _("the reference volume")), (volume, _("a volume"))):
        if not is_linear(node):
            raise InputRefused(
                _(
                    "{name} ({what}) is under a non-linear transform: harden or remove the transform "
                    "first, or choose another volume."
                ).format(name=node.GetName(), what=what)
            )
    to_reference = vtk.vtkMatrix4x4()
    slicer.vtkMRMLTransformNode.GetMatrixTransformBetweenNodes(
        volume.GetParentTransformNode(), reference.GetParentTransformNode(), to_reference
    )
    own = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(own)
    return _array(to_reference) @ _array(own)


def volume_grid(volume: Any, reference: Any) -> Grid:
    """The grid of ``volume`` in LPS mm, hardened relative to ``reference``.

    Raises ``InputRefused`` for an empty volume, a non-linear transform, or one that shears the voxels.
    """
    image = volume.GetImageData()
    if image is None or min(image.GetDimensions()) < 1:
        raise InputRefused(
            _("{name} holds no voxels: load it again, or choose another volume.").format(
                name=volume.GetName()
            )
        )
    matrix = _RAS_TO_LPS @ index_to_parent_ras(volume, reference)
    axes = matrix[:3, :3]
    spacing = np.linalg.norm(axes, axis=0)
    direction = axes / np.where(spacing > 0, spacing, 1.0)
    if spacing.min() <= 0 or np.abs(direction.T @ direction - np.eye(3)).max() > _SHEAR_TOLERANCE:
        raise InputRefused(
            _(
                "{name} has a grid or a transform that shears its voxels: harden the transform by resampling."
            ).format(name=volume.GetName())
        )
    columns, rows, slices = image.GetDimensions()
    return Grid(
        (slices, rows, columns),
        (float(spacing[0]), float(spacing[1]), float(spacing[2])),
        (float(matrix[0, 3]), float(matrix[1, 3]), float(matrix[2, 3])),
        tuple(float(value) for value in direction.ravel()),
    )
