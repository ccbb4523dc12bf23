"""Simulated post-treatment cases by the second renderer, for validation and tests, never for training.

    python Utilities/write_phantoms.py --output DIR --count 16 --seed 7300 [--anatomy FOLDER]

Cases in BraTS 2024 naming, numbered from BraTS-GLI-80000. ``--anatomy``: a folder with a real skull-stripped
t1, t1c, t2, flair (.nii.gz) without tumour, whose own voxels stay and only the lesion is simulated.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "GliomaSeg"))

from GliomaSegLib.errors import GliomaSegError
from GliomaSegLib.evaluation.phantom import ICBM152, write_phantoms


def main() -> int:
    """Write the phantoms; 0, or the exit code of the error whose sentence was printed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")
    parser.add_argument("--count", type=int, required=True, metavar="N")
    parser.add_argument("--seed", type=int, required=True, metavar="S")
    parser.add_argument("--anatomy", default=ICBM152, metavar="FOLDER", help=f"default {ICBM152}")
    parser.add_argument("--spacing", type=float, default=1.0, metavar="MM", help="of ICBM152 (default 1 mm)")
    arguments = parser.parse_args()
    try:
        write_phantoms(
            arguments.output, arguments.count, arguments.seed, arguments.anatomy, arguments.spacing,
            lambda done, count, case: sys.stdout.write(f"{done} of {count}: {case}\n"),
        )  # fmt: skip
    except GliomaSegError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
