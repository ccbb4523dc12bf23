"""Finished results of one person become ``follow_up.json``, a table, a plot, a picture and a page."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from itertools import pairwise
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
from .outcome.follow_up import PROGRESSION, RESPONSE, STABLE, WITHIN_NOISE, Visit, against, compare
from .outcome.follow_up_page import follow_up_html
from .outcome.pictures import subtraction_strip
from .outcome.timeline import TimelinePoint, timeline_rows, timeline_svg
from .output_folder import RUN_FILE, check_target, result_folder
from .pipeline import NOTICE
from .provenance import fingerprint, versions
from .result import StoredResult, read_result

CHANGES, CHANGES_TABLE = "follow_up.json", "follow_up.csv"
SUBTRACTION, PLOT, PAGE = "subtraction.png", "follow_up.svg", "follow_up.html"
FOLLOW_UP_FILES = (CHANGES, CHANGES_TABLE, SUBTRACTION, PLOT, PAGE, RUN_FILE)
_WARNING = "Thresholds are numbers, not a diagnosis: response and progression are a clinician's judgement."


@dataclass(frozen=True)
class FollowUpRequest:
    """The two results, and the scan on whose grid each one's labels lie; both scans None: one space already.

    ``nadir`` and ``baseline``: results of the visits that progression and response are to be told against,
    which only a person can name. ``earlier``: results of visits before ``before``, in their order, for the
    plot. ``days``: none, or the date of each visit in that order, then of before and after. ``title``: the
    page's headline.
    """

    before: Path
    after: Path
    before_scan: Path | None = None
    after_scan: Path | None = None
    nadir: Path | None = None
    baseline: Path | None = None
    earlier: tuple[Path, ...] = ()
    days: tuple[date, ...] = ()
    title: str = ""


def follow_up(request: FollowUpRequest, output: Path, overwrite: bool = False) -> dict[str, Any]:
    """Compare two visits and write the result into ``output``, whole or not at all; returns the changes.

    Raises ``InputRefused`` for scans on which the results were not made and for a registration that fails,
    ``UsageError`` for dates that do not fit the visits.
    """
    check_target(output, FOLLOW_UP_FILES, overwrite)
    _check_days(request)
    before, after = read_result(request.before), read_result(request.after)
    earlier = [read_result(folder) for folder in request.earlier]
    matrix, placed, warnings, scans = _placed(before, after, request)
    now = _visit(after)
    changes = compare(_visit(before), now, matrix)
    changes["against"] = {
        name: against(_visit(read_result(folder)), now, kind)
        for name, folder, kind in (
            ("nadir", request.nadir, PROGRESSION),
            ("baseline", request.baseline, RESPONSE),
        )
        if folder is not None
    }
    points = _points([*earlier, before, after], request.days)
    changes["visits"] = timeline_rows(points)
    changes["note"] = _WARNING
    run = {
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "notice": NOTICE,
        "versions": versions(),
        "models": {"before": before.run["model"], "after": after.run["model"]},
        "registration": placed,
        "warnings": warnings + _warnings([*earlier, before, after]),
    }
    plot = timeline_svg(points, changes["against"])
    with result_folder(output, FOLLOW_UP_FILES, overwrite) as folder:
        _write(folder / CHANGES, json.dumps(changes, indent=2) + "\n")
        _write(folder / CHANGES_TABLE, as_csv(changes))
        _write(folder / PLOT, plot)
        picture = None if scans is None else subtraction_strip(*scans, _place_to_look(changes, now))
        if picture is not None:
            (folder / SUBTRACTION).write_bytes(picture)
        _write(folder / PAGE, follow_up_html(changes, run, plot, picture, request.title))
        _write(folder / RUN_FILE, json.dumps(run, indent=2) + "\n")
    return changes


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="")


def _check_days(request: FollowUpRequest) -> None:
    count = len(request.earlier) + 2
    if request.days and len(request.days) != count:
        raise UsageError(
            f"There are {count} visits but {len(request.days)} dates: give one date a visit, "
            "in the order of --visit, then --before, then --after."
        )
    if any(two <= one for one, two in pairwise(request.days)):
        raise UsageError("The dates of the visits are not in order: give the earliest visit and date first.")


def as_csv(changes: dict[str, Any]) -> str:
    """The changes as a table: a row a structure and region, then one a group of enhancing lesions."""
    heads = (
        "what", "before_ml", "after_ml", "volume_change_percent", "noise_ml", "above_noise", "before_mm2",
        "after_mm2", "product_change_percent", "status", "measurable_now",
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
    return Visit(result.labels, result.grid, result.current_measures)


def _points(results: list[StoredResult], days: tuple[date, ...]) -> list[TimelinePoint]:
    dated = days or (None,) * len(results)
    return [
        TimelinePoint(number, day, result.current_measures)
        for number, (result, day) in enumerate(zip(results, dated, strict=True), 1)
    ]


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
    warnings = [*warnings, *found.warnings]
    if earlier.role != later.role:
        one, two = ROLE_NAMES[earlier.role], ROLE_NAMES[later.role]
        told = f"The labels lie on {one} before and on {two} after: there is no subtraction of the two."
        return found.matrix, found.record(), [*warnings, told], None
    moved = replace(earlier, grid=moved_grid(earlier.grid, found.matrix))
    return found.matrix, found.record(), warnings, (moved, later)


def _place_to_look(changes: dict[str, Any], after: Visit) -> npt.NDArray[np.float64]:
    """LPS mm of the largest lesion that changed, of the largest one, or of the middle of the later scan."""
    known = [row for row in changes["lesions"] or () if row["after"]]
    changed = [row for row in known if row["status"] not in (STABLE, WITHIN_NOISE)]
    chosen = next(iter([*changed, *known]), None)
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


def _warnings(results: list[StoredResult]) -> list[str]:
    told = []
    if len({result.run["model"]["sha256"] for result in results}) > 1:
        told.append("The visits were segmented by different models: part of the change may be theirs.")
    if any(result.edited for result in results):
        told.append("Labels of a visit were changed after the segmentation; they were measured anew.")
    return told
