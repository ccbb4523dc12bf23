"""Real lesions moved between real brains: shape and texture of one scan, brain of another."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .anatomy import FLUID, WHITE, Background
from .fields import FloatArray, distance_mm
from .layout import Layout


def place_lesion(
    rng: np.random.Generator, donor: Background, host: Background
) -> tuple[np.ndarray, dict[str, FloatArray]]:
    """The donor's labels and volumes (over its own white matter) laid over the host's grid.

    The lesion keeps roughly its place (both brains are in one atlas space), is mirrored in half the cases,
    turned, scaled and shifted by up to about 15 mm, and held inside the host's brain.
    Returns labels (z, y, x) uint8 and volumes by role, white matter = 1.
    """
    spacing = host.anatomy.spacing_mm
    shape = np.array(host.labels.shape)
    turn, _ = np.linalg.qr(np.eye(3) + rng.normal(0, 0.12, (3, 3)))
    matrix = (turn * np.sign(np.diag(turn))) * np.exp(rng.normal(0.1, 0.22, 3))
    if rng.random() < 0.5:
        matrix = matrix @ np.diag([1.0, 1.0, -1.0])
    heart = np.array(ndimage.center_of_mass(donor.labels > 0))
    relative = heart / np.array(donor.labels.shape)
    if matrix[2, 2] < 0:
        relative[2] = 1 - relative[2]
    target = relative * shape + rng.normal(0, 7.0, 3) / spacing
    offset = heart - matrix @ target

    def moved(array: np.ndarray, order: int) -> np.ndarray:
        return np.asarray(
            ndimage.affine_transform(
                array, matrix, offset, tuple(shape), order=order, mode="constant", cval=0
            )
        )

    labels = np.where(
        host.anatomy.brain & moved(donor.anatomy.brain.astype(np.uint8), 0).astype(bool),
        moved(donor.labels, 0),
        0,
    ).astype(np.uint8)
    volumes = {
        role: (moved(volume, 1) / donor.medians[role][WHITE]).astype(np.float32)
        for role, volume in donor.volumes.items()
    }
    return labels, volumes


def graft(
    rng: np.random.Generator, host: Background, labels: np.ndarray, lesion: dict[str, FloatArray]
) -> dict[str, FloatArray]:
    """The host's volumes with the lesion's own intensities blended in over a soft seam of millimetres."""
    spacing = host.anatomy.spacing_mm
    wide = distance_mm(labels > 0, spacing, 8.0) <= rng.uniform(0.0, 3.0)
    share = ndimage.gaussian_filter(wide.astype(np.float32), rng.uniform(0.8, 2.0) / spacing)
    share *= np.where((host.anatomy.tissue == FLUID) & (labels == 0), 0.2, 1.0)
    grafted = {}
    for role, volume in host.volumes.items():
        target = lesion[role] * host.medians[role][WHITE]
        mixed = volume + share * (target - volume)
        grafted[role] = np.where(host.anatomy.brain, np.maximum(mixed, 0), 0).astype(np.float32)
    return grafted


def shape_only(labels: np.ndarray, spacing_mm: float) -> Layout:
    """A layout with the real lesion's shape, to be painted afresh."""
    core = np.isin(labels, (1, 3, 4))
    arrival = np.minimum(distance_mm(core if core.any() else labels > 0, spacing_mm), 200.0)
    hit = np.argwhere(labels > 0)
    centre = hit.mean(axis=0) if len(hit) else np.zeros(3)
    return Layout(labels, centre, arrival)
