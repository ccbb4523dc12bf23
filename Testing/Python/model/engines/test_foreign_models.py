"""TorchScript and ONNX models: imported, run on a study, and equal to their own runtime's labels."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from foreign_models import CHANNELS, LABELS, REGIONS, Stranger, direct, write_onnx, write_torchscript
from safetensors.torch import load_file
from samples import write_tiny_model

from GliomaSegLib.cli import main
from GliomaSegLib.errors import ModelRefused, TrustNeeded, UsageError
from GliomaSegLib.intake.preparation import NetworkInput
from GliomaSegLib.labels import CLASS_NAMES
from GliomaSegLib.model import devices
from GliomaSegLib.model.engines import Engine, EngineOptions, onnx_engine, open_engine
from GliomaSegLib.model.engines.layout import Layout
from GliomaSegLib.model.importing import ImportOptions, import_model
from GliomaSegLib.model.library import list_models
from GliomaSegLib.model.output_map import OutputMap
from GliomaSegLib.model.weights import load_network, read_description

MakeInput = Callable[..., NetworkInput]
Writer = Callable[..., Path]
CPU = EngineOptions(device="cpu")
WRITERS = {"torchscript": write_torchscript, "onnx": write_onnx}


def imported(folder: Path, **options: Any) -> Path:
    return import_model(folder, ImportOptions(trust=True, **options)).folder


def opened(folder: Path, options: EngineOptions = CPU, engine: str = "auto") -> Engine:
    return open_engine(read_description(folder), options, engine)


@pytest.mark.parametrize("engine", ["torchscript", "onnxruntime", "openvino"])
@pytest.mark.parametrize("output", [LABELS, REGIONS], ids=["labels", "regions"])
def test_probabilities_are_those_of_the_network_itself(
    tmp_path: Path, make_input: MakeInput, engine: str, output: dict[str, Any]
) -> None:
    """Sizes that are no multiples; channels in another order; softmax and sigmoid."""
    write = write_torchscript if engine == "torchscript" else write_onnx
    folder = imported(write(tmp_path / "made", output))
    prepared = make_input((21, 18, 26))
    made = opened(folder, engine=engine).predict(prepared)
    expected = OutputMap.from_dict(output).probabilities(direct(prepared.array, len(output["channels"])))
    assert made.engine.startswith(engine) and made.window is None
    assert np.allclose(made.probabilities, expected, atol=2e-4)
    assert (made.probabilities.argmax(0) == expected.argmax(0)).mean() > 0.999


@pytest.mark.parametrize("runtime", WRITERS)
def test_a_study_gets_the_labels_of_the_networks_own_runtime(
    tmp_path: Path, upright_study: dict[str, Path], runtime: str
) -> None:
    """From files to files, on the files' grid: (x, y, z) in RAS, z-score of what is not 0, as in MONAI."""
    layout = {"spacing_mm": [2.0, 2.0, 2.0], "axes": "xyz", "orientation": "RAS"}
    imported(WRITERS[runtime](tmp_path / "made", LABELS, input=layout), name="stranger")
    volumes = [word for role, path in upright_study.items() for word in (f"--{role}", str(path))]
    shared = ["--device", "cpu", "--progress", "none", "--registration", "off", "--brain-mask", "off"]
    output = tmp_path / "out"
    assert main(["segment", *volumes, "--model", "stranger", *shared, "--output", str(output)]) == 0
    made = sitk.GetArrayFromImage(sitk.ReadImage(str(output / "segmentation.nii.gz")))

    arrays = [sitk.GetArrayFromImage(sitk.ReadImage(str(upright_study[role]))) for role in CHANNELS]
    box = _box_of_the_head(arrays)
    scaled = [np.where(a != 0, (a - a[a != 0].mean()) / a[a != 0].std(), 0)[box] for a in arrays]
    turned = Layout("xyz", "RAS").to_model(np.stack(scaled).astype(np.float32))
    raw = Layout("xyz", "RAS").from_model(direct(turned, 5))
    names = np.array([CLASS_NAMES.index(name) for name in LABELS["channels"]])
    expected = np.zeros(made.shape, int)
    expected[box] = names[raw.argmax(axis=0)]
    assert len(np.unique(expected)) >= 3
    assert (made == expected).mean() > 0.9995


