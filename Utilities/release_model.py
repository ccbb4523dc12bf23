"""One command from a training checkpoint to a bundled model with its card, every figure measured.

    python Utilities/release_model.py best.pt --data ../shared/data

Exports float16 weights, fits the temperature (and with ``--tune`` offsets and smallest islands) on tuning
cases, scores real scans and phantoms through ``gliomaseg segment``, and writes model.json, MODEL_CARD.md,
failures.png and a row of HISTORY.md. An existing model stays as it is until all is measured; called again
with the same weights, an interrupted release goes on where it stopped. WEIGHTS may be a model folder, too.

With ``--last-run LAST`` all this is done with WEIGHTS, and the weights of LAST are shipped in their place:
the same recipe and number of steps, trained on every case. model.json, card, history and README then say
whose figures they quote; the release stops when LAST finds less of simulated whole tumours than WEIGHTS.
"""

from __future__ import annotations

import argparse
import datetime
import sys
from pathlib import Path

import torch
from release import CHECKOUT
from release.steps import Release

from GliomaSegLib.errors import GliomaSegError


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    add = parser.add_argument
    add("weights", type=Path, metavar="WEIGHTS", help="best.pt, checkpoint.pt or a model folder")
    add(
        "--last-run",
        type=Path,
        metavar="LAST",
        help="best.pt or checkpoint.pt to ship: WEIGHTS' recipe, all cases",
    )
    add("--facts", type=Path, default=CHECKOUT / "Utilities" / "release" / "gliomaseg-small.yaml")
    add("--data", type=Path, required=True, help="folder with the real scans")
    add("--output", type=Path, help="model folder (default: the bundled one of that name)")
    add("--picture", type=Path, help="where failures.png goes (default: the model folder)")
    add("--gap", type=Path, help="page of the appearance gap (default: measured, about a minute)")
    add("--readme", type=Path, help="README.md whose table of numbers is to be renewed")
    add("--work", type=Path, default=Path("out/release"), help="for what is made on the way")
    add("--cache", type=Path, help="phantoms, used again by the next release (default: in --work)")
    add("--tune", action="store_true", help="search offsets and smallest islands, too (some minutes)")
    add("--phantoms", type=int, default=24)
    add("--in-real-brain", type=int, default=12)
    add("--expert-shape", type=int, default=8)
    add("--without-sequence", type=int, default=4, help="phantoms scored without each sequence")
    add("--processes", type=int, default=1)
    add("--threads", type=int, default=1, help="of this process")
    add("--date", default=datetime.date.today().isoformat())
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run a release; 0, or the exit code of the error whose sentence was printed."""
    given = _parser().parse_args(arguments)
    torch.set_num_threads(given.threads)
    try:
        Release(given).run()
    except GliomaSegError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
