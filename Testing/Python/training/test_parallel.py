"""Training by several processes: one process behaves as ever; two, started by torchrun, train as one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from GliomaSegLib.training.parallel import (
    Team,
    current_team,
    first_goes_ahead,
    from_first,
    in_parallel,
    joined,
    quiet_unless_first,
)

ROOT = Path(__file__).parents[3]
WriteCase = Callable[..., Path]

TWO_TRAINERS = """
import sys
from dataclasses import replace
from pathlib import Path
import numpy as np, torch
from GliomaSegLib.model.network import NetworkSpec
from GliomaSegLib.training.cases import TrainingCase
from GliomaSegLib.training.config import AugmentationSpec, LossSpec, Recipe
from GliomaSegLib.training.loop import Trainer
from GliomaSegLib.training.parallel import current_team, joined
from GliomaSegLib.training.pool import Pool

def case(seed):
    rng = np.random.default_rng(seed)
    labels = np.zeros((8, 8, 8), np.uint8)
    labels[2:6, 2:5, 1:7] = 1 + seed % 4
    image = rng.normal(size=(4, 8, 8, 8)) + labels
    return TrainingCase(f"case-{seed}", "real", image.astype(np.float16), labels)

torch.set_num_threads(1)
top, norm = Path(sys.argv[1]), sys.argv[2]
with joined("cpu") as device:
    team = current_team()
    recipe = Recipe(
        seed=5, steps=4, batch_size=2 // team.size, validate_every=2, ema=0.9,
        freeze_norm_from=1.0, norm_cases=2, network=NetworkSpec(width=2, depth=1, norm=norm, dropout=0.0),
        loss=LossSpec(1.0, dice=0.0), augmentation=AugmentationSpec(*[0.0] * 10),
    )
    pool = Pool.of([case(seed) for seed in range(6)], {"real": 1.0})
    folder = top / f"rank{team.rank}of{team.size}"
    trainer = Trainer(recipe, pool, [case(9)], folder, device, lambda row: print("told by", team.rank))
    trainer.run()
    torch.save(dict(trainer.network.named_parameters()), top / f"{norm}-{team.rank}of{team.size}.pt")
    assert trainer.step == 4 and trainer.best > 0
"""

STUDY = """
import sys
from dataclasses import replace
from pathlib import Path
import torch
from GliomaSegLib.intake.preparation import InputSpec
from GliomaSegLib.model.network import NetworkSpec
from GliomaSegLib.training.config import AugmentationSpec, Recipe
from GliomaSegLib.training.study import compare

torch.set_num_threads(1)
recipe = Recipe(
    seed=5, steps=2, validate_every=2, ema=0.0, patch=(8, 8, 8), input=InputSpec(spacing_mm=(4.0, 4.0, 4.0)),
    network=NetworkSpec(width=2, depth=1), augmentation=AugmentationSpec(*[0.0] * 10), freeze_norm_from=1.0,
)
made = compare([Path(sys.argv[1])], Path(sys.argv[2]), recipe, "cpu", print)
print("results", len(made))
"""


def test_alone_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    told: list[str] = []
    network = torch.nn.Linear(1, 1)
    with joined("cpu") as device, first_goes_ahead():
        quiet_unless_first(told.append)("hello")
        assert (device, current_team()) == ("cpu", Team(0, 1))
        assert in_parallel(network) is network  # type: ignore[arg-type]
        assert from_first({"a": 1}) == {"a": 1}
    assert told == ["hello"] and current_team().writes
    assert not torch.distributed.is_initialized()


def torchrun(script: Path, *arguments: object, processes: int = 2) -> str:
    """Run ``script`` in as many processes, as ``torchrun --standalone`` does; its output."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "GliomaSeg"), "OMP_NUM_THREADS": "1"}
    run = subprocess.run(
        [*command, str(script), *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-4000:]
    return run.stdout


@pytest.mark.long
@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_two_processes_train_as_one_with_twice_the_batch(tmp_path: Path, norm: str) -> None:
    pytest.importorskip("monai", reason="training needs MONAI (the extra train)")
    script = tmp_path / "trainers.py"
    script.write_text(TWO_TRAINERS)
    output = torchrun(script, tmp_path, norm)
    first, second = (torch.load(tmp_path / f"{norm}-{rank}of2.pt") for rank in (0, 1))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert output.count("told by 0") == 2 and "told by 1" not in output
    assert sorted(p.name for p in (tmp_path / "rank0of2").iterdir()) == [
        "best.pt",
        "checkpoint.pt",
        "history.jsonl",
    ]
    assert list((tmp_path / "rank1of2").iterdir()) == []
    if norm == "instance":
        # Batch norm would see two cases at once in one process, and one in each of two.
        torchrun(script, tmp_path, norm, processes=1)
        alone = torch.load(tmp_path / f"{norm}-0of1.pt")
        assert all(torch.allclose(first[name], alone[name], atol=2e-5) for name in first)


@pytest.mark.long
def test_a_study_by_two_processes_is_written_by_the_first(tmp_path: Path, write_case: WriteCase) -> None:
    pytest.importorskip("monai", reason="training needs MONAI (the extra train)")
    pytest.importorskip("matplotlib", reason="the study draws with matplotlib (the extra train)")
    for number in range(3):
        write_case(tmp_path / "data", f"BraTS-GLI-{number:05d}-100")
    script = tmp_path / "study.py"
    script.write_text(STUDY)
    output = torchrun(script, tmp_path / "data", tmp_path / "study")
    assert "results 4" in output and "results 0" in output
    rows = [json.loads(line) for line in output.splitlines() if line.startswith('{"network"')]
    assert [row["network"] for row in rows] == [
        "unet",
        "attention-unet",
        "residual-unet",
        "residual-attention-unet",
    ]
    assert (tmp_path / "study" / "report.md").is_file()
