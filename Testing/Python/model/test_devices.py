"""Choosing the device, and asking how much memory is left."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from GliomaSegLib.errors import UsageError
from GliomaSegLib.model import devices
from GliomaSegLib.model.devices import choose_device, free_memory_bytes


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretends that two GPUs are there, the second with more free memory."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(
        torch.cuda, "mem_get_info", lambda device=0: ((1 + _index(device)) * 10**9, 24 * 10**9)
    )


def _index(device: object) -> int:
    return device.index if isinstance(device, torch.device) else int(str(device))


def test_auto_takes_the_gpu_with_most_free_memory(two_gpus: None) -> None:
    assert choose_device("auto") == torch.device("cuda", 1)
    assert choose_device("cuda") == torch.device("cuda", 0)
    assert free_memory_bytes(torch.device("cuda", 1)) == 2e9
    with pytest.raises(UsageError, match="cuda:2 is not available"):
        choose_device("cuda:2")


def test_a_gpu_that_is_too_full_to_be_asked_counts_as_absent(
    two_gpus: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(device: object) -> tuple[int, int]:
        if _index(device) == 1:
            raise RuntimeError("CUDA error: out of memory")
        return 10**9, 24 * 10**9

    monkeypatch.setattr(torch.cuda, "mem_get_info", full)
    assert choose_device("auto") == torch.device("cuda", 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert choose_device("auto") == torch.device("cpu")
    assert free_memory_bytes(torch.device("cuda", 1)) == 0


def test_without_a_driver_torch_is_not_even_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(wanted: str) -> torch.device:
        raise AssertionError("torch was imported for nothing")

    monkeypatch.setattr(devices.sys, "platform", "linux")
    monkeypatch.setattr(devices, "choose_device", asked)
    monkeypatch.setattr(devices, "_DRIVERS", ("/nowhere/at/all",))
    assert not devices.accelerator_at_hand()
    monkeypatch.setattr(devices, "_DRIVERS", ("/",))
    for kind, found in (("cuda", True), ("cpu", False)):
        monkeypatch.setattr(devices, "choose_device", lambda wanted, kind=kind: torch.device(kind))
        assert devices.accelerator_at_hand() is found


@pytest.mark.parametrize(
    ("error", "memory", "device"),
    [
        (MemoryError(), True, False),
        (torch.OutOfMemoryError("CUDA out of memory"), True, False),
        (RuntimeError("std::bad_alloc"), True, False),
        (RuntimeError("CUDA error: no kernel image is available"), False, True),
        (NotImplementedError("aten::max_pool3d"), False, True),
        (RuntimeError("The size of tensor a (3) must match"), False, False),
    ],
)
def test_errors_are_told_apart(error: Exception, memory: bool, device: bool) -> None:
    assert (devices.is_out_of_memory(error), devices.is_device_failure(error)) == (memory, device)


def test_without_a_gpu_auto_is_the_cpu_and_cuda_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert choose_device("auto") == choose_device("cpu") == torch.device("cpu")
    for wanted in ("cuda", "cuda:0", "mps"):
        with pytest.raises(UsageError, match=f"{wanted} is not available"):
            choose_device(wanted)


@pytest.mark.parametrize("wanted", ["gpu", "cpu:1", "cuda:x", "cuda:-1", "", "mps:0"])
def test_words_that_name_no_device_are_refused(wanted: str) -> None:
    with pytest.raises(UsageError, match="choose auto, cpu, cuda, cuda:N or mps"):
        choose_device(wanted)


def test_the_tightest_limit_is_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    free = {"system": 8e9, "cgroup": 3e9, "address": float("inf")}
    monkeypatch.setattr(devices, "_system_free_bytes", lambda: free["system"])
    monkeypatch.setattr(devices, "_cgroup_free_bytes", lambda: free["cgroup"])
    monkeypatch.setattr(devices, "_address_space_left_bytes", lambda: free["address"])
    assert free_memory_bytes(torch.device("cpu")) == 3e9
    free["system"] = 1e9
    assert free_memory_bytes(torch.device("cpu")) == 1e9


@pytest.mark.skipif(not Path("/proc/meminfo").is_file(), reason="only Linux tells through /proc/meminfo")
def test_this_machine_tells_a_plausible_amount() -> None:
    free = free_memory_bytes(torch.device("cpu"))
    assert 1e7 < free < 1e14


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no address-space limit")
def test_an_address_space_limit_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    monkeypatch.setattr(resource, "getrlimit", lambda kind: (2**60, 2**60))
    assert 0 < devices._address_space_left_bytes() < 2**60
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (1000, 1000))
    assert devices._address_space_left_bytes() == 0
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (resource.RLIM_INFINITY,) * 2)
    assert devices._address_space_left_bytes() == float("inf")
