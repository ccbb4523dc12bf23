"""How far simulated structures look from real ones, as a page: ``Docs/model/appearance_gap.md``.

    python Utilities/appearance_gap.py --data ../shared/data --output Docs/model/appearance_gap.md

To be renewed when the synthesis changes. The held-out cases of the facts file are left out.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from release import CHECKOUT
from release.facts import read_facts
from release.gap import CASES, SEED, measured_gap

from GliomaSegLib.errors import GliomaSegError


def main() -> int:
    """Measure and write the page; 0, or the exit code of the error whose sentence was printed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument(
        "--facts", type=Path, default=CHECKOUT / "Utilities" / "release" / "gliomaseg-small.yaml"
    )
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--count", type=int, default=CASES)
    parser.add_argument("--seed", type=int, default=SEED)
    given = parser.parse_args()
    try:
        text = measured_gap(given.data, read_facts(given.facts).held_out, given.count, given.seed)
    except GliomaSegError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(f"# How far simulated structures look from real ones\n\n{text}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
