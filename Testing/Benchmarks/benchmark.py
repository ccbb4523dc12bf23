"""Time and memory of ``gliomaseg segment`` with the bundled model, start-up and files included.

    make bench        writes Testing/Benchmarks/results.md

The case is simulated (a phantom on the BraTS 2024 grid, 182x218x182 at 1 mm): real scans are not in the
repository. Every run is a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from GliomaSegLib.evaluation.phantom import write_phantoms
from GliomaSegLib.provenance import versions
from GliomaSegLib.training.cases import find_cases

_RUNS = 3
_SEED = 4711


def timed(words: list[str], result: Path) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds and peak resident MB of one run into ``result``. POSIX only."""
    started = time.perf_counter()
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{words[-1]}: the run failed with status {status}")
    seconds = time.perf_counter() - started
    # The system's own figure is of no use: each stage resets it, and a child inherits its parent's.
    stages = json.loads((result / "run.json").read_text())["stages"]
    peak = max(stage["peak_memory_mb"] for stage in stages)
    return seconds, usage.ru_utime + usage.ru_stime, peak


def spread(values: list[float]) -> str:
    """Median and range."""
    return f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


def measure(folder: Path, runs: int) -> str:
    """Run the command ``runs`` times on one simulated case; the Markdown of what it took."""
    write_phantoms(folder / "case", 1, _SEED)
    case = find_cases([folder / "case"])[0]
    volumes = [word for role, path in case.images.items() for word in (f"--{role}", str(path))]
    words = [
        sys.executable,
        "-m",
        "GliomaSegLib",
        "segment",
        *volumes,
        "--device",
        "cpu",
        "--progress",
        "none",
    ]
    result = folder / "result"
    rows = [timed([*words, "--overwrite", "--output", str(result)], result) for _ in range(runs)]
    run = json.loads((result / "run.json").read_text())
    stages = [f"| {s['stage']} | {s['seconds']:.2f} | {s['peak_memory_mb']:.0f} |" for s in run["stages"]]
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    return "\n".join(
        [
            "# Time and memory",
            "",
            f"`make bench`, {time.strftime('%Y-%m-%d')}: {runs} runs, median (least to most). One simulated",
            "case, 182x218x182 voxels of 1 mm, from four NIfTI files to the written result, each run a",
            "process of its own, start-up included.",
            "",
            f"Model {run['model']['name']} {run['model']['version']}, CPU, {run['threads']} threads, "
            f"load of the machine {load}, torch {versions()['torch']}.",
            "",
            "| wall s | CPU s | peak resident MB |",
            "|---|---|---|",
            "| " + " | ".join(spread([row[i] for row in rows]) for i in range(3)) + " |",
            "",
            "Stages of the last run:",
            "",
            "| stage | s | peak MB |",
            "|---|---|---|",
            *stages,
            "",
        ]
    )


def main() -> None:
    """Measure, print, and write the results beside this file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=_RUNS)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("results.md"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = measure(Path(folder), arguments.runs)
    arguments.output.write_text(report)
    print(report)


if __name__ == "__main__":
    main()
