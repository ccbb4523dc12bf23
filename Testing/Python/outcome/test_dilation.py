"""The quick dilation is scipy's dilation."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from GliomaSegLib.outcome.dilation import Axes, dilated


def element(axes: Axes) -> np.ndarray:
    """The 18-connected element without the neighbours along axes that are off."""
    whole = ndimage.generate_binary_structure(3, 2)
    for axis, on in enumerate(axes):
        if not on:
            np.moveaxis(whole, axis, 0)[[0, 2]] = False
    return whole


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(1, 140)),
    steps=st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), max_size=4),
    share=st.sampled_from([0.0, 0.01, 0.2, 0.95]),
    seed=st.integers(0, 999),
)
def test_any_mask_and_steps(shape: tuple[int, int, int], steps: list[Axes], share: float, seed: int) -> None:
    mask = np.random.default_rng(seed).random(shape) < share
    expected = mask
    for axes in steps:
        expected = ndimage.binary_dilation(expected, element(axes))
    found = dilated(mask, steps)
    assert found.dtype == bool and np.array_equal(found, expected)


def test_voxels_cross_from_one_word_into_the_next() -> None:
    mask = np.zeros((1, 1, 200), bool)
    mask[0, 0, [63, 128]] = True
    assert np.flatnonzero(dilated(mask, [(False, False, True)])).tolist() == [62, 63, 64, 127, 128, 129]
