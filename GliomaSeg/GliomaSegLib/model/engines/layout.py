"""How a network wants its array turned: the order of its axes and where their indices grow to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

_OURS = "zyx"
_DIRECTIONS = {"x": "LR", "y": "PA", "z": "SI"}
"""For each axis the letter that our arrays grow towards, and its opposite."""


@dataclass(frozen=True)
class Layout:
    """``axes``: the order of the array's axes; ``zyx`` is ours and SimpleITK's, ``xyz`` MONAI's.

    ``orientation``: where x, y and z grow to: ``LPS`` is ours and DICOM's, ``RAS`` NIfTI's and MONAI's.
    """

    axes: str = "zyx"
    orientation: str = "LPS"

    def __post_init__(self) -> None:
        if sorted(self.axes) != sorted(_OURS):
            raise ValueError("input.axes must be the letters x, y and z in some order")
        letters = len(self.orientation) == 3 and all(
            letter in _DIRECTIONS[axis] for axis, letter in zip("xyz", self.orientation, strict=True)
        )
        if not letters:
            raise ValueError("input.orientation must be three letters as in LPS or RAS")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Layout:
        """Build from ``model.json``'s ``input``. Raises ``ValueError``."""
        return cls(str(values.get("axes", "zyx")), str(values.get("orientation", "LPS")))

    def _flipped(self) -> list[int]:
        grows = dict(zip("xyz", self.orientation, strict=True))
        return [1 + place for place, axis in enumerate(_OURS) if grows[axis] != _DIRECTIONS[axis][0]]

    def _order(self) -> list[int]:
        return [0, *(1 + _OURS.index(axis) for axis in self.axes)]

    def to_model(self, array: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """An array (channel, z, y, x) of ours as the network wants it (channel, *axes); a view."""
        return np.transpose(np.flip(array, self._flipped()), self._order())

    def from_model(self, array: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The way back; a view."""
        return np.flip(np.transpose(array, np.argsort(self._order())), self._flipped())

    def edges(self, window: tuple[int, int, int]) -> tuple[int, int, int]:
        """A window's edges in the network's order of axes as ours (z, y, x)."""
        placed = dict(zip(self.axes, window, strict=True))
        return placed["z"], placed["y"], placed["x"]
