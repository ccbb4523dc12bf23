"""Write Slicer's terminology file from ``labels.py``: ``python Utilities/write_terminology.py``.

The form is that of Slicer's Terminologies module (dcmqi's segment-context schema): one category, and a type
for each structure with its display colour.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "GliomaSeg"))

from GliomaSegLib.labels import CATEGORY_CODE, STRUCTURES, Code  # noqa: E402

CONTEXT_NAME = "GliomaSeg"
TARGET = ROOT / "Resources" / "Terminology" / "GliomaSeg.term.json"


def _coded(code: Code) -> dict[str, str]:
    return {"CodeMeaning": code.meaning, "CodingSchemeDesignator": code.scheme, "CodeValue": code.value}


def terminology() -> dict[str, object]:
    """The terminology context as Slicer reads it, types in the order of their label numbers."""
    types = [
        {**_coded(structure.type_code), "recommendedDisplayRGBValue": list(structure.colour)}
        for structure in STRUCTURES
    ]
    return {
        "SegmentationCategoryTypeContextName": CONTEXT_NAME,
        "@schema": "https://raw.githubusercontent.com/qiicr/dcmqi/master/doc/schemas/segment-context-schema.json#",
        "SegmentationCodes": {"Category": [{**_coded(CATEGORY_CODE), "showAnatomy": True, "Type": types}]},
    }


if __name__ == "__main__":
    TARGET.write_text(json.dumps(terminology(), indent=2) + "\n", encoding="utf-8")
