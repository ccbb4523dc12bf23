"""From fractions of tissue to what a scanner would show: contrast, texture, bias, blur, slices, noise."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ...intake.volume import ROLES
from .anatomy import Anatomy
from .fields import BoolArray, FloatArray, smooth_field
from .lesion import Lesion
from .signal import Protocol, Tissue, draw_protocol, healthy_tissues

HEALTHY = ("wm", "gm", "csf")
_PROTOCOLS_TRIED = 60

_TISSUE_OF_PART = {
    "treated": "treated",
    "oedema": "oedema",
    "necrosis": "necrosis",
    "blood": "blood",
    "scar": "scar",
    "dura": "scar",
    "vessel": "vessel",
}
"""Parts that one tissue fills. Enhancing tissue and fluid are mixtures, made in ``_part_signal``."""
_ONLY_AFTER_INJECTION = ("scar", "dura", "vessel")
_TEXTURE = {"oedema": 0.05, "necrosis": 0.10, "enhancing": 0.07, "fluid": 0.015}
"""Standard deviation of smooth signal variation within a part, relative; 0.03 for the others."""


class Acquisition:
    """Renders one case. ``scale`` and ``shift`` by role take model signals to the anatomy's intensities."""

    def __init__(self, anatomy: Anatomy, lesion: Lesion, rng: np.random.Generator) -> None:
        self.anatomy, self.lesion, self.rng = anatomy, lesion, rng
        self.shape, self.spacing_mm = anatomy.brain.shape, anatomy.spacing_mm
        if anatomy.scans is None:
            self.protocol = draw_protocol(rng)
            self.scale, self.shift = dict.fromkeys(ROLES, 1.0), dict.fromkeys(ROLES, 0.0)
        else:
            self.protocol, self.scale, self.shift = _fitted_protocol(anatomy, anatomy.scans, rng)
        self.textures: dict[str, FloatArray] = {}
        self.grain: dict[str, float] = {}

    def render(self, tissues: dict[str, Tissue], sediment: FloatArray | None) -> dict[str, FloatArray]:
        """The four contrasts (z, y, x), 0 outside the brain. ``sediment`` (0 to 1): settled fluid."""
        fluid = np.zeros(self.shape, np.float32) if sediment is None else sediment
        uptake = np.clip(0.5 + 0.4 * self._texture("uptake", 4.0), 0.0, 1.0)
        volumes = {}
        for role in ROLES:
            picture = self._healthy(role)
            for part, cover in self.lesion.parts.items():
                if part in _ONLY_AFTER_INJECTION and role != "t1c":
                    continue
                where = _box_of(cover)
                if where is None:
                    continue
                colour = self._part_signal(part, role, tissues, uptake[where], fluid[where])
                colour = colour * (1.0 + _TEXTURE.get(part, 0.03) * self._texture(part, 5.0)[where])
                alpha = cover[where]
                picture[where] = (1.0 - alpha) * picture[where] + alpha * colour
            volumes[role] = self._scanned(picture, role)
        return volumes

    def _part_signal(
        self, part: str, role: str, tissues: dict[str, Tissue], uptake: FloatArray, fluid: FloatArray
    ) -> FloatArray:
        """Intensity that a part would have alone; mixtures are mixed here."""

        def of(name: str) -> float:
            return self.scale[role] * self.protocol.signal(tissues[name], role) + self.shift[role]

        if part == "enhancing":
            mixed = of("et_low") + uptake * (of("et_high") - of("et_low"))
        elif part == "fluid":
            mixed = of("fluid") + fluid * (of("sediment") - of("fluid"))
        else:
            mixed = np.full(uptake.shape, of(_TISSUE_OF_PART[part]), np.float32)
        return np.maximum(mixed, 0.0).astype(np.float32)

    def _healthy(self, role: str) -> FloatArray:
        if self.anatomy.scans is not None:
            return self.anatomy.scans[role].copy()
        healthy = healthy_tissues(self.protocol.field_t)
        picture = np.zeros(self.shape, np.float32)
        for name in HEALTHY:
            level = self.protocol.signal(healthy[name], role)
            picture += level * getattr(self.anatomy, name)
        slow, fine = self._texture("slow", 9.0), self._texture("fine", 2.5)
        return picture * (1.0 + 0.03 * slow + 0.02 * fine)

    def _texture(self, name: str, correlation_mm: float) -> FloatArray:
        """A smooth field that is the same for all contrasts: it is the tissue that varies."""
        if name not in self.textures:
            self.textures[name] = smooth_field(self.rng, self.shape, correlation_mm, self.spacing_mm)
        return self.textures[name]

    def _scanned(self, picture: FloatArray, role: str) -> FloatArray:
        """What the scanner adds. A real scan has it already: there only the lesion gets the scan's grain."""
        brain = self.anatomy.brain
        if self.anatomy.scans is not None:
            grain = _grain(self.anatomy.scans[role], self.anatomy.wm > 0.9)
            covered = np.maximum.reduce(list(self.lesion.parts.values()))
            added = smooth_field(self.rng, self.shape, 1.6, self.spacing_mm)
            return np.where(brain, np.maximum(picture + grain * covered * added, 0.0), 0.0).astype(np.float32)
        bias = np.exp(
            self.rng.uniform(0.03, 0.12) * smooth_field(self.rng, self.shape, 90.0, self.spacing_mm)
        )
        picture = picture * bias
        white = float(np.median(picture[self.anatomy.wm > 0.9]))
        picture = self._resolved(picture)
        noise_sd = white * self.rng.uniform(0.012, 0.04)
        real = picture + noise_sd * self._noise()
        magnitude = np.hypot(real, noise_sd * self._noise())
        gain = self.rng.uniform(200.0, 900.0) / white
        return np.where(brain, gain * magnitude, 0.0).astype(np.float32)

    def _resolved(self, picture: FloatArray) -> FloatArray:
        """Point spread of the acquisition; in a third, slices of 3 to 5 mm along a random axis."""
        sigma = [self.rng.uniform(0.35, 0.6) / max(self.spacing_mm, 1.0)] * 3
        if self.rng.random() < 0.33:
            sigma[self.rng.integers(3)] = self.rng.uniform(3.0, 5.0) / self.spacing_mm / 2.355
        return np.asarray(ndimage.gaussian_filter(picture, sigma), np.float32)

    def _noise(self) -> FloatArray:
        """White noise as resampling to a common grid leaves it, a little correlated; deviation about 1."""
        noise = ndimage.gaussian_filter(self.rng.standard_normal(self.shape, np.float32), 0.5)
        return np.asarray(noise / noise[::4, ::4, ::4].std(), np.float32)


