"""Bytes of DICOM files changed at random: each exam is read or refused with a sentence, never a traceback."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pydicom", reason="pydicom is not installed")

from dicom_builders import ARRAY, GRID, good
from dicom_files import write_enhanced

from GliomaSegLib.errors import GliomaSegError
from GliomaSegLib.intake.exam import read_any, roles_table

HEADER_BYTES = 1500
"""Roughly the part of these files that is no pixels."""


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """One to eight bytes changed, or a stretch cut out, or doubled, in the header."""
    changed = bytearray(data)
    start = int(rng.integers(128, min(len(data), HEADER_BYTES) - 40))
    length = int(rng.integers(1, 40))
    kind = rng.integers(3)
    if kind == 0:
        for place in rng.integers(128, min(len(data), HEADER_BYTES), rng.integers(1, 9)):
            changed[place] = rng.integers(256)
    elif kind == 1:
        del changed[start : start + length]
    else:
        changed[start:start] = changed[start : start + length]
    return bytes(changed)


def tried(folder: Path, seed: int) -> str:
    """What became of the folder after one of its files was damaged: read, or the sentence."""
    rng = np.random.default_rng(seed)
    path = sorted(folder.iterdir())[int(rng.integers(len(list(folder.iterdir()))))]
    whole = path.read_bytes()
    path.write_bytes(damaged(whole, rng))
    try:
        roles_table(folder)
        return f"read {read_any(folder, 't1c').grid.shape}"
    except GliomaSegError as refusal:
        return str(refusal)
    finally:
        path.write_bytes(whole)


@pytest.mark.parametrize("count", [25, pytest.param(600, marks=pytest.mark.long)])
@pytest.mark.parametrize("kind", ["classic", "enhanced"])
def test_damaged_headers_are_read_or_refused(kind: str, count: int, tmp_path: Path) -> None:
    if kind == "classic":
        good(tmp_path)
    else:
        write_enhanced(tmp_path / "e.dcm", ARRAY, GRID, range(9))
    endings = [tried(tmp_path, seed) for seed in range(count)]
    assert all(ending.startswith("read ") or ending.endswith(".") for ending in endings)
    assert not any("\n" in ending or "Secret" in ending for ending in endings)
    assert len(set(endings)) > 1, "no change of any byte did anything"
