"""Whether T1 and T1c were given the wrong way round: vessels, dura and plexus are brighter after contrast."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from .normalisation import channel_scale, foreground_mask
from .preparation import resample, upright_grid
from .volume import Study, Volume

_SPACING_MM = 2.0
_TAIL = 0.003
"""Share of the brain's voxels that is looked at on either side: vessels, not noise and not a whole tumour."""
_SWAPPED_BELOW = 0.7
"""Measured on ten real cases: 0.82 to 5.4 the right way round; swapped, seven of the ten fall below 0.65."""


def enhancement_ratio(study: Study, brain: Volume | None = None) -> float | None:
    """How much more T1c brightens than it darkens against T1, each on its own scale inside the brain.

    Mean of the most positive 0.3% of differences over that of the most negative 0.3%; above 1 when T1c is
    the later one. None without both sequences.
    """
    if not {"t1", "t1c"} <= set(study.volumes):
        return None
    grid = upright_grid(study.reference.grid, (_SPACING_MM,) * 3)
    before, after = (resample(study.volumes[role], grid) for role in ("t1", "t1c"))
    if brain is None:
        inside = foreground_mask([before, after], (_SPACING_MM,) * 3)
    else:
        inside = resample(brain, grid) > 0.5
    # The rim holds the partial volume of two sequences that never match to a fraction of a voxel.
    inside = ndimage.binary_erosion(inside, iterations=2) & (before != 0) & (after != 0)
    if np.count_nonzero(inside) < 1000:
        return None
    difference = np.sort((_scaled(after, inside) - _scaled(before, inside))[inside])
    count = max(1, round(_TAIL * difference.size))
    centre = np.median(difference)
    darker, brighter = centre - difference[:count].mean(), difference[-count:].mean() - centre
    return float(brighter / max(darker, 1e-6))


def swap_warnings(study: Study, brain: Volume | None = None) -> tuple[str, ...]:
    """A sentence when T1 looks like the one after contrast."""
    ratio = enhancement_ratio(study, brain)
    if ratio is None or ratio >= _SWAPPED_BELOW:
        return ()
    first, second = study.volumes["t1"].name, study.volumes["t1c"].name
    return (f"Vessels are brighter in {first} than in {second}: check that T1 and T1c are not swapped.",)


def _scaled(values: npt.NDArray[np.float32], inside: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    smooth = ndimage.gaussian_filter(values, 0.6)
    return channel_scale(smooth[inside], "robust").apply(smooth)