def _box_of_the_head(arrays: list[np.ndarray]) -> tuple[slice, ...]:
    """What is not 0, and the 4 mm around it that intake leaves."""
    head = np.argwhere(np.logical_or.reduce([a != 0 for a in arrays]))
    low, high = np.maximum(head.min(axis=0) - 2, 0), head.max(axis=0) + 3
    return tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))


def test_logits_that_are_called_probabilities_are_refused_at_import(tmp_path: Path, shelf: Path) -> None:
    source = write_onnx(tmp_path / "made", {**LABELS, "values": "probabilities"})
    with pytest.raises(ModelRefused, match="no probabilities of labels"):
        imported(source)
    assert list(shelf.iterdir()) == []


@pytest.mark.parametrize("runtime", WRITERS)
def test_windows_agree_with_one_pass(tmp_path: Path, make_input: MakeInput, runtime: str) -> None:
    folder = imported(WRITERS[runtime](tmp_path / "made"))
    prepared = make_input((20, 36, 40))
    whole = opened(folder).predict(prepared)
    told: list[float] = []
    tiled = opened(folder, replace(CPU, window=16)).predict(prepared, told.append)
    assert tiled.window == 16 and told[-1] == 1.0
    inside = prepared.brain
    same = (tiled.probabilities.argmax(0) == whole.probabilities.argmax(0))[inside].mean()
    assert same > 0.97
    assert np.allclose(tiled.probabilities.sum(axis=0), 1, atol=1e-4)


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_a_network_with_one_size_of_input_is_given_that_size(
    tmp_path: Path, make_input: MakeInput, engine: str
) -> None:
    folder = imported(write_onnx(tmp_path / "made", fixed=True))
    prepared = make_input((16, 24, 32))
    made = opened(folder, engine=engine).predict(prepared)
    expected = OutputMap.from_dict(LABELS).probabilities(direct(prepared.array, 5))
    assert made.window == 32 and np.allclose(made.probabilities, expected, atol=2e-4)
    larger = opened(folder, engine=engine).predict(make_input((20, 30, 40)))
    assert larger.probabilities.shape == (5, 20, 30, 40)


def test_mirroring_averages_with_the_mirror_image(tmp_path: Path, make_input: MakeInput) -> None:
    folder = imported(write_onnx(tmp_path / "made"))
    prepared = make_input((16, 16, 20))
    flipped = replace(prepared, array=np.ascontiguousarray(prepared.array[..., ::-1]))
    plain, other = (opened(folder).predict(p).probabilities for p in (prepared, flipped))
    both = opened(folder, replace(CPU, mirror=True)).predict(prepared).probabilities
    assert np.allclose(both, (plain + other[..., ::-1]) / 2, atol=1e-5)


def test_torchscript_is_opened_only_when_it_is_trusted(tmp_path: Path, shelf: Path) -> None:
    source = write_torchscript(tmp_path / "made")
    with pytest.raises(ModelRefused, match=r"can run programs.*--trust"):
        import_model(source, ImportOptions())
    assert list(shelf.iterdir()) == []
    with pytest.raises(ModelRefused, match=r"TorchScript files are programs.*--trust"):
        opened(source)
    # A folder can't vouch for itself.
    (source / "installed.json").write_text(json.dumps({"trusted": True}))
    with pytest.raises(ModelRefused, match="TorchScript files are programs"):
        opened(source)
    assert main(["models", "import", str(source), "--trust"]) == 0
    assert [(e.name, e.trusted) for e in list_models() if e.imported] == [("tiny-torchscript", True)]


def test_an_onnx_folder_is_used_without_import_and_without_trust(
    tmp_path: Path, make_input: MakeInput
) -> None:
    made = opened(write_onnx(tmp_path / "made")).predict(make_input((16, 16, 16)))
    assert made.probabilities.shape == (5, 16, 16, 16)


