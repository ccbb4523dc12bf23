"""An eight-bit graph of a model for processors, and the gate it must pass: no structure may lose Dice.

NNCF (Intel) chooses the ranges of eight-bit numbers from what flows through the network on calibration cases
(post-training quantisation: no weight is trained). The gate runs both graphs over other cases, from the
network's input to cleaned labels on the scans' own grid, and compares each with the expert labels.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import missing_extra
from ..intake.preparation import NetworkInput, prepare
from ..intake.reading import read_study
from ..intake.volume import Grid
from ..labels import STRUCTURES
from ..model.eight_bit import CONSTANTS, GRAPH, MOST_LOST, RECORD, EightBit, origin
from ..model.engines.base import Engine, EngineOptions
from ..model.engines.openvino_engine import OpenVinoEngine
from ..model.tiling import rounded_up, window_grid
from ..model.weights import ModelDescription, file_sha256, read_arrays
from ..outcome.labelling import clean_up, labels_on_reference
from .cases import CaseFiles, case_labels

Labels = npt.NDArray[np.uint8]
Say = Callable[[str], None]
_WINDOW, _MOST_WINDOWS = 96, 32
"""Calibration sees windows of this edge (voxels), and about this many of them."""
_KEPT_FULL = [[], ["head", r"encoder\.0\..*", r"decoder\.\d+\.gate\..*"]]
"""Convolutions (patterns) that stay in float32: at first none, then those that harm most when they round."""


@dataclass(frozen=True)
class Compared:
    """One structure: mean Dice with float32 and with eight bits over the ``cases`` that have it.

    ``agreement``: mean Dice of the two label maps with each other, over the cases where either has it.
    """

    structure: str
    cases: int
    full: float | None
    eight_bit: float | None
    agreement: float | None

    @property
    def lost(self) -> float:
        """Dice that eight bits lose against the expert; negative when they gain."""
        return 0.0 if self.full is None or self.eight_bit is None else self.full - self.eight_bit


def quantise(
    description: ModelDescription, calibration: Collection[CaseFiles], gate: Collection[CaseFiles], say: Say
) -> dict[str, Any]:
    """Write the eight-bit graph beside the model's weights, and the record with what the gate found.

    Raises ``UsageError`` when NNCF is missing, ``ValueError`` when calibration and gate share a patient or
    are empty. Returns the record; where ``passed`` is false, inference leaves the graph aside.
    """
    shared = {case.patient for case in calibration} & {case.patient for case in gate}
    if shared or not calibration or not gate:
        raise ValueError(f"calibration and gate need cases, and none in common (shared: {sorted(shared)})")
    # An earlier record would call the new graph damaged.
    (description.folder / RECORD).unlink(missing_ok=True)
    windows = list(_windows(description, calibration))
    record: dict[str, Any] = {}
    for kept_full in _KEPT_FULL:
        say(f"calibrating on {len(windows)} windows; in full precision: {kept_full or 'nothing'}")
        version = _write_graph(description, windows, kept_full)
        compared = compare(description, gate, say)
        record = {
            "made_from": origin(description),
            "made_by": version,
            "kept_full": kept_full,
            "sha256": {name: file_sha256(description.folder / name) for name in (GRAPH, CONSTANTS)},
            "calibration": {"cases": sorted(case.name for case in calibration), "windows": len(windows)},
            **_judged(compared, gate),
        }
        if record["passed"]:
            break
    (description.folder / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return record


def _judged(compared: list[Compared], gate: Collection[CaseFiles]) -> dict[str, Any]:
    return {
        "gate": {
            "cases": sorted(case.name for case in gate),
            "most_lost": MOST_LOST,
            "structures": {one.structure: _row(one) for one in compared},
        },
        "passed": all(one.lost <= MOST_LOST for one in compared),
    }


def compare(description: ModelDescription, gate: Collection[CaseFiles], say: Say) -> list[Compared]:
    """Float32 and eight bits against the experts, for each structure."""
    import openvino

    graph = EightBit(description.folder / GRAPH, description.folder / CONSTANTS)
    engines = [OpenVinoEngine(description, EngineOptions("cpu"), openvino, one) for one in (None, graph)]
    rows: list[dict[str, tuple[float | None, float | None, float | None]]] = []
    for number, case in enumerate(gate, 1):
        prepared, grid, truth = _case(case, description)
        full, eight_bit = (_labels(engine, prepared, grid, description) for engine in engines)
        rows.append({s.abbreviation: _dices(truth, full, eight_bit, s.number) for s in STRUCTURES})
        say(f"{number} of {len(gate)} {case.name}")
    return [_compared(s.abbreviation, [row[s.abbreviation] for row in rows]) for s in STRUCTURES]


def _write_graph(
    description: ModelDescription, windows: list[npt.NDArray[np.float32]], kept_full: list[str]
) -> str:
    """Write the two graph files; NNCF's name and version."""
    try:
        import nncf
        import openvino
    except ImportError as error:
        raise missing_extra(str(error.name), "quantise", "Making an eight-bit graph") from error
    from ..model.engines.openvino_graph import build_graph

    logging.getLogger("nncf").setLevel(logging.ERROR)
    edge = rounded_up(_WINDOW, description.network.multiple)
    graph = build_graph(
        description.network, read_arrays(description), description.temperature, (edge, edge, edge)
    )
    made = nncf.quantize(
        graph,
        nncf.Dataset(windows),
        subset_size=len(windows),
        preset=nncf.QuantizationPreset.MIXED,
        fast_bias_correction=True,
        ignored_scope=nncf.IgnoredScope(patterns=kept_full, validate=False),
    )
    openvino.save_model(made, str(description.folder / GRAPH), compress_to_fp16=False)
    return f"nncf {nncf.__version__}"


