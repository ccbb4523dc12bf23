"""A trained network becomes a folder that inference loads."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from GliomaSegLib.errors import InputRefused
from GliomaSegLib.intake.preparation import InputSpec
from GliomaSegLib.model.network import NetworkSpec, build_network
from GliomaSegLib.model.weights import load_network, read_description
from GliomaSegLib.training.export import export_model, measured_bytes_per_voxel, read_weights

SPEC = NetworkSpec(width=4, depth=2, dropout=0.0)
FACTS = {
    "name": "made", "version": "1.2.3", "licence": "Apache-2.0", "training_data": [], "scores": [],
    "temperature": 1.5, "clean_up": {"smallest_ml": {"RC": 0.25}},
}  # fmt: skip


def test_an_exported_network_gives_the_same_logits_as_the_trained_one(tmp_path: Path) -> None:
    network = build_network(SPEC, seed=1).eval()
    export_model(network.state_dict(), SPEC, InputSpec(), tmp_path / "made", FACTS)
    description = read_description(tmp_path / "made")
    assert (description.version, description.temperature) == ("1.2.3", 1.5)
    assert description.smallest_ml == {"RC": 0.25}
    image = torch.rand(1, 4, 16, 16, 16)
    with torch.inference_mode():
        # Stored as float16: about three digits.
        assert torch.allclose(load_network(description)(image), network(image), atol=1e-2)


def test_statistics_beyond_float16_survive(tmp_path: Path) -> None:
    state = build_network(SPEC, seed=1).state_dict()
    state["bottleneck.body.1.running_var"][:] = 1e6
    export_model(state, SPEC, InputSpec(), tmp_path / "made", FACTS)
    loaded = load_network(read_description(tmp_path / "made")).state_dict()
    assert float(loaded["bottleneck.body.1.running_var"].max()) == 1e6


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    other = build_network(NetworkSpec(width=5, depth=2), seed=1).state_dict()
    with pytest.raises(RuntimeError):
        export_model(other, SPEC, InputSpec(), tmp_path / "made", FACTS)
    assert not (tmp_path / "made").exists()


def test_averaged_weights_come_before_the_last_ones(tmp_path: Path) -> None:
    torch.save(
        {"network": {"a": torch.zeros(1)}, "averaged": {"a": torch.ones(1)}}, tmp_path / "checkpoint.pt"
    )
    assert float(read_weights(tmp_path / "checkpoint.pt")["a"]) == 1
    (tmp_path / "bad.pt").write_bytes(b"no checkpoint")
    with pytest.raises(InputRefused, match=r"bad\.pt"):
        read_weights(tmp_path / "bad.pt")


def test_wider_networks_need_more_memory_a_voxel() -> None:
    assert measured_bytes_per_voxel(NetworkSpec(width=8, depth=2)) > measured_bytes_per_voxel(SPEC) > 0
