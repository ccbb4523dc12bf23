"""The training loop. Every random choice is a function of (seed, step), so a resumed run is the run."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ..errors import InputRefused
from ..model.network import GliomaNetwork, build_network
from .augmentation import build_augmentation
from .averaging import AveragedNetwork, batch_norms, recompute_norm
from .cases import TrainingCase
from .checkpoint import append_history, load_checkpoint, save_checkpoint, save_weights
from .config import Recipe
from .losses import SummedLoss
from .parallel import current_team, from_first, in_parallel
from .pool import Pool
from .validation import validate

Report = Callable[[dict[str, Any]], None]


@dataclass
class Trainer:
    """One run of a recipe over a pool of cases; ``folder`` takes checkpoints and ``history.jsonl``.

    In a team of processes (``parallel.py``) each draws its own batches of ``batch_size``.
    """

    recipe: Recipe
    pool: Pool
    validation: Sequence[TrainingCase]
    folder: Path
    device: str = "cpu"
    report: Report = lambda row: None
    step: int = 0
    best: float = -math.inf
    without_gain: int = 0
    losses: list[float] = field(default_factory=list)
    network: GliomaNetwork = field(init=False)

    def __post_init__(self) -> None:
        spec = self.recipe.network
        self.folder.mkdir(parents=True, exist_ok=True)
        self.network = build_network(spec, self.recipe.seed).to(self.device)
        if self.device == "cpu":
            # About a third faster on CPUs with AVX-512, measured on whole brains at 2 mm.
            # torch's own types leave channels_last_3d out in some versions and not in others.
            plain: Any = self.network
            self.network = plain.to(memory_format=torch.channels_last_3d)
        self.team = current_team()
        self.parallel = in_parallel(self.network)
        self.averaged = AveragedNetwork(self.network, self.recipe.ema) if self.recipe.ema else None
        self.loss = SummedLoss(self.recipe.loss, spec.classes).to(self.device)
        self.augment = build_augmentation(self.recipe.augmentation, self.recipe.patch, spec.classes)
        self.optimiser = _optimiser(self.recipe, self.network)
        self.schedule = _schedule(self.recipe, self.optimiser)
        self.half = _half_precision(self.recipe.precision, self.device)
        self.scaler = torch.amp.GradScaler("cuda", enabled=self.half is torch.float16)

    def start_from(self, weights: dict[str, torch.Tensor]) -> None:
        """Begin with these weights; a checkpoint in the folder goes before them."""
        self.network.load_state_dict(weights)
        if self.averaged is not None:
            self.averaged.network.load_state_dict(weights)

    def run(self, stop_after: int | None = None) -> None:
        """Train to the recipe's last step, or ``stop_after`` further steps, validating on the way."""
        self._resume()
        since = self.step
        last = self.recipe.steps if stop_after is None else min(self.recipe.steps, self.step + stop_after)
        started = time.monotonic()
        while self.step < last and not self._tired():
            if self._freezes_now():
                recompute_norm(self.network, self._norm_images())
            self.losses.append(self._train_step())
            self.step += 1
            if self.step % self.recipe.validate_every == 0 or self.step == self.recipe.steps:
                seconds = (time.monotonic() - started) / (self.step - since)
                self._validate(seconds)
                started, since = time.monotonic(), self.step
            elif self.step == last:
                self._save()

    def _tired(self) -> bool:
        return bool(self.recipe.early_stopping) and self.without_gain >= self.recipe.early_stopping

    def _freeze_step(self) -> int:
        return int(self.recipe.freeze_norm_from * self.recipe.steps)

    def _freezes_now(self) -> bool:
        return self.step == self._freeze_step() and bool(batch_norms(self.network))

    def _norm_images(self) -> Sequence[torch.Tensor]:
        """Augmented training images, the same at every call of one step."""
        images = []
        for slot in range(self.recipe.norm_cases):
            case = self.pool.draw(self.recipe.seed + 1, self.step, slot)
            images.append(
                self.augment(case, _draw_seed(self.recipe.seed + 1, self.step, slot))[0][None].to(self.device)
            )
        return images

    def _batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        made = []
        first = self.team.rank * self.recipe.batch_size
        for slot in range(first, first + self.recipe.batch_size):
            case = self.pool.draw(self.recipe.seed, self.step, slot)
            made.append(self.augment(case, _draw_seed(self.recipe.seed, self.step, slot)))
        size = [max(image.shape[axis] for image, _ in made) for axis in (1, 2, 3)]
        images = torch.stack([_padded(image, size) for image, _ in made])
        targets = torch.stack([_padded(target, size) for _, target in made])
        return images.to(self.device), targets.to(self.device)

    def _train_step(self) -> float:
        torch.manual_seed(_draw_seed(self.recipe.seed, self.step, self.team.rank - 1))
        self.network.train()
        if self.step >= self._freeze_step():
            for norm in batch_norms(self.network):
                norm.eval()
        images, targets = self._batch()
        if self.device == "cpu":
            images = images.to(memory_format=torch.channels_last_3d)
        with torch.autocast(self.device.split(":")[0], self.half, enabled=self.half is not None):
            logits = self.parallel(images)
        loss = self.loss(logits.float(), targets)
        self.optimiser.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimiser)
        if self.recipe.optimiser.clip:
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.optimiser.clip)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        if isinstance(self.schedule, torch.optim.lr_scheduler.LambdaLR):
            self.schedule.step()
        if self.averaged is not None:
            self.averaged.update(self.network)
        return float(loss.detach())

    def evaluated(self) -> GliomaNetwork:
        """The network as it would be shipped now: averaged weights with statistics that fit them."""
        network = self.network if self.averaged is None else self.averaged.network
        if self.averaged is not None and self.step < self._freeze_step() and batch_norms(network):
            recompute_norm(network, self._norm_images())
        return network.eval()

    def _validate(self, seconds_per_step: float) -> None:
        """Score, keep the best weights, checkpoint; the first process does so for its whole team."""
        shipped = self.evaluated() if self.team.writes else self.network
        row = from_first(self._row(shipped, seconds_per_step) if self.team.writes else {})
        self.losses.clear()
        if self.validation and isinstance(self.schedule, torch.optim.lr_scheduler.ReduceLROnPlateau):
            self.schedule.step(row["loss"])
        score = row.get("score", -row["training_loss"])
        improved = score > self.best
        self.without_gain = 0 if improved else self.without_gain + 1
        self.best = max(self.best, score)
        if not self.team.writes:
            return
        if improved:
            save_weights(self.folder, shipped.state_dict())
        append_history(self.folder, row)
        self._save()
        self.report(row)

    def _row(self, shipped: GliomaNetwork, seconds_per_step: float) -> dict[str, Any]:
        row: dict[str, Any] = {
            "step": self.step,
            "training_loss": sum(self.losses) / len(self.losses),
            "seconds_per_step": round(seconds_per_step, 3),
            "learning_rate": self.optimiser.param_groups[0]["lr"],
        }
        if self.validation:
            scores = validate(shipped, self.validation, self.loss)
            row.update({name: round(value, 4) for name, value in scores.items()})
        return row

    def _save(self) -> None:
        if not self.team.writes:
            return
        state = {
            "recipe": json.dumps(self.recipe.to_dict(), sort_keys=True),
            "step": self.step,
            "best": self.best,
            "without_gain": self.without_gain,
            "losses": self.losses,
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": self.scaler.state_dict(),
        }
        if self.averaged is not None:
            state["averaged"] = self.averaged.network.state_dict()
            state["updates"] = self.averaged.updates
        save_checkpoint(self.folder, state)

    def _resume(self) -> None:
        state = load_checkpoint(self.folder)
        if state is None:
            return
        if state["recipe"] != json.dumps(self.recipe.to_dict(), sort_keys=True):
            raise InputRefused(
                f"The folder {self.folder.name} holds a run of another recipe: choose another --output."
            )
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        self.scaler.load_state_dict(state["scaler"])
        self.step, self.best, self.without_gain = state["step"], state["best"], state["without_gain"]
        self.losses = list(state.get("losses", []))
        if self.averaged is not None:
            self.averaged.network.load_state_dict(state["averaged"])
            self.averaged.updates = state["updates"]