def _windows(
    description: ModelDescription, cases: Collection[CaseFiles]
) -> Iterator[npt.NDArray[np.float32]]:
    """Windows (1, channel, z, y, x) of the cases, the same number of each, those with most brain first."""
    multiple = description.network.multiple
    edge = rounded_up(_WINDOW, multiple)
    of_each = max(_MOST_WINDOWS // len(cases), 1)
    for case in list(cases)[:_MOST_WINDOWS]:
        prepared = _case(case, description)[0]
        added, boxes = window_grid(prepared.brain.shape, prepared.brain, edge, multiple)
        padded = np.pad(prepared.array, [(0, 0), *((0, a) for a in added)])
        inside = np.pad(prepared.brain, [(0, a) for a in added])
        fullest = sorted(boxes, key=lambda box: -int(inside[box].sum()))[:of_each]
        yield from (np.ascontiguousarray(padded[(slice(None), *box)])[None] for box in fullest)


def _case(case: CaseFiles, description: ModelDescription) -> tuple[NetworkInput, Grid, Labels]:
    study = read_study(case.images, case.reference_role)
    grid = study.reference.grid
    return prepare(study, description.input), grid, case_labels(case, grid)


def _labels(engine: Engine, prepared: NetworkInput, grid: Grid, description: ModelDescription) -> Labels:
    probabilities = engine.predict(prepared).probabilities
    labels = labels_on_reference(probabilities, prepared.grid, description.classes, grid)
    return clean_up(labels, grid.voxel_ml, description.smallest_ml)[0]


def _dices(
    truth: Labels, full: Labels, eight_bit: Labels, number: int
) -> tuple[float | None, float | None, float | None]:
    """Dice of each with the truth (None where the truth has no such structure), and with each other."""
    if not (truth == number).any():
        return None, None, _dice(full == number, eight_bit == number)
    one, other = (_dice(truth == number, labels == number) for labels in (full, eight_bit))
    return one, other, _dice(full == number, eight_bit == number)


def _dice(one: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_]) -> float | None:
    """Dice of two masks; None when both are empty."""
    size = int(one.sum()) + int(other.sum())
    return 2 * int((one & other).sum()) / size if size else None


def _compared(name: str, rows: list[tuple[float | None, float | None, float | None]]) -> Compared:
    columns = [[value for value in column if value is not None] for column in zip(*rows, strict=True)]
    full, eight_bit, agreement = (float(np.mean(column)) if column else None for column in columns)
    return Compared(name, len(columns[0]), full, eight_bit, agreement)


def _row(one: Compared) -> dict[str, float | int | None]:
    numbers = {"float32": one.full, "int8": one.eight_bit, "lost": one.lost, "agreement": one.agreement}
    rounded = {name: None if value is None else round(value, 4) for name, value in numbers.items()}
    return {"cases": one.cases, **rounded}
