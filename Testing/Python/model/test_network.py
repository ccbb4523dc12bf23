"""The residual 3D U-Net with attention and its siblings: shapes, parameters, what each switch changes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from GliomaSegLib.model.network import (
    AttentionGate,
    ConvolutionBlock,
    GliomaNetwork,
    NetworkSpec,
    build_network,
    parameter_count,
)

FAMILY = [(False, False), (False, True), (True, False), (True, True)]


def counted_by_hand(spec: NetworkSpec) -> int:
    """The number of parameters, from the layers as the dissertation describes them.

    Convolutions before a norm have no bias; a norm has a weight and a bias for each channel.
    """

    def block(i: int, o: int) -> int:
        body = 27 * i * o + 2 * o + 27 * o * o + 2 * o
        projection = i * o + o if spec.residual and i != o else 0
        return body + projection

    def gate(c: int) -> int:
        common = c // 2
        return 2 * (c * common + 2 * common) + common + 1

    def step(c: int) -> int:
        up = 2 * c * c * 8 + c
        return up + (gate(c) if spec.attention else 0) + block(2 * c, c)

    widths = [spec.width * 2**level for level in range(spec.depth + 1)]
    encoder = sum(block(i, o) for i, o in zip([spec.in_channels, *widths[:-1]], widths, strict=True))
    return encoder + sum(step(c) for c in widths[:-1]) + spec.width * spec.classes + spec.classes


@pytest.mark.parametrize(("residual", "attention"), FAMILY)
@pytest.mark.parametrize(
    ("width", "depth", "channels", "classes"), [(2, 2, 4, 5), (4, 3, 1, 2), (16, 4, 4, 5)]
)
def test_parameters_are_as_many_as_counted_by_hand(
    residual: bool, attention: bool, width: int, depth: int, channels: int, classes: int
) -> None:
    spec = NetworkSpec(residual, attention, channels, classes, width, depth)
    assert parameter_count(build_network(spec)) == counted_by_hand(spec)


@pytest.mark.parametrize(("residual", "attention"), FAMILY)
@pytest.mark.parametrize(
    ("norm", "size"),
    # Instance norm needs two voxels at the bottom at least.
    [("batch", (16, 12, 8)), ("batch", (9, 14, 11)), ("batch", (1, 2, 3)), ("instance", (5, 6, 7))],
)
def test_any_size_comes_back_with_a_logit_for_each_class(
    residual: bool, attention: bool, norm: str, size: tuple[int, int, int]
) -> None:
    network = build_network(NetworkSpec(residual, attention, 4, 5, 2, 2, norm), 0).eval()
    with torch.no_grad():
        logits = network(torch.randn(2, 4, *size))
    assert logits.shape == (2, 5, *size)
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize(("residual", "attention"), FAMILY)
def test_gradients_reach_every_parameter(residual: bool, attention: bool) -> None:
    network = build_network(NetworkSpec(residual, attention, width=4, depth=2, dropout=0.0), 5)
    network(
        torch.randn(2, 4, 16, 16, 16, generator=torch.Generator().manual_seed(1))
    ).square().sum().backward()
    silent = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert silent == []


def names_of(residual: bool, attention: bool) -> set[str]:
    return set(build_network(NetworkSpec(residual, attention, width=2, depth=2)).state_dict())


def test_each_switch_adds_its_own_layers_and_no_others() -> None:
    plain = names_of(False, False)
    with_gates = names_of(False, True) - plain
    with_projections = names_of(True, False) - plain
    assert plain < names_of(False, True) and plain < names_of(True, False)
    assert with_gates and all(".gate." in name for name in with_gates)
    assert with_projections and all(".projection." in name for name in with_projections)
    assert names_of(True, True) == plain | with_gates | with_projections


def test_a_residual_block_adds_its_input() -> None:
    plain, residual = (ConvolutionBlock(3, 3, "batch", switch).eval() for switch in (False, True))
    residual.load_state_dict(plain.state_dict())
    x = torch.randn(1, 3, 4, 4, 4)
    assert torch.allclose(residual(x), plain(x) + x, atol=1e-6)
    projected = ConvolutionBlock(2, 3, "batch", True).eval()
    x = torch.randn(1, 2, 4, 4, 4)
    assert isinstance(projected.projection, nn.Conv3d)
    assert torch.allclose(projected(x), projected.body(x) + projected.projection(x), atol=1e-6)


def test_an_attention_mask_weighs_the_encoder_map_between_nothing_and_all() -> None:
    gate = AttentionGate(4, "batch").eval()
    decoder, encoder = 50 * torch.randn(1, 4, 6, 6, 6), 50 * torch.randn(1, 4, 6, 6, 6)
    mask = gate.mask(decoder, encoder)
    assert mask.shape == (1, 1, 6, 6, 6)
    assert mask.min() >= 0 and mask.max() <= 1 and mask.max() - mask.min() > 0.1
    assert torch.equal(gate(decoder, encoder), encoder * mask)


def test_a_closed_gate_shuts_the_skip_out() -> None:
    network = build_network(NetworkSpec(width=2, depth=1, dropout=0.0), 2).eval()
    step = network.decoder[0]
    deeper, skip = torch.randn(1, 4, 4, 4, 4), torch.randn(1, 2, 8, 8, 8)
    before = step(deeper, skip)
    nn.init.constant_(step.gate.to_mask.bias, -200.0)
    shut = step(deeper, skip)
    assert not torch.allclose(before, shut)
    assert torch.allclose(shut, step(deeper, torch.zeros_like(skip)), atol=1e-6)


def test_dropout_is_after_the_bottleneck_and_each_decoder_step() -> None:
    network = build_network(NetworkSpec(width=2, depth=3, dropout=0.25))
    rates = [m.p for m in network.modules() if isinstance(m, nn.Dropout)]
    assert rates == [0.25] * 4


def test_norm_is_the_one_asked_for() -> None:
    def norms(kind: str) -> set[type]:
        network = build_network(NetworkSpec(width=2, depth=1, norm=kind))
        return {type(m) for m in network.modules() if "Norm" in type(m).__name__}

    assert norms("batch") == {nn.BatchNorm3d} and norms("instance") == {nn.InstanceNorm3d}


def test_a_seed_gives_the_same_network_and_leaves_the_global_state_alone() -> None:
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    one, same, other = (build_network(NetworkSpec(width=2, depth=1), seed) for seed in (4, 4, 5))
    assert torch.equal(torch.rand(3), expected)

    def first(network: GliomaNetwork) -> torch.Tensor:
        return next(network.parameters())

    assert torch.equal(first(one), first(same)) and not torch.equal(first(one), first(other))


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"norm": "layer"}, ValueError),
        ({"width": 0}, ValueError),
        ({"dropout": 1.0}, ValueError),
        ({"layers": 4}, ValueError),
        ({"width": "16"}, TypeError),
        ({"residual": 1}, TypeError),
        ({"depth": True}, TypeError),
    ],
)
def test_a_wrong_setting_is_refused(values: dict[str, object], error: type[Exception]) -> None:
    with pytest.raises(error, match=next(iter(values))):
        NetworkSpec.from_dict(values)


def test_a_spec_survives_plain_data() -> None:
    spec = NetworkSpec(residual=False, width=8, norm="instance", dropout=0)
    assert NetworkSpec.from_dict(spec.to_dict()) == spec
