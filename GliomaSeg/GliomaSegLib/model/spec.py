"""What a network is made of, in plain numbers: readable without torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

NORMS = ("batch", "instance")
_DEEPEST, _WIDEST = 8, 8192
"""More levels, or more channels in the bottleneck, exceed any machine's memory and never were of use."""


@dataclass(frozen=True)
class NetworkSpec:
    """Everything that is needed to build a network.

    ``width`` is the number of channels after the first block, doubled at each of ``depth`` encoder levels and
    once more in the bottleneck. ``dropout`` is a probability, 0 to 1 (exclusive).
    """

    residual: bool = True
    attention: bool = True
    in_channels: int = 4
    classes: int = 5
    width: int = 16
    depth: int = 4
    norm: str = "batch"
    dropout: float = 0.1

    def __post_init__(self) -> None:
        if self.norm not in NORMS:
            raise ValueError(f"unknown norm {self.norm!r}: choose from {', '.join(NORMS)}")
        for name in ("in_channels", "classes", "width", "depth"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1")
        if self.depth > _DEEPEST or self.width * 2**self.depth > _WIDEST:
            raise ValueError(f"depth must be at most {_DEEPEST}, width times 2**depth at most {_WIDEST}")
        if not 0 <= self.dropout < 1:
            raise ValueError("dropout must be at least 0 and below 1")

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> NetworkSpec:
        """Build from plain data, as in ``model.json``.

        Raises ``ValueError`` for an unknown key, ``TypeError`` for a value of the wrong kind.
        """
        known = {f.name: f.type for f in fields(cls)}
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise ValueError(f"unknown network setting {', '.join(unknown)}")
        for name, value in values.items():
            kinds: dict[str, tuple[type, ...]]
            kinds = {"bool": (bool,), "int": (int,), "float": (int, float), "str": (str,)}
            expected = kinds[str(known[name])]
            if not isinstance(value, expected) or (isinstance(value, bool) and known[name] != "bool"):
                raise TypeError(f"network setting {name} is {value!r}, not of type {known[name]}")
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for ``model.json``."""
        return asdict(self)

    @property
    def multiple(self) -> int:
        """Voxel multiple that every axis is padded to inside the network."""
        return int(2**self.depth)

    @property
    def display_name(self) -> str:
        """Name as in the dissertation.

        >>> NetworkSpec().display_name
        'residual 3D U-Net with attention'
        >>> NetworkSpec(residual=False, attention=False).display_name
        '3D U-Net'
        """
        return (
            ("residual " if self.residual else "")
            + "3D U-Net"
            + (" with attention" if self.attention else "")
        )
