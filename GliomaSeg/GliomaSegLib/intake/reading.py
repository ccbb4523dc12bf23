"""From files to volumes: NIfTI, NRRD, MHA, each with its geometry; what is broken gets a sentence."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from itertools import combinations, product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputRefused, UsageError
from .checks import (
    check_grid,
    check_size,
    exam_warnings,
    finite_array,
    grid_warnings,
    no_inverse,
    refuse_label_maps,
    refuse_same_pictures,
    sheared,
)
from .integrity import NiftiHeader, check_meta_image, checked_nifti
from .volume import ROLE_NAMES, ROLES, Grid, Study, Volume

if TYPE_CHECKING:
    import SimpleITK as sitk

SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")
"""File names that are read."""
_FORMS_AGREE_MM = 1.0


def read_volume(path: Path, role: str) -> Volume:
    """The volume in one NIfTI, NRRD or MHA file, on its own grid, as float32 with the file's scaling applied.

    NaN and infinity become 0, with a sentence in ``Volume.warnings``. Raises ``InputRefused``, one sentence
    per cause, for what is missing, damaged, not one grey 3D picture, empty, constant or in no possible space.
    """
    path = Path(path)
    title = f"{ROLE_NAMES.get(role, role)} ({path.name})"
    _refuse_no_volume_file(path, title)
    header, not_numbers = _checked_stream(path, title)
    image = _read_image(path, title)
    grid = Grid.of_image(image)
    check_grid(title, grid)
    array = _stored_pixels(image)
    if header is not None and header.unused_intercept:
        array = array - header.unused_intercept
    values, warnings = finite_array(title, array, not_numbers)
    return Volume(values, grid, role, title, (*warnings, *_position_warnings(title, header, grid)))


def read_study(paths: Mapping[str, Path], reference_role: str) -> Study:
    """The volumes of one exam by role, each kept on its own grid and taken as aligned.

    ``Study.warnings`` holds the sentences about the volumes together; what concerns one volume stays in its
    own ``warnings``. Raises ``InputRefused`` for what :func:`read_volume` refuses, for a file or a picture
    given twice and for volumes that lie in different places; ``UsageError`` when the reference is not given.
    """
    if unknown := set(paths) - set(ROLES):
        raise ValueError(f"unknown roles {sorted(unknown)}")
    check_reference(paths, reference_role)
    refuse_same_file(paths)
    return assembled(
        {role: read_volume(paths[role], role) for role in ROLES if role in paths}, reference_role
    )


def check_reference(roles: Iterable[str], reference_role: str) -> None:
    """Refuse a reference that is not among ``roles``. Raises ``UsageError``."""
    if reference_role not in set(roles):
        name = ROLE_NAMES.get(reference_role, reference_role)
        raise UsageError(f"The reference is {name}, but no {name} was given: choose another --reference.")


def assembled(volumes: Mapping[str, Volume], reference_role: str, to_be_aligned: bool = False) -> Study:
    """A study of volumes that were read already; ``to_be_aligned`` when registration follows.

    Raises ``InputRefused`` for a label map, one picture in two roles and volumes that lie in different
    places.
    """
    ordered = {role: volumes[role] for role in ROLES if role in volumes}
    refuse_label_maps(ordered.values())
    refuse_same_pictures(list(ordered.values()))
    reference = ordered[reference_role]
    warnings = [
        w
        for v in ordered.values()
        if v is not reference
        for w in grid_warnings(reference, v, not to_be_aligned)
    ]
    warnings += exam_warnings(reference, ordered.values())
    return Study(ordered, reference_role, tuple(warnings))


def _refuse_no_volume_file(path: Path, title: str) -> None:
    if not path.exists():
        raise InputRefused(f"{title} does not exist: check its path.")
    if not path.is_file():
        raise InputRefused(f"{title} is a folder: give a NIfTI, NRRD or MHA file.")
    if not path.name.lower().endswith(SUFFIXES):
        raise InputRefused(f"{title} is of a kind that can't be read: give a NIfTI, NRRD or MHA file.")
    if path.stat().st_size == 0:
        raise InputRefused(f"{title} is an empty file of 0 bytes: copy or export it again.")


def _checked_stream(path: Path, title: str) -> tuple[NiftiHeader | None, int]:
    """The NIfTI header, when the file is one, and its count of voxels that are not numbers.

    Refuses the damage that ITK would overlook.
    """
    name = path.name.lower()
    if name.endswith((".nii", ".nii.gz")):
        header, not_numbers = checked_nifti(path, title)
        # The fifth axis of a NIfTI counts the numbers per voxel.
        check_size(title, header.shape[:4], math.prod(header.shape[4:]))
        return header, not_numbers
    if name.endswith(".mha"):
        check_meta_image(path, title)
    return None, 0


def _read_image(path: Path, title: str) -> sitk.Image:
    """The file as a 3D grey SimpleITK image of its own pixel type."""
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        # Complex numbers count as one component each for ITK.
        complex_types = (sitk.sitkComplexFloat32, sitk.sitkComplexFloat64)
        components = 2 if reader.GetPixelID() in complex_types else reader.GetNumberOfComponents()
        size = reader.GetSize()
        check_size(title, size, components)
        if len(size) > 3:
            # A fourth axis of length one is a volume all the same.
            reader.SetExtractSize([*size[:3], *(0 for _ in size[3:])])
        return reader.Execute()
    except RuntimeError as error:
        raise _refusal(str(error), title) from error


def _refusal(reason: str, title: str) -> InputRefused:
    """The sentence for an exception of SimpleITK, whose own words stay chained to it."""
    if "orthonormal" in reason:
        return sheared(title)
    if "determinant is 0" in reason or "Bad direction" in reason:
        return no_inverse(title)
    if "Zero-valued spacing" in reason:
        return InputRefused(f"{title} has a voxel spacing of 0 mm, which can't be: export it again.")
    if "allocate" in reason:
        return InputRefused(
            f"{title} does not fit into this machine's memory: crop it to the head or resample it."
        )
    return InputRefused(
        f"{title} can't be read, it is damaged or of another format than its name says: export it again."
    )


def _stored_pixels(image: sitk.Image) -> np.ndarray:
    """The image's array (z, y, x) in the file's own number type, a view that lives as long as ``image``."""
    import SimpleITK as sitk

    return np.asarray(sitk.GetArrayViewFromImage(image))


def refuse_same_file(paths: Mapping[str, Path]) -> None:
    """Refuse one file in two roles, before anything is read. Raises ``InputRefused``."""
    for first, second in combinations([role for role in ROLES if role in paths], 2):
        one, two = Path(paths[first]), Path(paths[second])
        if one.exists() and two.exists() and os.path.samefile(one, two):
            raise InputRefused(
                f"{ROLE_NAMES[first]} and {ROLE_NAMES[second]} are the same file ({one.name}): "
                "give each sequence its own file, or leave out the one that is missing."
            )


def _position_warnings(title: str, header: NiftiHeader | None, grid: Grid) -> list[str]:
    """Sentences about a NIfTI that says nothing, or two different things, about where the patient lies."""
    if header is None:
        return []
    if header.sform_ras is None and header.qform_ras is None:
        return [
            f"{title} does not say how the patient lies (sform and qform codes are 0): "
            "its axes were taken right to left, front to back, feet to head; check the sides in the result."
        ]
    if header.sform_ras is None or header.qform_ras is None:
        return []
    corners = np.array(list(product((0, 1), (0, 1), (0, 1), (1,)))) * [*grid.shape[::-1], 1]
    gap = float(np.linalg.norm((corners @ (header.sform_ras - header.qform_ras).T)[:, :3], axis=1).max())
    if gap <= _FORMS_AGREE_MM:
        return []
    return [
        f"{title} carries two positions (sform and qform) that differ by up to {gap:.0f} mm; "
        f"the {_form_used(header, grid)} was used, as 3D Slicer does."
    ]


def _form_used(header: NiftiHeader, grid: Grid) -> str:
    """Which of the two positions of ``header`` is the one of ``grid``."""
    used_ras = np.diag([-1.0, -1.0, 1.0, 1.0]) @ grid.index_to_lps()
    distance = {
        name: float(np.abs(used_ras - form).max())
        for name, form in (("sform", header.sform_ras), ("qform", header.qform_ras))
        if form is not None
    }
    return min(distance, key=lambda name: distance[name])
