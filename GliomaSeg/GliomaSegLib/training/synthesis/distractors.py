"""Unlabelled look-alikes of a tumour: spots and caps of age and other diseases, vessels, choroid plexus."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .anatomy import FLUID, GREY, WHITE, Anatomy
from .fields import BoolArray, FloatArray, distance_mm, ellipsoid, rough_field
from .painting import Palette, Volumes

MS_CHANCE = 0.3
"""How often a case has as many lesions as multiple sclerosis leaves, most of them around the ventricles."""


def add_distractors(
    rng: np.random.Generator, volumes: Volumes, anatomy: Anatomy, tones: Palette, away_from: BoolArray
) -> None:
    """Unlabelled look-alikes, in place: white-matter spots and caps (bright on FLAIR and T2), vessels and
    choroid plexus (bright on T1c). Kept at least 6 mm from the lesion."""
    spacing = anatomy.spacing_mm
    free = anatomy.brain & (distance_mm(away_from, spacing, 8.0) > 6.0)
    if rng.random() < MS_CHANCE:
        add_sclerosis(rng, volumes, anatomy, free, tones)
    elif rng.random() < 0.55:
        _spots(rng, volumes, free & (anatomy.tissue == WHITE), tones, spacing)
    if rng.random() < 0.4:
        _caps(rng, volumes, anatomy, free, tones)
    if rng.random() < 0.35:
        add_vessels(rng, volumes, anatomy, free, tones)


def _brighten(volume: FloatArray, box: tuple[slice, ...], share: FloatArray, target: float) -> None:
    view = volume[box]
    view[...] = np.maximum(view, view + share * (target - view))


def _spots(
    rng: np.random.Generator, volumes: Volumes, room: BoolArray, tones: Palette, spacing: float
) -> None:
    """Bright spots of 1.5 to 6 mm radius in white matter, some dark on T1; in one of five cases many."""
    places = np.flatnonzero(room)
    if places.size == 0:
        return
    count = int(rng.integers(10, 40)) if rng.random() < 0.2 else int(rng.integers(1, 11))
    reach = int(np.ceil(10.0 / spacing))
    for start in rng.choice(places, count):
        centre = np.array(np.unravel_index(start, room.shape))
        box = tuple(slice(max(0, c - reach), c + reach + 1) for c in centre)
        shape = room[box].shape
        local = centre - [s.start for s in box]
        radius = rng.uniform(1.5, 4.0) if rng.random() < 0.8 else rng.uniform(4.0, 6.0)
        share = (
            np.exp(-((ellipsoid(rng, shape, local.astype(float), spacing, 0.3) / radius) ** 2)) * room[box]
        )
        share = share.astype(np.float32)
        _brighten(volumes["flair"], box, share, float(rng.uniform(1.2, 1.7)) * tones.white["flair"])
        _brighten(volumes["t2"], box, share, float(rng.uniform(1.2, 2.0)) * tones.white["t2"])
        if rng.random() < 0.5:
            dark = np.float32(rng.uniform(0.05, 0.4)) * share
            for role in {"t1", "t1c"} & volumes.keys():
                volumes[role][box] *= 1 - dark


def add_sclerosis(
    rng: np.random.Generator, volumes: Volumes, anatomy: Anatomy, free: BoolArray, tones: Palette
) -> None:
    """Up to 80 sharp-edged lesions of 1 to 8 mm radius, most of them around the ventricles, where they flow
    together, as in multiple sclerosis: of one brightness within a case, some dark on T1."""
    spacing = anatomy.spacing_mm
    ventricle = ndimage.binary_opening((anatomy.tissue == FLUID) & (anatomy.depth_mm > 16))
    room = free & (anatomy.tissue >= GREY)
    places = np.flatnonzero(free & (anatomy.tissue == WHITE))
    if places.size == 0 or not ventricle.any():
        return
    gap = distance_mm(ventricle, spacing, 60.0).ravel()[places]
    chance = np.exp(-gap / float(rng.uniform(3.0, 12.0))) + float(rng.uniform(0.0, 0.1))
    size = float(rng.uniform(1.6, 3.2))
    share = np.zeros(room.shape, dtype=np.float32)
    dark = np.zeros(room.shape, dtype=np.float32)
    for start in rng.choice(places, int(rng.integers(8, 80)), p=chance / chance.sum()):
        radius = float(np.clip(size * np.exp(rng.normal(0.0, 0.5)), 1.0, 8.0))
        centre = np.array(np.unravel_index(start, room.shape))
        reach = int(np.ceil(2.0 * radius / spacing)) + 1
        box = tuple(slice(max(0, c - reach), c + reach + 1) for c in centre)
        local = (centre - [s.start for s in box]).astype(float)
        away = ellipsoid(rng, room[box].shape, local, spacing, 0.4)
        inside = np.clip((radius - away) / spacing + 0.5, 0, 1).astype(np.float32)
        share[box] = np.maximum(share[box], inside * np.float32(rng.uniform(0.7, 1.0)))
        if rng.random() < 0.5:
            dark[box] = np.maximum(dark[box], inside * np.float32(rng.uniform(0.1, 0.4)))
    share = ndimage.gaussian_filter(share, 0.4) * room
    whole = tuple(slice(None) for _ in range(3))
    _brighten(volumes["flair"], whole, share, float(rng.uniform(1.2, 2.0)) * tones.white["flair"])
    _brighten(volumes["t2"], whole, share, float(rng.uniform(1.2, 2.3)) * tones.white["t2"])
    for role in {"t1", "t1c"} & volumes.keys():
        volumes[role] *= 1 - dark * room


def _caps(
    rng: np.random.Generator, volumes: Volumes, anatomy: Anatomy, free: BoolArray, tones: Palette
) -> None:
    """Thin bright caps around the ventricles on both sides, as age and radiation leave them."""
    ventricle = ndimage.binary_opening((anatomy.tissue == FLUID) & (anatomy.depth_mm > 16))
    if not ventricle.any():
        return
    gap = distance_mm(ventricle, anatomy.spacing_mm, 14.0)
    share = np.exp(-gap / rng.uniform(1.5, 6.0)) * (free & (anatomy.tissue >= GREY))
    share = (share * rng.uniform(0.3, 0.9)).astype(np.float32)
    whole = tuple(slice(None) for _ in range(3))
    _brighten(volumes["flair"], whole, share, float(rng.uniform(1.2, 1.55)) * tones.white["flair"])
    _brighten(volumes["t2"], whole, share, float(rng.uniform(1.15, 1.7)) * tones.white["t2"])


def add_vessels(
    rng: np.random.Generator, volumes: Volumes, anatomy: Anatomy, free: BoolArray, tones: Palette
) -> None:
    """Vessels in the sulci and choroid plexus in the ventricles: thin, bright on T1c alone."""
    if "t1c" not in volumes:
        return
    sheet = np.abs(rough_field(rng, free.shape, 14.0, anatomy.spacing_mm))
    other = np.abs(rough_field(rng, free.shape, 14.0, anatomy.spacing_mm))
    line = np.exp(-((sheet / 0.12) ** 2) - (other / 0.12) ** 2) * (free & (anatomy.tissue == FLUID))
    whole = tuple(slice(None) for _ in range(3))
    _brighten(
        volumes["t1c"], whole, line.astype(np.float32), float(rng.uniform(1.2, 2.2)) * tones.white["t1c"]
    )
