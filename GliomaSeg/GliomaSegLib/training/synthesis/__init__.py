"""Synthetic cases: simulated and transplanted lesions in real brains, and whole brains from label maps."""

from .appearance import GapRow, appearance_gap, gap_table, volume_table
from .cases import SyntheticCase, synthesise_case
from .discrimination import LesionCubes, lesion_cubes, told_apart
from .sources import Sources, find_sources
from .writing import write_cases

__all__ = [
    "GapRow",
    "LesionCubes",
    "Sources",
    "SyntheticCase",
    "appearance_gap",
    "find_sources",
    "gap_table",
    "lesion_cubes",
    "synthesise_case",
    "told_apart",
    "volume_table",
    "write_cases",
]
