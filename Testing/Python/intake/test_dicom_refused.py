"""The table of broken DICOM input: each is refused with one sentence. ``pytest -s`` prints the table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pydicom", reason="pydicom is not installed")

import pydicom
from dicom_builders import ARRAY, GRID, Builder, edited, enhanced, good, on_a_cd, slices
from dicom_files import place, write_classic, write_enhanced
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from GliomaSegLib.errors import InputRefused
from GliomaSegLib.intake.exam import read_any
from GliomaSegLib.intake.volume import Grid


def without(*keywords: str) -> Builder:
    def change(dataset: Dataset) -> None:
        for keyword in keywords:
            del dataset[keyword]

    return edited(change)


def doubled(**differing: object) -> Builder:
    """A second picture of every slice in the same series, different by the given tags."""

    def build(folder: Path) -> None:
        uid = write_classic(folder, ARRAY, GRID, prefix="a")
        write_classic(folder, ARRAY + 1, GRID, series_uid=uid, prefix="b", **differing)

    return build


def over_time(folder: Path) -> None:
    uid = generate_uid()
    for time in range(8):
        write_classic(
            folder, ARRAY + time, GRID, series_uid=uid, prefix=f"{time}-", TemporalPositionIdentifier=time + 1
        )


def one_slice(folder: Path) -> None:
    write_classic(folder, ARRAY, GRID, slices=[4])


def missing_slices(folder: Path) -> None:
    write_classic(folder, ARRAY, GRID, slices=[0, 1, 2, 3, 5, 6, 8])


def uneven_slices(folder: Path) -> None:
    shifted = list(np.add(place(GRID, 4), (0, 0, 1.0)))
    write_classic(folder, ARRAY, GRID, positions={4: shifted})


def cut_files(folder: Path) -> None:
    good(folder)
    for path in slices(folder):
        path.write_bytes(path.read_bytes()[:300])


def cut_pixels(folder: Path) -> None:
    good(folder)
    path = slices(folder)[4]
    path.write_bytes(path.read_bytes()[:-100])


def cut_compressed(folder: Path) -> None:
    good(folder)
    for path in slices(folder):
        dataset = pydicom.dcmread(path)
        dataset.compress(pydicom.uid.RLELossless)
        dataset.save_as(path)
    path = slices(folder)[4]
    path.write_bytes(path.read_bytes()[:-80])


def only_text(folder: Path) -> None:
    (folder / "report.txt").write_text("no picture")


def only_a_directory_file(folder: Path) -> None:
    on_a_cd(folder)
    for path in (folder / "cd").rglob("*"):
        if path.is_file() and path.name != "DICOMDIR":
            path.unlink()


def unplaced_frames(folder: Path) -> None:
    write_enhanced(folder / "e.dcm", ARRAY, GRID, range(9))
    dataset = pydicom.dcmread(folder / "e.dcm")
    del dataset.PerFrameFunctionalGroupsSequence
    dataset.save_as(folder / "e.dcm")


def fewer_places(dataset: Dataset) -> None:
    dataset.PerFrameFunctionalGroupsSequence = dataset.PerFrameFunctionalGroupsSequence[:7]


def fewer_pixels(dataset: Dataset) -> None:
    dataset.PixelData = dataset.PixelData[: 5 * 14 * 12 * 2]


def no_position(dataset: Dataset) -> None:
    del dataset.PerFrameFunctionalGroupsSequence[3].PlanePositionSequence


def private_syntax(dataset: Dataset) -> None:
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID("1.2.840.113619.5.2.99")


def unpackable(dataset: Dataset) -> None:
    dataset.PixelData = pydicom.encaps.encapsulate([b"no stream of this kind\xff\xd9"])
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.HTJ2KLossless


def setter(**values: object) -> Callable[[Dataset], None]:
    def change(dataset: Dataset) -> None:
        for keyword, value in values.items():
            setattr(dataset, keyword, value)

    return change


def two_planes(folder: Path) -> None:
    """Two stacks of one size, at right angles, in one series."""
    uid = write_classic(folder, ARRAY, GRID, prefix="a")
    side = Grid(GRID.shape, GRID.spacing_mm, (0.0, 0.0, 0.0), (0, 0, 1.0, 1.0, 0, 0, 0, -1.0, 0))
    write_classic(folder, ARRAY, side, series_uid=uid, prefix="b")


REFUSED: dict[str, tuple[Builder, str]] = {
    "a folder without a picture": (only_text, r"holds no DICOM images: give the folder"),
    "an empty folder": (lambda folder: None, r"holds no DICOM images"),
    "a CD's DICOMDIR without its files": (only_a_directory_file, r"holds no DICOM images"),
    "CT": (lambda f: good(f, Modality="CT"), r"is CT, not MR: choose another series"),
    "a segmentation": (
        lambda f: good(f, Modality="MR", SOPClassUID="1.2.840.10008.5.1.4.1.1.66.4"),
        r"holds no MR pictures",
    ),
    "MR spectroscopy": (
        lambda f: good(f, SOPClassUID="1.2.840.10008.5.1.4.1.1.4.2"),
        r"holds no MR pictures",
    ),
    "a mosaic": (lambda f: good(f, ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"]), r"is a mosaic"),
    "a colour picture": (edited(setter(SamplesPerPixel=3)), r"is a colour picture"),
    "one slice alone": (one_slice, r"is a single slice"),
    "two of nine slices missing": (missing_slices, r"lacks 2 of 9 slices: export the whole series again"),
    "unevenly spaced slices": (uneven_slices, r"unevenly spaced slices \(2\.30 to 4\.30 mm"),
    "two pictures of every slice, no difference told": (doubled(), r"up to 2 images at one and the same"),
    "two planes of one size in one series": (two_planes, r"holds 2 series .* stack 1, .* stack 2"),
    "a series over time": (over_time, r"holds 8 stacks of images, as a series over time"),
    "diffusion": (doubled(DiffusionBValue=1000.0), r"is diffusion-weighted"),
    "no position": (without("ImagePositionPatient"), r"does not say where its slices lie"),
    "no orientation": (without("ImageOrientationPatient"), r"does not say where its slices lie"),
    "no pixel spacing": (without("PixelSpacing"), r"does not say where its slices lie"),
    "a pixel spacing of zero": (edited(setter(PixelSpacing=[0, 0])), r"voxel spacing of 0 x 0 x 3.3 mm"),
    "axes that are parallel": (
        edited(setter(ImageOrientationPatient=[1, 0, 0, 1, 0, 0])),
        r"does not say where",
    ),
    "no pixels": (without("PixelData"), r"slice without pixels, as after .* headers alone"),
    "all files cut in the header": (cut_files, r"no DICOM images \(9 damaged DICOM files"),
    "cut pixels": (cut_pixels, r"has a damaged slice: export the series again"),
    "cut compressed pixels": (cut_compressed, r"slice without pixels, as after a broken copy"),
    "a private transfer syntax": (edited(private_syntax), r"compressed in a way that can't be unpacked"),
    "a compression that nobody unpacks": (edited(unpackable), r"compressed in a way that can't be unpacked"),
    "all pixels the same": (
        edited(setter(PixelData=np.full((14, 12), 7, "<i2").tobytes())),
        r"is 7 everywhere",
    ),
    "a multi-frame file without places": (unplaced_frames, r"one file of 9 pictures that does not say where"),
    "a multi-frame file with too few places": (enhanced(fewer_places), r"9 pictures with places for 7"),
    "a multi-frame file with too few pixels": (enhanced(fewer_pixels), r"damaged slice|fewer pixels"),
    "a multi-frame file, one frame without place": (enhanced(no_position), r"does not say where its slices"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_broken_gets_its_sentence(name: str, tmp_path: Path) -> None:
    build, words = REFUSED[name]
    build(tmp_path)
    with pytest.raises(InputRefused, match=words) as refusal:
        read_any(tmp_path, "t1c")
    sentence = str(refusal.value)
    print(f"| {name} | {sentence.replace(tmp_path.name, 'exam')} |")
    assert "\n" not in sentence and sentence.startswith("T1c (") and sentence.endswith(".")
    assert "Secret" not in sentence and "SECRET" not in sentence
