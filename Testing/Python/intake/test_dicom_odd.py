"""Odd but whole DICOM input is read right: other encodings, litter, links, scalings, old archives."""

from __future__ import annotations

import os
import re
import shutil
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pydicom", reason="pydicom is not installed")

import pydicom
import SimpleITK as sitk
from dicom_builders import ARRAY, GRID, Builder, edited, enhanced, good, on_a_cd, slices
from pydicom.dataset import Dataset

from GliomaSegLib.intake.exam import read_any
from GliomaSegLib.intake.volume import Volume


def rewritten(syntax: str) -> Builder:
    """A good series in another uncompressed transfer syntax."""

    def build(folder: Path) -> None:
        good(folder)
        for path in slices(folder):
            dataset = pydicom.dcmread(path)
            big = syntax == pydicom.uid.ExplicitVRBigEndian
            dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
            if big:
                dataset.PixelData = np.frombuffer(dataset.PixelData, "<i2").astype(">i2").tobytes()
            pydicom.dcmwrite(
                path,
                dataset,
                implicit_vr=syntax == pydicom.uid.ImplicitVRLittleEndian,
                little_endian=not big,
                force_encoding=True,
            )

    return build


def compressed(compressor: str) -> Builder:
    """A good series, each file compressed by GDCM as scanners and archives do it."""

    def build(folder: Path) -> None:
        good(folder)
        writer = sitk.ImageFileWriter()
        writer.UseCompressionOn()
        writer.SetCompressor(compressor)
        for path in slices(folder):
            dataset = pydicom.dcmread(path)
            writer.SetFileName(str(folder / "packed.dcm"))
            writer.Execute(sitk.GetImageFromArray(dataset.pixel_array))
            packed = pydicom.dcmread(folder / "packed.dcm")
            assert packed.file_meta.TransferSyntaxUID.is_encapsulated
            dataset.PixelData = packed.PixelData
            dataset["PixelData"].is_undefined_length = True
            dataset["PixelData"].VR = "OB"
            dataset.file_meta.TransferSyntaxUID = packed.file_meta.TransferSyntaxUID
            dataset.save_as(path)
        (folder / "packed.dcm").unlink()

    return build


def bare(folder: Path) -> None:
    """Without preamble, meta header and suffix, as old archives and CDs write."""
    good(folder)
    for path in slices(folder):
        dataset = pydicom.dcmread(path)
        pydicom.dcmwrite(
            path.with_suffix(""),
            Dataset(dataset),
            implicit_vr=True,
            little_endian=True,
            enforce_file_format=False,
        )
        path.unlink()
    assert not any(path.read_bytes()[128:132] == b"DICM" for path in folder.iterdir())


