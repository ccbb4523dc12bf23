"""Random changes of a case on its way into the network, by MONAI; the missing sequence is ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import missing_extra
from .config import AugmentationSpec

if TYPE_CHECKING:
    import torch

    from .cases import TrainingCase

Sample = dict[str, Any]


def _transforms(spec: AugmentationSpec, patch: tuple[int, ...], classes: int) -> Any:
    """MONAI's chain. Keys: image (channel, z, y, x), label and inside (1, z, y, x)."""
    try:
        from monai import transforms as mt
    except ImportError as error:
        raise missing_extra("monai", "train", "Training") from error
    both = ["image", "label", "inside"]
    angle = float(np.deg2rad(spec.rotate_degrees))
    chain: list[Any] = [
        # Only left-right: brains are not mirrored front to back.
        mt.RandFlipd(both, prob=spec.flip, spatial_axis=2),
        mt.RandAffined(
            both,
            prob=spec.affine,
            rotate_range=(angle, angle, angle),
            scale_range=(spec.scale,) * 3,
            mode=("bilinear", "nearest", "nearest"),
            padding_mode="zeros",
        ),
    ]
    if patch:
        chain += [
            mt.SpatialPadd(both, patch),
            mt.RandCropByLabelClassesd(
                both, "label", patch, ratios=[1] * classes, num_classes=classes, num_samples=1, warn=False
            ),
        ]
    return mt.Compose([*chain, *_intensity(mt, spec)])


def _intensity(mt: Any, spec: AugmentationSpec) -> list[Any]:
    """The intensity half of the chain. Each channel draws for itself where MONAI allows."""
    return [
        mt.RandScaleIntensityd("image", factors=0.2, prob=spec.intensity, channel_wise=True),
        mt.RandShiftIntensityd("image", offsets=0.3, prob=spec.intensity, channel_wise=True),
        mt.RandAdjustContrastd("image", prob=0.4 * spec.intensity, gamma=(0.75, 1.35), retain_stats=True),
        mt.RandBiasFieldd("image", prob=spec.bias_field, degree=3, coeff_range=(0.0, 0.08)),
        mt.RandGaussianNoised("image", prob=spec.noise, std=0.25),
        mt.RandGaussianSmoothd(
            "image", sigma_x=(0.3, 0.9), sigma_y=(0.3, 0.9), sigma_z=(0.3, 0.9), prob=spec.blur
        ),
        mt.RandSimulateLowResolutiond("image", prob=spec.low_resolution, zoom_range=(0.5, 1.0)),
    ]


def drop_sequence(image: npt.NDArray[Any], probability: float, rng: np.random.Generator) -> npt.NDArray[Any]:
    """With ``probability``, one channel becomes zero, as inference does with a missing sequence.

    Never the last one that is left.
    """
    present = np.flatnonzero([channel.any() for channel in image])
    if rng.random() < probability and present.size > 1:
        image = image.copy()
        image[rng.choice(present)] = 0
    return image


def build_augmentation(
    spec: AugmentationSpec, patch: tuple[int, ...], classes: int
) -> Callable[[TrainingCase, int], tuple[torch.Tensor, torch.Tensor]]:
    """A function (case, seed) to (image (channel, z, y, x) float32, target (z, y, x) int64).

    The same seed gives the same result, whatever was drawn before: a resumed run is the run.
    """
    import torch

    chain = _transforms(spec, patch, classes)

    def augment(case: TrainingCase, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        rng = np.random.default_rng(seed)
        chain.set_random_state(seed=int(rng.integers(2**31)))
        inside = np.asarray((case.image != 0).any(axis=0, keepdims=True))
        present = np.asarray(case.image.any(axis=(1, 2, 3)))
        sample: Sample = {
            "image": torch.from_numpy(case.image.astype(np.float32)),
            "label": torch.from_numpy(case.labels[None].astype(np.float32)),
            "inside": torch.from_numpy(inside.astype(np.float32)),
        }
        made = chain(sample)
        made = made[0] if isinstance(made, list) else made
        # Shifts and noise reached the outside and missing sequences too: both are zero in inference.
        kept = np.asarray(made["inside"]) > 0.5
        image = np.asarray(made["image"]) * kept * present[:, None, None, None]
        image = np.ascontiguousarray(drop_sequence(image, spec.missing_sequence, rng), np.float32)
        target = np.asarray(made["label"])[0].astype(np.int64)
        return torch.from_numpy(image), torch.from_numpy(target)

    return augment
