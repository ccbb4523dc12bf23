"""Which series of a whole exam is used: contrast told apart by its context, originals before derived ones."""

from __future__ import annotations

from dataclasses import replace

import pytest

from GliomaSegLib.errors import InputRefused
from GliomaSegLib.intake.roles import SeriesFacts, choose, contrast_notes, guess, in_context

AXIAL, SAGITTAL = (1.0, 0, 0, 0, 1.0, 0), (0.0, 1.0, 0, 0, 0, -1.0)
THIN = {"slices": 176, "spacing_mm": (1.0, 1.0, 1.0), "orientation": SAGITTAL}
THICK = {"slices": 24, "spacing_mm": (0.5, 0.5, 5.0), "orientation": AXIAL}


def series(number: int, name: str, **more: object) -> SeriesFacts:
    return SeriesFacts(f"series {number}", number, (name,), **{**THICK, **more})  # type: ignore[arg-type]


def chosen(*facts: SeriesFacts) -> dict[str, str]:
    """Role to label."""
    return {role: facts[i].label for role, i in choose([(one, guess(one)) for one in facts]).items()}


def test_an_agent_on_every_series_of_an_exam_tells_nothing() -> None:
    agent = {"contrast_agent": "Gadovist"}
    exam = [
        series(2, "AX T1", **agent),
        series(3, "AX T2", **agent),
        series(4, "AX FLAIR", **agent),
        series(7, "AX T1 +C", **agent),
    ]
    assert chosen(*exam) == {
        "t1": "series 2",
        "t1c": "series 7",
        "t2": "series 3",
        "flair": "series 4",
    }


def test_after_the_first_named_with_contrast_a_silent_one_is_with_contrast() -> None:
    agent = {"contrast_agent": "Gadovist"}
    exam = [
        series(2, "AX T1", **agent),
        series(7, "AX T1 +C", **agent),
        series(8, "SAG MPRAGE", **{**THIN, **agent}),
    ]
    assert [one.role for one in in_context([(facts, guess(facts)) for facts in exam])] == ["t1", "t1c", "t1c"]


def test_a_native_one_under_the_tag_is_native_when_another_is_with_contrast() -> None:
    exam = [
        series(2, "T1 nativ", contrast_agent="Dotarem"),
        series(7, "T1 KM", contrast_agent="Dotarem"),
    ]
    assert chosen(*exam) == {"t1": "series 2", "t1c": "series 7"}


def test_context_twice_is_context_once() -> None:
    exam = [
        series(2, "T1 nativ", contrast_agent="Dotarem"),
        series(3, "AX T1", contrast_agent="Dotarem"),
        series(7, "T1 KM", contrast_agent="Dotarem"),
        series(8, "T1 sag"),
    ]
    once = in_context([(facts, guess(facts)) for facts in exam])
    assert in_context(list(zip(exam, once, strict=True))) == once


def test_the_surer_of_two_native_ones_goes_before_the_finer() -> None:
    """A thin T1 that says nothing may be the one after contrast."""
    exam = [series(2, "T1 SE pre"), series(7, "T1 SE +C"), series(8, "MPRAGE", **THIN)]
    assert chosen(*exam)["t1"] == "series 2"


def test_several_unmarked_t1_without_t1c_are_told() -> None:
    exam = [series(2, "t1_se_tra"), series(8, "t1_mprage", **THIN), series(4, "flair")]
    candidates = [(facts, guess(facts)) for facts in exam]
    (note,) = contrast_notes(candidates, choose(candidates))
    assert "series 2 and series 8 are T1" in note and "--t1c" in note
    marked = [*exam, series(9, "t1 km")]
    candidates = [(facts, guess(facts)) for facts in marked]
    assert contrast_notes(candidates, choose(candidates)) == []


ORIGINAL = series(5, "t1 mprage gd", image_type=("ORIGINAL", "PRIMARY", "M"), **THIN)


