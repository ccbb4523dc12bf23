"""Pickled weights (.pth, .pt, .bin): opened once, at import, if a person trusts them; safetensors ever after.

A pickle is a program. Torch's restricted reader is tried first; it knows tensors and plain data only.
"""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ModelRefused, TrustNeeded

if TYPE_CHECKING:
    import torch


def is_pickled(path: Path) -> bool:
    """Whether a file is a pickle, plain or in torch's zip, by its content."""
    with path.open("rb") as file:
        head = file.read(4)
    if head[:1] == b"\x80":
        return True
    if head[:2] != b"PK" or not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("data.pkl") for name in archive.namelist())


def not_trusted(name: str) -> TrustNeeded:
    """The refusal of a pickle whose source nobody has confirmed to trust."""
    return TrustNeeded(
        f"{name} holds pickled weights, which can run any program when they are opened: if you trust their "
        "source, import them again with --trust; they are then converted once and never unpickled again.",
        name,
    )


def read_checkpoint(path: Path, trust: bool) -> dict[str, Any]:
    """What a checkpoint holds. Raises ``ModelRefused`` without ``trust``, and for what is no checkpoint."""
    import torch

    if not trust:
        raise not_trusted(path.name)
    core: Any = getattr(np, "_core", None) or getattr(
        np, "core", None
    )  # numpy 1 has the one, numpy 2 the other
    allowed: list[Any] = [np.dtype, np.ndarray, core.multiarray.scalar, core.multiarray._reconstruct]
    allowed += [type(np.dtype(kind)) for kind in (np.float64, np.float32, np.int64, np.int32, np.bool_)]
    try:
        try:
            with torch.serialization.safe_globals(allowed):
                held = torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError:
            # Trusted, and made of more than plain data: old trainers kept objects of their own.
            held = torch.load(path, map_location="cpu", weights_only=False)
    except Exception as error:
        kind = type(error).__name__
        raise ModelRefused(
            f"{path.name} can't be opened as a PyTorch checkpoint ({kind}): download or copy it again."
        ) from error
    if not isinstance(held, dict):
        raise ModelRefused(f"{path.name} holds no weights by name: export the network's state_dict.")
    return held


def save_weights(weights: dict[str, torch.Tensor], target: Path) -> None:
    """Write tensors as safetensors. Tensors that share memory are stored apart."""
    import torch
    from safetensors.torch import save_file

    tensors = isinstance(weights, dict) and weights
    if not tensors or not all(isinstance(value, torch.Tensor) for value in weights.values()):
        raise ModelRefused(f"The weights for {target.name} are not tensors by name: export a state_dict.")
    save_file({name: value.detach().clone().contiguous() for name, value in weights.items()}, target)
