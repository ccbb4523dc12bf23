"""Synthetic cases: simulated and transplanted lesions in real brains, and whole brains from label maps."""

from .cases import SyntheticCase, synthesise_case
from .sources import Sources, find_sources

__all__ = ["Sources", "SyntheticCase", "find_sources", "synthesise_case"]
