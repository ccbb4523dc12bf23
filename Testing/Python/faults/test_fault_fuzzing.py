"""Damage by chance: volumes and ``model.json`` are read, or refused with a sentence, whatever their bytes."""

from __future__ import annotations

import gzip
import json
import shutil
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from samples import write_tiny_model

from GliomaSegLib.errors import InputRefused, ModelRefused
from GliomaSegLib.intake.reading import read_volume
from GliomaSegLib.model.weights import load_network, read_description

SHAPE = (6, 7, 8)
NAMES = ("a.nii", "a.nii.gz", "a.nrrd", "a.mha")
FEW, MANY = 25, 2000
_QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
bounded = settings(max_examples=FEW, deadline=None, suppress_health_check=_QUIET)
at_length = settings(max_examples=MANY, deadline=None, suppress_health_check=_QUIET)

edits = st.lists(
    st.tuples(st.integers(0, 10**6), st.integers(0, 255), st.sampled_from(["set", "drop", "insert"])),
    min_size=1,
    max_size=6,
)
"""Where, which byte, and what is done with it."""
header_first = st.booleans()
"""Damage to the first 400 bytes, where the header is, finds more than damage to pixels."""

plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
values = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
)


def damaged(data: bytes, changes: list[tuple[int, int, str]], first: bool) -> bytes:
    """``data`` with a few bytes set, dropped or inserted."""
    content = bytearray(data)
    for where, byte, what in changes:
        place = where % max(min(400, len(content)) if first else len(content), 1)
        if what == "set":
            content[place : place + 1] = bytes([byte])
        elif what == "drop":
            del content[place : place + 1 + byte]
        else:
            content[place:place] = bytes([byte]) * (1 + byte % 5)
    return bytes(content)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A small sound volume in each format; the gzip is damaged inside, or else its checksum finds all."""
    folder = tmp_path_factory.mktemp("sound")
    array = np.random.default_rng(0).integers(1, 2000, SHAPE).astype(np.int16)
    found = {}
    for name in NAMES:
        image = sitk.GetImageFromArray(array)
        image.SetSpacing((1.0, 1.5, 3.0))
        sitk.WriteImage(image, str(folder / name))
        found[name] = (folder / name).read_bytes()
    return found


def check_volume(path: Path, data: bytes) -> None:
    """Either a volume of finite numbers, or a refusal of one sentence that names the file."""
    path.write_bytes(data)
    try:
        volume = read_volume(path, "t1")
    except InputRefused as refusal:
        assert f"T1 ({path.name})" in str(refusal) and "\n" not in str(refusal)
        return
    assert volume.array.dtype == np.float32 and volume.array.ndim == 3
    assert np.isfinite(volume.array).all() and np.ptp(volume.array) > 0
    assert np.isfinite(volume.grid.index_to_lps()).all() and min(volume.grid.spacing_mm) > 0


def damage_volumes(
    folder: Path, sound: dict[str, bytes], name: str, changes: list[tuple[int, int, str]], first: bool
) -> None:
    if name.endswith(".gz"):
        check_volume(folder / name, gzip.compress(damaged(gzip.decompress(sound[name]), changes, first), 1))
    else:
        check_volume(folder / name, damaged(sound[name], changes, first))


def test_a_header_that_claims_to_be_endless_is_refused(tmp_path: Path, sound: dict[str, bytes]) -> None:
    """The start of the voxels as a number that no memory holds; found by the long run below."""
    for start in (2.0**29, 2.0**70):
        data = bytearray(sound["a.nii"])
        data[108:112] = struct.pack("<f", start)
        for name, stored in (("a.nii", bytes(data)), ("a.nii.gz", gzip.compress(bytes(data)))):
            (tmp_path / name).write_bytes(stored)
            with pytest.raises(InputRefused, match=f"{name}.* has a damaged header"):
                read_volume(tmp_path / name, "t1")


@bounded
@given(name=st.sampled_from(NAMES), changes=edits, first=header_first)
def test_damaged_volumes_are_read_or_refused(
    tmp_path: Path, sound: dict[str, bytes], name: str, changes: list[tuple[int, int, str]], first: bool
) -> None:
    damage_volumes(tmp_path, sound, name, changes, first)


@pytest.mark.long
@pytest.mark.timeout(1800)
@at_length
@given(name=st.sampled_from(NAMES), changes=edits, first=header_first)
def test_thousands_of_damaged_volumes_are_read_or_refused(
    tmp_path: Path, sound: dict[str, bytes], name: str, changes: list[tuple[int, int, str]], first: bool
) -> None:
    damage_volumes(tmp_path, sound, name, changes, first)


@bounded
@given(name=st.sampled_from(NAMES), data=st.binary(max_size=600))
def test_bytes_by_chance_are_refused(tmp_path: Path, name: str, data: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(InputRefused, match="T1 "):
        read_volume(path, "t1")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound tiny model."""
    return write_tiny_model(tmp_path_factory.mktemp("model") / "tiny")


def check_model(folder: Path, text: bytes) -> None:
    """Either a description that can be loaded or not, or a refusal of one sentence."""
    (folder / "model.json").write_bytes(text)
    try:
        description = read_description(folder)
        if (
            description.runtime == "native"
            and description.network.width * 2**description.network.depth < 10**4
        ):
            load_network(description)
    except ModelRefused as refusal:
        assert "\n" not in str(refusal) and len(str(refusal)) < 2000
        return
    assert 0.05 <= description.temperature <= 20 and description.classes[0] == "background"
    assert description.bytes_per_voxel > 0
    assert description.weights_file.parent == folder


Path_ = tuple[str, ...]
PLACES: list[Path_] = [
    ("format",), ("name",), ("version",), ("architecture",), ("network",), ("input",), ("classes",),
    ("temperature",), ("clean_up",), ("weights",), ("inference",), ("training_data",), ("scores",),
    ("network", "width"), ("network", "depth"), ("network", "norm"), ("network", "dropout"),
    ("network", "classes"), ("input", "spacing_mm"), ("input", "channels"), ("input", "clip"),
    ("input", "normalisation"), ("weights", "file"), ("weights", "sha256"), ("runtime",),
    ("clean_up", "smallest_ml"), ("inference", "bytes_per_voxel"),
]  # fmt: skip


def change_model(folder: Path, model: Path, place: Path_, value: Any) -> None:
    shutil.copytree(model, folder, dirs_exist_ok=True)
    facts = json.loads((model / "model.json").read_text())
    inner = facts
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    check_model(folder, json.dumps(facts).encode())


@bounded
@given(place=st.sampled_from(PLACES), value=values)
def test_odd_values_in_a_model_are_refused(tmp_path: Path, model: Path, place: Path_, value: Any) -> None:
    change_model(tmp_path / "m", model, place, value)


@pytest.mark.long
@pytest.mark.timeout(1800)
@at_length
@given(place=st.sampled_from(PLACES), value=values)
def test_thousands_of_odd_values_are_refused(tmp_path: Path, model: Path, place: Path_, value: Any) -> None:
    change_model(tmp_path / "m", model, place, value)


@bounded
@given(changes=edits)
def test_damaged_model_files_are_refused(
    tmp_path: Path, model: Path, changes: list[tuple[int, int, str]]
) -> None:
    shutil.copytree(model, tmp_path / "m", dirs_exist_ok=True)
    check_model(tmp_path / "m", damaged((model / "model.json").read_bytes(), changes, False))