def test_a_pickle_in_place_of_onnx_or_weights_is_never_opened(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "sprung",)

    source = write_tiny_model(tmp_path / "native")
    torch.save({"head.weight": Trap()}, source / "weights.pth")
    facts = json.loads((source / "model.json").read_text())
    changes = [({}, TrustNeeded, False), ({"runtime": "onnx", "output": LABELS}, ModelRefused, True)]
    for change, kind, trust in changes:
        told = {**facts, **change, "weights": {"file": "weights.pth"}}
        (source / "model.json").write_text(json.dumps(told))
        with pytest.raises(kind, match=r"weights.pth holds pickled weights") as refused:
            import_model(source, ImportOptions(trust=trust))
        assert ("--trust" in str(refused.value)) is not trust
    assert not (tmp_path / "sprung").exists()


def test_our_own_weights_in_a_pickle_are_converted_when_trusted(tmp_path: Path) -> None:
    source = write_tiny_model(tmp_path / "native")
    before = load_file(source / "weights.safetensors")
    torch.save({"state_dict": before, "epoch": 3}, source / "weights.pth")
    (source / "weights.safetensors").unlink()
    facts = json.loads((source / "model.json").read_text())
    (source / "model.json").write_text(json.dumps({**facts, "weights": {"file": "weights.pth"}}))
    folder = imported(source)
    assert {p.name for p in folder.iterdir()} == {"model.json", "installed.json", "weights.safetensors"}
    network = load_network(read_description(folder))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize(
    ("stored", "sentence"),
    [(None, "do not fit its architecture"), ({"state_dict": [1]}, "are not tensors by name")],
)
def test_other_weights_than_our_network_has_are_refused_at_import(
    tmp_path: Path, shelf: Path, stored: object, sentence: str
) -> None:
    source = write_tiny_model(tmp_path / "source")
    facts = json.loads((source / "model.json").read_text())
    before = load_file(source / facts["weights"]["file"])
    torch.save({**before, "extra": torch.zeros(1)} if stored is None else stored, source / "weights.pth")
    (source / "model.json").write_text(json.dumps({**facts, "weights": {"file": "weights.pth"}}))
    with pytest.raises(ModelRefused, match=sentence):
        imported(source)
    assert list(shelf.iterdir()) == []


@pytest.mark.parametrize("runtime", WRITERS)
def test_another_number_of_channels_than_promised_is_refused_at_import(
    tmp_path: Path, shelf: Path, runtime: str
) -> None:
    source = WRITERS[runtime](tmp_path / "made")
    facts = json.loads((source / "model.json").read_text())
    facts["output"]["channels"] = ["background", "ET", "RC"]
    (source / "model.json").write_text(json.dumps(facts))
    with pytest.raises(
        ModelRefused, match=r"gave an array of 5x32x32x32 where its model\.json promises 3x32"
    ):
        import_model(source, ImportOptions(trust=True))
    assert list(shelf.iterdir()) == []


@pytest.mark.parametrize("runtime", WRITERS)
def test_another_number_of_sequences_than_the_network_takes_is_refused_at_import(
    tmp_path: Path, runtime: str
) -> None:
    source = WRITERS[runtime](tmp_path / "made", input={"channels": ["t1c", "flair"]})
    with pytest.raises(ModelRefused, match=r"The model \S+ failed \(.*\b4\b"):
        import_model(source, ImportOptions(trust=True))


