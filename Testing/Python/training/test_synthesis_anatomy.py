"""Anatomies: from label maps, rendered, bent; lesions moved and operated on. Phantoms only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from GliomaSegLib.intake.volume import ROLES
from GliomaSegLib.labels import CLASS_NAMES
from GliomaSegLib.training.synthesis.anatomy import (
    FLUID,
    GREY,
    WHITE,
    Background,
    above_cerebellum,
    classify,
    describe,
    tissue_medians,
)
from GliomaSegLib.training.synthesis.geometry import Push, bend, sampling_points
from GliomaSegLib.training.synthesis.label_maps import FREESURFER, PARTS, load_label_map
from GliomaSegLib.training.synthesis.operation import operate
from GliomaSegLib.training.synthesis.rendering import draw_ratios, rendered_background
from GliomaSegLib.training.synthesis.transplant import graft, place_lesion, shape_only

NUMBER = {name: number for number, name in enumerate(CLASS_NAMES)}
SHAPE, SPACING = (36, 44, 36), 4.0


def _radius() -> np.ndarray:
    z, y, x = np.meshgrid(*[np.arange(n) - (n - 1) / 2 for n in SHAPE], indexing="ij")
    return np.sqrt((z / 15) ** 2 + (y / 19) ** 2 + (x / 15) ** 2)


def _background(with_tumour: bool) -> Background:
    """White inside, grey shell, a ventricle; a bright ball of ET within SNFH when ``with_tumour``."""
    radius = _radius()
    z, y, x = np.meshgrid(*[np.arange(n) - (n - 1) / 2 for n in SHAPE], indexing="ij")
    tissue = np.where(radius < 0.8, WHITE, GREY).astype(np.uint8)
    tissue[(np.abs(z) < 3) & (np.abs(y) < 6) & (np.abs(x) < 3)] = FLUID
    brain = radius < 1
    tissue[~brain] = 0
    from_lesion = np.sqrt((z - 4) ** 2 + y**2 + (x - 8) ** 2)
    labels = np.zeros(SHAPE, dtype=np.uint8)
    if with_tumour:
        labels[from_lesion < 5] = NUMBER["SNFH"]
        labels[from_lesion < 3] = NUMBER["ET"]
    tones = {"t1": (0.4, 0.8), "t1c": (0.4, 0.85), "t2": (3.0, 1.3), "flair": (0.25, 1.1)}
    rng = np.random.default_rng(0)
    volumes = {}
    for role, (fluid, grey) in tones.items():
        volume = np.array([0, fluid, grey, 1.0])[tissue]
        volume[labels == NUMBER["SNFH"]] = 1.5
        volume[labels == NUMBER["ET"]] = 1.8
        volumes[role] = ((volume + rng.normal(0, 0.02, SHAPE)) * 300 * brain).clip(0).astype(np.float32)
    anatomy = describe(tissue, brain, None, SPACING)
    return Background("phantom", volumes, labels, anatomy, tissue_medians(volumes, tissue, labels > 0))


@pytest.fixture(scope="module")
def label_map(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A head in FreeSurfer numbers at 2 mm: white in cortex in fluid in skull, with a lateral ventricle."""
    radius = _radius()
    array = np.zeros(SHAPE, dtype=np.int32)
    array[radius < 1.2] = 515
    array[radius < 1.0] = 24
    array[radius < 0.95] = 3
    array[radius < 0.75] = 2
    array[radius < 0.2] = 4
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((2.0, 2.0, 2.0))
    path = tmp_path_factory.mktemp("maps") / "training_seg_99.nii.gz"
    sitk.WriteImage(image, str(path))
    return path


def test_each_freesurfer_number_belongs_to_one_part() -> None:
    numbers = [n for part in PARTS for n in FREESURFER[part]]
    assert len(numbers) == len(set(numbers)) and max(numbers) < 500


@pytest.mark.parametrize("spacing", [2.0, 4.0, 3.0])
def test_label_map_keeps_its_volumes_at_any_spacing(label_map: Path, spacing: float) -> None:
    anatomy = load_label_map(label_map, spacing)
    assert anatomy.grid.spacing_mm == (spacing,) * 3
    assert anatomy.shares.max() == 255 and not anatomy.shares[:, ~anatomy.brain].sum(axis=0).max() > 255
    ml = anatomy.shares.sum(axis=(1, 2, 3), dtype=float) / 255 * spacing**3 / 1000
    truth = (_radius() < 0.75).sum() - (_radius() < 0.2).sum()
    assert ml[PARTS.index("white")] == pytest.approx(truth * 0.008, rel=0.05)
    assert ml[PARTS.index("plexus")] == 0


