"""What a volume, and the volumes of a study together, must be before anything is computed from them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt

from ..errors import InputRefused
from .volume import FloatArray, Grid, Volume

SPACING_RANGE_MM = (0.05, 20.0)
"""Spacings outside are a wrong unit or a broken header: MR voxels of heads are 0.2 to 10 mm."""
MAX_EXTENT_MM = 1000.0
MAX_VOXELS = 2**28
"""About five times 512 x 512 x 200: more than any MR series of a head holds."""
MIN_SHARED = 0.5
"""Least share of the smaller field of view that two volumes of one exam must have in common."""
MIN_COVERAGE = 0.8
"""Below this share of the reference's picture a volume gets a warning that it covers only a part."""
MAX_LABELS = 12
"""A volume of no more different whole numbers is a label map or a mask, not a scan: BraTS has five labels."""
_ORTHONORMAL_TOLERANCE = 1e-3
_LATTICE = 24
_SAMPLE = 100_000


def check_size(title: str, size: Sequence[int], components: int) -> None:
    """Refuse what is no single 3D picture of a plausible size.

    ``size`` is (x, y, z[, t]) as the file's header says. Raises ``InputRefused``.
    """
    if any(n < 1 for n in size):
        raise InputRefused(f"{title} is empty, one of its axes has no voxel: export it again.")
    if components != 1:
        raise InputRefused(
            f"{title} holds {components} numbers per voxel, a colour or vector picture: give the grey volume."
        )
    if len(size) > 3 and any(n > 1 for n in size[3:]):
        raise InputRefused(
            f"{title} is a series over time ({' x '.join(map(str, size))}): give one 3D volume of it."
        )
    if len(size) < 3 or min(size[:3]) < 2:
        raise InputRefused(
            f"{title} is a single slice ({' x '.join(map(str, size))}): give the whole 3D volume."
        )
    if math.prod(size) > MAX_VOXELS:
        raise InputRefused(
            f"{title} has {' x '.join(map(str, size))} voxels, too many for a brain scan: "
            "resample it to about 0.5 mm or crop it to the head."
        )


def check_grid(title: str, grid: Grid) -> None:
    """Refuse a spacing, an extent or axes that no MR scan of a head has. Raises ``InputRefused``."""
    told = " x ".join(f"{s:g}" for s in grid.spacing_mm)
    low, high = SPACING_RANGE_MM
    if not all(low <= s < high for s in grid.spacing_mm):
        raise InputRefused(
            f"{title} has a voxel spacing of {told} mm, which no brain scan has: "
            "correct the spacing in its header or export it again."
        )
    extent = [s * n for s, n in zip(grid.spacing_mm, reversed(grid.shape), strict=True)]
    if max(extent) > MAX_EXTENT_MM:
        raise InputRefused(
            f"{title} would be {max(extent):.0f} mm long at its spacing of {told} mm: "
            "correct the spacing in its header or export it again."
        )
    if not np.isfinite(grid.origin_lps_mm).all():
        raise InputRefused(f"{title} has no finite origin in space: export it again.")
    direction = np.asarray(grid.direction_lps).reshape(3, 3)
    if not np.isfinite(direction).all() or abs(np.linalg.det(direction)) < _ORTHONORMAL_TOLERANCE:
        raise no_inverse(title)
    if np.abs(direction.T @ direction - np.eye(3)).max() > _ORTHONORMAL_TOLERANCE:
        raise sheared(title)


def no_inverse(title: str) -> InputRefused:
    """The refusal of a volume whose axes lie in one plane or have no length."""
    return InputRefused(
        f"{title} has axes that don't span space (its direction matrix has no inverse): export it again."
    )


def sheared(title: str) -> InputRefused:
    """The refusal of a volume whose axes are not at right angles."""
    return InputRefused(
        f"{title} has axes that are not at right angles, as after affine registration or gantry tilt: "
        "resample it onto a rectangular grid (3D Slicer: Resample Scalar/Vector/DWI Volume) and give that."
    )


