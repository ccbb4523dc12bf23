"""Our networks as OpenVINO graphs, built from the stored weights themselves: no torch, no conversion.

The same function as ``network.GliomaNetwork`` in evaluation mode, with batch norms folded into the
convolution before them and the calibrated softmax at the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino
from openvino import opset13 as ops

from ..spec import NetworkSpec

Arrays = Mapping[str, npt.NDArray[np.float32]]
INPUT, OUTPUT = "image", "probabilities"
_EPSILON = 1e-5
"""What torch's norms add to the variance."""


def build_graph(spec: NetworkSpec, arrays: Arrays, temperature: float, shape: tuple[int, int, int]) -> Any:
    """An ``openvino.Model`` from (1, channel, z, y, x) to probabilities (1, class, z, y, x), float32.

    ``arrays``: the state of the network by torch's names. ``temperature`` divides the logits. ``shape``
    (z, y, x): each axis a multiple of ``spec.multiple``; ``Model.reshape`` takes it to others. Raises
    ``KeyError`` for an array that is missing and ``RuntimeError`` for one that does not fit.
    """
    image = ops.parameter([1, spec.in_channels, *shape], openvino.Type.f32, name=INPUT)
    logits = _Builder(spec, arrays).network(image)
    scaled = ops.divide(logits, ops.constant(np.float32(temperature)))
    probabilities = ops.softmax(scaled, axis=1)
    probabilities.output(0).set_names({OUTPUT})
    return openvino.Model([ops.result(probabilities)], [image], "gliomaseg")


class _Builder:
    """The blocks of the network; ``name`` is each one's prefix in the stored state."""

    def __init__(self, spec: NetworkSpec, arrays: Arrays) -> None:
        self.spec, self.arrays = spec, arrays

    def network(self, x: Any) -> Any:
        """Image to logits."""
        skips = []
        for level in range(self.spec.depth):
            x = self._block(x, f"encoder.{level}")
            skips.append(x)
            x = ops.max_pool(x, [2] * 3, [1] * 3, [0] * 3, [0] * 3, [2] * 3).output(0)
        x = self._block(x, "bottleneck")
        for step in range(self.spec.depth):
            x = self._decoder_step(x, skips.pop(), f"decoder.{step}")
        return self._convolution(x, "head")

    def _block(self, x: Any, name: str) -> Any:
        y = ops.relu(self._normed(x, f"{name}.body.0", f"{name}.body.1", 1))
        y = ops.relu(self._normed(y, f"{name}.body.3", f"{name}.body.4", 1))
        if not self.spec.residual:
            return y
        projected = f"{name}.projection.weight" in self.arrays
        return ops.add(y, self._convolution(x, f"{name}.projection") if projected else x)

    def _decoder_step(self, deeper: Any, skip: Any, name: str) -> Any:
        weight = ops.constant(self.arrays[f"{name}.up.weight"])
        up = ops.convolution_backprop_data(deeper, weight, [2] * 3, pads_begin=[0] * 3, pads_end=[0] * 3)
        up = ops.add(up, _per_channel(self.arrays[f"{name}.up.bias"]))
        if self.spec.attention:
            skip = self._gated(up, skip, f"{name}.gate")
        return self._block(ops.concat([up, skip], 1), f"{name}.block")

    def _gated(self, decoder: Any, encoder: Any, name: str) -> Any:
        joined = ops.relu(
            ops.add(
                self._normed(decoder, f"{name}.of_decoder.0", f"{name}.of_decoder.1", 0),
                self._normed(encoder, f"{name}.of_encoder.0", f"{name}.of_encoder.1", 0),
            )
        )
        return ops.multiply(encoder, ops.sigmoid(self._convolution(joined, f"{name}.to_mask")))

    def _normed(self, x: Any, convolution: str, norm: str, padding: int) -> Any:
        """Convolution (without bias) and norm: one step for batch norm, two for instance norm."""
        weight = self.arrays[f"{convolution}.weight"]
        scale, shift = self.arrays[f"{norm}.weight"], self.arrays[f"{norm}.bias"]
        if self.spec.norm == "instance":
            y = ops.mvn(
                _convolved(x, weight, padding, convolution),
                ops.constant([2, 3, 4]),
                True,
                _EPSILON,
                "inside_sqrt",
            )
            return ops.add(ops.multiply(y, _per_channel(scale)), _per_channel(shift))
        scale = scale / np.sqrt(self.arrays[f"{norm}.running_var"] + np.float32(_EPSILON))
        shift = shift - self.arrays[f"{norm}.running_mean"] * scale
        return ops.add(
            _convolved(x, weight * scale[:, None, None, None, None], padding, convolution),
            _per_channel(shift),
        )

    def _convolution(self, x: Any, name: str) -> Any:
        """A 1x1x1 convolution with bias."""
        return ops.add(
            _convolved(x, self.arrays[f"{name}.weight"], 0, name), _per_channel(self.arrays[f"{name}.bias"])
        )


def _convolved(x: Any, weight: npt.NDArray[np.float32], padding: int, name: str) -> Any:
    """A convolution that is found again by its ``name``."""
    pads = [padding] * 3
    made = ops.convolution(x, ops.constant(np.ascontiguousarray(weight)), [1] * 3, pads, pads, [1] * 3)
    made.set_friendly_name(name)
    return made


def _per_channel(values: npt.NDArray[np.float32]) -> Any:
    return ops.constant(np.ascontiguousarray(values).reshape(1, -1, 1, 1, 1))
