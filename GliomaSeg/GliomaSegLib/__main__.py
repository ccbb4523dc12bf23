"""``python -m GliomaSegLib``: the same command as ``gliomaseg``."""

import sys

from GliomaSegLib.cli import main

if __name__ == "__main__":
    sys.exit(main())
