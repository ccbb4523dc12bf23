"""Gives a planned lesion its shape in a brain: soft masks of its parts, and the label map they stand for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ...labels import structure
from .anatomy import Anatomy
from .fields import (
    BoolArray,
    FloatArray,
    inside,
    level_of_volume,
    resampled,
    smooth_field,
    travel_distance,
)
from .plan import LesionPlan
from .site import Site, choose_site

_COARSE_MM = 2.0
_FAR_MM = 400.0


@dataclass(frozen=True)
class Lesion:
    """Parts by name, each how much of a voxel it covers (z, y, x, 0 to 1), in painting order; and the labels.

    ``labels`` (z, y, x) uint8 has the BraTS 2024 numbers of what ends on top by more than half.
    """

    parts: dict[str, FloatArray]
    labels: npt.NDArray[np.uint8]


class LesionShaper:
    """Shapes the parts of one lesion, from the cavity outwards, each aware of those before it."""

    def __init__(self, anatomy: Anatomy, plan: LesionPlan, rng: np.random.Generator) -> None:
        self.anatomy, self.plan, self.rng = anatomy, plan, rng
        self.spacing_mm = anatomy.spacing_mm
        self.edge_mm = 0.6 * self.spacing_mm
        self.site: Site = choose_site(anatomy, plan, rng)
        self.tissue = anatomy.brain & self.site.side
        self.empty = np.zeros(anatomy.brain.shape, np.float32)

    def shape(self) -> Lesion:
        """All parts in painting order. The fluid comes last: nothing covers it."""
        cavity_mm, cavity = self._cavity()
        enhancing, core = self._tumour(cavity_mm)
        core = np.maximum(core, self._lump(cavity_mm)) * (1.0 - cavity)
        oedema = self._oedema(np.maximum(np.maximum(cavity, enhancing), core))
        labels = np.zeros(cavity.shape, np.uint8)
        # What is covered to half or more gets the label; later parts lie over earlier ones.
        for part, abbreviation in ((oedema, "SNFH"), (core, "NETC"), (enhancing, "ET"), (cavity, "RC")):
            labels[(part >= 0.5) & self.anatomy.brain] = structure(abbreviation).number
        parts = {"treated": self._treated(), "oedema": self._watered(oedema), "necrosis": core}
        parts |= self._wall(cavity_mm) | {"enhancing": enhancing, "fluid": cavity}
        return Lesion(parts, labels)

    def _travel(self, speed: FloatArray, seeds: BoolArray) -> FloatArray:
        """Travel distance on a coarse grid, interpolated to the full one."""
        scale = max(1.0, _COARSE_MM / self.spacing_mm)
        if scale == 1.0:
            return travel_distance(speed, seeds, self.spacing_mm)
        coarse_shape = tuple(int(np.ceil(n / scale)) for n in seeds.shape)
        slow = resampled(speed, coarse_shape, scale, (scale - 1.0) / 2.0)
        where = np.minimum((np.argwhere(seeds) / scale).astype(int), np.array(coarse_shape) - 1)
        start = np.zeros(coarse_shape, bool)
        start[tuple(where.T)] = True
        arrival = travel_distance(slow, start, self.spacing_mm * scale)
        return resampled(arrival, seeds.shape, 1.0 / scale, -(scale - 1.0) / (2.0 * scale))

    def _cavity(self) -> tuple[FloatArray, FloatArray]:
        """Distance from the cavity's wall in mm (negative inside; far without a cavity), and its soft mask.

        A front leaves the line from the tumour bed to the cortex, slowed by sulci, until the volume is met.
        """
        if self.plan.cavity_ml == 0:
            return self.empty + _FAR_MM, self.empty
        lumps = 0.45 * smooth_field(self.rng, self.empty.shape, 16.0, self.spacing_mm)
        lumps += 0.25 * smooth_field(self.rng, self.empty.shape, 7.0, self.spacing_mm)
        speed = np.exp(lumps) * np.where(self.tissue, 1.0 - 0.75 * self.anatomy.csf, 0.02)
        distance = self._travel(speed.astype(np.float32), self.site.corridor)
        distance += 0.8 * smooth_field(self.rng, self.empty.shape, 4.0, self.spacing_mm)
        # What the scalpel leaves is one smooth space, not a grid of voxels.
        distance = ndimage.gaussian_filter(distance, 0.7 / self.spacing_mm)
        level = level_of_volume(distance, self.tissue, self.plan.cavity_ml, self.spacing_mm)
        mask = (distance < level) & self.tissue
        pieces, count = ndimage.label(mask)
        if count > 1:
            largest = np.bincount(pieces.ravel())[1:].argmax() + 1
            distance = np.where(mask & (pieces != largest), level + 2.0 * self.edge_mm, distance)
        return distance - level, inside(distance, level, self.edge_mm) * self.tissue

    def _tumour(self, cavity_mm: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Soft masks of enhancing tissue and of the non-enhancing core within it."""
        enhancing, core = self.empty, self.empty
        if self.plan.nodule_ml:
            blob_mm = self._blob(self.plan.nodule_ml, self._wall_point(cavity_mm), cavity_mm)
            whole = inside(blob_mm, 0.0, self.edge_mm)
            core = self._core(blob_mm)
            enhancing = whole * (1.0 - core)
        if self.plan.ring:
            patches = smooth_field(self.rng, self.empty.shape, 18.0, self.spacing_mm)
            chosen = patches > np.quantile(patches, 1.0 - self.plan.ring)
            thickness_mm = self.rng.uniform(2.5, 5.0) + 0.8 * smooth_field(
                self.rng, self.empty.shape, 8.0, self.spacing_mm
            )
            sheet = inside(cavity_mm - thickness_mm, 0.0, self.edge_mm) * chosen
            enhancing = np.maximum(enhancing, sheet * (1.0 - core))
        if self.plan.satellite_ml:
            satellite_mm = self._blob(self.plan.satellite_ml, self._wall_point(cavity_mm - 12.0), cavity_mm)
            enhancing = np.maximum(enhancing, inside(satellite_mm, 0.0, self.edge_mm))
        solid = self.tissue * (1.0 - self.anatomy.csf) * (cavity_mm > -self.edge_mm)
        return (enhancing * solid).astype(np.float32), (core * solid).astype(np.float32)

    def _core(self, blob_mm: FloatArray) -> FloatArray:
        """The deepest share of a lump, ragged: ``plan.necrotic`` of its volume."""
        if not self.plan.necrotic:
            return self.empty
        ragged = blob_mm + 0.9 * smooth_field(self.rng, blob_mm.shape, 5.0, self.spacing_mm)
        level = (
            float(np.quantile(ragged[blob_mm < 0], self.plan.necrotic)) if (blob_mm < 0).any() else -_FAR_MM
        )
        return inside(ragged, min(level, -1.5), self.edge_mm)

    def _lump(self, cavity_mm: FloatArray) -> FloatArray:
        """Soft mask of non-enhancing tumour beside the cavity."""
        if not self.plan.lump_ml:
            return self.empty
        blob_mm = self._blob(self.plan.lump_ml, self._wall_point(cavity_mm), cavity_mm)
        return inside(blob_mm, 0.0, 1.5 * self.edge_mm) * self.tissue * (1.0 - self.anatomy.csf)

    def _wall_point(self, cavity_mm: FloatArray) -> npt.NDArray[np.intp]:
        """A voxel (z, y, x) of brain tissue on the cavity's wall; the tumour bed when there is no cavity."""
        solid = self.tissue & (self.anatomy.csf < 0.3) & self.site.supratentorial
        near = np.argwhere(solid & (np.abs(cavity_mm) < 1.5 + self.spacing_mm))
        if not len(near):
            return np.asarray(self.site.bed)
        return np.asarray(near[self.rng.integers(len(near))])

    def _blob(self, volume_ml: float, centre: npt.NDArray[np.intp], cavity_mm: FloatArray) -> FloatArray:
        """Distance in mm from the edge of an irregular lump of ``volume_ml`` outside the cavity."""
        reach = int(np.ceil((12.0 + 9.0 * volume_ml ** (1 / 3)) / self.spacing_mm))
        shape: tuple[int, ...] = self.empty.shape
        box = tuple(
            slice(max(0, c - reach), min(n, c + reach + 1)) for c, n in zip(centre, shape, strict=True)
        )
        axes = np.meshgrid(*(np.arange(p.start, p.stop) for p in box), indexing="ij")
        offset = np.stack([(a - c) * self.spacing_mm for a, c in zip(axes, centre, strict=True)])
        turn = np.linalg.qr(self.rng.standard_normal((3, 3)))[0] * self.rng.uniform(0.75, 1.3, (3, 1))
        radius = np.sqrt((np.tensordot(turn, offset, axes=1) ** 2).sum(0))
        size_mm = (volume_ml * 239.0) ** (1 / 3)
        lobes = smooth_field(self.rng, radius.shape, max(3.0, 1.2 * size_mm), self.spacing_mm)
        distance = (radius * np.exp(0.22 * lobes)).astype(np.float32)
        free = (self.tissue & (cavity_mm > 0) & (self.anatomy.csf < 0.5))[box]
        level = level_of_volume(distance, free, volume_ml, self.spacing_mm)
        whole = self.empty + _FAR_MM
        whole[box] = distance - level
        return whole

    def _oedema(self, source: FloatArray) -> FloatArray:
        """Soft mask of hyperintensity: a front from the lesion that runs along white matter."""
        if not self.plan.oedema_ml or not (source >= 0.5).any():
            return self.empty
        an = self.anatomy
        clumps = smooth_field(self.rng, source.shape, 16.0, self.spacing_mm)
        speed = np.exp(0.45 * clumps) * (an.wm + 0.12 * an.gm + 0.01 * an.csf) + 1e-3
        speed = np.where(an.brain, np.maximum(speed, 0.6 * source), 1e-3)
        arrival = self._travel(speed.astype(np.float32), source >= 0.5)
        domain = an.brain & (source < 0.5) & (an.csf < 0.5)
        level = level_of_volume(arrival, domain, self.plan.oedema_ml, self.spacing_mm)
        softness_mm = max(self.rng.uniform(0.8, 2.2), self.edge_mm)
        return inside(arrival, level, softness_mm) * an.brain * (1.0 - an.csf)

    def _watered(self, oedema: FloatArray) -> FloatArray:
        """How much of the tissue is oedema: nowhere all of it, and unevenly so."""
        uneven = smooth_field(self.rng, oedema.shape, 9.0, self.spacing_mm)
        return oedema * np.clip(self.rng.uniform(0.6, 0.95) + 0.15 * uneven, 0.3, 1.0).astype(np.float32)

    def _wall(self, cavity_mm: FloatArray) -> dict[str, FloatArray]:
        """What lies on the cavity's wall and dura and is nobody's tumour: scar, blood, thickened dura."""
        parts: dict[str, FloatArray] = {}
        if self.plan.cavity_ml == 0:
            return parts
        if self.plan.blood:
            stains = smooth_field(self.rng, cavity_mm.shape, 10.0, self.spacing_mm) > 0.7
            parts["blood"] = inside(np.abs(cavity_mm), 1.0, self.edge_mm) * stains
        if self.plan.scar:
            strength = np.clip(
                0.6 + 0.4 * smooth_field(self.rng, cavity_mm.shape, 12.0, self.spacing_mm), 0, 1
            )
            parts["scar"] = inside(np.abs(cavity_mm - 0.5), 0.6, self.edge_mm) * strength * self.tissue
        if self.plan.dura:
            parts["dura"] = self.site.dura(1.6, 28.0) * (cavity_mm > 0)
        return {name: part.astype(np.float32) for name, part in parts.items()}

    def _treated(self) -> FloatArray:
        """Faint periventricular change on both sides after radiotherapy: unlabelled."""
        if not self.plan.treated:
            return self.empty
        reach_mm = self.rng.uniform(3.0, 9.0) + 2.0 * smooth_field(
            self.rng, self.empty.shape, 10.0, self.spacing_mm
        )
        ventricles = (self.anatomy.csf > 0.6) & (self.anatomy.depth_mm > 25.0)
        if not ventricles.any():
            return self.empty
        away_mm = ndimage.distance_transform_edt(~ventricles, sampling=self.spacing_mm).astype(np.float32)
        strength = self.rng.uniform(0.4, 0.9)
        return (strength * inside(away_mm, reach_mm, 2.0) * self.anatomy.wm).astype(np.float32)
