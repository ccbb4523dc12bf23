"""Names of series, as scanners and research give them, tell the sequence."""

import pytest
import slicer

from GliomaSegLib.desktop.assignment import assign, role_of

NAMES = {
    "BraTS2021_01479_t1": "t1",
    "BraTS2021_01479_t1ce": "t1c",
    "BraTS2021_01479_t2": "t2",
    "BraTS2021_01479_flair": "flair",
    "BraTS-GLI-02405-100-t1n": "t1",
    "BraTS-GLI-02405-100-t1c": "t1c",
    "BraTS-GLI-02405-100-t2w": "t2",
    "BraTS-GLI-02405-100-t2f": "flair",
    "5: AX T1 SE": "t1",
    "9: AX T1 SE +C": "t1c",
    "t1_mprage_sag_p2_iso KM": "t1c",
    "t1_mprage_sag_p2_iso": "t1",
    "T1 3D TFE Gd": "t1c",
    "3D T1 BRAVO": "t1",
    "T1 GADO": "t1c",
    "t2_tse_tra": "t2",
    "t2_tirm_tra_dark-fluid": "flair",
    "Sag CUBE FLAIR": "flair",
    "T2 FLAIR post contrast": "flair",
    "ADC (10^-6 mm^2/s)": None,
    "T1 subtraction": None,
    "localizer": None,
    "Ax DWI TRACE": None,
    "something": None,
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_tells_the_sequence(name):
    assert role_of(name) == NAMES[name]


def _node(name):
    return slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)


def test_empty_roles_are_filled_with_reasons(desktop):
    nodes = [_node(n) for n in ("5: AX T1 SE", "9: AX T1 SE +C", "AX T2", "AX FLAIR", "ADC")]
    guesses = {guess.role: guess for guess in assign(nodes, {})}
    assert [guesses[role].node for role in ("t1", "t1c", "t2", "flair")] == nodes[:4]
    assert guesses["t1c"].reason == "T1c: 9: AX T1 SE +C, by its name."


def test_a_choice_is_never_changed_nor_used_twice(desktop):
    odd, t1 = _node("9: AX T1 SE +C"), _node("T1")
    guesses = {guess.role: guess for guess in assign([odd, t1], {"t1": odd})}
    assert "t1" not in guesses
    assert guesses["t1c"].node is None


def test_a_tie_is_left_to_the_person(desktop):
    guesses = {g.role: g for g in assign([_node("T2 tra"), _node("T2 cor")], {})}
    assert guesses["t2"].node is None
    assert guesses["t2"].reason == "T2: could be T2 tra, T2 cor; please choose."
