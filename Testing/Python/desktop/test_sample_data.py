"""The entry in Slicer's Sample Data module: complete, with SHA-256, recognised, not fetched by itself."""

import re
import sys
import types
import urllib.request
from pathlib import Path
from typing import ClassVar

import numpy as np
import slicer.util
from standins.module_file import load_module
from standins.scripted import ModuleParent

from GliomaSegLib.desktop import sample_data
from GliomaSegLib.desktop.assignment import assign

MODULE = Path(__file__).resolve().parents[3] / "GliomaSeg" / "GliomaSeg.py"


class SampleDataLogic:
    """Takes entries with the parameters of Slicer's own SampleData.py, and no others."""

    entries: ClassVar[list] = []

    @staticmethod
    def registerCustomSampleDataSource(
        category="Custom",
        sampleName=None,
        uris=None,
        fileNames=None,
        nodeNames=None,
        customDownloader=None,
        thumbnailFileName=None,
        loadFileTypes=None,
        loadFiles=None,
        loadFileProperties=None,
        checksums=None,
        loadFileType=None,
    ):
        SampleDataLogic.entries.append((category, uris, fileNames, nodeNames, checksums))


def test_the_entry_is_made_at_start_up_and_nothing_is_fetched(desktop, monkeypatch):
    def refuse(*_arguments, **_more):
        raise AssertionError("something was fetched without a click")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    monkeypatch.setitem(sys.modules, "SampleData", types.SimpleNamespace(SampleDataLogic=SampleDataLogic))
    monkeypatch.setattr(SampleDataLogic, "entries", [])
    module = load_module(MODULE)
    module.GliomaSeg(ModuleParent(str(MODULE)))
    assert module.offer_sample_data in desktop.app.connected["startupCompleted()"]
    module.offer_sample_data()
    ((category, uris, files, nodes, checksums),) = SampleDataLogic.entries
    assert category == "GliomaSeg"
    assert len(set(uris)) == len(set(files)) == len(set(nodes)) == len(set(checksums)) == 4
    assert all(
        uri.startswith("https://") and uri.endswith(f"/{name}") for uri, name in zip(uris, files, strict=True)
    )
    assert all(re.fullmatch(r"SHA256:[0-9a-f]{64}", checksum) for checksum in checksums)


def test_auto_assign_knows_the_four_volumes_by_their_names(desktop):
    names = sample_data.entry()["nodeNames"]
    noise = np.random.default_rng(0).normal(100, 10, (40, 48, 56)).astype(np.float32)
    nodes = [slicer.util.addVolumeFromArray(noise, name=name) for name in names]
    found = {guess.role: guess.node.GetName().rpartition("-")[2] for guess in assign(nodes, {})}
    assert found == {"t1": "t1n", "t1c": "t1c", "t2": "t2w", "flair": "t2f"}
