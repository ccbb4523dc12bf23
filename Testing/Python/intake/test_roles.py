"""Which series is which: names in five languages and vendor spellings, times, contrast, ties and doubts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from GliomaSegLib.errors import InputRefused
from GliomaSegLib.intake.roles import SURE, SeriesFacts, choose, guess, quality

NAMES = {
    "t1": [
        "T1W_SE_tra",
        "t1_mprage_sag_iso",
        "AX T1 PRE",
        "T1 ohne KM",
        "T1 nativ tra",
        "SAG T1 SANS INJECTION",
        "T1 sin contraste",
        "Ax T1 FSPGR w/o contrast",
        "BraTS-GLI-00005-100-t1n.nii.gz",
        "BraTS2021_01479_t1.nii.gz",
        "T1 pre-op",
        "3DT1 TFE",
        "study1_T1W.nii.gz",
        "t1_tse_tra_320_post-op",
    ],
    "t1c": [
        "T1W_SE_tra +C",
        "AX T1+C",
        "t1_mprage_tra_iso_KM",
        "T1 nach KM",
        "T1 mit Kontrastmittel cor",
        "3D T1 GADO",
        "AX T1 APRES INJECTION",
        "T1 avec gado",
        "T1 con contraste",
        "T1 post contrast MPRAGE",
        "Ax BRAVO +C",
        "BraTS2021_01479_t1ce.nii.gz",
        "BraTS-GLI-00005-100-t1c.nii.gz",
        "T1_SPACE_Gd",
        "t1gd",
    ],
    "t2": [
        "T2W_TSE_tra",
        "Ax T2 PROPELLER",
        "t2_tse_tra_512",
        "BraTS-GLI-00005-100-t2w.nii.gz",
        "T2 TSE ax",
        "AX FSE T2",
        "t2_blade_tra",
        "study2_T2W.nii.gz",
    ],
    "flair": [
        "AX T2 FLAIR",
        "t2_tirm_tra_dark-fluid",
        "3D_Brain_VIEW_FLAIR_SHC",
        "Sag CUBE T2 FLAIR",
        "t2flair",
        "t2_space_dark-fluid_sag_p2_iso",
        "BraTS-GLI-00005-100-t2f.nii.gz",
        "study1_FLAIR.nii.gz",
        "FLAIR longTR",
    ],
    None: [
        "ep2d_diff_3scan_trace_p2_ADC",
        "DWI b1000",
        "localizer",
        "AAHead_Scout",
        "3-Plane Loc",
        "SWI_Images",
        "mIP_Images(SW)",
        "T1_SUB",
        "T2* GRE",
        "t2_fl2d_tra_hemo",
        "TOF_3D_multi-slab",
        "relCBV",
        "PD_tse_tra",
        "perfusion ep2d",
        "BraTS2021_01479_seg.nii.gz",
        "T1 map",
        "STIR cor",
        "Repérage",
        "Lokalisator",
    ],
}


@pytest.mark.parametrize(("role", "name"), [(role, name) for role, names in NAMES.items() for name in names])
def test_names_tell_the_role(role: str | None, name: str) -> None:
    found = guess(SeriesFacts("x", texts=(name.removesuffix(".nii.gz"),)))
    assert found.role == role, found
    assert found.reason
    assert role is None or found.confidence >= SURE


TIMES = [
    ("t1", {"echo_ms": 2.9, "repetition_ms": 2300, "inversion_ms": 900}),
    ("t1", {"echo_ms": 9, "repetition_ms": 550}),
    ("t2", {"echo_ms": 100, "repetition_ms": 5000}),
    ("flair", {"echo_ms": 120, "repetition_ms": 9000, "inversion_ms": 2500}),
    ("flair", {"echo_ms": 390, "repetition_ms": 5000, "inversion_ms": 1800}),
    (None, {"echo_ms": 20, "repetition_ms": 3000}),  # proton density
]


@pytest.mark.parametrize(("role", "times"), TIMES)
def test_times_tell_the_role_when_no_name_does(role: str | None, times: dict[str, float]) -> None:
    found = guess(SeriesFacts("x", texts=("Serie 7",), **times))
    assert found.role == role
    assert "TE" in found.reason


def test_name_and_times_together_are_surer_than_either() -> None:
    named = guess(SeriesFacts("x", texts=("AX T2 FLAIR",)))
    timed = guess(SeriesFacts("x", echo_ms=120, repetition_ms=9000, inversion_ms=2500))
    both = guess(SeriesFacts("x", texts=("AX T2 FLAIR",), echo_ms=120, repetition_ms=9000, inversion_ms=2500))
    assert both.confidence > max(named.confidence, timed.confidence)


def test_a_name_against_its_times_is_a_doubt() -> None:
    found = guess(SeriesFacts("x", texts=("AX T2",), echo_ms=9, repetition_ms=500))
    assert found.confidence < SURE
    assert "t2" in found.reason and "TE 9" in found.reason


def test_t1_flair_is_t1() -> None:
    facts = SeriesFacts("x", texts=("Ax T1 FLAIR",), echo_ms=24, repetition_ms=2500, inversion_ms=860)
    assert guess(facts).role == "t1"


@pytest.mark.parametrize(("agent", "role"), [("Gadovist", "t1c"), ("NONE", "t1"), ("nein", "t1"), ("", "t1")])
def test_the_contrast_tag_counts_when_the_name_is_silent(agent: str, role: str) -> None:
    assert guess(SeriesFacts("x", texts=("t1_mprage",), contrast_agent=agent)).role == role


def test_contrast_by_name_against_the_tag_is_a_doubt() -> None:
    """Some scanners leave the tag on every series of an exam."""
    assert guess(SeriesFacts("x", texts=("T1 nativ",), contrast_agent="Dotarem")).confidence < SURE


@pytest.mark.parametrize(
    "facts",
    [
        SeriesFacts("x", texts=("T1",), image_type=("DERIVED", "SECONDARY", "SUBTRACT")),
        SeriesFacts("x", texts=("T2",), image_type=("DERIVED", "PRIMARY", "PROJECTION IMAGE", "MIP")),
        SeriesFacts("x", texts=("T2",), image_type=("DERIVED", "PRIMARY", "ADC")),
        SeriesFacts("x", texts=("T1",), image_type=("ORIGINAL", "PRIMARY", "LOCALIZER")),
        SeriesFacts("x", texts=("T2",), scanning="EP"),
        SeriesFacts("x", texts=("T1",), modality="CT"),
        SeriesFacts("x", texts=("T1",), slices=3),
    ],
)
def test_derived_and_other_pictures_have_no_role(facts: SeriesFacts) -> None:
    found = guess(facts)
    assert found.role is None and found.confidence == 1.0 and found.reason


THIN = SeriesFacts("series 5", texts=("t1 mprage gd",), slices=176, spacing_mm=(1, 1, 1))
THICK = SeriesFacts("series 4", texts=("t1 se gd",), slices=24, spacing_mm=(0.5, 0.5, 5))


def chosen(*facts: SeriesFacts) -> dict[str, int]:
    return dict(choose([(one, guess(one)) for one in facts]))


def test_the_finer_of_two_candidates_is_chosen() -> None:
    assert quality(THIN) > quality(THICK)
    assert chosen(THICK, THIN) == {"t1c": 1}


def test_a_slab_loses_against_the_whole_head() -> None:
    slab = replace(THIN, slices=30)
    assert chosen(slab, replace(THICK, spacing_mm=(1, 1, 1.5), slices=110)) == {"t1c": 1}


def test_a_tie_lists_the_candidates_and_the_option() -> None:
    with pytest.raises(InputRefused, match=r"T1c is a tie: series 5 .*; series 6 .*--t1c"):
        chosen(THIN, replace(THIN, label="series 6"))


def test_a_doubt_lists_the_candidate_and_the_option() -> None:
    with pytest.raises(InputRefused, match=r"T1 is in doubt: series 9 .*--t1"):
        chosen(SeriesFacts("series 9", texts=("AX T2",), echo_ms=9, repetition_ms=500, slices=24))


def test_a_whole_exam_is_sorted_out() -> None:
    exam = [
        SeriesFacts("1", texts=("localizer",)),
        SeriesFacts("2", texts=("t1_se_tra",), slices=24, spacing_mm=(0.5, 0.5, 5)),
        SeriesFacts("3", texts=("ep2d_diff_ADC",)),
        SeriesFacts("4", texts=("t2_tse_tra",), slices=24, spacing_mm=(0.5, 0.5, 5)),
        SeriesFacts("5", texts=("t2_tirm_tra_dark-fluid",), slices=24, spacing_mm=(0.5, 0.5, 5)),
        SeriesFacts("6", texts=("t1_mprage_KM",), slices=176, spacing_mm=(1, 1, 1)),
    ]
    assert chosen(*exam) == {"t1": 1, "t1c": 5, "t2": 3, "flair": 4}
