"""Numbers on the command line, checked where they are read."""

from __future__ import annotations

import argparse


def positive(text: str) -> int:
    """A whole number from 1."""
    value = count(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def count(text: str) -> int:
    """A whole number from 0."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError("must not be negative")
    return value


def window(text: str) -> int:
    """The edge of a sliding window: a multiple of 16 voxels from 32."""
    value = positive(text)
    if value < 32 or value % 16:
        raise argparse.ArgumentTypeError("must be a multiple of 16, at least 32")
    return value
