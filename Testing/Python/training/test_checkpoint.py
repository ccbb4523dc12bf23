"""Checkpoints, histories, and the scores by which a run chooses its weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from GliomaSegLib.errors import InputRefused
from GliomaSegLib.training.cases import TrainingCase
from GliomaSegLib.training.checkpoint import CHECKPOINT, append_history, load_checkpoint, read_history
from GliomaSegLib.training.config import LossSpec
from GliomaSegLib.training.losses import SummedLoss
from GliomaSegLib.training.validation import validate, voxel_dice

MakeCase = Callable[..., TrainingCase]


def test_a_checkpoint_executes_nothing(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "sprung",)

    torch.save({"recipe": Trap()}, tmp_path / CHECKPOINT)
    with pytest.raises(InputRefused, match="damaged"):
        load_checkpoint(tmp_path)
    torch.save({"weights": 1}, tmp_path / CHECKPOINT)
    with pytest.raises(InputRefused, match="not one of ours"):
        load_checkpoint(tmp_path)
    assert not (tmp_path / "sprung").exists()


def test_history_keeps_the_latest_row_of_a_step(tmp_path: Path) -> None:
    assert read_history(tmp_path) == []
    for row in ({"step": 1, "loss": 2}, {"step": 2, "loss": 3}, {"step": 2, "loss": 1}):
        append_history(tmp_path, row)
    assert read_history(tmp_path) == [{"step": 1, "loss": 2}, {"step": 2, "loss": 1}]


def test_validation_scores_found_and_invented_tissue(make_case: MakeCase) -> None:
    case = make_case(labels=(2, 4))

    class Oracle(torch.nn.Module):
        """Answers with given labels."""

        def __init__(self, labels: Any) -> None:
            super().__init__()
            self.anchor = torch.nn.Parameter(torch.zeros(1))
            self.answer = (
                torch.nn.functional.one_hot(torch.from_numpy(labels).long(), 5).movedim(-1, 0) * 20.0
            )

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.answer[None] + self.anchor

    loss = SummedLoss(LossSpec(), 5)
    perfect = validate(Oracle(case.labels), [case], loss)
    assert perfect["score"] == 1 and perfect["dice_RC"] == perfect["dice_SNFH"] == perfect["dice_WT"] == 1
    assert "dice_ET" not in perfect and perfect["loss"] < 0.01
    wrong = case.labels.copy()
    wrong[wrong == 4] = 3
    made = validate(Oracle(wrong), [case], loss)
    assert made["dice_RC"] == 0 and made["dice_SNFH"] == 1 and "dice_ET" not in made
    assert made["score"] < 0.7 and made["loss"] > 1
    assert voxel_dice(case.labels, wrong, "SNFH") == 1 and voxel_dice(case.labels, wrong, "ET") == 0
