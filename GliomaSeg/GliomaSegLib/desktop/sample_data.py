"""The entry in Slicer's *Sample Data* module: a public case of four sequences, fetched on a click only."""

from __future__ import annotations

import importlib
from typing import Any

CASE = "BraTS-GLI-00001-000"
RELEASE = "https://github.com/lassoan/SlicerMONAIAuto3DSeg/releases/download/TestingData"
"""Where the Slicer extension MONAIAuto3DSeg publishes the case."""
SHA256 = {
    "t1n": "e860924b936e301ddeba20409fbb59dde322475cb49328f1b46a9235c792e73e",
    "t1c": "4399faadcc45c8a4541313cdf88aced7d835ed59ac3078d950e0eac293d603f5",
    "t2w": "4cd389cc57d12134a30a898c66532228126b9a7d0600ee578e82a32144528b51",
    "t2f": "82aed8546af5e6d8d94fd91c56227abdcf6120130390d1556c4342a208980604",
}
"""By the sequence in the file's name; that extension's MONAIAuto3DSeg.py states them beside the addresses."""


def entry() -> dict[str, Any]:
    """What ``SampleDataLogic.registerCustomSampleDataSource`` wants to know; nothing is fetched."""
    files = [f"{CASE}-{sequence}.nii.gz" for sequence in SHA256]
    return {
        "category": "GliomaSeg",
        "sampleName": f"{CASE} (T1, T1c, T2, FLAIR)",
        "uris": [f"{RELEASE}/{name}" for name in files],
        "fileNames": files,
        "nodeNames": [f"{CASE}-{sequence}" for sequence in SHA256],
        "checksums": [f"SHA256:{digest}" for digest in SHA256.values()],
    }


def register() -> None:
    """Show the case in Slicer's *Sample Data* module."""
    module: Any = importlib.import_module("SampleData")
    module.SampleDataLogic.registerCustomSampleDataSource(**entry())
