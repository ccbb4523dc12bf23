"""Sliding windows, for any engine: which boxes, how they are weighed, how they are joined. No torch here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Box = tuple[slice, slice, slice]
Forward = Callable[[Any], Any]
"""Channels (channel, z, y, x) of one window to probabilities (class, z, y, x), arrays of one library."""

Window = int | tuple[int, int, int]
"""A window's edge in voxels, or its edges (z, y, x)."""

SMALLEST_WINDOW = 32
_OVERLAP = 0.5
_SHARE_OF_FREE_MEMORY = 0.7


@dataclass(frozen=True)
class Budget:
    """What a pass may take: ``bytes_free`` of memory, at ``bytes_per_voxel`` of the padded input."""

    bytes_free: float
    bytes_per_voxel: float

    def window_for(self, shape: tuple[int, ...], multiple: int) -> int | None:
        """The edge of windows, a multiple of ``multiple``; None when ``shape`` fits whole."""
        bytes_usable = _SHARE_OF_FREE_MEMORY * self.bytes_free
        voxels = float(np.prod([-(-s // multiple) * multiple for s in shape]))
        if voxels * self.bytes_per_voxel <= bytes_usable:
            return None
        edge = int((bytes_usable / self.bytes_per_voxel) ** (1 / 3)) // multiple * multiple
        return max(edge, rounded_up(SMALLEST_WINDOW, multiple))


def rounded_up(length: int, multiple: int) -> int:
    """The smallest multiple that is at least ``length``.

    >>> rounded_up(33, 16)
    48
    """
    return -(-length // multiple) * multiple


def window_notes(norm: str, window: int | None) -> tuple[str, ...]:
    """A sentence where windows may change the labels: instance norm takes its scale from what it sees."""
    if window is None or norm != "instance":
        return ()
    return (
        f"The image went through this model in windows of {window} voxels, for which it was not trained: "
        "the labels may differ from those of one pass.",
    )


def smaller_window(window: int | None, shape: tuple[int, ...]) -> int | None:
    """Half the window (of the longest axis, for one pass), a multiple of 16; None below the smallest.

    >>> smaller_window(None, (90, 140, 70)), smaller_window(64, (90, 140, 70)), smaller_window(32, (9, 9, 9))
    (64, 32, None)
    """
    half = (window if window is not None else max(shape)) // 2 // 16 * 16
    return half if half >= SMALLEST_WINDOW else None


def _edges(window: Window) -> tuple[int, int, int]:
    return (window, window, window) if isinstance(window, int) else window


def window_weights(window: Window) -> npt.NDArray[np.float32]:
    """Gaussian weights of one window (z, y, x): sigma an eighth of the edge, 1 in the middle, at least 1e-3.

    As nnU-Net weighs its tiles (Isensee et al. 2021).
    """
    lines = []
    for edge in _edges(window):
        axis = np.arange(edge) - (edge - 1) / 2
        lines.append(np.exp(-0.5 * (axis / (edge / 8)) ** 2).astype(np.float32))
    product = lines[0][:, None, None] * lines[1][None, :, None] * lines[2][None, None, :]
    return np.asarray(np.maximum(product, np.float32(1e-3)))


def _starts(length: int, window: int, multiple: int) -> list[int]:
    """First voxels of windows along one axis: evenly spread multiples, overlapping by at least half."""
    if length <= window:
        return [0]
    step = max(int(window * (1 - _OVERLAP)) // multiple, 1) * multiple
    count = -(-(length - window) // step) + 1
    return [i * (length - window) // (count - 1) // multiple * multiple for i in range(count)]


def windows(shape: tuple[int, ...], window: Window, multiple: int = 1) -> Iterator[Box]:
    """The boxes (slices z, y, x) that cover an array of ``shape`` (each axis at least ``window``).

    Where ``shape`` and ``window`` are multiples of ``multiple``, so are the boxes' corners: the network then
    pools the same voxels together as in one pass.
    """
    depth, height, width = _edges(window)
    for z in _starts(shape[0], depth, multiple):
        for y in _starts(shape[1], height, multiple):
            for x in _starts(shape[2], width, multiple):
                yield slice(z, z + depth), slice(y, y + height), slice(x, x + width)


def window_grid(
    shape: tuple[int, ...], brain: npt.NDArray[np.bool_], window: Window, multiple: int
) -> tuple[tuple[int, int, int], list[Box]]:
    """The voxels to add at the far ends (z, y, x), and the boxes that hold any of ``brain`` (z, y, x)."""
    added = tuple(max(edge - s, -s % multiple) for s, edge in zip(shape, _edges(window), strict=True))
    inside = np.pad(brain, [(0, a) for a in added])
    boxes = [box for box in windows(inside.shape, window, multiple) if inside[box].any()]
    return (added[0], added[1], added[2]), boxes


def slide(
    forward: Forward,
    image: Any,
    boxes: list[Box],
    weights: Any,
    total: Any,
    seen: Any,
    tick: Callable[[float], None],
) -> Any:
    """Weighted mean of overlapping windows; where no window was, background (class 0).

    ``image`` (channel, z, y, x) is padded as ``window_grid`` says; ``weights`` are those of one window;
    ``total`` (class, z, y, x) and ``seen`` (z, y, x) are zeros to add up in. Arrays of numpy or torch alike,
    wherever they lie. Returns ``total``.
    """
    for number, box in enumerate(boxes, 1):
        total[(slice(None), *box)] += forward(image[(slice(None), *box)]) * weights
        seen[box] += weights
        tick(number / len(boxes))
    unseen = seen == 0
    total /= seen + unseen
    total[0][unseen] = 1.0
    return total
