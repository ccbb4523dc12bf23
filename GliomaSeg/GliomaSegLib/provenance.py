"""What it took to make a result: seconds and peak memory by stage, versions."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import __version__

if TYPE_CHECKING:
    from .intake.volume import Volume

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_RESETS_PEAK = "5"
_MAY_SHAPE = ("deepbet", "openvino", "onnxruntime", "nnunetv2", "pydicom", "highdicom")
"""Optional packages that take part in some runs: brain mask, other engines, DICOM."""


def peak_memory_mb() -> float | None:
    """Largest resident memory of this process since the last reset, in MB (10^6 bytes); None if unknown."""
    if _STATUS.is_file():
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return float(line.split()[1]) * 1024 / 1e6
    try:
        import resource
    except ImportError:  # Windows: the standard library does not tell.
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak if sys.platform == "darwin" else peak * 1024) / 1e6


def _reset_peak() -> None:
    """Start a new peak where the system allows; elsewhere the peak is that of the run so far."""
    if _CLEAR.exists() and os.access(_CLEAR, os.W_OK):
        _CLEAR.write_text(_RESETS_PEAK)


class StageClock:
    """Seconds and peak memory of each stage of a run, in order."""

    def __init__(self) -> None:
        self.stages: list[dict[str, Any]] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure what happens inside."""
        _reset_peak()
        started = time.perf_counter()
        yield
        peak = peak_memory_mb()
        self.stages.append(
            {
                "stage": name,
                "seconds": round(time.perf_counter() - started, 3),
                "peak_memory_mb": None if peak is None else round(peak, 1),
            }
        )

    @property
    def seconds(self) -> float:
        """Seconds over all stages."""
        return round(sum(stage["seconds"] for stage in self.stages), 3)


def versions() -> dict[str, str]:
    """Versions of the program, of Python and of the packages that shape a result, as far as installed."""
    found = {"gliomaseg": __version__, "python": platform.python_version()}
    for package in ("torch", "numpy", "scipy", "SimpleITK", "safetensors"):
        found[package] = _version(package) or "unknown"
    found |= {package: version for package in _MAY_SHAPE if (version := _version(package)) is not None}
    return found


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def fingerprint(volume: Volume) -> str:
    """SHA-256 of a volume's voxels (as float32) and grid: the same picture in another file has the same.

    Names, headers and file formats don't enter it, so that it tells nothing about a patient.
    """
    digest = hashlib.sha256(repr(volume.grid).encode())
    digest.update(np.ascontiguousarray(volume.array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def system() -> str:
    """Operating system and processor architecture; nothing that names the machine or its user."""
    return f"{platform.system()} {platform.machine()}"