def test_ratios_hold_in_every_draw() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        ratios = draw_ratios(rng)
        assert ratios["t1"]["fluid"] < ratios["t1"]["cortex"] < ratios["t1"]["white"] == 1
        assert ratios["t2"]["fluid"] > ratios["t2"]["cortex"] > 1
        assert ratios["flair"]["fluid"] < 0.5 < ratios["flair"]["cortex"]


def test_rendered_brain_shows_the_drawn_contrast(label_map: Path) -> None:
    ground = rendered_background(np.random.default_rng(1), load_label_map(label_map, 4.0))
    tissue = ground.anatomy.tissue
    assert set(ground.volumes) == set(ROLES)
    for volume in ground.volumes.values():
        assert volume.shape == tissue.shape and not volume[~ground.anatomy.brain].any()
    median = {r: {t: np.median(v[tissue == t]) for t in (GREY, WHITE)} for r, v in ground.volumes.items()}
    assert median["t1"][WHITE] > median["t1"][GREY]
    assert median["t2"][WHITE] < median["t2"][GREY]


def test_classify_finds_the_tissues_of_the_phantom() -> None:
    ground = _background(with_tumour=False)
    tissue = classify(ground.volumes, ground.anatomy.brain, np.zeros(SHAPE, dtype=bool))
    assert (tissue == ground.anatomy.tissue).mean() > 0.97


def test_push_moves_tissue_outwards() -> None:
    ground = _background(with_tumour=True)
    centre = np.argwhere(ground.labels == NUMBER["ET"]).mean(axis=0)
    rng = np.random.default_rng(2)
    pushed = bend(ground, sampling_points(rng, SHAPE, SPACING, 0.0, Push(centre, 14.0, 8.0)))
    pulled = bend(ground, sampling_points(rng, SHAPE, SPACING, 0.0, Push(centre, 14.0, -6.0)))
    size = [(b.labels == NUMBER["ET"]).sum() for b in (pulled, ground, pushed)]
    assert size[0] < size[1] < size[2]
    assert ((pushed.anatomy.tissue > 0) == pushed.anatomy.brain).all()


def test_operated_tumour_has_a_cavity_in_its_place() -> None:
    ground = _background(with_tumour=True)
    for seed in range(6):
        layout = operate(np.random.default_rng(seed), ground)
        cavity = layout.labels == NUMBER["RC"]
        assert cavity.any() and not cavity[~ground.anatomy.brain].any()
        assert (ground.labels[cavity] > 0).mean() > 0.6
    healthy = operate(np.random.default_rng(0), _background(with_tumour=False))
    assert not healthy.labels.any()


def test_moved_lesion_keeps_labels_inside_and_brings_its_brightness() -> None:
    donor, host = _background(with_tumour=True), _background(with_tumour=False)
    rng = np.random.default_rng(3)
    labels, lesion = place_lesion(rng, donor, host)
    assert set(np.unique(labels)) <= {0, NUMBER["SNFH"], NUMBER["ET"]} and (labels == NUMBER["ET"]).sum() > 20
    assert not labels[~host.anatomy.brain].any()
    grafted = graft(rng, host, labels, lesion)
    inside = labels == NUMBER["ET"]
    assert np.median(grafted["flair"][inside]) > 1.4 * np.median(host.volumes["flair"][inside])
    far = ~(shape_only(labels, SPACING).arrival < 60) & host.anatomy.brain
    assert np.array_equal(grafted["flair"][far], host.volumes["flair"][far])


def test_the_cerebrum_holds_temporal_lobes_and_leaves_out_cerebellum_and_brainstem() -> None:
    brain = np.ones((50, 60, 40), dtype=bool)
    cerebrum = above_cerebellum(brain, midline=19.5, spacing_mm=3.0)
    assert cerebrum[18:].all()
    assert cerebrum[10, 30, 4] and cerebrum[10, 30, 35], "temporal lobes lie beside the brainstem"
    assert not cerebrum[10, 30, 19] and not cerebrum[10, 50].any()
