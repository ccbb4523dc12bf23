"""Two finished results of one person become ``follow_up.json``, a table and a subtraction picture."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import InputRefused, UsageError
from .intake.alignment import moved_grid, register
from .intake.brain import brain_mask
from .intake.exam import read_any
from .intake.volume import ROLE_NAMES, Study, Volume
from .labels import ET
from .outcome.follow_up import STABLE, Visit, compare, totals
from .outcome.pictures import subtraction_strip
from .output_folder import RUN_FILE, result_folder
from .pipeline import NOTICE
from .provenance import fingerprint, versions
from .result import StoredResult, read_result

CHANGES, CHANGES_TABLE = "follow_up.json", "follow_up.csv"
SUBTRACTION = "subtraction.png"
FOLLOW_UP_FILES = (CHANGES, CHANGES_TABLE, SUBTRACTION, RUN_FILE)
_WARNING = "Thresholds are numbers, not a diagnosis: response and progression are a clinician's judgement."


@dataclass(frozen=True)
class FollowUpRequest:
    """The two results, and the scan on whose grid each one's labels lie; both scans None: one space already.

    ``nadir`` and ``baseline``: results of the visits that progression and response are to be told against,
    which only a person can name.
    """

    before: Path
    after: Path
    before_scan: Path | None = None
    after_scan: Path | None = None
    nadir: Path | None = None
    baseline: Path | None = None


def follow_up(request: FollowUpRequest, output: Path, overwrite: bool = False) -> dict[str, Any]:
    """Compare two visits and write the result into ``output``, whole or not at all; returns the changes.

    Raises ``InputRefused`` for scans on which the results were not made and for a registration that fails.
    """
    before, after = read_result(request.before), read_result(request.after)
    matrix, placed, warnings, scans = _placed(before, after, request)
    changes = compare(_visit(before), _visit(after), matrix)
    changes["against"] = {
        name: totals(read_result(folder).measures, after.measures)
        for name, folder in (("nadir", request.nadir), ("baseline", request.baseline))
        if folder is not None
    }
    changes["note"] = _WARNING
    run = {
        "notice": NOTICE,
        "versions": versions(),
        "models": {"before": before.run["model"], "after": after.run["model"]},
        "registration": placed,
        "warnings": warnings + _model_warnings(before, after),
    }
    with result_folder(output, FOLLOW_UP_FILES, overwrite) as folder:
        (folder / CHANGES).write_text(json.dumps(changes, indent=2) + "\n", encoding="utf-8")
        (folder / CHANGES_TABLE).write_text(as_csv(changes), encoding="utf-8", newline="")
        if scans is not None:
            (folder / SUBTRACTION).write_bytes(subtraction_strip(*scans, _place_to_look(changes, after)))
        (folder / RUN_FILE).write_text(json.dumps(run, indent=2) + "\n", encoding="utf-8")
    return changes


def as_csv(changes: dict[str, Any]) -> str:
    """The changes as a table: a row a structure and region, then one a group of enhancing lesions."""
    heads = (
        "what", "before_ml", "after_ml", "volume_change_percent", "before_mm2", "after_mm2",
        "product_change_percent", "status", "measurable_now",
    )  # fmt: skip
    stream = io.StringIO()
    writer = csv.DictWriter(stream, heads, restval="", extrasaction="ignore", lineterminator="\r\n")
    writer.writeheader()
    for name, row in changes["structures"].items():
        writer.writerow({**row, "what": name, "volume_change_percent": row["change_percent"]})
    for row in changes["lesions"] or ():
        old, new = ("+".join(map(str, row[side])) or "-" for side in ("before", "after"))
        writer.writerow({**row, "what": f"ET lesion {old} to {new}"})
    return stream.getvalue()


def _visit(result: StoredResult) -> Visit:
    return Visit(result.labels, result.grid, result.measures)


def _placed(
    before: StoredResult, after: StoredResult, request: FollowUpRequest
) -> tuple[npt.NDArray[np.float64], dict[str, Any], list[str], tuple[Volume, Volume] | None]:
    """The later visit's points in the earlier one, how that was found, sentences, both scans in one space."""
    if request.before_scan is None and request.after_scan is None:
        told = "No scans were given: both visits were taken as lying in one space already."
        return np.eye(4), {"moved": False}, [told], None
    if request.before_scan is None or request.after_scan is None:
        raise UsageError("Registration needs both scans: give --before-scan and --after-scan, or neither.")
    earlier = _scan(request.before_scan, before)
    later = _scan(request.after_scan, after)
    mask, warnings = _brain(later)
    found = register(later, earlier, mask)
    moved = replace(earlier, grid=moved_grid(earlier.grid, found.matrix))
    return found.matrix, found.record(), [*warnings, *found.warnings], (moved, later)


def _place_to_look(changes: dict[str, Any], after: StoredResult) -> npt.NDArray[np.float64]:
    """LPS mm of the largest lesion that changed, of the largest one, or of the middle of the later scan."""
    known = [row for row in changes["lesions"] or () if row["after"]]
    chosen = next((row for row in known if row["status"] != STABLE), known[0] if known else None)
    if chosen is None:
        return np.asarray(after.grid.corners_lps_mm().mean(axis=0))
    lesion = after.measures["lesions"][ET.abbreviation][chosen["after"][0] - 1]
    return np.asarray(lesion["centroid_lps_mm"])


def _scan(path: Path, result: StoredResult) -> Volume:
    role = result.run["reference"]
    volume = read_any(path, role)
    if result.run.get("inputs_sha256", {}).get(role) != fingerprint(volume):
        raise InputRefused(
            f"{volume.name} is not the {ROLE_NAMES[role]} that {result.name} was made on: "
            "give the sequence on whose grid its labels lie."
        )
    return volume


def _brain(volume: Volume) -> tuple[Volume | None, list[str]]:
    """The brain, so that scalp and neck don't steer the registration; None where it is bare already."""
    try:
        found = brain_mask(Study({volume.role: volume}, volume.role))
    except UsageError as missing:
        return None, [f"The visits were registered by the whole head. {missing}"]
    return found.mask, list(found.warnings)


def _model_warnings(before: StoredResult, after: StoredResult) -> list[str]:
    if before.run["model"]["sha256"] == after.run["model"]["sha256"]:
        return []
    return ["The two visits were segmented by different models: part of the change may be theirs."]
