"""Runs of ``gliomaseg`` with faults: killed at a moment, with little disk or memory, several at once.

    python fault_runs.py < items.json

The packages are imported once; each run is a fork, so that even fifty take seconds, and a random moment is
one of the run and not of its start-up. Every item is an object: ``arguments`` of the command, and if wanted
``copies`` that run at once, ``signal`` after ``delay`` seconds, ``file_bytes`` and ``memory_bytes`` as
limits. One JSON line answers each: exit codes, what was said, seconds, what lies below ``watch`` afterwards.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOMS = (
    "GliomaSegLib.cli", "GliomaSegLib.pipeline", "GliomaSegLib.intake.exam", "GliomaSegLib.intake.alignment",
    "GliomaSegLib.intake.brain", "GliomaSegLib.intake.preparation", "GliomaSegLib.intake.quality",
    "GliomaSegLib.model.weights", "GliomaSegLib.outcome.labelling", "GliomaSegLib.outcome.measures",
    "GliomaSegLib.outcome.segmentation_file", "GliomaSegLib.outcome.dicom_export",
)  # fmt: skip


def start(item: dict[str, Any], told: Path) -> int:
    """Fork one run, whose words go to the file ``told``; its pid."""
    pid = os.fork()
    if pid:
        return pid
    words = os.open(told, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(words, 1)
    os.dup2(words, 2)
    if limit := item.get("file_bytes"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    if limit := item.get("memory_bytes"):
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    from GliomaSegLib.cli import main

    try:
        code = main(item["arguments"])
    except SystemExit as stop:
        code = int(stop.code or 0)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def answer(item: dict[str, Any], scratch: Path) -> dict[str, Any]:
    """Run one item to its end."""
    told = [scratch / f"told{number}" for number in range(item.get("copies", 1))]
    for file in told:
        file.write_text("")
    started = time.monotonic()
    pids = [start(item, file) for file in told]
    if name := item.get("signal"):
        time.sleep(item["delay"])
        for pid in pids:
            os.kill(pid, getattr(signal, name))
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    watch = Path(item["watch"])
    return {
        "codes": codes,
        "said": [file.read_text() for file in told],
        "seconds": time.monotonic() - started,
        "left": sorted(path.relative_to(watch).as_posix() for path in watch.rglob("*")),
    }


def main() -> None:
    """Answer every item of standard input."""
    for room in ROOMS:
        importlib.import_module(room)
    with tempfile.TemporaryDirectory(dir=os.environ.get("FAULTS_SCRATCH")) as scratch:
        for item in json.load(sys.stdin):
            sys.stdout.write(json.dumps(answer(item, Path(scratch))) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
