"""What a result remembers of its run, kept on its node, so that a saved scene shows the same."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

_ATTRIBUTE = "GliomaSeg.Run"


@dataclass(frozen=True)
class RunRecord:
    """What is worth keeping.

    ``algorithm``: name and version for DICOM; ``warnings``: sentences; ``assessable`` and ``intervals_ml``
    (the model's own volume interval, low and high) by abbreviation; ``interval_level``: the share of true
    volumes that the intervals are meant to hold. ``seconds``, ``device``, ``engine``: as in ``run.json``.
    """

    algorithm: str = "GliomaSeg"
    warnings: list[str] = field(default_factory=list)
    assessable: dict[str, bool] = field(default_factory=dict)
    intervals_ml: dict[str, list[float]] = field(default_factory=dict)
    interval_level: float | None = None
    seconds: float | None = None
    device: str = ""
    engine: str = ""


def read_record(folder: Path, fallback_algorithm: str) -> RunRecord:
    """The record of a finished run from its ``run.json`` and ``measures.json``."""
    run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    measures_file = folder / "measures.json"
    measures = json.loads(measures_file.read_text(encoding="utf-8")) if measures_file.exists() else {}
    rows = {**measures.get("structures", {}), **measures.get("regions", {})}
    model = run.get("model") if isinstance(run.get("model"), dict) else {}
    parts = [fallback_algorithm, str(model.get("name", "")), str(model.get("version", ""))]
    return RunRecord(
        " ".join(part for part in parts if part),
        [str(warning) for warning in run.get("warnings", [])],
        {name: bool(row.get("assessable", True)) for name, row in rows.items()},
        {name: row["volume_interval_ml"] for name, row in rows.items() if "volume_interval_ml" in row},
        measures.get("interval_level"),
        run.get("seconds"),
        str(run.get("device", "")),
        str(run.get("engine", "")),
    )


def keep(node: Any, record: RunRecord) -> None:
    """Write the record onto a result."""
    node.SetAttribute(_ATTRIBUTE, json.dumps(asdict(record)))


def recall(node: Any) -> RunRecord | None:
    """The record of a result, or None for a segmentation that is none of ours."""
    text = node.GetAttribute(_ATTRIBUTE)
    return RunRecord(**json.loads(text)) if text else None
