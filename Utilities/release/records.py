"""The files that a release changes beside the weights: model.json, HISTORY.md, the README's table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from bench_scored import EXPERT_SHAPE, IN_REAL_BRAIN, REAL, SIMULATED, Scored

from GliomaSegLib.errors import OutputRefused
from GliomaSegLib.model.weights import MODEL_FILE

from .facts import Facts

HISTORY = "HISTORY.md"
_SIMULATED = (SIMULATED, IN_REAL_BRAIN, EXPERT_SHAPE)
_COLUMNS = (
    "date", "version", "change", "hours", "WT real, lesion-wise (voxel)", "RC invented, real", "WT simulated",
    "RC simulated", "ET simulated",
)  # fmt: skip
_HISTORY_HEAD = f"""# Attempts

Held-out cases alone. Simulated: second renderer, not training's; in ICBM152 / in a real brain / expert
contours there.

| {" | ".join(_COLUMNS)} |
|{"---|" * len(_COLUMNS)}
"""
README_BEGIN, README_END = "<!-- model-numbers", "<!-- /model-numbers -->"


def update_description(folder: Path, changes: dict[str, Any]) -> dict[str, Any]:
    """Put ``changes`` into the folder's model.json; gives the whole of it."""
    path = folder / MODEL_FILE
    description = {**json.loads(path.read_text(encoding="utf-8")), **changes}
    path.write_text(json.dumps(description, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return description


def history_row(facts: Facts, rows: Sequence[Scored], date: str, added: str = "") -> str:
    """One line of HISTORY.md; where two simulated sets were scored: ICBM152 / real brain / contours.

    ``added`` is said after the change.
    """
    held = [row for row in rows if not row.seen]
    real = [row for row in held if row.group == REAL]
    invented = [row.scores["RC"].prediction_ml for row in real if row.scores["RC"].lacks_structure]
    cells = [
        date,
        facts.version,
        facts.change + added,
        f"{facts.hours:g}",
        _dice(real, "WT", voxel=True),
        " and ".join(f"{ml:.1f}" for ml in invented) + " ml" if invented else "-",
    ]
    for region in ("WT", "RC", "ET"):
        sets = [[row for row in held if row.group == group] for group in _SIMULATED]
        cells.append(" / ".join(_dice(members, region) for members in sets if members) or "-")
    return "| " + " | ".join(cells) + " |\n"


def _dice(rows: Sequence[Scored], region: str, voxel: bool = False) -> str:
    have = [row.scores[region] for row in rows if row.scores[region].has_structure]
    if not have:
        return "-"
    mean = f"{np.mean([score.lesion_dice for score in have]):.2f}"
    voxels = f" ({np.mean([score.voxel_dice for score in have]):.2f})" if voxel else ""
    return f"{mean}{voxels}, n={len(have)}"


def add_to_history(folder: Path, row: str) -> None:
    """Append a row to the first table of HISTORY.md, before what stands under it; begins a missing file."""
    path = folder / HISTORY
    text = path.read_text(encoding="utf-8") if path.is_file() else _HISTORY_HEAD
    lines = text.splitlines(keepends=True)
    start = next((number for number, line in enumerate(lines) if line.startswith("|")), None)
    if start is None:
        raise OutputRefused(f"{path.name} of {folder.name} has no table: add the header of its table again.")
    if row not in lines:
        end = next((at for at in range(start, len(lines)) if not lines[at].startswith("|")), len(lines))
        lines.insert(end, row)
    path.write_text("".join(lines), encoding="utf-8")


def put_into_readme(path: Path, block: str) -> None:
    """Replace what stands between the README's marks. Raises ``OutputRefused`` when a mark is missing."""
    text = path.read_text(encoding="utf-8")
    before, mark, rest = text.partition(README_BEGIN)
    comment_end, arrow, rest = rest.partition("-->\n")
    _, end, after = rest.partition(README_END)
    if not (mark and arrow and end):
        raise OutputRefused(f"{path.name} lacks the marks of the model's numbers: add them again.")
    path.write_text(f"{before}{mark}{comment_end}{arrow}{block.strip()}\n{end}{after}", encoding="utf-8")
