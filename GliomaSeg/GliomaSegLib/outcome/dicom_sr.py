"""The measurements as a DICOM structured report (TID 1500, PS3.16) that refers to the DICOM segmentation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputRefused, OutputRefused
from ..labels import ANATOMIC_REGION_CODE, CODING_SCHEME, ET, STRUCTURES, Code, Structure
from .dicom_seg import MANUFACTURER, SegmentationAuthor, coded, highdicom, private_scheme, save_dicom
from .dicom_source import SourceSeries

if TYPE_CHECKING:
    import highdicom as hd

_SERIES_NUMBER_STEP = 2000
PRODUCT_CODE = Code("PRODUCT", CODING_SCHEME, "Product of long axis and perpendicular")
CAVITY_DISTANCE_CODE = Code("CAVITY-DISTANCE", CODING_SCHEME, "Distance to resection cavity")
MEASURABLE_CODE = Code("MEASURABLE", CODING_SCHEME, "Measurable by RANO 2.0")


def write_measurements(
    path: Path,
    segmentation_file: Path,
    measures: dict[str, Any],
    source: SourceSeries,
    author: SegmentationAuthor,
) -> None:
    """Write ``measures`` (see :func:`..measures.measure`) about the labels in ``segmentation_file``.

    A group for each segment with its volume, tracked as the segment is, and one for each enhancing lesion
    with volume, long and short axis, their product, the distance to the cavity, and whether it is measurable.
    Volumes are in cubic centimetres, which are millilitres. Raises ``InputRefused`` when nothing is
    assessable, ``UsageError`` without highdicom, ``OutputRefused`` when ``path`` can't be written.
    """
    hd = highdicom()
    if not segmentation_file.is_file():
        raise InputRefused(f"The segmentation {segmentation_file.name} does not exist: export it first.")
    if path.resolve() == segmentation_file.resolve():
        raise OutputRefused(f"{path.name} is the segmentation itself: give the report another name.")
    segmentation = hd.seg.segread(segmentation_file)
    groups = _groups(segmentation, measures)
    if not groups:
        raise InputRefused("None of the segments is assessable, so there is nothing to report.")
    from pydicom.sr.codedict import codes

    content = hd.sr.MeasurementReport(
        observation_context=_observer(author),
        procedure_reported=codes.LN.BrainMRI,
        imaging_measurements=groups,
    )
    report = hd.sr.Comprehensive3DSR(
        evidence=[segmentation, *source.images],
        content=content[0],
        series_instance_uid=hd.UID(),
        series_number=source.number + _SERIES_NUMBER_STEP,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        manufacturer=MANUFACTURER,
        is_complete=True,
        series_description="GliomaSeg measurements",
        coding_schemes=[private_scheme()],
    )
    save_dicom(report, path)


def _groups(segmentation: hd.seg.Segmentation, measures: dict[str, Any]) -> list[Any]:
    hd = highdicom()
    by_name = {s.name: s for s in STRUCTURES}
    groups = []
    for number in segmentation.segment_numbers:
        structure = by_name[segmentation.get_segment_description(number).segment_label]
        row = measures["structures"][structure.abbreviation]
        if not row["assessable"]:
            continue
        tracked = hd.sr.TrackingIdentifier(
            uid=str(segmentation.SegmentSequence[number - 1].TrackingUID), identifier=structure.abbreviation
        )
        groups.append(_group(segmentation, number, structure, tracked, _volume(row)))
        for lesion in (measures["lesions"].get(structure.abbreviation) or []) if structure is ET else []:
            name = f"{structure.abbreviation} lesion {lesion['number']}"
            tracked = hd.sr.TrackingIdentifier(uid=hd.UID(), identifier=name)
            told = _volume(lesion) + _axes(lesion) + _relations(lesion)
            groups.append(_group(segmentation, number, structure, tracked, told, _measurable(lesion)))
    return groups


def _group(
    segmentation: hd.seg.Segmentation,
    number: int,
    structure: Structure,
    tracked: hd.sr.TrackingIdentifier,
    measurements: list[Any],
    evaluations: list[Any] | None = None,
) -> Any:
    sr = highdicom().sr
    return sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=tracked,
        referenced_segment=sr.ReferencedSegment.from_segmentation(segmentation, number),
        finding_type=coded(structure.type_code),
        finding_sites=[sr.FindingSite(coded(ANATOMIC_REGION_CODE))],
        measurements=measurements,
        qualitative_evaluations=evaluations,
    )


def _volume(row: dict[str, Any]) -> list[Any]:
    from pydicom.sr.codedict import codes

    sr = highdicom().sr
    return [sr.Measurement(codes.SCT.Volume, row["volume_ml"], codes.UCUM.CubicCentimeter)]


def _axes(lesion: dict[str, Any]) -> list[Any]:
    from pydicom.sr.codedict import codes

    sr = highdicom().sr
    return [
        sr.Measurement(codes.SCT.LongAxis, lesion["longest_mm"], codes.UCUM.Millimeter),
        sr.Measurement(codes.SCT.ShortAxis, lesion["perpendicular_mm"], codes.UCUM.Millimeter),
    ]


def _relations(lesion: dict[str, Any]) -> list[Any]:
    """What public codes have no name for: the product of the axes, and the distance to the cavity."""
    from pydicom.sr.codedict import codes

    sr = highdicom().sr
    square = sr.CodedConcept("mm2", "UCUM", "square millimeter")
    told = [sr.Measurement(coded(PRODUCT_CODE), lesion["product_mm2"], square)]
    if lesion["distance_to_cavity_mm"] is not None:
        gap = lesion["distance_to_cavity_mm"]
        told.append(sr.Measurement(coded(CAVITY_DISTANCE_CODE), gap, codes.UCUM.Millimeter))
    return told


def _measurable(lesion: dict[str, Any]) -> list[Any]:
    from pydicom.sr.codedict import codes

    answer = codes.SCT.Yes if lesion["measurable"] else codes.SCT.No
    return [highdicom().sr.QualitativeEvaluation(coded(MEASURABLE_CODE), answer)]


def _observer(author: SegmentationAuthor) -> Any:
    from pydicom.sr.codedict import codes

    sr = highdicom().sr
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=highdicom().UID(), name=MANUFACTURER, manufacturer_name=MANUFACTURER, model_name=author.algorithm
    )
    return sr.ObservationContext(
        observer_device_context=sr.ObserverContext(codes.DCM.Device, device), subject_context=None
    )
