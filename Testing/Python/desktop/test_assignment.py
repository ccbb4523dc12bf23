"""Loaded volumes are recognised by the same rules as files, and a person's choice is never touched."""

import numpy as np
import pytest
import slicer
import slicer.util

from GliomaSegLib.desktop.assignment import assign, facts_of

BRATS = ("BraTS2021_01479_t1", "BraTS2021_01479_t1ce", "BraTS2021_01479_t2", "BraTS2021_01479_flair")
HOSPITAL = ("5: AX T1 SE", "9: AX T1 SE +C", "7: t2_tse_tra", "6: t2_tirm_tra_dark-fluid")
ROLES = ("t1", "t1c", "t2", "flair")


def _node(name, shape=(20, 32, 32)):
    return slicer.util.addVolumeFromArray(np.zeros(shape, np.int16), name=name)


@pytest.mark.parametrize("names", [BRATS, HOSPITAL], ids=["research", "hospital"])
def test_empty_roles_are_filled_with_reasons(desktop, names):
    nodes = [_node(name) for name in (*names, "ADC (10^-6 mm2/s)")]
    found = {each.role: each for each in assign(nodes, {})}
    assert [found[role].node for role in ROLES] == nodes[:4]
    assert found["t1c"].reason.startswith(f"T1c: {names[1]} (")


def test_a_choice_is_never_changed_nor_used_twice(desktop):
    odd, t1 = _node("9: AX T1 SE +C"), _node("AX T1")
    found = {each.role: each for each in assign([odd, t1], {"t1": odd})}
    assert "t1" not in found
    assert found["t1c"].node is None


def test_a_tie_is_left_to_the_person(desktop):
    found = {each.role: each for each in assign([_node("AX T2 a"), _node("AX T2 b")], {})}
    assert found["t2"].node is None
    assert found["t2"].reason == "T2: could be AX T2 a, AX T2 b; please choose."


class Database:
    """Plays Slicer's DICOM database."""

    def __init__(self, values):
        self.values = values

    def instanceValue(self, uid, tag):
        return self.values.get((uid, tag), "")


def test_where_every_series_names_the_agent_the_numbers_tell_before_from_after(desktop, monkeypatch):
    """At many consoles the agent is entered once and stands in every header; the names hold the number."""
    names = ("5: AX T1 SE", "9: AX T1 SE +C", "6: t2_tirm_tra_dark-fluid")
    nodes = [_node(name) for name in names]
    values = {}
    for number, node in enumerate(nodes):
        node.SetAttribute("DICOM.instanceUIDs", f"1.{number}")
        values[f"1.{number}", "0018,0010"] = "GADOVIST"
    monkeypatch.setattr(slicer, "dicomDatabase", Database(values), raising=False)
    found = {each.role: each.node for each in assign(nodes, {})}
    assert [found[role] for role in ("t1", "t1c", "flair")] == nodes
    assert facts_of(nodes[0]).number == 5


def test_the_header_of_the_series_counts(desktop, monkeypatch):
    node = _node("12: brain protocol step 4")
    node.SetAttribute("DICOM.instanceUIDs", "1.2.3 1.2.4")
    values = {
        ("1.2.3", "0008,103e"): "T1 MPRAGE",
        ("1.2.3", "0018,0010"): "GADOVIST",
        ("1.2.3", "0018,0081"): "2.9",
    }
    monkeypatch.setattr(slicer, "dicomDatabase", Database(values), raising=False)
    found = {each.role: each for each in assign([node], {})}
    assert found["t1c"].node is node
    assert facts_of(node).echo_ms is None
