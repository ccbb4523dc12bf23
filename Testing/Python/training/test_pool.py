"""The pool that a run draws from, and the cache of synthetic cases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from GliomaSegLib.errors import UsageError
from GliomaSegLib.intake.preparation import InputSpec
from GliomaSegLib.training import pool as pool_module
from GliomaSegLib.training.cases import TrainingCase
from GliomaSegLib.training.pool import Pool, cache_folder, fill_cache, read_cached

MakeCase = Callable[..., TrainingCase]


def drawn(pool: Pool, steps: int = 1500) -> Counter[str]:
    return Counter(pool.draw(1, step).kind for step in range(steps))


def test_kinds_are_drawn_by_weight_and_cases_within_evenly(make_case: MakeCase) -> None:
    cases = [make_case(n, 8) for n in range(3)] + [make_case(n, 8, kind="painted") for n in range(10, 12)]
    pool = Pool.of(cases, {"real": 3.0, "painted": 1.0, "operated": 6.0})
    assert pool.weights == {"real": 0.75, "painted": 0.25}
    assert drawn(pool)["real"] == pytest.approx(1125, abs=70)
    names = Counter(pool.draw(1, step).name for step in range(1500))
    assert len(names) == 5
    assert all(names[f"case-{n}"] == pytest.approx(375, abs=60) for n in range(3))


def test_a_draw_depends_on_seed_step_and_slot_alone(make_case: MakeCase) -> None:
    pool = Pool.of([make_case(n, 8) for n in range(50)], {"real": 1.0})
    sequence = [pool.draw(1, step, slot).name for step in range(20) for slot in range(2)]
    backwards = [pool.draw(1, step, slot).name for step in reversed(range(20)) for slot in (1, 0)]
    assert backwards == sequence[::-1]
    assert [pool.draw(2, step, slot).name for step in range(20) for slot in range(2)] != sequence
    assert len(set(sequence)) > 20


def test_a_pool_without_cases_is_refused(make_case: MakeCase) -> None:
    for mix in ({"painted": 1.0}, {"real": 0.0, "painted": 1.0}):
        with pytest.raises(UsageError, match="no training case"):
            Pool.of([make_case(0, 8)], mix)


def test_the_cache_is_filled_once_and_read_back(
    tmp_path: Path, make_case: MakeCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []

    def synthesised(sources: object, spec: InputSpec, seed: int) -> TrainingCase:
        made.append(seed)
        return make_case(seed, 8, kind="painted")

    import GliomaSegLib.training.synthesis as synthesis

    monkeypatch.setattr(synthesis, "find_sources", lambda data, exclude: None)
    monkeypatch.setattr(pool_module, "synthetic_training_case", synthesised)
    told: list[int] = []
    paths = fill_cache(tmp_path, (), InputSpec(), tmp_path / "cache", range(3), progress=told.append)
    again = fill_cache(tmp_path, (), InputSpec(), tmp_path / "cache", range(1, 5))
    assert made == [0, 1, 2, 3, 4] and told == [1, 2, 3]
    assert again[:2] == paths[1:]
    back, expected = read_cached(paths[2]), make_case(2, 8, kind="painted")
    assert (back.name, back.kind) == ("synthetic-2", "painted")
    assert np.array_equal(back.image, expected.image) and np.array_equal(back.labels, expected.labels)


def test_another_input_has_another_cache(tmp_path: Path) -> None:
    one = cache_folder(tmp_path, InputSpec())
    assert one == cache_folder(tmp_path, InputSpec())
    assert one != cache_folder(tmp_path, InputSpec(normalisation="zscore"))
    assert one != cache_folder(tmp_path, InputSpec(spacing_mm=(1.0, 1.0, 1.0)))
