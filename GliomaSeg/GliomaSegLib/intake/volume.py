"""The objects that travel out of intake: a grid in space, a volume on it, a study of volumes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import SimpleITK as sitk

FloatArray = npt.NDArray[np.float32]

ROLES: tuple[str, ...] = ("t1", "t1c", "t2", "flair")
"""The four sequences, in the order in which people name them. Channel order is the model's own data."""

ROLE_NAMES: dict[str, str] = {"t1": "T1", "t1c": "T1c", "t2": "T2", "flair": "FLAIR"}
"""How each role is written for people."""


@dataclass(frozen=True)
class Grid:
    """A voxel grid in patient space.

    ``shape`` is (z, y, x) in voxels. ``spacing_mm``, ``origin_lps_mm`` and the nine numbers of
    ``direction_lps`` (row-major 3x3, columns are the axes x, y, z) follow SimpleITK: order (x, y, z), LPS.
    """

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    origin_lps_mm: tuple[float, float, float]
    direction_lps: tuple[float, ...]

    @classmethod
    def of_image(cls, image: sitk.Image) -> Grid:
        """The grid of a 3D SimpleITK image."""
        return cls(
            tuple(reversed(image.GetSize())),
            tuple(image.GetSpacing()),
            tuple(image.GetOrigin()),
            tuple(image.GetDirection()),
        )

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in millilitres."""
        return float(np.prod(self.spacing_mm)) / 1000.0

    def matches(self, other: Grid, tolerance_mm: float = 1e-3) -> bool:
        """Whether both grids have the same shape and their corner voxels agree within ``tolerance_mm``."""
        if self.shape != other.shape:
            return False
        return bool(np.abs(self.corners_lps_mm() - other.corners_lps_mm()).max() <= tolerance_mm)

    def index_to_lps(self) -> npt.NDArray[np.float64]:
        """4x4 matrix that takes a voxel index (x, y, z, 1) to LPS millimetres."""
        matrix = np.eye(4)
        matrix[:3, :3] = np.asarray(self.direction_lps).reshape(3, 3) * np.asarray(self.spacing_mm)
        matrix[:3, 3] = self.origin_lps_mm
        return matrix

    def corners_lps_mm(self) -> npt.NDArray[np.float64]:
        """The centres of the eight corner voxels, (8, 3), LPS millimetres."""
        last = np.asarray(self.shape[::-1], dtype=float) - 1
        corners = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)]) * last
        matrix = self.index_to_lps()
        return corners @ matrix[:3, :3].T + matrix[:3, 3]

    def image(self, array: np.ndarray) -> sitk.Image:
        """A SimpleITK image of ``array`` (z, y, x) on this grid.

        Raises ``ValueError`` when the array has another shape.
        """
        import SimpleITK as sitk

        if array.shape != self.shape:
            raise ValueError(f"array of shape {array.shape} on a grid of shape {self.shape}")
        image = sitk.GetImageFromArray(array)
        image.SetSpacing(self.spacing_mm)
        image.SetOrigin(self.origin_lps_mm)
        image.SetDirection(self.direction_lps)
        return image


@dataclass(frozen=True)
class Volume:
    """One sequence: ``array`` (z, y, x) float32 on ``grid``; ``name`` is what errors call it.

    The array is made read-only, so that a volume can be shared without copies. ``warnings`` are sentences
    about what reading had to mend. ``exam`` is the UID of the DICOM study that it came from, for comparing
    and not for telling; "" for files.
    """

    array: FloatArray
    grid: Grid
    role: str
    name: str
    warnings: tuple[str, ...] = ()
    exam: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if self.array.shape != self.grid.shape:
            raise ValueError(f"{self.name}: array {self.array.shape} on a grid of {self.grid.shape}")
        self.array.setflags(write=False)

    def image(self) -> sitk.Image:
        """The volume as a SimpleITK image (float32)."""
        return self.grid.image(self.array)

    def with_role(self, role: str) -> Volume:
        """The same volume in another role."""
        return replace(self, role=role)


@dataclass(frozen=True)
class Study:
    """The volumes of one exam by role, and the role whose grid the result is given on."""

    volumes: dict[str, Volume]
    reference_role: str
    warnings: tuple[str, ...] = field(default=())

    @property
    def reference(self) -> Volume:
        """The volume on whose grid the labels are given back."""
        return self.volumes[self.reference_role]