def _half_precision(precision: str, device: str) -> torch.dtype | None:
    """What convolutions compute in: float16 on CUDA, bfloat16 on CPUs that multiply it, None for float32.

    bfloat16 took 1.5 s instead of 2.5 s a step (whole brains at 2 mm, one AVX-512 BF16 core); where the CPU
    has no such instructions it would be emulated, slower than float32.
    """
    if precision == "float32":
        return None
    if device.startswith("cuda"):
        return torch.float16
    return torch.bfloat16 if torch.cpu._is_avx512_bf16_supported() else None


def _draw_seed(seed: int, step: int, slot: int) -> int:
    return (seed * 1_000_003 + step) * 64 + slot + 1


def _padded(tensor: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    missing = [s - t for s, t in zip(size, tensor.shape[-3:], strict=True)]
    return torch.nn.functional.pad(tensor, [0, missing[2], 0, missing[1], 0, missing[0]])


def _optimiser(recipe: Recipe, network: GliomaNetwork) -> torch.optim.Optimizer:
    kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    spec = recipe.optimiser
    return kinds[spec.name](network.parameters(), lr=spec.learning_rate, weight_decay=spec.weight_decay)


def _schedule(
    recipe: Recipe, optimiser: torch.optim.Optimizer
) -> torch.optim.lr_scheduler.LambdaLR | torch.optim.lr_scheduler.ReduceLROnPlateau:
    spec = recipe.schedule
    if spec.name == "plateau":
        return torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimiser, factor=spec.factor, patience=spec.patience
        )

    def share(step: int) -> float:
        if step < spec.warm_up:
            return (step + 1) / spec.warm_up
        done = (step - spec.warm_up) / max(recipe.steps - spec.warm_up, 1)
        return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))

    return torch.optim.lr_scheduler.LambdaLR(optimiser, share)
