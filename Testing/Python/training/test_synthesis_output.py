"""Simulated cases on disk, the gallery, and the table that sets them beside real ones, on phantoms."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from GliomaSegLib.cli import main
from GliomaSegLib.errors import Cancelled, InputRefused, OutputRefused, UsageError
from GliomaSegLib.intake.volume import ROLES
from GliomaSegLib.labels import CLASS_NAMES
from GliomaSegLib.training.cases import find_cases
from GliomaSegLib.training.synthesis import (
    Sources,
    find_sources,
    gallery,
    gap_table,
    synthesise_case,
    volume_table,
    write_cases,
    writing,
)
from GliomaSegLib.training.synthesis.appearance import case_statistics, compare
from GliomaSegLib.training.synthesis.gallery import draw_slices, overlay, telling_slice
from GliomaSegLib.training.synthesis.sources import load_scan

SHAPE = (40, 46, 40)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    """Two phantom heads in the layout of the data folder, one with a tumour, at 3.5 mm."""
    top = tmp_path_factory.mktemp("phantoms")
    z, y, x = np.meshgrid(*[np.arange(n) - (n - 1) / 2 for n in SHAPE], indexing="ij")
    radius = np.sqrt((z / 16) ** 2 + (y / 19) ** 2 + (x / 16) ** 2)
    ventricle = (np.abs(z) < 4) & (np.abs(y) < 7) & (np.abs(np.abs(x) - 3) < 2.5)
    tumour = np.sqrt((z - 5) ** 2 + y**2 + (x - 9) ** 2) < 4
    tones = {"t1": (0.8, 0.4, 0.7), "t1c": (0.85, 0.4, 1.4), "t2": (1.3, 3.0, 2.0), "flair": (1.1, 0.3, 1.6)}
    rng = np.random.default_rng(0)
    for folder, names, with_tumour in (
        (top / "brats2021" / "BraTS2021_90000", ("t1", "t1ce", "t2", "flair"), True),
        (top / "openms" / "cross_sectional" / "patient90", ROLES, False),
    ):
        folder.mkdir(parents=True)
        prefix = f"{folder.name}_" if with_tumour else ""
        for role, name in zip(ROLES, names, strict=True):
            grey, fluid, lesion = tones[role]
            volume = np.where(radius < 0.8, 1.0, grey)
            volume = np.where(ventricle, fluid, volume)
            volume = np.where(tumour & with_tumour, lesion, volume)
            volume = 500 * (volume + rng.normal(0, 0.03, SHAPE)) * (radius < 1)
            _write(volume.astype(np.float32), folder / f"{prefix}{name}.nii.gz")
        if with_tumour:
            _write(np.where(tumour, 4, 0).astype(np.uint8), folder / f"{prefix}seg.nii.gz")
    return find_sources(top, ("icbm",))


def _write(array: np.ndarray, path: Path) -> None:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((3.5, 3.5, 3.5))
    sitk.WriteImage(image, str(path))


def test_cases_are_written_in_brats_naming_and_read_back(sources: Sources, tmp_path: Path) -> None:
    folders = write_cases(sources, tmp_path, 4, seed=1, spacing_mm=4.0)
    assert [f.name for f in folders] == [f"BraTS-GLI-9000{n}-100" for n in range(4)]
    assert sorted(p.name for p in tmp_path.iterdir()) == [f.name for f in folders]
    found = find_cases([tmp_path])
    assert [case.name for case in found] == [f.name for f in folders]
    for number, (folder, files) in enumerate(zip(folders, found, strict=True)):
        case = synthesise_case(sources, 100_000 + number, 4.0)
        note = json.loads((folder / "synthesis.json").read_text())
        assert note["simulated"] is True and note["kind"] == case.kind
        assert set(note["missing_sequences"]) == set(ROLES) - set(case.volumes)
        assert files.images.keys() == case.volumes.keys()
        labels = sitk.ReadImage(str(files.labels))
        assert np.array_equal(sitk.GetArrayFromImage(labels), case.labels)
        assert labels.GetPixelID() == sitk.sitkUInt8
        for role, path in files.images.items():
            assert np.array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(path))), case.volumes[role])


def test_existing_folders_and_odd_counts_are_refused(sources: Sources, tmp_path: Path) -> None:
    (tmp_path / "BraTS-GLI-90001-100").mkdir()
    with pytest.raises(OutputRefused, match="90001"):
        write_cases(sources, tmp_path, 2, seed=0, spacing_mm=8.0)
    assert len(list(tmp_path.iterdir())) == 1
    with pytest.raises(UsageError, match="number of cases"):
        write_cases(sources, tmp_path, 0, seed=0)
    with pytest.raises(UsageError, match="seed"):
        write_cases(sources, tmp_path, 1, seed=-1)
    for spacing_mm in (0.0, -2.0, float("nan"), 200.0):
        with pytest.raises(UsageError, match="spacing"):
            write_cases(sources, tmp_path, 1, seed=1, spacing_mm=spacing_mm)


def test_a_place_that_cannot_be_written_is_refused_before_the_first_case(
    sources: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "synthesise_case", lambda *arguments: pytest.fail("made a case"))
    (tmp_path / "taken").write_text("a file")
    for output in (tmp_path / "taken", tmp_path / "taken" / "inner"):
        with pytest.raises(OutputRefused, match="can't be made"):
            write_cases(sources, output, 1, seed=1)


def test_a_cancelled_run_tells_how_far_it_came(
    sources: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(case: object, folder: Path, name: str, seed: int) -> None:
        (folder / "half").write_text("half a case")
        if name.endswith("90001-100"):
            raise Cancelled("Cancelled: nothing was written.")

    monkeypatch.setattr(writing, "synthesise_case", lambda *arguments: None)
    monkeypatch.setattr(writing, "_write_case", write)
    with pytest.raises(Cancelled, match="1 of 3 cases were made"):
        write_cases(sources, tmp_path, 3, seed=1)
    assert [path.name for path in tmp_path.iterdir()] == ["BraTS-GLI-90000-100"]


def test_the_command_needs_no_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("nilearn", reason="ICBM152 comes with nilearn (the extra demo)")
    words = ["synthesise", "--count", "1", "--seed", "4", "--spacing", "6", "--output"]
    picture = tmp_path / "pictures" / "gallery.png"
    assert main([*words, str(tmp_path / "one"), "--gallery", str(picture)]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert main([*words, str(tmp_path / "two")]) == 0
    assert "1 of 1" in capsys.readouterr().err
    case = "BraTS-GLI-90000-100"
    note = json.loads((tmp_path / "one" / case / "synthesis.json").read_text())
    assert (note["kind"], note["anatomy"]) == ("label_map", "ICBM152")
    for path in (tmp_path / "one" / case).iterdir():
        assert path.read_bytes() == (tmp_path / "two" / case / path.name).read_bytes()
    assert main([*words, str(tmp_path / "three"), "--exclude", "icbm"]) == 2
    assert "only anatomy" in capsys.readouterr().err
    assert main([*words, str(tmp_path / "four"), "--data", str(tmp_path / "gone")]) == 3
    assert "no data folder gone" in capsys.readouterr().err


def test_cases_in_brats_naming_serve_as_sources_cavities_and_all(sources: Sources, tmp_path: Path) -> None:
    """Somebody's copy of BraTS 2024: no folder of it is named as the project's data are."""
    write_cases(sources, tmp_path, 8, seed=1, spacing_mm=6.0)
    written = find_cases([tmp_path])
    whole = [case for case in written if len(case.images) == len(ROLES)]
    found = find_sources(tmp_path, [whole[0].patient])
    assert [source.name for source in found.real] == [case.name for case in whole[1:]]
    with_cavity = [
        source
        for source in found.real
        if 4 in sitk.GetArrayFromImage(sitk.ReadImage(str(source.labels_path)))
    ]
    assert with_cavity, "seed 1 has a cavity among its complete cases"
    assert 4 in load_scan(with_cavity[0], 6.0).labels
    assert synthesise_case(found, 5, 6.0).source != whole[0].name
    (tmp_path / "nothing").mkdir()
    with pytest.raises(InputRefused, match="holds no case in BraTS naming"):
        find_sources(tmp_path / "nothing", [])


def test_a_gallery_shows_the_real_tumours_and_every_case(
    sources: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []
    monkeypatch.setattr(writing, "draw_slices", lambda slices, path: drawn.extend(slices))
    write_cases(sources, tmp_path / "cases", 2, seed=1, spacing_mm=6.0, gallery=tmp_path / "gallery.png")
    titles = [item.title.split(":")[0] for item in drawn]
    assert titles == ["real"] * len(sources.with_tumour) + ["simulated 0", "simulated 1"]
    assert len(sources.with_tumour) > 0


def test_a_gallery_without_matplotlib_is_refused_before_the_first_case(
    sources: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gallery, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="matplotlib"):
        write_cases(sources, tmp_path / "cases", 1, seed=1, spacing_mm=6.0, gallery=tmp_path / "g.png")
    assert not (tmp_path / "cases").exists()


def test_statistics_find_what_was_put_in() -> None:
    """A block 2 above white on FLAIR where the brain's quartiles are 1 apart scores 2."""
    rng = np.random.default_rng(0)
    shape = (30, 30, 30)
    brain = np.ones(shape, dtype=bool)
    white = np.zeros(shape, dtype=bool)
    white[:, :, :15] = True
    volumes = {
        "t1": np.where(white, 10.0, 8.0),
        "t1c": np.where(white, 10.0, 8.0),
        "t2": np.where(white, 10.0, 12.0),
        "flair": np.where(white, 10.0, 11.0),
    }
    volumes = {r: (v + rng.normal(0, 0.02, shape)).astype(np.float32) for r, v in volumes.items()}
    labels = np.zeros(shape, dtype=np.uint8)
    labels[5:12, 5:12, 3:10] = CLASS_NAMES.index("SNFH")
    volumes["flair"][labels > 0] = 12.0
    found = case_statistics(volumes, labels, brain, 2.0)
    assert found["SNFH", "flair"] == pytest.approx(2.0, abs=0.15)
    assert found["SNFH", "t1"] == pytest.approx(0.0, abs=0.1)
    assert found["SNFH", "t1c-t1"] == pytest.approx(0.0, abs=0.1)
    assert not case_statistics({"t1": volumes["t1"]}, labels, brain, 2.0)