def finite_array(title: str, array: np.ndarray, zeroed: int = 0) -> tuple[FloatArray, list[str]]:
    """``array`` as float32 with what is not a number set to 0, and the sentences about it.

    ``zeroed`` voxels were no numbers and have been made 0 by the reader. Raises ``InputRefused`` for a
    volume without a number, and for one whose numbers are all the same.
    """
    with np.errstate(over="ignore"):
        values: FloatArray = np.array(array, dtype=np.float32)
    good = np.isfinite(values)
    bad_count = int(values.size - np.count_nonzero(good)) + zeroed
    if bad_count >= values.size:
        raise InputRefused(f"{title} holds no number at all, only NaN or infinity: export it again.")
    values[~good] = 0.0
    low, high = values.min(where=good, initial=np.inf), values.max(where=good, initial=-np.inf)
    if low == high:
        raise InputRefused(f"{title} is {low:g} everywhere, so it is no scan: give another file.")
    if not bad_count:
        return values, []
    return values, [f"{title}: {bad_count} of {values.size} voxels were not numbers and were taken as 0."]


def refuse_label_maps(volumes: Iterable[Volume]) -> None:
    """Refuse a label map or mask, which is easily picked beside the scan. Raises ``InputRefused``."""
    for volume in volumes:
        values = volume.array
        if len(np.unique(values.reshape(-1)[:: max(1, values.size // _SAMPLE)])) > MAX_LABELS:
            continue
        different = np.unique(values)
        if len(different) <= MAX_LABELS and (different == np.rint(different)).all():
            raise InputRefused(
                f"{volume.name} holds only {len(different)} different whole numbers, as a label map or a "
                "mask does: give the scan itself."
            )


def refuse_same_pictures(volumes: Sequence[Volume]) -> None:
    """Refuse two roles that hold the same picture voxel for voxel. Raises ``InputRefused``."""
    for first, second in combinations(volumes, 2):
        if first.grid.shape == second.grid.shape and np.array_equal(first.array, second.array):
            raise InputRefused(
                f"{first.name} and {second.name} are the same picture voxel for voxel: "
                "give each sequence its own file, or leave out the one that is missing."
            )


def exam_warnings(reference: Volume, volumes: Iterable[Volume]) -> list[str]:
    """A sentence for each volume whose DICOM header names another exam than the reference's."""
    return [
        f"{other.name} and {reference.name} come from different exams: check that they belong together."
        for other in volumes
        if other.exam and reference.exam and other.exam != reference.exam
    ]


def grid_warnings(reference: Volume, other: Volume, taken_as_aligned: bool = True) -> list[str]:
    """Sentences about ``other``'s place beside ``reference``; none when their grids are the same.

    Raises ``InputRefused`` when less than ``MIN_SHARED`` of the smaller field of view is shared.
    """
    if other.grid.matches(reference.grid):
        return []
    inside = _inside(reference.grid, other.grid)
    smaller = min(_extent_mm3(reference.grid), _extent_mm3(other.grid))
    shared = float(inside.mean()) * _extent_mm3(reference.grid) / smaller
    if shared < MIN_SHARED:
        raise InputRefused(
            f"{other.name} and {reference.name} share only {100 * shared:.0f}% of their field of view: "
            "check that both are of the same exam and in the same space."
        )
    told = f"{other.name} and {reference.name} lie on different grids and were taken as aligned."
    warnings = [told] if taken_as_aligned else []
    covered = _coverage(reference, inside)
    if covered < MIN_COVERAGE:
        warnings.append(f"{other.name} covers only {100 * covered:.0f}% of the picture in {reference.name}.")
    return warnings


def _lattice(grid: Grid) -> npt.NDArray[np.float64]:
    """Voxel indices (n, 3), x first, evenly over the field of view of ``grid``."""
    steps = (np.arange(_LATTICE) + 0.5) / _LATTICE
    axes = [steps * n - 0.5 for n in reversed(grid.shape)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)


def _inside(reference: Grid, other: Grid) -> npt.NDArray[np.bool_]:
    """Which lattice points of ``reference`` lie in the field of view of ``other``, (n,)."""
    to_other = np.linalg.inv(other.index_to_lps()) @ reference.index_to_lps()
    index = _lattice(reference) @ to_other[:3, :3].T + to_other[:3, 3]
    # A hair wider, so that rounding does not push out the slices at the rim of an identical field of view.
    return np.asarray(((index > -0.501) & (index < np.array(other.shape[::-1]) - 0.499)).all(axis=1))


def _coverage(reference: Volume, inside: npt.NDArray[np.bool_]) -> float:
    """Share of the brighter lattice points of ``reference``, 0 to 1, that are ``inside``."""
    x, y, z = np.rint(_lattice(reference.grid)).astype(int).T
    values = reference.array[z, y, x]
    bright = values > values.mean()
    return float(inside[bright].mean()) if bright.any() else float(inside.mean())


def _extent_mm3(grid: Grid) -> float:
    return math.prod(grid.shape) * math.prod(grid.spacing_mm)
