"""The physics behind the phantoms: contrast as every radiologist knows it, at any drawn protocol."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from GliomaSegLib.evaluation.phantom.signal import (
    Sequence,
    Tissue,
    draw_lesion_tissues,
    draw_protocol,
    fluid_tissue,
    healthy_tissues,
    signal,
)

SEEDS = range(40)


def test_spin_echo_by_hand() -> None:
    tissue = Tissue(t1_ms=1000.0, t2_ms=100.0, proton_density=0.8)
    expected = 0.8 * (1.0 - np.exp(-0.5)) * np.exp(-0.2)
    assert signal(tissue, Sequence("se", tr_ms=500.0, te_ms=20.0)) == pytest.approx(expected)


def test_spoiled_gradient_echo_is_brightest_at_the_ernst_angle() -> None:
    tissue, tr = Tissue(900.0, 80.0, 0.7), 10.0
    ernst = np.degrees(np.arccos(np.exp(-tr / 900.0)))
    at = [signal(tissue, Sequence("spgr", tr, 3.0, flip_deg=float(f))) for f in (ernst - 3, ernst, ernst + 3)]
    assert at[1] > at[0] and at[1] > at[2]


def test_unknown_sequence_is_refused() -> None:
    with pytest.raises(ValueError, match="epi"):
        signal(Tissue(1.0, 1.0, 1.0), Sequence("epi", 1.0, 1.0))


def test_healthy_contrast_of_every_protocol() -> None:
    for seed in SEEDS:
        protocol = draw_protocol(np.random.default_rng(seed))
        tissue = healthy_tissues(protocol.field_t)
        white, grey, fluid = (
            {r: protocol.signal(tissue[name], r) for r in ("t1", "t1c", "t2", "flair")}
            for name in ("wm", "gm", "csf")
        )
        assert white["t1"] > grey["t1"] > fluid["t1"], seed
        assert fluid["t2"] > grey["t2"] > white["t2"], seed
        assert fluid["flair"] < 0.5 * white["flair"], seed
        assert white["t1c"] == white["t1"], seed


def test_lesion_contrast_of_every_protocol() -> None:
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        protocol = draw_protocol(rng)
        white = healthy_tissues(protocol.field_t)["wm"]
        tissues = draw_lesion_tissues(rng, protocol.field_t, protein=0.0)
        enhancing = tissues["et_high"]
        assert protocol.signal(enhancing, "t1c") > 1.15 * protocol.signal(enhancing, "t1"), seed
        assert protocol.signal(tissues["oedema"], "flair") > protocol.signal(white, "flair"), seed
        assert protocol.signal(tissues["oedema"], "t1") < 1.05 * protocol.signal(white, "t1"), seed
        assert protocol.signal(tissues["fluid"], "flair") < 0.5 * protocol.signal(white, "flair"), seed


def test_protein_takes_fluid_from_dark_to_bright_on_flair() -> None:
    protocol = draw_protocol(np.random.default_rng(0))
    clear, thick = (protocol.signal(fluid_tissue(p), "flair") for p in (0.0, 1.0))
    assert thick > 3.0 * clear
    assert fluid_tissue(0.0) == healthy_tissues(3.0)["csf"]
    assert fluid_tissue(1.0).t1_ms == pytest.approx(1500.0)


def test_gadolinium_shortens_both_relaxation_times() -> None:
    tissue = Tissue(1200.0, 100.0, 0.8)
    after = replace(tissue, gadolinium_mm=0.3).enhanced(5.0)
    assert 1000.0 / after.t1_ms == pytest.approx(1000.0 / 1200.0 + 1.5)
    assert after.t2_ms < tissue.t2_ms
    assert tissue.enhanced(5.0) == tissue
