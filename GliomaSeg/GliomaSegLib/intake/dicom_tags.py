"""The DICOM tags that the program reads, in one place: what is not listed here never enters it."""

from __future__ import annotations

PLACE_TAGS = (
    "SOPClassUID",
    "SOPInstanceUID",
    "SeriesInstanceUID",
    "StudyInstanceUID",
    "FrameOfReferenceUID",
    "Modality",
    "ImageType",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "SliceThickness",
    "SpacingBetweenSlices",
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "NumberOfFrames",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
)
"""Where each picture lies, of what kind it is, and to which series it belongs."""

ROLE_TAGS = (
    "SeriesNumber",
    "SeriesDescription",
    "ProtocolName",
    "SequenceName",
    "PulseSequenceName",
    "ScanningSequence",
    "SequenceVariant",
    "BodyPartExamined",
    "ContrastBolusAgent",
    "ContrastBolusAgentSequence",
    "EchoTime",
    "RepetitionTime",
    "InversionTime",
)
"""What tells one sequence from another."""

KIND_TAGS = (
    "EffectiveEchoTime",
    "EchoTime",
    "DiffusionBValue",
    "TemporalPositionIndex",
    "TemporalPositionIdentifier",
    "StackID",
    "AcquisitionNumber",
    "TriggerTime",
)
"""What tells apart several pictures of one slice within a series, the more telling ones first."""

MOSAIC_OWNER, MOSAIC_COUNT = (0x0019, 0x0010), (0x0019, 0x100A)
"""Siemens' private block, and its number of images in a mosaic."""

INTAKE_TAGS = [*dict.fromkeys((*PLACE_TAGS, *ROLE_TAGS, *KIND_TAGS)), "RescaleSlope", "RescaleIntercept"]
"""Everything that intake reads of a header."""

SOURCE_TAGS = [
    *PLACE_TAGS,
    "PositionReferenceIndicator",
    "DimensionOrganizationSequence",
    "DimensionIndexSequence",
]
"""What a DICOM result needs to know of the series that it refers to, without the patient's identity."""
