"""A DICOM series for a volume that has none, so that a DICOM segmentation has something to lie on.

Everything but voxels and geometry is invented, and the data sets say so. MR Image Storage: PS3.3 A.4.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .. import __version__
from ..errors import InputRefused, OutputRefused, missing_extra
from ..intake.volume import Grid

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

INVENTED_NAME = "GliomaSeg^Invented"
INVENTED_ID = "GLIOMASEG-INVENTED"
_MR_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.4"
_LARGEST = 4095
"""Grey values are scaled to 12 bits: MR Image Storage has no rescale slope of its own."""


def write_series(folder: Path, array: npt.NDArray[np.float32], grid: Grid, description: str) -> None:
    """Write ``array`` (z, y, x) on ``grid`` as one file a slice into ``folder``, which exists.

    Grey values are scaled linearly to 0 to 4095; the headers hold the factor. Patient, study, series and
    frame of reference are new ones, the dates are today's. Raises ``InputRefused`` for an array of another
    shape or with values that are not finite, ``UsageError`` without pydicom, ``OutputRefused`` when a file
    can't be written.
    """
    try:
        from pydicom.uid import generate_uid
    except ImportError as error:
        raise missing_extra("pydicom", "dicom", "Writing DICOM") from error
    if array.shape != grid.shape:
        raise InputRefused("The volume and its grid have different sizes: load the volume again.")
    if not np.isfinite(array).all():
        raise InputRefused("The volume holds values that are not numbers: DICOM can't hold them.")
    low, high = float(array.min()), float(array.max())
    step = (high - low) / _LARGEST or 1.0
    scaled = np.round((array - low) / step).astype("<u2")
    common = _common(grid, description, f"value = {low:.8g} + {step:.8g} * stored")
    common.StudyInstanceUID, common.SeriesInstanceUID = generate_uid(), generate_uid()
    common.FrameOfReferenceUID = generate_uid()
    try:
        for index, pixels in enumerate(scaled):
            _slice(common, grid, index, pixels).save_as(
                folder / f"{index + 1:04d}.dcm", enforce_file_format=True
            )
    except OSError as error:
        raise OutputRefused(
            f"The series can't be written into {folder.name}: check that the folder is writable and the disk "
            "is not full."
        ) from error


def _common(grid: Grid, description: str, scaling: str) -> Dataset:
    """What all slices share, but the UIDs."""
    from pydicom.dataset import Dataset

    made, now = Dataset(), datetime.now().astimezone()
    made.SpecificCharacterSet = "ISO_IR 192"
    made.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    made.SOPClassUID = _MR_IMAGE_STORAGE
    made.Modality, made.Manufacturer = "MR", "GliomaSeg"
    made.ManufacturerModelName, made.SoftwareVersions = "GliomaSeg", f"gliomaseg {__version__}"
    made.PatientName, made.PatientID = INVENTED_NAME, INVENTED_ID
    made.PatientBirthDate, made.PatientSex = "", ""
    made.StudyDate = made.SeriesDate = made.ContentDate = now.strftime("%Y%m%d")
    made.StudyTime = made.SeriesTime = made.ContentTime = now.strftime("%H%M%S")
    made.AccessionNumber, made.ReferringPhysicianName, made.StudyID = "", "", "1"
    made.StudyDescription = "Invented by GliomaSeg"
    made.SeriesDescription, made.SeriesNumber, made.PositionReferenceIndicator = description, 1, ""
    made.DerivationDescription = f"Made from a volume that was not DICOM; {scaling}"
    made.ScanningSequence, made.SequenceVariant, made.ScanOptions = "RM", "NONE", ""
    made.MRAcquisitionType, made.RepetitionTime = "", None
    made.EchoTime, made.EchoTrainLength = None, None
    made.PatientPosition, made.Laterality = "", ""
    made.PixelSpacing = [_decimal(grid.spacing_mm[1]), _decimal(grid.spacing_mm[0])]
    made.SliceThickness = made.SpacingBetweenSlices = _decimal(grid.spacing_mm[2])
    axes = np.reshape(grid.direction_lps, (3, 3))
    made.ImageOrientationPatient = [_decimal(value) for value in (*axes[:, 0], *axes[:, 1])]
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.Rows, made.Columns = grid.shape[1:]
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 12, 11, 0
    return made


def _slice(common: Dataset, grid: Grid, index: int, pixels: np.ndarray) -> Dataset:
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

    made = common.copy()
    made.SOPInstanceUID, made.InstanceNumber = generate_uid(), index + 1
    place = grid.index_to_lps() @ [0.0, 0.0, float(index), 1.0]
    made.ImagePositionPatient = [_decimal(value) for value in place[:3]]
    made.PixelData = pixels.tobytes()
    made["PixelData"].VR = "OW"
    made.file_meta = FileMetaDataset()
    made.file_meta.MediaStorageSOPClassUID = UID(_MR_IMAGE_STORAGE)
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return made


def _decimal(value: float) -> str:
    """A decimal string of at most 16 characters, as DICOM wants it."""
    from pydicom.valuerep import format_number_as_ds

    return format_number_as_ds(float(value) + 0.0)
