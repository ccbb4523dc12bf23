"""Visits of one subject in their order: each is compared with the one before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from .driver import Job
from .rows import DONE, FAILED, Row, row_of_no_changes
from .store import Store
from .study import PlannedStudy
from .work import FollowUpTask, follow_up_folder, follow_up_identity, run_follow_up


def chains(studies: Sequence[PlannedStudy], rows: Mapping[int, Row]) -> list[list[int]]:
    """Places of each visit that has one before it, with all before: results only, subject by subject."""
    visits: dict[str, list[int]] = {}
    for place, study in enumerate(studies):
        if not study.refusal and rows[place]["status"] == DONE:
            visits.setdefault(study.subject, []).append(place)
    found = []
    for own in visits.values():
        ordered = sorted(own, key=lambda place: studies[place].visit)
        found += [ordered[: last + 1] for last in range(1, len(ordered))]
    return found


def follow_up_jobs(
    store: Store,
    studies: Sequence[PlannedStudy],
    rows: Mapping[int, Row],
    identity: Mapping[str, Any],
) -> list[Job]:
    """The comparisons that are left to make; columns of those that are there go into their ``rows``."""
    jobs = []
    for places in chains(studies, rows):
        after = places[-1]
        *earlier, first, second = (replace(studies[place], notes=()) for place in places)
        task = FollowUpTask(store.root, tuple(earlier), first, second, {"version": identity["version"]})
        found = store.record(follow_up_folder(second))
        if found is not None and found["identity"] == follow_up_identity(task, store):
            rows[after].update(found["row"])
            continue
        jobs.append(
            Job(
                f"{second.name}_followup",
                run_follow_up,
                task,
                partial(row_of_no_changes, first.session, FAILED),
                after,
            )
        )
    return jobs
