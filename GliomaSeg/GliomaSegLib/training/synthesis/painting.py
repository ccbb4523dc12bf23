"""Painting a layout into the volumes of a real brain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ...evaluation.conspicuity import conspicuity, surroundings
from . import materials
from .anatomy import FLUID, WHITE, Anatomy
from .fields import BoolArray, FloatArray, bounding_box, distance_mm, rough_field
from .layout import ET, NETC, RC, SNFH, Layout
from .materials import Material

Volumes = dict[str, FloatArray]

LEAST_CONTRAST = (1.4, 2.0)
"""What hyperintensity is lifted to, before artefacts, where it shows less (`conspicuity`); on the eight real
tumours of the data folder it is 1.5 to 3.3."""


@dataclass(frozen=True)
class Palette:
    """The brain's own brightness by role: ``white`` and ``fluid`` medians, and ``noise`` (standard deviation
    of what is left after a light blur)."""

    white: dict[str, float]
    fluid: dict[str, float]
    noise: dict[str, float]


def palette(volumes: Volumes, anatomy: Anatomy, medians: dict[str, dict[int, float]]) -> Palette:
    """The `Palette` of a brain; fluid is taken deep inside, where no other tissue shares the voxel."""
    deep = ndimage.binary_erosion(anatomy.tissue == FLUID) & (anatomy.depth_mm > 10)
    pure = deep if deep.sum() >= 30 else anatomy.tissue == FLUID
    far = {"t1": 25, "t1c": 25, "t2": 75, "flair": 25}
    white_voxels = ndimage.binary_erosion(anatomy.tissue == WHITE)
    noise = {}
    for role, volume in volumes.items():
        rest = volume - ndimage.uniform_filter(volume, 3)
        # The lower quartile of a normal variable's size is 0.319 deviations; anatomy swells the upper ones.
        noise[role] = 1.02 * float(np.percentile(np.abs(rest[white_voxels]), 25)) / 0.319
    return Palette(
        {role: medians[role][WHITE] for role in volumes},
        {role: float(np.percentile(volume[pure], far[role])) for role, volume in volumes.items()},
        noise,
    )


class Painter:
    """Paints one layout, layer over layer, into copies of ``volumes`` (changed in place)."""

    def __init__(
        self, rng: np.random.Generator, volumes: Volumes, anatomy: Anatomy, tones: Palette, layout: Layout
    ) -> None:
        self.rng, self.volumes, self.anatomy, self.tones = rng, volumes, anatomy, tones
        self.spacing = anatomy.spacing_mm
        reach = int(np.ceil(14.0 / self.spacing))
        self.box = bounding_box(layout.labels > 0, reach)
        self.labels = layout.labels[self.box]
        self.arrival = layout.arrival[self.box]
        self.brain = anatomy.brain[self.box]
        self.cystic = layout.cystic
        self.edge_mm = float(rng.uniform(0.4, 1.1))
        self.spares_sulci = bool(rng.random() < 0.2)

    def paint(self) -> None:
        """All layers, from the outermost in."""
        if (self.labels == SNFH).any():
            self._hyperintensity()
        cavity = self.labels == RC
        if cavity.any() and self.rng.random() < 0.6:
            self._scar(cavity)
        if (self.labels == NETC).any():
            self._core(self.labels == NETC)
        if (self.labels == ET).any():
            self._fill(self.labels == ET, materials.enhancing(self.rng))
        if cavity.any():
            self._cavity(cavity)
            if self.rng.random() < 0.2:
                self._dura(cavity)

    def _soft(self, mask: BoolArray, edge_mm: float) -> FloatArray:
        """Share of each voxel that the mask covers, with an edge of ``edge_mm``; 0 outside the brain.

        The grid itself blurs too (0.4 voxels, as in `sources.resampled`)."""
        sigma = float(np.hypot(edge_mm / self.spacing, 0.4))
        soft = ndimage.gaussian_filter(mask.astype(np.float32), sigma)
        return np.asarray(soft * self.brain, dtype=np.float32)

    def _target(self, material: Material, role: str, grain: FloatArray) -> FloatArray:
        """Intensities of a material: its ratio to white matter, its texture and the scan's own noise."""
        mean = material.ratio[role] * self.tones.white[role]
        noise = ndimage.gaussian_filter(self.rng.standard_normal(grain.shape, dtype=np.float32), 0.45)
        noise *= np.float32(1.5 * self.tones.noise[role])
        sign = -1.0 if role in ("t1", "t1c") else 1.0
        return np.asarray(mean * (1 + sign * material.texture * grain) + noise, dtype=np.float32)

    def _blend(self, role: str, share: FloatArray, target: FloatArray) -> None:
        view = self.volumes[role][self.box]
        view[...] = np.maximum(view + share * (target - view), 0)

    def _fluid(self) -> dict[str, float]:
        """The brain's own fluid over its white matter, by role."""
        return {role: self.tones.fluid[role] / self.tones.white[role] for role in self.volumes}

    def _core(self, mask: BoolArray) -> None:
        """Non-enhancing core: solid or necrotic; a cyst is fluid, in six of ten with a second compartment."""
        fluid = self._fluid()
        if not self.cystic:
            self._fill(mask, materials.solid_core(self.rng, fluid))
            return
        self._fill(mask, materials.cyst_fluid(self.rng, fluid))
        if self.rng.random() < 0.6:
            field = rough_field(self.rng, mask.shape, float(self.rng.uniform(12.0, 30.0)), self.spacing)
            other = mask & (field > float(self.rng.uniform(-0.5, 1.0)))
            second = materials.solid_core if self.rng.random() < 0.6 else materials.cyst_fluid
            self._fill(other, second(self.rng, fluid))

    def _fill(self, mask: BoolArray, material: Material) -> None:
        """One material over one mask, its texture partly shared by the sequences."""
        share = self._soft(mask, self.edge_mm)
        scale = float(self.rng.uniform(5.0, 16.0))
        common = rough_field(self.rng, mask.shape, scale, self.spacing)
        for role in self.volumes:
            own = rough_field(self.rng, mask.shape, scale, self.spacing)
            self._blend(role, share, self._target(material, role, 0.75 * common + 0.65 * own))

    def _hyperintensity(self) -> None:
        """Hyperintensity that keeps some of the brain's own structure and fades outwards."""
        rng = self.rng
        material = materials.hyperintensity(rng)
        mask = self.labels > 0
        share = self._soft(mask, float(rng.uniform(0.6, 2.2)))
        spared = (self.anatomy.tissue[self.box] == FLUID) & ((self.labels == 0) | self.spares_sulci)
        share = share * (1 - 0.9 * spared)
        edge = np.percentile(self.arrival[self.labels == SNFH], 95)
        fade = 1 - rng.uniform(0, 0.35) * np.clip(self.arrival / max(float(edge), 1.0), 0, 1)
        share *= fade * np.clip(1 + 0.18 * rough_field(rng, mask.shape, 15.0, self.spacing), 0.4, 1.15)
        # One in four only lifts the brain that it covers; the others replace most of it.
        kept = float(rng.uniform(0.6, 1.0) if rng.random() < 0.25 else rng.uniform(0.0, 0.5))
        grain = rough_field(rng, mask.shape, float(rng.uniform(6.0, 20.0)), self.spacing)
        for role in self.volumes:
            view = self.volumes[role][self.box]
            own = kept * (view - self.tones.white[role])
            self._blend(role, np.clip(share, 0, 1), self._target(material, role, grain) + own)
        self._make_visible(np.clip(share, 0, 1))

    def _make_visible(self, share: FloatArray) -> None:
        """Lifts hyperintensity on FLAIR (on T2 where that is missing; beside it half as much) until it stands
        out from the brain around: what nobody can see, no expert labels."""
        role = "flair" if "flair" in self.volumes else "t2"
        if role not in self.volumes:
            return
        ring = surroundings(self.labels > 0, self.brain, self.spacing)
        seen = conspicuity(self.volumes[role][self.box], self.labels == SNFH, ring)
        least = float(self.rng.uniform(*LEAST_CONTRAST))
        if seen is None or seen.contrast >= least:
            return
        lift = (least - seen.contrast) * seen.spread / max(float(np.median(share[self.labels == SNFH])), 0.3)
        for other, part in ((role, 1.0), ("t2", 0.5 if role == "flair" else 0.0)):
            if other in self.volumes and part > 0:
                scale = self.tones.white[other] / self.tones.white[role]
                view = self.volumes[other][self.box]
                view[...] = view + np.float32(part * lift * scale) * share

    def _scar(self, cavity: BoolArray) -> None:
        """A thin rim around the cavity, patchy; unlabelled, it belongs to what lies beneath."""
        rng = self.rng
        gap = distance_mm(cavity, self.spacing)
        width = float(rng.uniform(0.8, 1.8))
        patchy = np.clip(0.8 + 0.5 * rough_field(rng, cavity.shape, 15.0, self.spacing), 0, 1)
        share = np.exp(-((np.maximum(gap - 0.5 * self.spacing, 0) / width) ** 2)) * (gap > 0)
        share = share * patchy * float(rng.uniform(0.35, 0.9)) * self.brain
        material = materials.scar(rng)
        for role in self.volumes:
            self._blend(role, share.astype(np.float32), self._target(material, role, patchy * 0))

    def _cavity(self, cavity: BoolArray) -> None:
        """The cavity's fluid: sharp, nearly even; now and then layered (blood sinks) or with air above."""
        rng = self.rng
        fluid = materials.cavity_fluid(rng, self._fluid())
        share = self._soft(cavity, float(rng.uniform(0.3, 0.8)))
        grain = rough_field(rng, cavity.shape, float(rng.uniform(8.0, 25.0)), self.spacing)
        rows = np.flatnonzero(cavity.any(axis=(0, 2)))
        height = (np.arange(cavity.shape[1]) - rows[0]) / max(len(rows) - 1, 1)
        height = height[None, :, None] + np.zeros(cavity.shape)
        layered = materials.sediment(rng) if rng.random() < 0.13 else None
        level = float(rng.uniform(0.45, 0.8))
        air = float(rng.uniform(0.1, 0.35)) if rng.random() < 0.07 else None
        for role in self.volumes:
            target = self._target(fluid, role, grain)
            if layered is not None:
                target = np.where(height > level, self._target(layered, role, grain), target)
            if air is not None:
                target = np.where(height < air, 0.08 * target, target)
            self._blend(role, share, target)

    def _dura(self, cavity: BoolArray) -> None:
        """Thickened, enhancing dura over a cavity that reaches the surface: unlabelled."""
        depth = self.anatomy.depth_mm[self.box]
        near = distance_mm(cavity, self.spacing) < self.rng.uniform(4.0, 14.0)
        shell = self.brain & (depth <= self.rng.uniform(1.2, 2.6)) & near
        share = self._soft(shell, 0.5) * float(self.rng.uniform(0.5, 1.0))
        ratio = float(self.rng.uniform(1.2, 2.0))
        self._blend("t1c", share, np.full(shell.shape, ratio * self.tones.white["t1c"], dtype=np.float32))


def paint(
    rng: np.random.Generator, volumes: Volumes, anatomy: Anatomy, tones: Palette, layout: Layout
) -> Volumes:
    """The volumes with the layout painted in (copies; the arguments stay as they are)."""
    painted = {role: volume.copy() for role, volume in volumes.items()}
    if layout.labels.any():
        Painter(rng, painted, anatomy, tones, layout).paint()
    return painted
