"""Somebody's numbering, order and regions become our structures."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from GliomaSegLib.labels import CLASS_NAMES
from GliomaSegLib.model.engines.layout import Layout
from GliomaSegLib.model.output_map import OutputMap


def raw(channels: int, seed: int = 0, scale: float = 3.0) -> np.ndarray:
    return (np.random.default_rng(seed).normal(size=(channels, 9, 8, 7)) * scale).astype(np.float32)


def sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-values.astype(np.float64)))


def test_channels_in_any_order_are_put_into_ours() -> None:
    names = ["RC", "background", "ET", "SNFH", "NETC"]
    told = OutputMap.from_dict({"kind": "labels", "values": "logits", "channels": names})
    logits = raw(5)
    made = told.probabilities(logits)
    shares = np.exp(logits) / np.exp(logits).sum(axis=0)
    assert told.classes == CLASS_NAMES
    for name, share in zip(names, shares, strict=True):
        assert np.allclose(made[CLASS_NAMES.index(name)], share, atol=1e-6)


@pytest.mark.parametrize("kind", ["labels", "regions"])
def test_logits_and_probabilities_are_told_apart(kind: str) -> None:
    told = {"kind": kind, "channels": ["background", "ET", "RC"] if kind == "labels" else ["WT", "ET", "TC"]}
    logits, shares = (OutputMap.from_dict({**told, "values": v}) for v in ("logits", "probabilities"))
    values = raw(3)
    given = np.exp(values) / np.exp(values).sum(axis=0) if kind == "labels" else sigmoid(values)
    assert "gave probabilities, where output.values promises logits" in logits.misfit(given)
    assert f"no probabilities of {kind}, where output.values promises probabilities" in shares.misfit(values)
    assert not logits.misfit(values) and not shares.misfit(given.astype(np.float16))
    assert not logits.misfit(0 * values)
    assert not logits.misfit((given == given.max(axis=0)).astype(np.float32))


def test_channels_of_one_structure_are_added_and_unknown_structures_left_out() -> None:
    """Somebody's ventricles are our background."""
    names = ["background", "ET", "background", "ET"]
    told = OutputMap.from_dict({"kind": "labels", "values": "probabilities", "channels": names})
    shares = np.array([0.1, 0.2, 0.3, 0.4], np.float32).reshape(4, 1, 1, 1)
    assert told.classes == ("background", "ET")
    assert np.allclose(told.probabilities(shares).ravel(), [0.4, 0.6])


@pytest.mark.parametrize("order", list(permutations(range(4)))[::5])
def test_regions_are_painted_large_to_small_whatever_their_order(order: tuple[int, ...]) -> None:
    """As the challenge's own code does: threshold at 0.5, then WT, TC, ET, RC over each other."""
    named = ["WT", "TC", "ET", "RC"]
    logits = raw(4, seed=3)
    told = OutputMap.from_dict({"kind": "regions", "values": "logits", "channels": [named[i] for i in order]})
    painted = np.zeros(logits.shape[1:], int)
    for region, label in zip(logits, (2, 1, 3, 4), strict=True):
        painted[sigmoid(region) > 0.5] = label
    shuffled = logits[list(order)]
    # ET and RC don't overlap by nature; where random numbers say both, the later channel wins.
    clear = ~((logits[2] > 0) & (logits[3] > 0))
    made = told.probabilities(shuffled)
    assert np.array_equal(made.argmax(axis=0)[clear], painted[clear])
    assert np.allclose(made.sum(axis=0), 1, atol=1e-6)