def _box_of(cover: FloatArray) -> tuple[slice, ...] | None:
    found = ndimage.find_objects((cover > 0).astype(np.uint8))
    return found[0] if found else None


def _grain(scan: FloatArray, white: BoolArray) -> float:
    """Standard deviation of a scan's fine variation within white matter."""
    rough = scan - ndimage.gaussian_filter(scan, 1.5)
    inner = ndimage.binary_erosion(white, iterations=2)
    return float(rough[inner].std()) if inner.any() else 0.0


def _fitted_protocol(
    anatomy: Anatomy, scans: dict[str, FloatArray], rng: np.random.Generator
) -> tuple[Protocol, dict[str, float], dict[str, float]]:
    """The protocol, of many drawn, under which healthy tissue looks most like the real scans.

    With it, per contrast, the linear map (scale, shift) from model signals to the scans' intensities, exact
    for white matter and fluid, between which lesions lie; how far it misses grey matter decides.
    """
    seen = {
        role: [float(np.median(scans[role][getattr(anatomy, name) > 0.8])) for name in HEALTHY]
        for role in ROLES
    }
    best: tuple[float, Protocol, dict[str, float], dict[str, float]] | None = None
    for _ in range(_PROTOCOLS_TRIED):
        protocol = draw_protocol(rng)
        healthy = healthy_tissues(protocol.field_t)
        error, scale, shift = 0.0, {}, {}
        for role in ROLES:
            white, grey, fluid = (protocol.signal(healthy[name], role) for name in HEALTHY)
            scale[role] = (seen[role][0] - seen[role][2]) / (white - fluid)
            shift[role] = seen[role][0] - scale[role] * white
            error += abs(scale[role] * grey + shift[role] - seen[role][1]) / max(seen[role])
            error += 10.0 * (scale[role] <= 0)
        if best is None or error < best[0]:
            best = error, protocol, scale, shift
    assert best is not None
    return best[1:]
