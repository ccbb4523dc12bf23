"""The benchmark keeps what it has measured, and its page says what was measured and what was not."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from samples import CHECKOUT

from GliomaSegLib.model.weights import DEFAULT_MODEL, ModelDescription, find_model, read_description

sys.path.insert(0, str(CHECKOUT / "Testing" / "Benchmarks"))

from bench_report import patches, written
from bench_rows import Row, Store, spread

STAGES = [{"stage": name, "seconds": 0.5, "peak_memory_mb": 500.0} for name in ("reading", "predicting")]


@pytest.fixture(scope="module")
def description() -> ModelDescription:
    return read_description(find_model(DEFAULT_MODEL))


def command(seconds: float) -> dict[str, Any]:
    """What a run of the command tells."""
    facts = {"cpu_s": 1.5 * seconds, "peak_mb": 700.0, "engine": "torch float32", "window": None}
    return {"seconds": seconds, **facts, "threads": 2, "shape": [70, 90, 75], "stages": STAGES}


def network(seconds: float, gigaflop: float, shape: list[int]) -> dict[str, Any]:
    """What a run of a network alone tells."""
    return {"seconds": seconds, "cpu_s": seconds, "peak_mb": 900.0, "gigaflop": gigaflop, "shape": shape}


def test_nnunet_lays_patches_at_half_overlap() -> None:
    assert patches((182, 218, 182)) == 12
    assert patches((140, 171, 137)) == 8
    assert patches((100, 128, 129)) == 2


def test_a_benchmark_goes_on_where_it_stopped(tmp_path: Path) -> None:
    made: list[float] = []

    def once() -> dict[str, Any]:
        made.append(1.0)
        if len(made) == 3:
            raise KeyboardInterrupt
        return {"seconds": float(len(made))}

    store = Store(tmp_path / "kept" / "measured.json", "this model")
    with pytest.raises(KeyboardInterrupt):
        store.measure(Row("row", once), 3, lambda line: None)
    again = Store(tmp_path / "kept" / "measured.json", "this model")
    assert [run["seconds"] for run in again.measure(Row("row", once), 3, lambda line: None)] == [1, 2, 4]
    assert Store(tmp_path / "kept" / "measured.json", "another model").rows == {}


def test_a_slow_row_is_not_repeated(tmp_path: Path) -> None:
    store = Store(tmp_path / "measured.json", "")
    assert len(store.measure(Row("slow", lambda: {"seconds": 61.0}), 3, lambda line: None)) == 1
    assert len(store.measure(Row("once", lambda: {"seconds": 1.0}, most=1), 3, lambda line: None)) == 1


def test_a_spread_is_a_median_with_its_range() -> None:
    runs = [{"s": 3.0}, {"s": 1.0}, {"s": 2.0}]
    assert spread(runs, "s") == "2.0 (1.0 to 3.0)" and spread(runs[:1], "s") == "3.0"
    assert spread([{"s": None}], "s") == "-"


def test_the_page_tells_ours_theirs_and_what_was_scaled_up(description: ModelDescription) -> None:
    page = written(
        {
            "ours|torch, float32": [command(5.0), command(7.0)],
            "growth|torch|64": [command(3.0)],
            "peak|matmul": [network(0.2, 60.0, [1])],
            "peak|convolution": [network(0.2, 40.0, [1])],
            "network|nnunet": [network(100.0, 1000.0, [140, 171, 137])],
            "network|nnunet-mirrored|one patch": [network(90.0, 1000.0, [128, 128, 128])],
        },
        description,
    )
    assert "| BraTS-size case | torch, float32 | 6.0 (5.0 to 7.0) | 9.0 (7.5 to 10.5) |" in page
    assert "matrix product 300, convolution 200 GFLOP/s" in page
    assert "| 140x171x137 | 100.0 | 100.0 | 900 | 8.00 | 40 % |" in page
    assert "With mirroring, nnU-Net makes 8 such patches of this case: about 720 s." in page
    assert "No native exam: the real scans are not here" in page
    assert "| torch | 64^3 | 3.0 | 4.5 | 700 | one pass |" in page
    assert "MONAI SegResNet" not in page, "what was not measured is not listed"
