"""The Markdown table of an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan

from ..outcome.lesions import REGION_ORDER
from .cases import Pairing
from .summary import RegionSummary, Row, Statistic

_HEADS = {
    "lesion_dice": "Dice",
    "lesion_hd95_mm": "HD95, mm",
    "lesion_nsd_05": "NSD 0.5 mm",
    "lesion_nsd_10": "NSD 1.0 mm",
    "lesion_sensitivity": "lesion sensitivity",
    "lesion_precision": "lesion precision",
    "voxel_dice": "voxel Dice",
    "voxel_sensitivity": "voxel sensitivity",
}


def markdown_table(rows: Sequence[Row], summaries: Sequence[RegionSummary], pairing: Pairing) -> str:
    """The whole page: cases with each structure, cases without, and lesion-wise Dice case by case."""
    parts = [
        "# Lesion-wise evaluation",
        f"{len(pairing.pairs)} cases, BraTS 2024 glioma rules. Dice, HD95 and NSD are lesion-wise.",
        *_unpaired(pairing),
        "## Cases that have the structure",
        "Mean [95% bootstrap interval]; median.",
        _with_structure(summaries),
        "## Cases that don't have it",
        "Volume that was predicted all the same.",
        _without_structure(summaries),
        *_specks(summaries),
        "## Lesion-wise Dice, case by case",
        "In brackets: predicted ml where the reference has none.",
        _by_case(rows),
    ]
    return "\n\n".join(parts) + "\n"


def _unpaired(pairing: Pairing) -> list[str]:
    notes = []
    if pairing.without_prediction:
        notes.append(f"**Not scored, no prediction:** {', '.join(pairing.without_prediction)}.")
    if pairing.without_reference:
        notes.append(f"**Not scored, no reference:** {', '.join(pairing.without_reference)}.")
    return notes


def _with_structure(summaries: Sequence[RegionSummary]) -> str:
    lines = [["region", "cases", *_HEADS.values()]]
    for summary in summaries:
        cells = [_statistic(summary.metrics[name], 1 if name.endswith("_mm") else 3) for name in _HEADS]
        lines.append([summary.region, str(summary.with_structure), *cells])
    return _table(lines)


def _without_structure(summaries: Sequence[RegionSummary]) -> str:
    lines = [["region", "cases", "false-positive ml", "worst case, ml"]]
    for summary in summaries:
        volume = _statistic(summary.false_positive_ml, 2)
        worst = _number(summary.worst_false_positive_ml, 2)
        lines.append([summary.region, str(summary.without_structure), volume, worst])
    return _table(lines)


def _specks(summaries: Sequence[RegionSummary]) -> list[str]:
    found = [f"{s.region} {s.specks_only}" for s in summaries if s.specks_only]
    if not found:
        return []
    return [f"In neither table, as the reference has only specks too small to be scored: {', '.join(found)}."]


def _by_case(rows: Sequence[Row]) -> str:
    cells: dict[str, dict[str, str]] = {}
    for row in rows:
        score = row.score
        text = f"({score.prediction_ml:.2f})" if score.lacks_structure else f"{score.lesion_dice:.3f}"
        cells.setdefault(row.case, {})[score.region] = text
    lines = [["case", *REGION_ORDER]]
    lines += [[case, *(by_region[region] for region in REGION_ORDER)] for case, by_region in cells.items()]
    return _table(lines)


def _statistic(value: Statistic, digits: int) -> str:
    if value.count == 0:
        return "-"
    low, high = value.mean_interval
    interval = "" if isnan(low) else f" [{low:.{digits}f}, {high:.{digits}f}]"
    return f"{value.mean:.{digits}f}{interval}; {value.median:.{digits}f}"


def _number(value: float, digits: int) -> str:
    return "-" if isnan(value) else f"{value:.{digits}f}"


def _table(lines: list[list[str]]) -> str:
    head, *body = lines
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, rule, *body))
