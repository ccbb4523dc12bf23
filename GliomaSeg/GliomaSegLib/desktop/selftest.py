"""The self-test that runs inside Slicer without network, PyTorch or data. ``case``: Slicer's test case."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import qt
import slicer
import slicer.util
from slicer.i18n import tr as _

from ..errors import GliomaSegError
from ..locations import terminology_folder
from . import scene
from .doubts import Doubts
from .editing import Editing
from .export import export_labels, export_table
from .parameters import PanelState
from .process import QtProcessRunner
from .readiness import obstacle
from .results import table

SHAPE = (8, 10, 12)
OBLIQUE = np.array([[0.9, -0.3, 0, 5], [0.3, 0.9, 0, -8], [0, 0, 3, 2], [0, 0, 0, 1.0]])
PROCESS_MS = 60_000
_TELL = (
    "import json, os, GliomaSegLib; print(json.dumps({'stage': 'é', 'fraction': 1.0, 'pid': os.getpid()}))"
)


def volume(name: str) -> Any:
    """A small oblique volume with values."""
    array = np.random.default_rng(len(name)).normal(100, 10, SHAPE).astype(np.float32)
    return slicer.util.addVolumeFromArray(array, ijkToRAS=OBLIQUE, name=name)


def labels() -> np.ndarray:
    """A hyperintensity with a cavity that has a hole."""
    drawn = np.zeros(SHAPE, np.uint8)
    drawn[1:6, 2:8, 2:10] = 2
    drawn[2:5, 3:7, 3:8] = 4
    drawn[3, 5, 5] = 2
    return drawn


def _result() -> tuple[Any, Any]:
    reference = volume("T1c")
    return scene.add_segmentation(labels(), reference, _("self-test"), "GliomaSeg self-test"), reference


def _state() -> Any:
    """A state of its own, so that the panel's is not touched."""
    wrap: Any = PanelState
    return wrap(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode"))


def _segmentations() -> int:
    """How many segmentations and displays of segmentations the scene holds."""
    kinds = ("vtkMRMLSegmentationNode", "vtkMRMLSegmentationDisplayNode")
    return sum(int(slicer.mrmlScene.GetNumberOfNodesByClass(kind)) for kind in kinds)


def readiness(case: Any) -> None:
    """The panel says what is missing."""
    volumes = {role: volume(role) for role in ("t1", "t1c", "t2", "flair")}
    case.assertEqual(obstacle(volumes, "t1c"), "")
    case.assertIn("FLAIR", obstacle({"t1": volumes["t1"], "t2": volumes["t2"]}, "t1c"))


def round_trip(case: Any) -> None:
    """Labels come back from a segmentation as they went in, in the order and with the names of labels.py."""
    node, reference = _result()
    case.assertTrue((scene.current_labels(node, reference) == labels()).all())
    case.assertEqual(list(node.GetSegmentation().GetSegmentIDs()), ["NETC", "SNFH", "ET", "RC"])


def corrections(case: Any) -> None:
    """Slicer's own Segment Editor is embedded; corrections, undo, redo and revert do what they say."""
    node, reference = _result()
    host = qt.QWidget()
    editing = Editing(qt.QVBoxLayout(host))
    state = _state()
    state.t1c, state.result = reference, node
    editing.attach(node, reference)
    case.assertEqual(editing.widget.currentSegmentID(), "RC")
    editing.settle(node, reference, scene.current_labels(node, reference))
    editing.fill(state)
    filled = scene.current_labels(node, reference)
    case.assertEqual(filled[3, 5, 5], 4)
    editing.undo()
    case.assertTrue((scene.current_labels(node, reference) == labels()).all())
    editing.redo()
    case.assertTrue((scene.current_labels(node, reference) == filled).all())
    for abbreviation in ("RC", "SNFH"):
        editing.revert(state, abbreviation)
    case.assertTrue((scene.current_labels(node, reference) == labels()).all())
    editing.forget()
    host.deleteLater()


def doubtful_regions(case: Any) -> None:
    """The slices go to a region of doubt; its outline goes again."""
    node, reference = _result()
    doubt = np.zeros(SHAPE, np.uint8)
    doubt[2:5, 3:7, 3:8] = 80
    scene.keep_uncertainty(node, doubt, reference)
    before = _segmentations()
    doubts = Doubts()
    case.assertIn("1", doubts.show_next(node))
    case.assertEqual(_segmentations(), before + 2)
    doubts.clear()
    case.assertEqual(_segmentations(), before)


def files(case: Any) -> None:
    """What is exported is what is seen."""
    import SimpleITK as sitk

    node, _reference = _result()
    state = _state()
    state.result = node
    with tempfile.TemporaryDirectory() as folder:
        for name in ("labels.nii.gz", "labels.seg.nrrd"):
            path = Path(folder) / name
            case.assertEqual(len(export_labels(state, path)), 2)
            case.assertTrue((sitk.GetArrayFromImage(sitk.ReadImage(str(path))) == labels()).all())
        export_table(table(labels(), labels(), (0.95, 0.95, 3.0)), Path(folder) / "table.csv")
        case.assertIn("RC,", (Path(folder) / "table.csv").read_text(encoding="utf-8"))


def process(case: Any) -> None:
    """Slicer's Python starts as a process of its own, finds the package and tells its own pid."""
    lines: list[str] = []
    log: list[str] = []
    ends: list[int] = []
    runner = QtProcessRunner()
    runner.start(["-c", _TELL], lines.append, log.append, ends.append)
    runner.wait(PROCESS_MS)
    case.assertEqual(ends, [0], "\n".join(log))
    told = [json.loads(line) for line in lines if line.startswith("{")]
    case.assertEqual(told[0]["stage"], "é")
    case.assertGreater(told[0]["pid"], 0)


def terminology(case: Any) -> None:
    """The codes of the four structures are known to Slicer."""
    try:
        path = terminology_folder() / "GliomaSeg.term.json"
    except GliomaSegError as incomplete:
        case.fail(str(incomplete))
    logic = slicer.modules.terminologies.logic()
    case.assertEqual(logic.LoadTerminologyFromFile(str(path)), "GliomaSeg")
    case.assertEqual(logic.GetNumberOfCategoriesInTerminology("GliomaSeg"), 1)


CHECKS: tuple[Callable[[Any], None], ...] = (
    readiness,
    round_trip,
    corrections,
    doubtful_regions,
    files,
    process,
    terminology,
)
