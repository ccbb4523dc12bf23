"""The rows of the benchmark: what is run, how often, and what it took. Each run is a process of its own."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
_ENOUGH_S = 60.0
"""A row whose runs have taken this long together is not repeated again."""


@dataclass(frozen=True)
class Row:
    """``key`` identifies the row from one start of the benchmark to the next; ``once`` makes one run.

    ``most``: runs that are enough for this row.
    """

    key: str
    once: Callable[[], dict[str, Any]]
    most: int = 3


def command(volumes: dict[str, Path], output: Path, *options: str) -> dict[str, Any]:
    """``gliomaseg segment`` from files to files: wall and CPU seconds, peak MB, stages. POSIX only."""
    words = [sys.executable, "-m", "GliomaSegLib", "segment", "--device", "cpu", "--progress", "none"]
    words += [word for role, path in volumes.items() for word in (f"--{role}", str(path))]
    words += ["--overwrite", "--output", str(output), *options]
    seconds, cpu_s = _timed(words, None)
    run = json.loads((output / "run.json").read_text())
    # The system's own peak is of no use: each stage resets it.
    peaks = [stage["peak_memory_mb"] for stage in run["stages"] if stage["peak_memory_mb"] is not None]
    return {
        "seconds": seconds,
        "cpu_s": cpu_s,
        "peak_mb": max(peaks, default=None),
        "engine": run["engine"],
        "window": run["window"],
        "shape": run["network_grid"]["shape"],
        "threads": run["threads"],
        "stages": run["stages"],
    }


def network(what: str, scratch: Path, shape: tuple[int, ...] | None = None) -> dict[str, Any]:
    """One run of ``bench_network.py``; what it printed."""
    words = [sys.executable, str(HERE / "bench_network.py"), what]
    words += ["--shape", *map(str, shape)] if shape else []
    told = scratch / "network.json"
    _timed(words, told)
    answer: dict[str, Any] = json.loads(told.read_text().splitlines()[-1])
    return answer


def _timed(words: list[str], told: Path | None) -> tuple[float, float]:
    """Wall and CPU seconds of a process, whose output goes to ``told``. Stops the benchmark when it fails."""
    with (told or Path(os.devnull)).open("w") as output:
        started = time.perf_counter()
        process = subprocess.Popen(words, stdout=output)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
    if status:
        raise SystemExit(
            f"{' '.join(words[1:4])}: the run failed with status {os.waitstatus_to_exitcode(status)}"
        )
    return seconds, usage.ru_utime + usage.ru_stime


class Store:
    """What was measured already, in one JSON file: an interrupted benchmark goes on where it stopped."""

    def __init__(self, path: Path, origin: str) -> None:
        self.path, self.origin = path, origin
        kept = json.loads(path.read_text()) if path.is_file() else {}
        self.rows: dict[str, list[dict[str, Any]]] = (
            kept.get("rows", {}) if kept.get("origin") == origin else {}
        )

    def measure(self, row: Row, runs: int, say: Callable[[str], None]) -> list[dict[str, Any]]:
        """The runs of a row: those kept, and what is missing up to ``runs`` (fewer of a slow one)."""
        done = self.rows.setdefault(row.key, [])
        while len(done) < min(runs, row.most) and sum(one["seconds"] for one in done) < _ENOUGH_S:
            done.append(row.once())
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_text(json.dumps({"origin": self.origin, "rows": self.rows}))
            say(f"{row.key}: {done[-1]['seconds']:.1f} s")
        return done


def spread(runs: list[dict[str, Any]], name: str, digits: int = 1) -> str:
    """Median, and the range where there is more than one run; a dash where nothing was told."""
    values = [run[name] for run in runs if run.get(name) is not None]
    if not values:
        return "-"
    text = f"{statistics.median(values):.{digits}f}"
    return text if len(values) == 1 else f"{text} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def median(runs: list[dict[str, Any]], name: str) -> float:
    """Median of one number over runs."""
    return float(statistics.median(run[name] for run in runs))
