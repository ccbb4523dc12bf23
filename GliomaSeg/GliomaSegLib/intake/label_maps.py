"""Reading label maps: whole numbers on a grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import InputRefused
from .integrity import check_meta_image, checked_nifti
from .volume import Grid


def read_label_map(path: Path) -> tuple[npt.NDArray[np.uint8], Grid]:
    """The labels (z, y, x) of one NIfTI, NRRD or MHA file as uint8, and their grid.

    Raises ``InputRefused``, naming the file, for what can't be read, is damaged or cut, is not 3D, or holds
    anything but whole numbers 0 to 255.
    """
    import SimpleITK as sitk

    path = Path(path)
    if not path.is_file():
        raise InputRefused(f"The label map {path.name} does not exist: check its path.")
    _refuse_damaged(path)
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise InputRefused(f"The label map {path.name} can't be read: export it again.") from error
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise InputRefused(
            f"The label map {path.name} is not one 3D volume of numbers: export a single label map."
        )
    stored = sitk.GetArrayFromImage(image)
    labels = stored.astype(np.uint8)
    if not np.array_equal(labels, stored):
        raise InputRefused(
            f"The label map {path.name} holds more than the whole numbers 0 to 255: it is no label map."
        )
    return labels, Grid.of_image(image)


def _refuse_damaged(path: Path) -> None:
    """Refuse the damage that SimpleITK reads as if nothing were wrong."""
    title, name = f"The label map {path.name}", path.name.lower()
    if name.endswith((".nii", ".nii.gz")):
        _, not_numbers = checked_nifti(path, title)
        if not_numbers:
            raise InputRefused(f"{title} holds values that are not numbers: it is no label map.")
    elif name.endswith(".mha"):
        check_meta_image(path, title)
