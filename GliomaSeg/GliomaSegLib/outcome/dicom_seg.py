"""DICOM Segmentation (PS3.3 A.51): the labels as a series of the patient's own study.

One segment for each structure that is present, on the source series' own frames, coded as ``labels.py`` says.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .. import __version__
from ..errors import InputRefused, OutputRefused, missing_extra
from ..labels import ANATOMIC_REGION_CODE, CATEGORY_CODE, CODING_SCHEME, STRUCTURES, Code, Structure
from .dicom_source import LabelArray, SourceSeries

if TYPE_CHECKING:
    import highdicom as hd
    from pydicom.dataelem import DataElement
    from pydicom.dataset import Dataset

MANUFACTURER = "GliomaSeg"
_SERIES_NUMBER_STEP = 1000
_REMOVED_BY = "GliomaSeg: only geometry and UIDs are taken from the source"
_CONTENT_LABEL = "GLIOMASEG"
_LEVELS = 255


@dataclass(frozen=True)
class SegmentationAuthor:
    """Who made the labels. ``algorithm`` and ``version`` name the model, ``checksum`` its weights.

    ``edited``: abbreviations of structures that a person corrected; they become SEMIAUTOMATIC. ``creator`` is
    the person or program that DICOM calls Content Creator.
    """

    algorithm: str = "GliomaSeg"
    version: str = __version__
    checksum: str = "unknown"
    edited: Collection[str] = field(default=())
    creator: str = "GliomaSeg^Software"


def write_dicom_seg(path: Path, labels: LabelArray, source: SourceSeries, author: SegmentationAuthor) -> None:
    """Write ``labels`` (z, y, x), numbered as ``labels.py``, on ``source.grid`` as a BINARY segmentation.

    Absent structures get no segment. Raises ``InputRefused`` when nothing is segmented, ``ValueError`` for
    labels of another shape, ``UsageError`` when highdicom is missing, ``OutputRefused`` when ``path`` can't
    be written.
    """
    _check_shape(labels.shape, source)
    present = [s for s in STRUCTURES if (labels == s.number).any()]
    if not present:
        raise InputRefused(
            "The segmentation is empty: DICOM has no segmentation without a segment, so none was written."
        )
    table = np.zeros(max(s.number for s in STRUCTURES) + 1, np.uint8)
    for number, structure in enumerate(present, 1):
        table[structure.number] = number
    save_dicom(_segmentation(table[labels][source.order], present, source, author, "BINARY"), path)


def write_fractional_seg(
    path: Path,
    probabilities: Mapping[str, npt.NDArray[np.floating]],
    source: SourceSeries,
    author: SegmentationAuthor,
) -> None:
    """Write each structure's probability (z, y, x), 0 to 1, on ``source.grid`` as a FRACTIONAL segmentation.

    ``probabilities`` by abbreviation; those that are 0 everywhere at 255 levels are left out. Raises as
    :func:`write_dicom_seg`.
    """
    levels = {name: np.round(np.clip(p, 0, 1) * _LEVELS) / _LEVELS for name, p in probabilities.items()}
    present = [s for s in STRUCTURES if s.abbreviation in levels and levels[s.abbreviation].any()]
    if not present:
        raise InputRefused("Every probability is 0: DICOM has no segmentation without a segment.")
    stack = np.stack([levels[s.abbreviation] for s in present], axis=-1)
    _check_shape(stack.shape[:3], source)
    save_dicom(_segmentation(stack[source.order], present, source, author, "FRACTIONAL"), path)


def _check_shape(shape: tuple[int, ...], source: SourceSeries) -> None:
    if shape != source.grid.shape:
        raise ValueError(f"labels of shape {shape} on a source of shape {source.grid.shape}")


def _segmentation(
    pixels: np.ndarray,
    present: list[Structure],
    source: SourceSeries,
    author: SegmentationAuthor,
    kind: str,
) -> hd.seg.Segmentation:
    hd = highdicom()
    segmentation = hd.seg.Segmentation(
        source_images=list(source.images),
        pixel_array=pixels,
        segmentation_type=kind,
        segment_descriptions=[_description(n, s, author) for n, s in enumerate(present, 1)],
        series_instance_uid=hd.UID(),
        series_number=source.number + _SERIES_NUMBER_STEP,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=author.algorithm,
        software_versions=f"gliomaseg {__version__}",
        device_serial_number=author.checksum[:64],
        max_fractional_value=_LEVELS,
        content_label=_CONTENT_LABEL,
        content_description="Post-treatment glioma. Not for clinical use",
        content_creator_name=author.creator,
        series_description="GliomaSeg segmentation",
        coding_schemes=[private_scheme()] if any(_is_private(s.type_code) for s in present) else None,
    )
    if not source.identity:
        segmentation.PatientIdentityRemoved = "YES"
        segmentation.DeidentificationMethod = _REMOVED_BY
    segmentation.walk(_fit_decimals)
    return segmentation


def _fit_decimals(_: Dataset, element: DataElement) -> None:
    """Shorten decimal strings to DICOM's 16 characters: sources carry longer ones, and they are copied."""
    from pydicom.valuerep import DSfloat

    if element.VR == "DS" and element.value not in (None, ""):
        values = element.value if element.VM > 1 else [element.value]
        fitted = [DSfloat(float(value), auto_format=True) for value in values]
        element.value = fitted if element.VM > 1 else fitted[0]


def _description(number: int, structure: Structure, author: SegmentationAuthor) -> hd.seg.SegmentDescription:
    hd = highdicom()
    from pydicom.sr.codedict import codes

    description = hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=structure.name,
        segmented_property_category=coded(CATEGORY_CODE),
        segmented_property_type=coded(structure.type_code),
        algorithm_type="SEMIAUTOMATIC" if structure.abbreviation in author.edited else "AUTOMATIC",
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            name=author.algorithm, family=codes.cid7162.ArtificialIntelligence, version=author.version
        ),
        tracking_uid=hd.UID(),
        tracking_id=f"GliomaSeg {structure.abbreviation}",
        anatomic_regions=[coded(ANATOMIC_REGION_CODE)],
        display_color=hd.color.CIELabColor.from_rgb(*structure.colour),
    )
    description.SegmentDescription = structure.description
    return description


def coded(code: Code) -> Any:
    """A code of ``labels.py`` as highdicom wants it."""
    return highdicom().sr.CodedConcept(code.value, code.scheme, code.meaning)


def _is_private(code: Code) -> bool:
    return code.scheme == CODING_SCHEME


def private_scheme() -> Any:
    """What the private coding scheme is, for the Coding Scheme Identification Sequence."""
    from highdicom.coding_schemes import CodingSchemeIdentificationItem

    return CodingSchemeIdentificationItem(
        CODING_SCHEME,
        name="GliomaSeg structures without a public code",
        version="1",
        responsible_organization="GliomaSeg",
    )


def highdicom() -> Any:
    """The package highdicom. Raises ``UsageError`` with the way to install it when it is missing."""
    try:
        import highdicom as package
    except ImportError as error:
        raise missing_extra("highdicom", "dicom", "Writing DICOM") from error
    return package


def save_dicom(dataset: Dataset, path: Path) -> None:
    """Write beside and move, so that no half-written file is left. Raises ``OutputRefused``."""
    part = path.with_name(f".{path.name}.part")
    try:
        dataset.save_as(part)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise OutputRefused(
            f"{path.name} can't be written: check that its folder is writable and the disk is not full."
        ) from error
