"""Residual 3D U-Net with attention, and its three plainer siblings.

After V. Bora, *Automated Glioma Segmentation on Post-Treatment MRI Scans using Deep Neural Networks*
(University of Birmingham, 2024): residual blocks (He et al. 2016), attention gates on the skips
(Oktay et al. 2018), transpose convolutions. Two switches, ``residual`` and ``attention``, make four networks.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from .spec import NORMS, NetworkSpec

__all__ = [
    "NORMS",
    "AttentionGate",
    "ConvolutionBlock",
    "DecoderStep",
    "GliomaNetwork",
    "NetworkSpec",
    "build_network",
    "parameter_count",
]


def _norm(kind: str, channels: int) -> nn.Module:
    if kind == "instance":
        return nn.InstanceNorm3d(channels, affine=True)
    return nn.BatchNorm3d(channels)


class ConvolutionBlock(nn.Module):
    """Two 3x3x3 convolutions, each followed by norm and ReLU.

    With ``residual`` the input is added to the output, through a 1x1x1 convolution where the channels differ.
    """

    def __init__(self, in_channels: int, out_channels: int, norm: str, residual: bool) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv3d(in_channels, out_channels, 3, padding=1, bias=False),
            _norm(norm, out_channels),
            nn.ReLU(inplace=True),
            nn.Conv3d(out_channels, out_channels, 3, padding=1, bias=False),
            _norm(norm, out_channels),
            nn.ReLU(inplace=True),
        )
        self.residual = residual
        self.projection: nn.Module | None = None
        if residual and in_channels != out_channels:
            self.projection = nn.Conv3d(in_channels, out_channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, in, z, y, x) to (batch, out, z, y, x)."""
        y: torch.Tensor = self.body(x)
        if not self.residual:
            return y
        return y + (x if self.projection is None else self.projection(x))


class AttentionGate(nn.Module):
    """Additive gate on a skip (Oktay et al. 2018): the mask, in 0..1, multiplies the encoder's map."""

    def __init__(self, channels: int, norm: str) -> None:
        super().__init__()
        common = max(channels // 2, 1)
        self.of_decoder = nn.Sequential(nn.Conv3d(channels, common, 1, bias=False), _norm(norm, common))
        self.of_encoder = nn.Sequential(nn.Conv3d(channels, common, 1, bias=False), _norm(norm, common))
        self.to_mask = nn.Conv3d(common, 1, 1)

    def mask(self, decoder: torch.Tensor, encoder: torch.Tensor) -> torch.Tensor:
        """The attention mask, (batch, 1, z, y, x), values 0 to 1."""
        joined = functional.relu(self.of_decoder(decoder) + self.of_encoder(encoder), inplace=True)
        return torch.sigmoid(self.to_mask(joined))

    def forward(self, decoder: torch.Tensor, encoder: torch.Tensor) -> torch.Tensor:
        """The encoder's map, weighted by the mask."""
        return encoder * self.mask(decoder, encoder)


class DecoderStep(nn.Module):
    """Transpose convolution, gated (or plain) skip, concatenation, block, dropout."""

    def __init__(self, spec: NetworkSpec, channels: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose3d(2 * channels, channels, 2, stride=2)
        self.gate = AttentionGate(channels, spec.norm) if spec.attention else None
        self.block = ConvolutionBlock(2 * channels, channels, spec.norm, spec.residual)
        self.dropout = nn.Dropout(spec.dropout)

    def forward(self, deeper: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        """Deeper map (batch, 2c, z, y, x) and skip (batch, c, 2z, 2y, 2x) to (batch, c, 2z, 2y, 2x)."""
        up = self.up(deeper)
        kept = skip if self.gate is None else self.gate(up, skip)
        return self.dropout(self.block(torch.cat((up, kept), dim=1)))


class GliomaNetwork(nn.Module):
    """The dissertation's network, or one of its siblings, as ``spec`` says."""

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        self.spec = spec
        widths = [spec.width * 2**level for level in range(spec.depth + 1)]
        inputs = [spec.in_channels, *widths[:-1]]
        self.encoder = nn.ModuleList(
            ConvolutionBlock(i, o, spec.norm, spec.residual)
            for i, o in zip(inputs[:-1], widths[:-1], strict=True)
        )
        self.bottleneck = ConvolutionBlock(inputs[-1], widths[-1], spec.norm, spec.residual)
        self.bottleneck_dropout = nn.Dropout(spec.dropout)
        self.decoder = nn.ModuleList(DecoderStep(spec, width) for width in reversed(widths[:-1]))
        self.head = nn.Conv3d(spec.width, spec.classes, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, in_channels, z, y, x) of any size to logits (batch, classes, z, y, x).

        Sizes that are no multiple of ``2**depth`` are padded with zeros at the far ends and cropped back.
        """
        size = x.shape[2:]
        missing = [-s % self.spec.multiple for s in size]
        if any(missing):
            x = functional.pad(x, [0, missing[2], 0, missing[1], 0, missing[0]])
        skips = []
        for block in self.encoder:
            x = block(x)
            skips.append(x)
            x = functional.max_pool3d(x, 2)
        x = self.bottleneck_dropout(self.bottleneck(x))
        for step in self.decoder:
            x = step(x, skips.pop())
        logits: torch.Tensor = self.head(x)
        return logits[:, :, : size[0], : size[1], : size[2]]


def build_network(spec: NetworkSpec, seed: int | None = None) -> GliomaNetwork:
    """Build a network, from ``seed`` when given (the global random state is left as it was)."""
    if seed is None:
        return GliomaNetwork(spec)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return GliomaNetwork(spec)


def parameter_count(network: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)
