"""Tiny cases, recipes and trainers. Training needs MONAI and PyYAML (the extra ``train``)."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from samples import CHECKOUT

from GliomaSegLib.model.network import NetworkSpec, build_network
from GliomaSegLib.training.cases import SUFFIXES, TrainingCase
from GliomaSegLib.training.config import AugmentationSpec, OptimiserSpec, Recipe

STILL = AugmentationSpec(*[0.0] * 10)
RELEASED_SPACING = (4.0, 4.0, 4.0)
TINY = NetworkSpec(width=4, depth=2, dropout=0.0)
MakeCase = Callable[..., TrainingCase]
WriteCase = Callable[..., Path]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Bit-exact results are promised at a fixed number of threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def make_case() -> MakeCase:
    """``make_case(seed, size=16, labels=(2, 4))``: a brain-like ball with a bright cube for each label."""

    def make(
        seed: int = 0, size: int = 16, labels: tuple[int, ...] = (2, 4), kind: str = "real"
    ) -> TrainingCase:
        rng = np.random.default_rng(seed)
        z, y, x = np.indices((size, size, size)) - (size - 1) / 2
        brain = z**2 + y**2 + x**2 < (0.48 * size) ** 2
        image = 0.1 * rng.normal(size=(4, size, size, size))
        label_map = np.zeros((size,) * 3, np.uint8)
        for place, label in enumerate(labels):
            start = size // 4 + place * (size // 4) + int(rng.integers(2))
            cube = (slice(start, start + size // 5), slice(size // 3, 2 * size // 3), slice(4, size - 4))
            label_map[cube] = label
            image[label - 1][cube] += 4
        label_map *= brain
        return TrainingCase(f"case-{seed}", kind, (image * brain).astype(np.float16), label_map)

    return make


@pytest.fixture
def tiny_recipe() -> Recipe:
    """Eight steps of a width-4 network without augmentation."""
    return Recipe(
        name="tiny",
        seed=3,
        steps=8,
        validate_every=4,
        ema=0.9,
        freeze_norm_from=1.0,
        norm_cases=2,
        network=TINY,
        optimiser=OptimiserSpec(learning_rate=5e-3),
        augmentation=STILL,
    )


@pytest.fixture
def write_case() -> WriteCase:
    """``write_case(folder, name, numbering, labels)``: a case in BraTS naming, 34 x 36 x 32 of 3 mm."""

    def write(
        top: Path,
        name: str,
        numbering: str = "brats2024",
        labels: tuple[int, ...] = (1, 2, 3, 4),
        **changes: Any,
    ) -> Path:
        folder = top / name
        folder.mkdir(parents=True)
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        z, y, x = np.indices((32, 36, 34)) - np.array([15.5, 17.5, 16.5])[:, None, None, None]
        brain = (z / 13) ** 2 + (y / 15) ** 2 + (x / 14) ** 2 < 1
        label_map = np.zeros(brain.shape, changes.get("dtype", np.uint8))
        for place, label in enumerate(labels):
            label_map[12:18, 9 + 5 * place : 13 + 5 * place, 12:22] = label
        arrays = {
            role: ((100 + 8 * rng.normal(size=brain.shape) + 40 * (label_map == place)) * brain).astype(
                np.float32
            )
            for place, role in enumerate(("t1", "t1c", "t2", "flair"), 1)
        }
        for key, array in {**arrays, "labels": label_map}.items():
            image = sitk.GetImageFromArray(array)
            image.SetSpacing((3.0, 3.0, 3.0))
            if key == "labels":
                image.SetOrigin(changes.get("label_origin", (0.0, 0.0, 0.0)))
            sitk.WriteImage(image, str(folder / f"{name}{SUFFIXES[numbering][key]}.nii.gz"))
        return folder

    return write


@pytest.fixture
def brats2021_folder() -> Path:
    """The folder of real BraTS 2021 cases; the test is skipped where it is absent."""
    data = Path(os.environ.get("GLIOMASEG_DATA", Path(__file__).parents[4] / "shared" / "data"))
    if not (data / "brats2021").is_dir():
        pytest.skip("the real scans are not here (set GLIOMASEG_DATA to the folder that holds brats2021)")
    return data / "brats2021"


@pytest.fixture
def release(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """The modules of the release tool."""
    pytest.importorskip("matplotlib", reason="failures are drawn with matplotlib (the extra train)")
    monkeypatch.syspath_prepend(str(CHECKOUT / "Utilities"))
    import release_model
    from release import card, facts, failures, last_run, measuring, records, steps, tuning

    yield SimpleNamespace(
        main=release_model.main, card=card, facts=facts, failures=failures, measuring=measuring,
        records=records, steps=steps, tuning=tuning, last_run=last_run,
    )  # fmt: skip


@pytest.fixture
def facts_file(tmp_path: Path) -> Path:
    """Facts of a model trained on one case, with another held out."""
    yaml = pytest.importorskip("yaml")
    shipped = CHECKOUT / "Utilities" / "release" / "gliomaseg-small.yaml"
    values = yaml.safe_load(shipped.read_text(encoding="utf-8"))
    values.pop("last_run", None)
    values |= {
        "mirror": True,
        "name": "tiny", "version": "9.8.7", "trained_on": ["BraTS-GLI-00001-100"],
        "held_out": ["BraTS-GLI-00002-100"], "smallest_ml": {}, "limits": ["It is wrong about everything."],
    }  # fmt: skip
    path = tmp_path / "facts.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


@pytest.fixture
def checkpoint(tmp_path: Path, tiny_recipe: Recipe) -> Path:
    """Random weights, with the recipe beside them, as training leaves them."""
    recipe = replace(tiny_recipe, input=replace(tiny_recipe.input, spacing_mm=RELEASED_SPACING))
    network = build_network(recipe.network, seed=3)
    path = tmp_path / "checkpoint.pt"
    torch.save({"recipe": json.dumps(recipe.to_dict()), "network": network.state_dict()}, path)
    return path


@pytest.fixture
def release_data(
    tmp_path: Path, write_case: WriteCase, release: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A seen and a held-out case; phantoms are small cases of the same kind."""
    import bench_model

    def write_phantom(folder: Path, seed: int, number: int, anatomy: str, spacing_mm: float) -> None:
        write_case(folder, f"BraTS-GLI-{80000 + number}-100", labels=(1, 2, 3, 4) if number else (2, 3))

    monkeypatch.setattr(bench_model, "write_phantom", write_phantom)
    monkeypatch.setattr("GliomaSegLib.training.export.measured_bytes_per_voxel", lambda spec: 800.0)
    monkeypatch.setattr(release.steps, "TUNING_PHANTOMS", 2)
    write_case(tmp_path / "data", "BraTS-GLI-00001-100", labels=(1, 2, 3))
    write_case(tmp_path / "data", "BraTS-GLI-00002-100", labels=(1, 2, 3))
    return tmp_path / "data"


@pytest.fixture
def release_arguments(tmp_path: Path, checkpoint: Path, facts_file: Path, release_data: Path) -> list[str]:
    """Everything but --output. The page of the appearance gap is given, so that none is measured."""
    gap = tmp_path / "gap.md"
    gap.write_text("# Appearance gap\n\nA gap of 42.\n")
    return [
        str(checkpoint), "--facts", str(facts_file), "--data", str(release_data),
        "--work", str(tmp_path / "work"), "--gap", str(gap), "--phantoms", "2",
        "--without-sequence", "1", "--date", "2026-01-02",
    ]  # fmt: skip
