"""Which device runs the network, and how much memory it has left. Torch is imported only when it is asked."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UsageError

if TYPE_CHECKING:
    import torch

NO_MEMORY_AT_ALL = (
    "Memory ran out even with the smallest windows: close other programs, or take a larger machine."
)
_DRIVERS = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg", "/dev/kfd")
"""What there is where NVIDIA's, WSL's or AMD's driver runs."""
_DEVICE_WORDS = ("cuda error", "cudnn", "cublas", "hip error", "miopen", "mps")
_MEMORY_WORDS = ("out of memory", "allocate", "bad_alloc", "not enough memory", "failed to map segment")


def accelerator_at_hand() -> bool:
    """Whether ``auto`` may find anything but the processor. Says no, without torch, where no driver is."""
    if sys.platform == "darwin":
        possible = platform.machine() == "arm64"
    elif sys.platform == "win32":
        system = Path(os.environ.get("SYSTEMROOT", r"C:\Windows")) / "System32"
        possible = (system / "nvcuda.dll").exists()
    else:
        possible = any(Path(name).exists() for name in _DRIVERS)
    return possible and choose_device("auto").type != "cpu"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of torch, OpenVINO or Python says that memory ran out."""
    named = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    text = str(error).lower()
    return named or any(words in text for words in _MEMORY_WORDS)


def is_device_failure(error: BaseException) -> bool:
    """Whether an error says that a GPU can't run the network: no kernel for it, or its driver failed."""
    text = str(error).lower()
    return isinstance(error, NotImplementedError) or any(words in text for words in _DEVICE_WORDS)


def choose_device(wanted: str) -> torch.device:
    """The device for ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.

    ``auto`` takes the CUDA device with the most free memory, else MPS, else the CPU. A CUDA device that is so
    full that it can't even be asked counts as absent.
    Raises ``UsageError`` for a device that is not there.
    """
    import torch

    if wanted == "auto":
        if torch.cuda.is_available():
            free = [_free_on_cuda(torch.device("cuda", i)) for i in range(torch.cuda.device_count())]
            if max(free, default=0.0) > 0:
                return torch.device("cuda", free.index(max(free)))
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    kind, _, index = wanted.partition(":")
    if kind not in {"cpu", "cuda", "mps"} or (index and (kind != "cuda" or not index.isdigit())):
        raise UsageError(f"There is no device {wanted!r}: choose auto, cpu, cuda, cuda:N or mps.")
    if kind == "cuda" and not (torch.cuda.is_available() and int(index or 0) < torch.cuda.device_count()):
        raise UsageError(f"The device {wanted} is not available on this machine: choose auto or cpu.")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise UsageError("The device mps is not available on this machine: choose auto or cpu.")
    return torch.device(kind, int(index or 0)) if kind == "cuda" else torch.device(kind)


def free_memory_bytes(device: torch.device) -> float:
    """Memory that a run may still take on ``device``; infinite where the system does not tell."""
    return _free_on_cuda(device) if device.type == "cuda" else free_host_memory_bytes()


def _free_on_cuda(device: torch.device) -> float:
    """Free bytes of a CUDA device; 0 where asking fails, as it does when no memory is left for a context."""
    import torch

    try:
        return float(torch.cuda.mem_get_info(device)[0])
    except RuntimeError:
        return 0.0


def free_host_memory_bytes() -> float:
    """The least of what the system, a control group and ``ulimit -v`` leave; infinite where none tells."""
    return min(_system_free_bytes(), _cgroup_free_bytes(), _address_space_left_bytes())


def _system_free_bytes() -> float:
    if sys.platform == "win32":
        return _windows_free_bytes()
    meminfo = Path("/proc/meminfo")
    if meminfo.is_file():
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return float(line.split()[1]) * 1024
    names = os.sysconf_names
    if "SC_PHYS_PAGES" in names and "SC_PAGE_SIZE" in names:
        # macOS does not tell what is available: half of what is built in is a cautious guess.
        return 0.5 * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return float("inf")


def _windows_free_bytes() -> float:
    class Status(ctypes.Structure):
        _fields_ = (
            ("length", ctypes.c_ulong),
            ("load", ctypes.c_ulong),
            *(
                (name, ctypes.c_ulonglong)
                for name in ("total", "free", "page", "page_free", "virtual", "virtual_free")
            ),
            ("extended", ctypes.c_ulonglong),
        )

    status = Status(length=ctypes.sizeof(Status))
    kernel = ctypes.windll.kernel32  # type: ignore[attr-defined,unused-ignore]
    return float(status.free) if kernel.GlobalMemoryStatusEx(ctypes.byref(status)) else float("inf")


def _cgroup_free_bytes() -> float:
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if not (limit.is_file() and used.is_file()):
        return float("inf")
    text = limit.read_text().strip()
    return float("inf") if text == "max" else max(float(text) - float(used.read_text()), 0.0)


def _address_space_left_bytes() -> float:
    """What ``ulimit -v`` leaves, where it is set."""
    try:
        import resource
    except ImportError:  # Windows has no such limit.
        return float("inf")
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return float("inf")
    statm = Path("/proc/self/statm")
    used = int(statm.read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE") if statm.is_file() else 0
    return float(max(limit - used, 0))