class Sick(torch.nn.Module):
    """Gives what a network that overflowed gives."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat((x, x[:, :1]), dim=1) / torch.zeros(())


def test_numbers_that_are_not_finite_are_refused(tmp_path: Path, make_input: MakeInput) -> None:
    source = write_torchscript(tmp_path / "made")
    torch.jit.save(torch.jit.script(Sick()), source / "model.ts")
    facts = json.loads((source / "model.json").read_text())
    del facts["weights"]["sha256"]
    (source / "model.json").write_text(json.dumps(facts))
    with pytest.raises(ModelRefused, match="not finite"):
        import_model(source, ImportOptions(trust=True))


@pytest.mark.parametrize("content", [b"", b"not a model", b"PK\x03\x04 broken"])
@pytest.mark.parametrize("runtime", WRITERS)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, runtime: str, content: bytes) -> None:
    source = WRITERS[runtime](tmp_path / "made")
    facts = json.loads((source / "model.json").read_text())
    (source / facts["weights"]["file"]).write_bytes(content)
    del facts["weights"]["sha256"]
    (source / "model.json").write_text(json.dumps(facts))
    with pytest.raises(ModelRefused) as refusal:
        import_model(source, ImportOptions(trust=True))
    assert str(refusal.value).startswith(f"The model tiny-{runtime} can't be used: ")
    assert str(tmp_path) not in str(refusal.value)


def test_memory_that_runs_out_leads_to_smaller_windows(
    tmp_path: Path, make_input: MakeInput, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = imported(write_onnx(tmp_path / "made"))
    engine = opened(folder)
    real = onnx_engine._OnnxRuntime.run

    def scarce(self: Any, image: np.ndarray, tick: Any) -> np.ndarray:
        if image[0].size > 32**3:
            raise RuntimeError("Failed to allocate memory for requested buffer")
        return real(self, image, tick)

    monkeypatch.setattr(onnx_engine._OnnxRuntime, "run", scarce)
    made = engine.predict(make_input((24, 24, 70)))
    assert made.window == 32 and "windows of 32 voxels" in made.warnings[0]


def test_a_cancelled_run_ends_inside_a_pass(tmp_path: Path, make_input: MakeInput) -> None:
    class Stop(Exception):
        pass

    def stop(share: float) -> None:
        raise Stop

    for runtime in ("onnxruntime", "openvino"):
        folder = imported(write_onnx(tmp_path / runtime), name=runtime)
        with pytest.raises(Stop):
            opened(folder, engine=runtime).predict(make_input((32, 32, 32)), stop)


def test_missing_packages_and_wrong_devices_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = imported(write_onnx(tmp_path / "made"))
    with pytest.raises(UsageError, match="can't use the device mps"):
        opened(folder, EngineOptions(device="mps"), "onnxruntime")
    with pytest.raises(UsageError, match="OpenVINO runs on the processor"):
        opened(folder, EngineOptions(device="cuda"), "openvino")
    with pytest.raises(UsageError, match="engine torch does not run the model tiny-onnx"):
        opened(folder, CPU, "torch")
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(UsageError, match=r'pip install "gliomaseg\[onnx\]"'):
        opened(folder, CPU, "onnxruntime")


def test_a_gpu_that_runs_out_hands_over_to_the_cpu(
    tmp_path: Path, make_input: MakeInput, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Simulated: a device that is called cuda and has no memory."""
    from GliomaSegLib.model.engines import torchscript_engine

    folder = imported(write_torchscript(tmp_path / "made"))
    real = torchscript_engine._TorchScript.run

    def scarce(self: Any, image: np.ndarray, tick: Any) -> np.ndarray:
        if self._device.type == "cuda":
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(self, image, tick)

    monkeypatch.setattr(torchscript_engine._TorchScript, "run", scarce)
    monkeypatch.setattr(devices, "free_memory_bytes", lambda device: 1e12)
    engine = opened(folder)
    engine._runner._device = torch.device("cuda")  # type: ignore[attr-defined]
    made = engine.predict(make_input((16, 16, 16)))
    assert made.device == "cpu" and made.warnings[-1] == "Memory ran out on cuda: the CPU took over."


def test_the_copy_of_a_changed_file_is_refused_at_the_next_run(tmp_path: Path) -> None:
    folder = imported(write_onnx(tmp_path / "made"))
    shutil.copyfile(folder / "model.json", folder / "model.onnx")
    with pytest.raises(ModelRefused, match=r"checksum of model\.onnx"):
        opened(folder)


def test_the_stranger_is_no_network_of_ours() -> None:
    """What these tests compare with has none of our code in it."""
    assert (
        Stranger.__module__ == "foreign_models"
        and not Stranger(4, 5)(torch.zeros(1, 4, 8, 8, 8)).isnan().any()
    )