@given(
    st.lists(st.floats(0, 1, width=32), min_size=4, max_size=4),
    st.permutations([0, 1, 2, 3]),
)
@settings(max_examples=150, deadline=None)
def test_the_likeliest_class_is_what_painting_gives(shares: list[float], order: list[int]) -> None:
    told = OutputMap.from_dict(
        {
            "kind": "regions",
            "values": "probabilities",
            "order": order,
            "channels": [
                {"region": ["NETC", "SNFH", "ET"], "label": "SNFH"},
                {"region": ["NETC", "ET"], "label": "NETC"},
                "ET",
                "RC",
            ],
        }
    )
    painted = 0
    for number in order:
        if shares[number] > 0.5:
            painted = CLASS_NAMES.index(told.channels[number].label)
    made = told.probabilities(np.array(shares, np.float32).reshape(4, 1, 1, 1)).ravel()
    assert made[painted] == made.max()
    assert made.sum() == pytest.approx(1, abs=1e-5)


def test_temperature_calibrates_logits_and_probabilities_alike() -> None:
    names = list(CLASS_NAMES)
    logits = raw(5)
    shares = np.exp(logits) / np.exp(logits).sum(axis=0)
    made = [
        OutputMap.from_dict({"kind": "labels", "values": form, "channels": names}, 1.7).probabilities(v)
        for form, v in (("logits", logits), ("probabilities", shares))
    ]
    expected = np.exp(logits / 1.7) / np.exp(logits / 1.7).sum(axis=0)
    assert np.allclose(made[0], expected, atol=1e-5) and np.allclose(made[1], expected, atol=1e-4)


def test_extreme_logits_give_no_nan() -> None:
    values = np.array([1e30, -1e30, 0, 5e4], np.float32).reshape(4, 1, 1, 1)
    for told in (
        {"kind": "regions", "values": "logits", "channels": ["TC", "WT", "ET", "RC"]},
        {"kind": "labels", "values": "logits", "channels": ["background", "ET", "RC", "SNFH"]},
    ):
        made = OutputMap.from_dict(told).probabilities(values)
        assert np.isfinite(made).all() and made.sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"kind": "softmax"}, "kind must be one of"),
        ({"values": "numbers"}, "values one of"),
        ({"channels": []}, "1 to 64"),
        ({"channels": ["background"] * 65}, "1 to 64"),
        ({"channels": ["background", "tumour"]}, "must be from"),
        ({"channels": ["ET", "RC"]}, "name the background"),
        ({"channels": ["background"]}, "at least one structure"),
        ({"channels": [1, 2]}, "must be from"),
        ({"kind": "regions", "channels": ["XX"]}, "is none of"),
        ({"kind": "regions", "channels": [["ET", "XX"]]}, "list from"),
        ({"kind": "regions", "channels": ["WT", "ET"]}, "say with 'label'"),
        ({"kind": "regions", "channels": [{"region": "WT", "label": "RC"}]}, "not in its own region"),
        ({"kind": "regions", "channels": ["ET", "RC"], "order": [0, 0]}, "each channel's number"),
    ],
)
def test_an_output_that_makes_no_sense_is_refused(told: dict[str, Any], words: str) -> None:
    whole = {"kind": "labels", "values": "logits", "channels": ["background", "ET"], **told}
    with pytest.raises(ValueError, match=words):
        OutputMap.from_dict(whole)


@pytest.mark.parametrize("axes", ["".join(p) for p in permutations("xyz")])
@pytest.mark.parametrize("orientation", ["LPS", "RAS", "LAI", "RPS"])
def test_an_array_comes_back_from_any_layout(axes: str, orientation: str) -> None:
    layout, array = Layout(axes, orientation), raw(2)
    assert np.array_equal(layout.from_model(layout.to_model(array)), array)


def test_ras_means_x_to_the_right_and_y_to_the_front() -> None:
    array = raw(1)
    assert np.array_equal(Layout("xyz", "RAS").to_model(array)[0], array[0].transpose(2, 1, 0)[::-1, ::-1])
    assert Layout("xyz").edges((1, 2, 3)) == (3, 2, 1)


@pytest.mark.parametrize("told", [("xxz", "LPS"), ("zy", "LPS"), ("zyx", "LPL"), ("zyx", "L")])
def test_an_impossible_layout_is_refused(told: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match=r"input\.(axes|orientation)"):
        Layout(*told)
