"""Checkpoints: everything that a run needs to go on as if it had never stopped."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import torch

from ..errors import InputRefused

CHECKPOINT = "checkpoint.pt"
BEST = "best.pt"
"""Weights of the best validation so far."""


def save_checkpoint(folder: Path, state: dict[str, Any]) -> None:
    """Write beside, then replace: a kill leaves the earlier checkpoint whole."""
    _save(folder / CHECKPOINT, state)


def save_weights(folder: Path, weights: dict[str, torch.Tensor]) -> None:
    """Keep ``weights`` as the folder's best."""
    _save(folder / BEST, weights)


def _save(path: Path, state: dict[str, Any]) -> None:
    beside = path.with_name(f"{path.name}.part")
    torch.save(state, beside)
    beside.replace(path)


def read_state(path: Path) -> dict[str, Any] | None:
    """What one file of ours holds, None without it. Only tensors and plain data are read."""
    if not path.is_file():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, ValueError, pickle.UnpicklingError) as error:
        raise InputRefused(
            f"The file {path.name} in {path.parent.name} is damaged: delete it to start again."
        ) from error
    if not isinstance(state, dict):
        raise InputRefused(f"The file {path.name} in {path.parent.name} is not one of ours: choose another.")
    return state


def load_checkpoint(folder: Path) -> dict[str, Any] | None:
    """The folder's checkpoint, or None. Raises ``InputRefused`` when it is damaged or not ours."""
    state = read_state(folder / CHECKPOINT)
    if state is not None and "recipe" not in state:
        raise InputRefused(f"The checkpoint in {folder.name} is not one of ours: choose another folder.")
    return state


def append_history(folder: Path, row: dict[str, Any]) -> None:
    """Add one validation's numbers to ``history.jsonl``."""
    with (folder / "history.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def read_history(folder: Path) -> list[dict[str, Any]]:
    """All rows of ``history.jsonl``, the oldest first; of a step that was run again, the latest."""
    path = folder / "history.jsonl"
    if not path.is_file():
        return []
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return list({row["step"]: row for row in rows}.values())
