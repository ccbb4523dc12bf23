"""From a training checkpoint to a bundled model: tuned, measured, described. See ``release_model.py``.

Works from a checkout alone: the package and the benchmarks are found beside this folder.
"""

import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]

for _folder in (CHECKOUT / "Testing" / "Benchmarks", CHECKOUT / "GliomaSeg"):
    if str(_folder) not in sys.path:
        sys.path.insert(0, str(_folder))
