"""Values that cross between Python and Qt: enumerations are integers, lists come back as tuples."""

from __future__ import annotations

import enum
from typing import Any

import shiboken6


class EnumInt(int):
    """An enumeration value as PythonQt gives it: an integer; ``native`` is PySide6's own value."""

    native: Any

    def __new__(cls, native: enum.Enum) -> EnumInt:
        value = native.value
        made = super().__new__(cls, value if isinstance(value, int) else int(value))
        made.native = native
        return made

    def __or__(self, other: int) -> int:
        if isinstance(other, EnumInt) and type(other.native) is type(self.native):
            return EnumInt(self.native | other.native)
        return int(self) | int(other)


def to_native(value: Any) -> Any:
    """What PySide6 wants for a value of ours."""
    if isinstance(value, EnumInt):
        return value.native
    if isinstance(value, list | tuple):
        return [to_native(item) for item in value]
    return getattr(value, "_native", value)


def from_native(value: Any) -> Any:
    """What PythonQt would hand over for a value of PySide6."""
    from .proxy import proxy_of

    if isinstance(value, enum.Enum):
        return EnumInt(value)
    if isinstance(value, list | tuple):
        return tuple(from_native(item) for item in value)
    if isinstance(value, shiboken6.Object) and not _plain(value):
        return proxy_of(value)
    return value


def _plain(value: Any) -> bool:
    """VTK and Python objects pass untouched."""
    return not type(value).__module__.startswith(("PySide6", "standins", "Slicer.standins"))
