"""Write the eight-bit graph of a model, if it loses no Dice: run this whenever the weights have changed.

    make quantise                                    the bundled model, the real scans in reach and phantoms
    python Utilities/quantise.py --model DIR --data DIR --phantoms 8

Calibration takes the cases that ``model.json`` says were trained on, and half of the phantoms; the gate takes
the cases held out, and the other half. Where a last run was trained on all of them, the cases divide as its
measured run divided them: the gate compares two precisions of the same weights, seen or not.
Needs  pip install ".[quantise,demo]".
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from GliomaSegLib.evaluation.phantom import write_phantoms
from GliomaSegLib.model.weights import DEFAULT_MODEL, find_model, read_description
from GliomaSegLib.training.cases import CaseFiles, find_cases
from GliomaSegLib.training.quantisation import quantise

_SEEDS = 7100, 7900
"""Phantoms for calibration and for the gate; neither is the seed of reported scores."""


def say(line: str) -> None:
    """One line, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def phantoms(folder: Path, count: int, seed: int) -> list[CaseFiles]:
    """``count`` simulated cases below ``folder``."""
    write_phantoms(folder, count, seed)
    found = find_cases([folder])
    return [replace(case, name=f"phantom-{seed}-{number}") for number, case in enumerate(found)]


def main() -> int:
    """0 when the graph passed, 1 when it lost too much and is left aside."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--data", type=Path, help="folder with the real scans that model.json names")
    parser.add_argument("--phantoms", type=int, default=8)
    arguments = parser.parse_args()
    description = read_description(find_model(arguments.model))
    real = find_cases([arguments.data]) if arguments.data and arguments.data.is_dir() else []
    split = description.measured_run or description.facts
    seen, held = (set(split.get(key, ())) for key in ("trained_on", "held_out"))
    with tempfile.TemporaryDirectory() as folder:
        sets = [
            [case for case in real if case.name in names]
            + phantoms(Path(folder) / str(seed), max(arguments.phantoms // 2, 1), seed)
            for names, seed in zip((seen, held), _SEEDS, strict=True)
        ]
        record = quantise(description, *sets, say)
    for name, row in record["gate"]["structures"].items():
        say(f"{name:5} {row}")
    say("passed" if record["passed"] else "lost too much: inference goes on in float32")
    return 0 if record["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
