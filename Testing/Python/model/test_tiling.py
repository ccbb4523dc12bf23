"""Windows: where they lie, how they are weighed and joined, when they are needed."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from GliomaSegLib.model.tiling import Budget, slide, window_grid, window_weights, windows


@pytest.mark.parametrize(("length", "multiple"), [(16, 1), (17, 1), (33, 1), (101, 1), (48, 4), (92, 4)])
def test_windows_cover_an_axis_and_overlap_by_half(length: int, multiple: int) -> None:
    starts = sorted({box[2].start for box in windows((16, 16, length), 16, multiple)})
    assert starts[0] == 0 and starts[-1] == length - 16
    assert all(b - a <= 8 for a, b in pairwise(starts))
    assert all(start % multiple == 0 for start in starts)


def test_window_weights_are_highest_in_the_middle_and_never_nothing() -> None:
    weights = window_weights(32)
    assert weights.shape == (32, 32, 32)
    assert weights.min() == pytest.approx(1e-3) and weights.max() <= 1
    assert weights[16, 16, 16] == weights.max() and weights[16, 16, 16] > weights[16, 16, 8]
    assert np.array_equal(weights, weights[::-1]) and np.allclose(weights, weights.transpose(2, 1, 0))


def test_memory_decides_between_one_pass_and_windows() -> None:
    shape = (40, 37, 38)
    assert Budget(40**3 * 500 / 0.7, 500.0).window_for(shape, 4) is None
    assert Budget(0.99 * 40**3 * 500 / 0.7, 500.0).window_for(shape, 4) == 36
    assert Budget(1.0, 500.0).window_for(shape, 4) == 32
    assert Budget(1.0, 500.0).window_for(shape, 24) == 48


@pytest.mark.parametrize("as_array", [np.asarray, torch.from_numpy])
def test_joining_windows_of_a_function_without_context_gives_the_function(as_array: type) -> None:
    rng = np.random.default_rng(0)
    image = rng.random((2, 20, 16, 37)).astype(np.float32)
    brain = np.zeros((20, 16, 37), bool)
    brain[:, :, :12] = True
    added, boxes = window_grid(image.shape[1:], brain, 16, 4)
    assert added == (0, 0, 3) and len(boxes) == 4, "what holds no brain is left out"
    padded = np.pad(image, [(0, 0), *((0, a) for a in added)])
    total, seen = np.zeros((2, 20, 16, 40), np.float32), np.zeros((20, 16, 40), np.float32)
    told: list[float] = []
    made = slide(
        lambda part: part * 2, as_array(padded), boxes, as_array(window_weights(16)), as_array(total),
        as_array(seen), told.append,
    )  # fmt: skip
    assert type(made) is type(as_array(padded)) and told[-1] == 1
    made = np.asarray(made)
    covered = boxes[-1][2].stop
    assert covered < 40 and np.allclose(made[..., :covered], 2 * padded[..., :covered], atol=1e-5)
    assert (made[0, :, :, covered:] == 1).all() and (made[1, :, :, covered:] == 0).all()
