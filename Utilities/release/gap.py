"""The card's section on how far simulated structures look from real ones."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from GliomaSegLib.training.synthesis import appearance_gap, find_sources, gap_table

CASES, SEED = 24, 4242


def gap_section(page: Path | None, data: Path, held_out: Collection[str]) -> str:
    """``page`` as it stands (without its title), or measured anew when there is none."""
    if page is not None and page.is_file():
        text = page.read_text(encoding="utf-8")
        return text.partition("\n")[2] if text.startswith("# ") else text
    return measured_gap(data, held_out)


def measured_gap(data: Path, held_out: Collection[str], count: int = CASES, seed: int = SEED) -> str:
    """The table of `appearance_gap`, with what its figures mean."""
    rows = appearance_gap(find_sources(data, held_out), count, seed)
    return (
        f"{count} simulated cases (seed {seed}) against the real scans that training may use, at 2 mm. "
        "Values are the median of the structure less median of white matter, over the brain's inter-quartile "
        "range. A real cavity was not at hand, so its rows have no real values.\n\n" + gap_table(rows)
    )
