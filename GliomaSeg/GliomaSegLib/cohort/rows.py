"""One study as one row of the table: names and kinds of the columns, and how a result becomes a row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import GliomaSegError
from ..intake.volume import ROLE_NAMES
from ..labels import REGIONS, STRUCTURES
from ..outcome.follow_up import GONE, GROWING, NEW, SHRINKING, STABLE
from .study import PlannedStudy, RoleInput

Row = dict[str, Any]

DONE, REFUSED, FAILED, NOT_RUN = "done", "refused", "failed", "not run"
"""What can become of a study: a result; an input that can't be used; another failure; not its turn yet."""

_STRUCTURES = tuple(s.abbreviation for s in STRUCTURES)
_REGIONS = tuple(r.abbreviation for r in REGIONS)
_LESIONS = ("ET", "NETC", "RC")
_STATES = (NEW, GROWING, STABLE, SHRINKING, GONE)
_SEPARATOR = " | "

TEXT, NUMBER, COUNT = "text", "number", "count"

COLUMNS: dict[str, str] = {
    **dict.fromkeys(("subject", "session"), TEXT),
    "visit": COUNT,
    **dict.fromkeys(("folder", "status", "sentence", "sequences", "reference"), TEXT),
    **{f"{name}_ml": NUMBER for name in (*_STRUCTURES, *_REGIONS)},
    **{f"{name}_{end}_ml": NUMBER for name in (*_STRUCTURES, *_REGIONS) for end in ("low", "high")},
    **{f"{name}_lesions": COUNT for name in _LESIONS},
    **dict.fromkeys(("sum_of_products_mm2", "cavity_to_enhancement_mm"), NUMBER),
    **dict.fromkeys(("seconds", "intake_seconds", "predicting_seconds", "peak_memory_mb"), NUMBER),
    "warning_count": COUNT,
    **dict.fromkeys(("warnings", "device"), TEXT),
    "threads": COUNT,
    **dict.fromkeys(("model", "model_version", "model_sha256", "gliomaseg", "inputs_sha256"), TEXT),
    **dict.fromkeys(("labels_sha256", "finished"), TEXT),
    **dict.fromkeys(("follow_up_from", "follow_up", "follow_up_sentence"), TEXT),
    **{f"{name}_change_percent": NUMBER for name in (*_STRUCTURES, *_REGIONS)},
    **{f"{state}_ET_lesions": COUNT for state in _STATES},
}
"""Name and kind of each column, in order. Volumes are ml, ``low`` and ``high`` limit their 80 % interval."""

_INTAKE = ("reading", "loading", "aligning", "masking", "preparing")


def row_of(study: PlannedStudy, status: str, sentence: str = "") -> Row:
    """The row of a study without a result."""
    return {
        "subject": study.subject,
        "session": study.session,
        "visit": study.visit or None,
        "folder": study.folder.as_posix() if status == DONE else "",
        "status": status,
        "sentence": sentence,
    }


def row_of_result(study: PlannedStudy, measures: Mapping[str, Any], run: Mapping[str, Any]) -> Row:
    """The row of a result; ``measures`` and ``run`` as in ``measures.json`` and ``run.json``.

    What can't be assessed is None. Checksums are added by who has the files.
    """
    stages = {stage["stage"]: stage for stage in run["stages"]}
    peaks = [stage["peak_memory_mb"] for stage in run["stages"] if stage["peak_memory_mb"] is not None]
    model = run["model"]
    return {
        **row_of(study, DONE),
        "sequences": " ".join(run["sequences"]),
        "reference": run["reference"],
        **_volumes(measures),
        **{f"{name}_lesions": _count(measures["lesions"].get(name)) for name in _LESIONS},
        "sum_of_products_mm2": measures["sum_of_products_mm2"],
        "cavity_to_enhancement_mm": measures["cavity_to_enhancement_mm"],
        "seconds": run["seconds"],
        "intake_seconds": round(sum(stages[s]["seconds"] for s in _INTAKE if s in stages), 3),
        "predicting_seconds": stages["predicting"]["seconds"],
        "peak_memory_mb": max(peaks, default=None),
        "warning_count": len(run["warnings"]),
        "warnings": _SEPARATOR.join(run["warnings"]),
        "device": run["device"],
        "threads": run["threads"],
        "model": model["name"],
        "model_version": model["version"],
        "model_sha256": model["sha256"],
        "gliomaseg": run["versions"]["gliomaseg"],
        "finished": run["finished"],
    }


def _volumes(measures: Mapping[str, Any]) -> Row:
    rows = {**measures["structures"], **measures["regions"]}
    found: Row = {f"{name}_ml": row["volume_ml"] for name, row in rows.items()}
    for name, row in rows.items():
        low, high = row.get("volume_interval_ml", (None, None))
        found |= {f"{name}_low_ml": low, f"{name}_high_ml": high}
    return found


def _count(lesions: list[Any] | None) -> int | None:
    return None if lesions is None else len(lesions)


def row_of_changes(since: str, changes: Mapping[str, Any]) -> Row:
    """The columns that a comparison with the visit ``since`` adds; ``changes`` as in ``follow_up.json``."""
    lesions = changes["lesions"]
    states = None if lesions is None else [group["status"] for group in lesions]
    return {
        "follow_up_from": since,
        "follow_up": DONE,
        "follow_up_sentence": "",
        **{f"{name}_change_percent": row["change_percent"] for name, row in changes["structures"].items()},
        **{f"{s}_ET_lesions": None if states is None else states.count(s) for s in _STATES},
    }


def row_of_no_changes(since: str, status: str, sentence: str) -> Row:
    """The columns of a comparison that could not be made."""
    return {"follow_up_from": since, "follow_up": status, "follow_up_sentence": sentence}


def sentence_of(error: BaseException, series: Mapping[str, RoleInput]) -> str:
    """What to tell about an error, without names of files and folders, which may be a patient's."""
    if not isinstance(error, GliomaSegError):
        # Its own words may hold a path.
        return (
            f"Something unexpected went wrong ({type(error).__name__}): run  gliomaseg segment  on it alone."
        )
    return without_names(str(error), series)


def without_names(text: str, series: Mapping[str, RoleInput]) -> str:
    """``text`` with roles in place of the names of the inputs' files and folders."""
    names = {part for one in series.values() for part in (one.path.name, one.path.parent.name)}
    for name in sorted(names - {"", *ROLE_NAMES.values(), *ROLE_NAMES}, key=len, reverse=True):
        text = text.replace(f" ({name})", "")
        if len(name) > 3:
            text = text.replace(name, "its file")
    return text