def test_comparison_counts_real_values_inside() -> None:
    key = ("ET", "t1c")
    rows = compare([{key: 1.0}, {key: 9.0}], [{key: float(v)} for v in range(3)])
    assert len(rows) == 1 and rows[0].covered == 0.5 and rows[0].synthetic[1] == 1.0
    assert "| ET | t1c | +1.00, +9.00 |" in gap_table(rows)
    assert compare([], [{key: 1.0}])[0].covered is None


def test_volume_table_counts_presence(sources: Sources) -> None:
    table = volume_table([synthesise_case(sources, seed, 5.0) for seed in range(3)])
    assert [line.split("|")[1].strip() for line in table.splitlines()[2:]] == list(CLASS_NAMES[1:])


def test_gallery_shows_labels_in_their_colours(sources: Sources, tmp_path: Path) -> None:
    case = synthesise_case(sources, 2, 5.0)
    shown = telling_slice("simulated 2", case.volumes, case.labels, case.brain)
    assert all(panel.min() >= 0 and panel.max() <= 1 for panel in shown.panels.values())
    path = draw_slices([shown, shown], tmp_path / "gallery.png")
    assert path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 5000
    labels = np.zeros((5, 5), dtype=np.uint8)
    labels[2, 2] = CLASS_NAMES.index("RC")
    picture = overlay(np.full((5, 5), 0.5, dtype=np.float32), labels)
    assert picture[2, 2] == pytest.approx(np.array([250, 215, 60]) / 255)
    assert (picture[0] == 0.5).all()
