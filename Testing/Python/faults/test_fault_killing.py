"""Runs that are killed or stopped at random moments leave nothing that could be taken for a result."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from typing import Any

import pytest

from GliomaSegLib.pipeline import DICOM_SEG, RESULT_FILES

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals and forks"),
    pytest.mark.timeout(900),
]

Item = Callable[..., dict[str, Any]]
WHOLE = sorted(f"r/{name}" for name in RESULT_FILES if name != DICOM_SEG)
"""A result of volume files: DICOM-SEG comes of DICOM only."""
SHORT_AND_LONG = [4, pytest.param(50, marks=[pytest.mark.long, pytest.mark.timeout(1800)])]


def result(left: list[str]) -> list[str]:
    """The files of the target folder."""
    return [name for name in left if name.startswith("r/")]


def partial(left: list[str]) -> list[str]:
    """The folders of unfinished runs beside the target."""
    return [name for name in left if name.endswith(".part")]


def moments(run_with_faults: Any, item: Item, count: int) -> list[float]:
    """``count`` delays over the length of a whole run, evenly spread and shuffled by chance."""
    (whole,) = run_with_faults([item("--overwrite")])
    assert whole["codes"] == [0] and result(whole["left"]) == WHOLE, whole["said"]
    rng = random.Random(20)
    return [whole["seconds"] * 1.05 * (number + rng.random()) / count for number in range(count)]


@pytest.mark.parametrize("count", SHORT_AND_LONG)
def test_kill_9_leaves_a_whole_result_or_none_and_the_next_run_tidies(
    run_with_faults: Any, item: Item, count: int
) -> None:
    delays = moments(run_with_faults, item, count)
    kills = [item("--overwrite", signal="SIGKILL", delay=delay) for delay in delays]
    answers = run_with_faults([*kills, item("--overwrite")])
    killed = [one for one in answers[:-1] if one["codes"] == [-9]]
    assert len(killed) >= count // 2
    for one in killed:
        files = result(one["left"])
        # While an old result is replaced there is no run.json: the folder says itself that it is unfinished.
        assert files == WHOLE or "r/run.json" not in files, files
        assert len(partial(one["left"])) <= 1, "no run leaves more than its own, each tidies what was there"
    assert answers[-1]["codes"] == [0] and sorted(answers[-1]["left"]) == ["r", *WHOLE]


@pytest.mark.parametrize("count", SHORT_AND_LONG)
def test_kill_9_into_a_new_folder_shows_nothing_until_all_is_there(
    run_with_faults: Any, item: Item, count: int
) -> None:
    delays = moments(run_with_faults, item, count)
    kills = []
    for number, delay in enumerate(delays):
        fresh = item(signal="SIGKILL", delay=delay)
        fresh["arguments"] = [word.replace("/out/r", f"/out/new{number}") for word in fresh["arguments"]]
        kills.append(fresh)
    answers = run_with_faults(kills)
    assert sum(one["codes"] == [-9] for one in answers) >= count // 2
    for number, one in enumerate(answers):
        files = sorted(name for name in one["left"] if name.startswith(f"new{number}/"))
        assert files in ([], [name.replace("r/", f"new{number}/", 1) for name in WHOLE]), files
        assert len(partial(one["left"])) <= 1, "what another result's killed run left is tidied, too"


@pytest.mark.parametrize("count", SHORT_AND_LONG)
def test_sigterm_leaves_nothing_at_all(run_with_faults: Any, item: Item, count: int) -> None:
    delays = moments(run_with_faults, item, count)
    stops = [item("--overwrite", signal="SIGTERM", delay=delay) for delay in delays]
    answers = run_with_faults(stops)
    stopped = [one for one in answers if one["codes"] != [0]]
    assert len(stopped) >= count // 2
    for one in answers:
        # Before the command has taken over, the system's own way of stopping is as good.
        assert one["codes"][0] in (0, 130, -15), one["said"]
        assert "Traceback" not in one["said"][0]
        assert partial(one["left"]) == []
        files = result(one["left"])
        assert files == WHOLE or "r/run.json" not in files