def with_litter(folder: Path) -> None:
    good(folder)
    (folder / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    (folder / "._00000.dcm").write_bytes(b"\0\5\26\7" + b"\0" * 100)
    (folder / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0" * 30)
    (folder / "viewer.exe").write_bytes(b"MZ" + b"\0" * 300)
    (folder / "AUTORUN.INF").write_text("[autorun]")


def linked(folder: Path) -> None:
    good(folder / "real" / "one")
    (folder / "exam").mkdir()
    (folder / "exam" / "series").symlink_to(folder / "real" / "one")
    (folder / "exam" / "back").symlink_to(folder / "exam")
    (folder / "exam" / "gone").symlink_to(folder / "nowhere")


def slope_per_slice(dataset: Dataset) -> None:
    z = 0 if dataset.InstanceNumber % 2 else 1
    stored = np.frombuffer(dataset.PixelData, "<i2") * (2 if z else 1)
    dataset.PixelData = stored.astype("<i2").tobytes()
    dataset.RescaleSlope, dataset.RescaleIntercept = (0.5, 0) if z else (1, 0)


def unsigned(dataset: Dataset) -> None:
    stored = np.frombuffer(dataset.PixelData, "<i2").astype(np.int32) + 50
    dataset.PixelData, dataset.PixelRepresentation = stored.astype("<u2").tobytes(), 0
    dataset.RescaleIntercept, dataset.RescaleSlope = -50, 1


def overlay_in_high_bits(dataset: Dataset) -> None:
    """12 of 16 bits are the picture, as older scanners write; something else lies above them."""
    stored = np.frombuffer(dataset.PixelData, "<i2").astype(np.int32) + 50
    dataset.PixelData = (stored | 0x8000).astype("<u2").tobytes()
    dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 12, 11, 0
    dataset.RescaleIntercept, dataset.RescaleSlope = -50, 1


def umlaut(dataset: Dataset) -> None:
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.PatientName = "Müller^Zoë"
    dataset.SeriesDescription = "T1 après injection"


def unknown_letters(dataset: Dataset) -> None:
    dataset.SpecificCharacterSet = "ISO_IR 999"
    dataset.PatientName = "Secret^Name"


def wrong_numbers(dataset: Dataset) -> None:
    """Values that their type forbids, in tags that are no matter of life."""
    dataset["EchoTime"] = pydicom.DataElement(0x00180081, "DS", "12", validation_mode=0)
    raw = dataset["EchoTime"]
    raw._value = "about twelve"
    dataset["SeriesNumber"]._value = "3"


def no_class(dataset: Dataset) -> None:
    """As some anonymisers leave it."""
    del dataset.SOPClassUID
    del dataset.Modality
    del dataset.ImageType


def odd_dimensions(dataset: Dataset) -> None:
    """Indices that run against the places: the standard lets a dimension be anything."""
    for place_in_file, group in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        content = Dataset()
        content.DimensionIndexValues = [1, (place_in_file * 4) % 9 + 1]
        content.InStackPositionNumber = 9 - place_in_file
        content.StackID = "1"
        group.FrameContentSequence = [content]


def inverted(dataset: Dataset) -> None:
    dataset.PhotometricInterpretation = "MONOCHROME1"


def same(volume: Volume) -> bool:
    return bool(np.allclose(volume.array, ARRAY)) and volume.grid.matches(GRID, 1e-3)


def from_enhanced(volume: Volume) -> bool:
    return bool(np.allclose(volume.array, ARRAY * 2.0 - 5)) and volume.grid.matches(GRID, 1e-3)


READ: dict[str, tuple[Builder, Callable[[Volume], bool], str]] = {
    "implicit little endian": (rewritten(pydicom.uid.ImplicitVRLittleEndian), same, ""),
    "big endian": (rewritten(pydicom.uid.ExplicitVRBigEndian), same, ""),
    "deflated": (rewritten(pydicom.uid.DeflatedExplicitVRLittleEndian), same, ""),
    "JPEG 2000": (compressed("JPEG2000"), same, ""),
    "JPEG lossless": (compressed("JPEG"), same, ""),
    "JPEG-LS": (compressed("JPEGLS"), same, ""),
    "RLE": (compressed("RLE"), same, ""),
    "no preamble, no suffix": (bare, same, ""),
    "a CD with its DICOMDIR": (on_a_cd, same, ""),
    "litter of file managers": (with_litter, same, ""),
    "links, one of them in a circle": (linked, same, ""),
    "another slope in every slice": (edited(slope_per_slice), same, ""),
    "unsigned numbers": (edited(unsigned), same, ""),
    "an overlay in the unused bits": (edited(overlay_in_high_bits), same, ""),
    "letters beyond ASCII": (edited(umlaut), same, ""),
    "an unknown character set": (edited(unknown_letters), same, ""),
    "an echo time that is no number": (edited(wrong_numbers), same, ""),
    "class, modality and image type removed": (edited(no_class), same, ""),
    "one file of 0 bytes beside the series": (
        lambda f: (good(f), (f / "99999.dcm").write_bytes(b""))[0],
        same,
        "1 damaged DICOM file in .* was passed over",
    ),
    "three files there twice": (
        lambda f: (good(f), [shutil.copy(p, f / f"again-{p.name}") for p in slices(f)[:3]])[0],
        same,
        "3 files were there twice",
    ),
    "frames against their dimension indices": (enhanced(odd_dimensions), from_enhanced, ""),
    "inverted grey": (
        edited(inverted),
        lambda volume: bool(np.allclose(volume.array, ARRAY.max() - ARRAY)),
        "",
    ),
}


@pytest.mark.parametrize("name", READ)
def test_what_is_odd_and_whole_is_read_right(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    build, right, warning = READ[name]
    build(tmp_path)
    before = len(recwarn)
    volume = read_any(tmp_path, "t1c")
    assert right(volume)
    told = " ".join(volume.warnings)
    assert bool(told) is bool(warning), told
    assert re.search(warning, told)
    assert len(recwarn) == before, "remarks of pydicom reach the person"
    assert capsys.readouterr().err == ""
    print(f"| {name} | read right{'; ' + told.replace(tmp_path.name, 'exam') if told else ''} |")


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may read everything"
)
def test_files_that_may_not_be_opened_are_told(tmp_path: Path) -> None:
    good(tmp_path)
    slices(tmp_path)[-1].chmod(0)
    told = " ".join(read_any(tmp_path, "t1c").warnings)
    assert "1 file in" in told and "check their permissions" in told


def test_remarks_stay_silent_and_come_back_when_several_read_at_once(tmp_path: Path) -> None:
    """Volumes of an exam are read in threads; Python's own silencing would be undone by the first to end."""
    READ["an unknown character set"][0](tmp_path)
    with ThreadPoolExecutor(4) as pool, warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        list(pool.map(lambda _: read_any(tmp_path, "t1c"), range(8)))
        assert heard == []
        warnings.warn("back again", stacklevel=1)
        assert len(heard) == 1
