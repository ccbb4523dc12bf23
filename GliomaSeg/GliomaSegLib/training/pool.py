"""The pool of cases in memory that a run draws from, and the cache of synthetic ones on disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from ..errors import UsageError
from ..intake.preparation import InputSpec, labels_on_grid, prepare
from ..intake.volume import Study, Volume
from ..labels import CLASS_NAMES
from .cases import TrainingCase

REAL = "real"


@dataclass(frozen=True)
class Pool:
    """Training cases by kind, and the weight of each kind."""

    cases: Mapping[str, tuple[TrainingCase, ...]]
    weights: Mapping[str, float]

    @classmethod
    def of(cls, cases: Collection[TrainingCase], mix: Mapping[str, float]) -> Pool:
        """Group ``cases`` by kind; kinds of ``mix`` without cases are left out.

        Raises ``UsageError`` when nothing is left to draw from.
        """
        grouped = {kind: tuple(c for c in cases if c.kind == kind) for kind in mix}
        kept = {kind: group for kind, group in grouped.items() if group and mix[kind] > 0}
        if not kept:
            raise UsageError("There is no training case of any kind that the recipe's mix names.")
        total = sum(mix[kind] for kind in kept)
        return cls(kept, {kind: mix[kind] / total for kind in kept})

    def draw(self, seed: int, step: int, slot: int = 0) -> TrainingCase:
        """The case of one step: a function of ``seed``, ``step`` and ``slot`` (place in the batch) alone."""
        rng = np.random.default_rng([seed, step, slot])
        kinds = sorted(self.cases)
        kind = kinds[rng.choice(len(kinds), p=[self.weights[k] for k in kinds])]
        return self.cases[kind][rng.integers(len(self.cases[kind]))]


def synthetic_training_case(sources: object, spec: InputSpec, seed: int) -> TrainingCase:
    """Synthesise one case (deterministic per seed) and prepare it as inference would."""
    from .synthesis import Sources, synthesise_case

    assert isinstance(sources, Sources)
    made = synthesise_case(sources, seed, spacing_mm=min(spec.spacing_mm))
    volumes = {
        role: Volume(array, made.grid, role, f"simulated {role}") for role, array in made.volumes.items()
    }
    reference = "t1c" if "t1c" in volumes else next(iter(volumes))
    prepared = prepare(Study(volumes, reference), spec)
    labels = labels_on_grid(made.labels, made.grid, prepared.grid, len(CLASS_NAMES))
    return TrainingCase(f"synthetic-{seed}", made.kind, prepared.array.astype(np.float16), labels)


def _cached(sources: object, spec: InputSpec, folder: Path, seed: int) -> Path:
    path = folder / f"{seed:08d}.npz"
    if not path.is_file():
        case = synthetic_training_case(sources, spec, seed)
        beside = folder / f"{seed:08d}.part.npz"
        np.savez(beside, image=case.image, labels=case.labels, kind=np.array(case.kind))
        beside.replace(path)
    return path


def read_cached(path: Path) -> TrainingCase:
    """One case from the cache."""
    with np.load(path) as stored:
        return TrainingCase(
            f"synthetic-{int(path.stem)}", str(stored["kind"]), stored["image"], stored["labels"]
        )


def cache_folder(top: Path, spec: InputSpec) -> Path:
    """Where cases for this input are cached: another input is another folder."""
    digest = hashlib.sha256(json.dumps(spec.to_dict(), sort_keys=True).encode()).hexdigest()[:10]
    return top / f"synthetic-{digest}"


def fill_cache(
    data: Path,
    exclude: Collection[str],
    spec: InputSpec,
    top: Path,
    seeds: Collection[int],
    workers: int = 1,
    progress: Callable[[int], None] = lambda done: None,
) -> list[Path]:
    """Synthesise what the cache lacks, and give the paths of all ``seeds``."""
    from .synthesis import find_sources

    folder = cache_folder(top, spec)
    folder.mkdir(parents=True, exist_ok=True)
    make = partial(_cached, find_sources(data, exclude), spec, folder)
    paths = []
    if workers == 1:
        for done, seed in enumerate(seeds, 1):
            paths.append(make(seed))
            progress(done)
        return paths
    with ProcessPoolExecutor(workers) as executor:
        for done, path in enumerate(executor.map(make, seeds), 1):
            paths.append(path)
            progress(done)
    return paths
