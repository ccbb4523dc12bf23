"""The terminology file is what labels.py says, and Slicer's own logic reads it."""

import json

import pytest

from GliomaSegLib.labels import STRUCTURES
from GliomaSegLib.locations import terminology_folder

FILE = terminology_folder() / "GliomaSeg.term.json"


def test_the_file_holds_every_structure_with_its_code_and_colour():
    (category,) = json.loads(FILE.read_text(encoding="utf-8"))["SegmentationCodes"]["Category"]
    found = {
        (kind["CodeValue"], kind["CodingSchemeDesignator"], tuple(kind["recommendedDisplayRGBValue"]))
        for kind in category["Type"]
    }
    assert found == {(s.type_code.value, s.type_code.scheme, s.colour) for s in STRUCTURES}


def test_slicer_reads_the_file():
    slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")
    logic = slicer.vtkSlicerTerminologiesModuleLogic()
    scene = slicer.vtkMRMLScene()
    logic.SetMRMLScene(scene)
    assert logic.LoadTerminologyFromFile(str(FILE)) == "GliomaSeg"
    assert logic.GetNumberOfTypesInTerminologyCategory("GliomaSeg", _category(slicer, logic)) == len(
        STRUCTURES
    )


def _category(slicer, logic):
    category = slicer.vtkSlicerTerminologyCategory()
    assert logic.GetNthCategoryInTerminology("GliomaSeg", 0, category)
    return category