@pytest.mark.parametrize(
    ("other", "used"),
    [
        ({"image_type": ("DERIVED", "SECONDARY", "MPR")}, "series 5"),
        ({"image_type": ("DERIVED", "SECONDARY", "REFORMATTED", "AVERAGE")}, "series 5"),
        ({"image_type": ("DERIVED", "SECONDARY", "OTHER")}, "series 5"),
        ({"image_type": ("DERIVED", "SECONDARY", "SUB")}, "series 5"),
        ({"image_type": ("ORIGINAL", "PRIMARY", "M", "ND", "NORM")}, "series 6"),
        ({"image_type": ("ORIGINAL", "PRIMARY", "M", "DIS3D")}, "series 6"),
        ({"image_type": ("ORIGINAL", "PRIMARY", "P")}, "series 5"),
        ({"texts": ("t1 mprage gd fs",)}, "series 5"),
        ({"texts": ("t1 space gd black blood",)}, "series 5"),
        ({"texts": ("MAGiC T1 gd",)}, "series 5"),
        ({"orientation": AXIAL, "spacing_mm": (1.0, 1.0, 1.3), "slices": 135}, "series 5"),
        ({"spacing_mm": (0.8, 0.8, 0.8), "slices": 220}, "series 6"),
        ({"slices": 40}, "series 5"),
    ],
)
def test_among_equals_the_better_kind_is_used(other: dict, used: str) -> None:
    assert chosen(ORIGINAL, replace(ORIGINAL, label="series 6", number=6, **other)) == {"t1c": used}


def test_axial_slices_go_before_thick_ones_of_another_plane() -> None:
    exam = [series(5, "T1 sag KM", orientation=SAGITTAL), series(6, "T1 tra KM")]
    assert chosen(*exam) == {"t1c": "series 6"}


def test_a_flair_before_contrast_goes_before_one_after_it() -> None:
    assert chosen(series(9, "FLAIR post gad"), series(4, "FLAIR")) == {"flair": "series 4"}


def test_a_derived_picture_alone_is_a_doubt() -> None:
    with pytest.raises(InputRefused, match="derived from other pictures"):
        chosen(series(9, "T2", image_type=("DERIVED", "SECONDARY", "OTHER")))


def test_missing_inversion_times_do_not_speak_against_a_name() -> None:
    """Some scanners and every other anonymiser leave them out."""
    flair = series(4, "AX FLAIR", echo_ms=120, repetition_ms=9000)
    assert guess(flair).role == "flair" and guess(flair).confidence > 0.8
    t1 = series(4, "T1 FLAIR", echo_ms=10, repetition_ms=2200)
    assert guess(t1).role == "t1" and guess(t1).confidence > 0.6


def test_a_long_inversion_makes_a_t2_a_flair() -> None:
    found = guess(series(4, "t2_ir_tra", echo_ms=110, repetition_ms=9000, inversion_ms=2500))
    assert found.role == "flair" and found.confidence >= 0.6 and "TI 2500" in found.reason


@pytest.mark.parametrize(
    "more",
    [
        {"echo_ms": 40, "repetition_ms": 5000, "inversion_ms": 160},  # STIR
        {"echo_ms": 20, "repetition_ms": 600, "scanning": "GR"},  # T2*
        {"body_part": "CSPINE", "echo_ms": 90, "repetition_ms": 4000},
        {"echo_ms": 90, "repetition_ms": 4000, "image_type": ("ORIGINAL", "PRIMARY", "FAT")},
    ],
)
def test_times_and_headers_that_are_none_of_ours(more: dict) -> None:
    assert guess(series(4, "Serie 4", **more)).role is None


def test_the_folder_tells_what_the_file_name_does_not() -> None:
    found = guess(SeriesFacts("x", texts=("volume",), example="T1_post_gd/volume.nii.gz"))
    assert found.role == "t1c" and found.confidence >= 0.6 and "folder" in found.reason
    assert guess(SeriesFacts("x", texts=("flair",), example="T1/flair.nii.gz")).role == "flair"
    assert guess(SeriesFacts("x", texts=("IM0001",), example="masks/IM0001.nii.gz")).role is None
