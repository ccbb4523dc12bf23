"""Models on disk: found, checked, loaded; or refused with a sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from GliomaSegLib.errors import ModelRefused
from GliomaSegLib.model import weights
from GliomaSegLib.model.network import GliomaNetwork, NetworkSpec, build_network
from GliomaSegLib.model.weights import (
    bundled_models,
    file_sha256,
    find_model,
    load_network,
    read_description,
)

MakeModel = Callable[..., Path]
Facts = dict[str, Any]
TINY = NetworkSpec(width=2, depth=2, dropout=0.0)


def setting(*path: str, value: object) -> Callable[[Facts], None]:
    """A change of one value, deep inside ``model.json``."""

    def change(facts: Facts) -> None:
        for key in path[:-1]:
            facts = facts[key]
        facts[path[-1]] = value

    return change


def test_a_sound_model_is_described_and_loaded(make_model: MakeModel) -> None:
    folder = make_model()
    description = read_description(folder)
    assert description.network == TINY
    assert description.classes == ("background", "NETC", "SNFH", "ET", "RC")
    assert (description.temperature, description.bytes_per_voxel) == (1.2, 500.0)
    assert description.smallest_ml == {"RC": 0.3}
    assert description.facts["licence"] == "CC-BY-4.0"
    network = load_network(description)
    stored = load_file(folder / "weights.safetensors")
    assert not network.training
    assert all(torch.equal(value, stored[name]) for name, value in network.state_dict().items())


def test_half_precision_weights_are_loaded_as_single(make_model: MakeModel) -> None:
    state = {
        n: t.half() if t.is_floating_point() else t for n, t in build_network(TINY, 1).state_dict().items()
    }
    network = load_network(read_description(make_model(tensors=state)))
    assert {p.dtype for p in network.parameters()} == {torch.float32}
    assert all(torch.equal(v, state[n].to(v.dtype)) for n, v in network.state_dict().items())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda facts: facts.pop("temperature"), "lacks temperature"),
        (lambda facts: facts.pop("weights"), "lacks weights"),
        (lambda facts: facts["weights"].pop("sha256"), "lacks sha256. Import the folder"),
        (setting("format", value=2), "format 2"),
        (setting("architecture", value="swin"), "can't run the architecture 'swin'"),
        (setting("network", "transformer", value=True), "unknown network setting transformer"),
        (setting("network", "width", value="16"), "width is '16'"),
        (setting("network", "width", value=-4), "width must be at least 1"),
        (setting("network", value=None), "is wrong"),
        (setting("input", "channels", value=["t1", "t1"]), "channels must be distinct"),
        (setting("input", "spacing_mm", value=[1.0, 1.0]), "spacing_mm must be three numbers"),
        (setting("input", "normalisation", value="magic"), "normalisation must be one of"),
        (setting("input", "clip", value=[3, -3]), "clip must be two numbers"),
        (setting("classes", value=["background", "NETC", "SNFH", "ET", "ED"]), "classes must be distinct"),
        (setting("classes", value=["RC", "NETC", "SNFH", "ET", "background"]), "background first"),
        (setting("classes", value=[]), "background first"),
        (setting("classes", value=["background", "RC"]), "do not fit"),
        (setting("input", "channels", value=["t1", "t1c", "flair"]), "do not fit"),
        (setting("temperature", value=0), "temperature must be from"),
        (setting("temperature", value=float("nan")), "temperature must be from"),
        (setting("temperature", value=10**400), "is wrong"),
        (setting("clean_up", "smallest_ml", value={"RC": -1}), "at least 0 ml"),
        (setting("clean_up", "smallest_ml", value={"RC": float("nan")}), "at least 0 ml"),
        (setting("clean_up", "smallest_ml", value={"WT": 1}), "must name structures"),
        (setting("clean_up", value=[]), "is wrong"),
        (setting("weights", "file", value="../other/weights.safetensors"), "without folders"),
        (setting("weights", "file", value="/etc/passwd"), "without folders"),
        (setting("inference", "bytes_per_voxel", value=0), "above 0"),
        (setting("inference", "mirror", value="yes"), "inference.mirror must be true or false"),
    ],
)
def test_a_wrong_description_is_refused_with_what_is_wrong(
    make_model: MakeModel, change: Callable[[Facts], None], words: str
) -> None:
    with pytest.raises(ModelRefused) as refusal:
        read_description(make_model(change))
    assert str(refusal.value).startswith("The model tiny can't be used: ")
    assert words in str(refusal.value)
    assert refusal.value.exit_code == 4


@pytest.mark.parametrize("content", [b"{", b"", b"\xff\xfe\x00", b"[" * 100_000, b"[1, 2]", b"null"])
def test_a_description_that_is_no_json_object_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.json").write_bytes(content)
    with pytest.raises(ModelRefused, match=r"model\.json (is not readable JSON|holds no settings)"):
        read_description(tmp_path)


def test_changed_weights_are_refused(make_model: MakeModel) -> None:
    folder = make_model()
    path = folder / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelRefused, match=r"checksum of weights\.safetensors is not the one in model\.json"):
        load_network(read_description(folder))


@pytest.mark.parametrize("name", ["other.safetensors", "..", "."])
def test_missing_weights_are_refused(make_model: MakeModel, name: str) -> None:
    with pytest.raises(ModelRefused, match=r"is missing|without folders"):
        load_network(read_description(make_model(setting("weights", "file", value=name))))


def test_weights_with_nan_are_refused(make_model: MakeModel) -> None:
    state = build_network(TINY, 1).state_dict()
    state["head.weight"][0] = float("nan")
    with pytest.raises(ModelRefused, match="NaN or infinity"):
        load_network(read_description(make_model(tensors=state)))


@pytest.mark.parametrize(
    "spec", [NetworkSpec(width=3, depth=2), NetworkSpec(attention=False, width=2, depth=2)]
)
def test_weights_of_another_network_are_refused(make_model: MakeModel, spec: NetworkSpec) -> None:
    with pytest.raises(ModelRefused, match="do not fit its architecture"):
        load_network(read_description(make_model(tensors=build_network(spec, 1).state_dict())))


@pytest.mark.parametrize("width", [10**9, 10**30])
def test_a_network_beyond_any_memory_is_refused(make_model: MakeModel, width: int) -> None:
    with pytest.raises(ModelRefused, match="width times 2"):
        load_network(read_description(make_model(setting("network", "width", value=width))))


def test_nothing_is_unpickled(make_model: MakeModel, tmp_path: Path) -> None:
    """A pickle that would write a file when opened, with the right checksum, is refused unopened."""

    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "sprung",)

    folder = make_model(name="trap")
    torch.save({"head.weight": Trap()}, folder / "weights.safetensors")
    text = (folder / "model.json").read_text()
    old = read_description(folder).sha256
    (folder / "model.json").write_text(text.replace(old, file_sha256(folder / "weights.safetensors")))
    with pytest.raises(ModelRefused, match="is no safetensors file"):
        load_network(read_description(folder))
    assert not (tmp_path / "sprung").exists()


def test_a_model_is_found_by_folder_and_by_bundled_name(
    make_model: MakeModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_model(name="shelf-model")
    assert find_model(str(folder)) == folder
    monkeypatch.setattr(weights, "models_folder", lambda: tmp_path)
    monkeypatch.chdir(Path(__file__).parent)
    assert find_model("shelf-model") == folder
    assert bundled_models() == ["shelf-model"]
    with pytest.raises(ModelRefused, match=r"no model nowhere: .*\(shelf-model\)"):
        find_model("nowhere")
    with pytest.raises(ModelRefused, match="no model shelf-model"):
        find_model("../elsewhere/shelf-model")


def test_loading_gives_the_outputs_of_the_network_that_was_saved(make_model: MakeModel) -> None:
    original: GliomaNetwork = build_network(TINY, 9).eval()
    loaded = load_network(read_description(make_model(tensors=original.state_dict())))
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 4, 8, 8, 8)).astype(np.float32))
    with torch.no_grad():
        assert torch.equal(loaded(x), original(x))


def test_surplus_weights_are_refused(make_model: MakeModel) -> None:
    state = {**build_network(TINY, 1).state_dict(), "extra": torch.zeros(1)}
    with pytest.raises(ModelRefused, match="do not fit its architecture"):
        load_network(read_description(make_model(tensors=state)))
