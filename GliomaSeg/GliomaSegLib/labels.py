"""The four structures and their regions, stated once.

A number, colour or code of a structure is written here and nowhere else. Sources: BraTS 2024 adult glioma
post-treatment labels (de Verdier et al. 2024); DICOM PS3.16 and the NCI Thesaurus for the codes.
"""

from __future__ import annotations

from dataclasses import dataclass

CODING_SCHEME = "99GLIOMASEG"
"""Designator of the private coding scheme: no public list holds a code for a resection cavity."""


@dataclass(frozen=True)
class Code:
    """One coded concept, as in a DICOM Code Sequence: value, scheme designator, meaning."""

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True)
class Structure:
    """One segmented structure.

    ``number`` is its value in label maps (BraTS 2024), ``abbreviation`` its stable segment ID,
    ``colour`` sRGB 0-255, ``type_code`` its DICOM segmented property type.
    """

    number: int
    abbreviation: str
    name: str
    colour: tuple[int, int, int]
    type_code: Code
    description: str


@dataclass(frozen=True)
class Region:
    """A union of structures that the field reports as one: ``members`` are abbreviations."""

    abbreviation: str
    name: str
    members: tuple[str, ...]


CATEGORY_CODE = Code("49755003", "SCT", "Morphologically Abnormal Structure")
ANATOMIC_REGION_CODE = Code("12738006", "SCT", "Brain")

NETC = Structure(
    1,
    "NETC",
    "Non-enhancing tumour core",
    (216, 150, 216),
    Code("C81175", "NCIt", "Non-Enhancing Lesion"),
    "Non-enhancing tumour core, necrosis included, inside or beside enhancing tissue.",
)
SNFH = Structure(
    2,
    "SNFH",
    "Surrounding non-enhancing FLAIR hyperintensity",
    (100, 210, 220),
    Code("79654002", "SCT", "Edema"),
    "FLAIR hyperintensity around the lesion: oedema, infiltration or treatment change.",
)
ET = Structure(
    3,
    "ET",
    "Enhancing tissue",
    (230, 40, 40),
    Code("C113842", "NCIt", "Enhancing Lesion"),
    "Enhancing tissue: brighter on T1 after contrast than before.",
)
RC = Structure(
    4,
    "RC",
    "Resection cavity",
    (250, 215, 60),
    Code("RC", CODING_SCHEME, "Resection cavity"),
    "Resection cavity: fluid-filled space left by surgery. Not tumour.",
)

BACKGROUND = 0
STRUCTURES: tuple[Structure, ...] = (NETC, SNFH, ET, RC)
CLASS_NAMES: tuple[str, ...] = ("background", *(s.abbreviation for s in STRUCTURES))
"""Class names in the order of their label numbers."""

TUMOUR_CORE = Region("TC", "Tumour core", ("ET", "NETC"))
WHOLE_TUMOUR = Region("WT", "Whole tumour", ("ET", "NETC", "SNFH"))
REGIONS: tuple[Region, ...] = (TUMOUR_CORE, WHOLE_TUMOUR)

BRATS2021_TO_2024: dict[int, int] = {0: 0, 1: NETC.number, 2: SNFH.number, 4: ET.number}
"""BraTS 2021 labels (1 necrosis, 2 oedema, 4 enhancing) as BraTS 2024 numbers; there was no cavity."""


def numbers_of(numbering: str) -> dict[int, int]:
    """Numbers stored by a release, to this project's: ``brats2021`` or ``brats2024``.

    >>> numbers_of("brats2021")[4]
    3
    >>> numbers_of("brats2024")[4]
    4

    Raises ``KeyError`` for another numbering.
    """
    as_they_are = {number: number for number in range(len(CLASS_NAMES))}
    return {"brats2021": BRATS2021_TO_2024, "brats2024": as_they_are}[numbering]


def structure(abbreviation: str) -> Structure:
    """The structure with this abbreviation.

    >>> structure("RC").number
    4

    Raises ``KeyError`` for an unknown abbreviation.
    """
    for candidate in STRUCTURES:
        if candidate.abbreviation == abbreviation:
            return candidate
    raise KeyError(abbreviation)


def region_labels(abbreviation: str) -> tuple[int, ...]:
    """Label numbers of a structure or a region, ascending.

    >>> region_labels("WT")
    (1, 2, 3)
    >>> region_labels("RC")
    (4,)

    Raises ``KeyError`` for an unknown abbreviation.
    """
    for region in REGIONS:
        if region.abbreviation == abbreviation:
            return tuple(sorted(structure(member).number for member in region.members))
    return (structure(abbreviation).number,)
