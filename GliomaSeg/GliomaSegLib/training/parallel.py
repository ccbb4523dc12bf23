"""Several processes that train one network: torchrun's ranks, gradients averaged, the first one writes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from ..model.network import GliomaNetwork

Value = TypeVar("Value")
_PATIENCE = timedelta(hours=6)
"""How long the others wait for the first process, which validates on whole brains alone."""


@dataclass(frozen=True)
class Team:
    """The processes of a run: ``rank`` of this one, from 0, among ``size``."""

    rank: int = 0
    size: int = 1

    @property
    def writes(self) -> bool:
        """Whether this process validates, reports and writes files."""
        return self.rank == 0


def current_team() -> Team:
    """This process's team; a team of one outside :func:`joined`."""
    if distributed.is_available() and distributed.is_initialized():
        return Team(distributed.get_rank(), distributed.get_world_size())
    return Team()


@contextmanager
def joined(device: str) -> Iterator[str]:
    """Join the team that torchrun started, if it did (``WORLD_SIZE``); gives the device of this process.

    CUDA processes take one GPU each and talk through NCCL, others through gloo.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        yield device
        return
    if device.startswith("cuda"):
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo", timeout=_PATIENCE)
    try:
        yield device
    finally:
        distributed.destroy_process_group()


def in_parallel(network: GliomaNetwork) -> nn.Module:
    """The network, wrapped so that a backward pass averages the gradients over the team."""
    return DistributedDataParallel(network) if current_team().size > 1 else network


def from_first(value: Value) -> Value:
    """The first process's ``value`` (plain data), on every process."""
    if current_team().size == 1:
        return value
    box = [value]
    distributed.broadcast_object_list(box, src=0)
    return box[0]


def quiet_unless_first(report: Callable[[str], None]) -> Callable[[str], None]:
    """``report`` on the first process, nothing on the others."""
    return report if current_team().writes else lambda line: None


@contextmanager
def first_goes_ahead() -> Iterator[None]:
    """The first process runs the block alone; the others follow, and find the files that it wrote."""
    team = current_team()
    if team.size > 1 and not team.writes:
        distributed.barrier()
    yield
    if team.size > 1 and team.writes:
        distributed.barrier()
