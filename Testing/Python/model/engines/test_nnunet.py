"""Trained nnU-Net v2 folders: imported, run, and equal to what nnU-Net itself says of the same files."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from nnunet_models import DATASET, REGION_DATASET, own_labels, plans, write_nnunet

from GliomaSegLib.cli import main
from GliomaSegLib.errors import ModelRefused
from GliomaSegLib.labels import CLASS_NAMES
from GliomaSegLib.model.importing import ImportOptions, import_model
from GliomaSegLib.model.library import imported_folder
from GliomaSegLib.model.nnunet_folder import check_plans, described
from GliomaSegLib.model.weights import read_description

pytest.importorskip("nnunetv2")
TRUSTED = ImportOptions(trust=True)
ORDER = ("t1c", "t1", "flair", "t2")
LABELS_TO_OURS = (0, 2, 4, 1, 3)
"""Our number of each label of ``DATASET``: edema, resection cavity, necrosis, enhancing tumor."""
REGIONS_TO_OURS = (0, 2, 1, 3, 4)


def segmented(study: dict[str, Path], model: str, output: Path) -> np.ndarray:
    volumes = [word for role, path in study.items() for word in (f"--{role}", str(path))]
    shared = ["--device", "cpu", "--progress", "none", "--registration", "off", "--brain-mask", "off"]
    assert main(["segment", *volumes, "--model", model, *shared, "--output", str(output)]) == 0
    return sitk.GetArrayFromImage(sitk.ReadImage(str(output / "segmentation.nii.gz")))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_nnunet(tmp_path_factory.mktemp("nnunet"), folds=(0, 1))


def test_labels_are_those_of_nnunet_itself(
    trained: Path, upright_study: dict[str, Path], tmp_path: Path
) -> None:
    """Two folds, channels and numbers in nnU-Net's order; every voxel of the head and around it."""
    import_model(trained, ImportOptions(trust=True, name="hospital"))
    made = segmented(upright_study, "hospital", tmp_path / "out")
    own = own_labels(trained, [upright_study[role] for role in ORDER], (0, 1))
    expected = np.asarray(LABELS_TO_OURS)[own]
    assert len(np.unique(expected)) >= 3
    assert np.array_equal(made, expected), f"{(made != expected).sum()} of {made.size} voxels differ"
    run = json.loads((tmp_path / "out" / "run.json").read_text())
    assert run["model"]["name"] == "hospital" and run["engine"].startswith("nnunet 2")


def test_regions_give_the_labels_that_nnunet_paints(upright_study: dict[str, Path], tmp_path: Path) -> None:
    trained = write_nnunet(tmp_path / "made", REGION_DATASET)
    import_model(trained, ImportOptions(trust=True, name="regions"))
    made = segmented(upright_study, "regions", tmp_path / "out")
    own = own_labels(trained, [upright_study[role] for role in ORDER])
    expected = np.asarray(REGIONS_TO_OURS)[own]
    assert len(np.unique(expected)) >= 3
    assert np.array_equal(made, expected)


def test_a_zip_as_nnunet_exports_it_is_imported_without_its_pickles(trained: Path, tmp_path: Path) -> None:
    archive = tmp_path / "export.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        for file in trained.rglob("*"):
            opened.write(file, Path("Dataset900_Tiny") / trained.name / file.relative_to(trained))
    entry = import_model(archive, TRUSTED)
    assert entry.name == "Dataset900_Tiny" and entry.classes == ("NETC", "SNFH", "ET", "RC")
    names = {path.name for path in entry.folder.iterdir()}
    assert names == {
        "model.json", "installed.json", "plans.json", "dataset.json", "fold_0.safetensors",
        "fold_1.safetensors",
    }  # fmt: skip


def test_pickled_checkpoints_are_refused_without_trust(trained: Path, shelf: Path) -> None:
    with pytest.raises(ModelRefused, match=r"pickled weights.*--trust"):
        import_model(trained, ImportOptions())
    assert list(shelf.iterdir()) == []


def test_a_changed_fold_is_refused(trained: Path) -> None:
    folder = import_model(trained, TRUSTED).folder
    weights = folder / "fold_1.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert main(["models", "verify", folder.name]) == 4


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("network_class_name", "subprocess.Popen"),
        ("network_class_name", "os.system"),
        ("network_class_name", "dynamic_network_architectures"),
        ("conv_op", "builtins.eval"),
        ("nonlin", "torch.hub.load"),
        ("nonlin", ["torch.nn.ReLU"]),
    ],
)
def test_plans_that_name_other_code_are_refused(key: str, value: object) -> None:
    """nnU-Net imports and calls whatever its plans name."""
    told = plans()
    architecture = told["configurations"]["3d_fullres"]["architecture"]
    (architecture if key == "network_class_name" else architecture["arch_kwargs"])[key] = value
    with pytest.raises(ModelRefused, match="not nnU-Net's own"):
        check_plans(told)
    check_plans(plans())


def test_names_of_channels_and_labels_are_understood() -> None:
    facts = described(plans(), DATASET, "3d_fullres")
    assert facts["input"]["channels"] == ["t1c", "t1", "flair", "t2"]
    assert facts["output"]["channels"] == ["background", "SNFH", "RC", "NETC", "ET"]
    brats = {
        "channel_names": {"0": "t2f", "1": "T1-weighted", "2": "T1Gd", "3": "T2w"},
        "labels": {"background": 0, "NETC": 1, "SNFH": 2, "ET": 3, "RC": 4},
    }
    facts = described(plans(), brats, "3d_fullres")
    assert facts["input"]["channels"] == ["flair", "t1", "t1c", "t2"]
    assert facts["output"]["channels"] == list(CLASS_NAMES)
    long = {
        "background": 0,
        "Surrounding non-enhancing FLAIR hyperintensity": 1,
        "Non-enhancing tumor core": 2,
    }
    assert described(plans(), {"labels": long}, "3d_fullres")["output"]["channels"] == [
        "background", "SNFH", "NETC",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "structure"),
    [
        ("non-contrast-enhancing tumor", "NETC"),
        ("unenhancing tumour", "NETC"),
        ("tumor without enhancement", "NETC"),
        ("Nonenhancing core", "NETC"),
        ("contrast-enhancing tumor", "ET"),
        ("enhancing rim of the cavity", "ET"),
        ("edema around the cavity", "SNFH"),
        ("resection cavity", "RC"),
    ],
)
def test_a_structure_is_not_taken_for_what_its_name_denies(name: str, structure: str) -> None:
    facts = described(plans(), {"labels": {"background": 0, name: 1}}, "3d_fullres")
    assert facts["output"]["channels"] == ["background", structure]


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("T1_coreg", None),
        ("T1_corrected", None),
        ("T1 post-op", None),
        ("T1 postcontrast", "t1c"),
        ("T1-Contrast", "t1c"),
        ("T1wCE", "t1c"),
        ("T1Gd", "t1c"),
        ("T1 CE-Gd", "t1c"),
        ("T1 post", "t1c"),
    ],
)
def test_contrast_is_not_read_into_a_name(name: str, role: str | None) -> None:
    facts = described(plans(), {**DATASET, "channel_names": {"0": name}}, "3d_fullres")
    assert facts["input"].get("channels") == (None if role is None else [role])


def test_regions_of_brats_2021_are_understood() -> None:
    labels = {"background": 0, "whole tumor": [1, 2, 3], "tumor core": [2, 3], "enhancing tumor": [3]}
    facts = described(plans(), {"labels": labels, "regions_class_order": [1, 2, 3]}, "3d_fullres")
    assert [channel["label"] for channel in facts["output"]["channels"]] == ["SNFH", "NETC", "ET"]
    assert facts["output"]["channels"][0]["region"] == ["SNFH", "NETC", "ET"]


def test_a_reader_that_turns_to_ras_turns_the_study(trained: Path) -> None:
    facts = described({**plans(), "image_reader_writer": "NibabelIOWithReorient"}, DATASET, "3d_fullres")
    assert facts["input"]["orientation"] == "RAS"


def test_unknown_names_are_never_guessed_but_asked_for(trained: Path, tmp_path: Path) -> None:
    copied = tmp_path / trained.name
    shutil.copytree(trained, copied)
    unknown = {**DATASET, "channel_names": {"0": "a", "1": "b", "2": "c", "3": "d"}}
    (copied / "dataset.json").write_text(json.dumps(unknown))
    with pytest.raises(ModelRefused, match=r"can't be told which channels.*input\.channels.*--settings"):
        import_model(copied, TRUSTED)
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({"input": {"channels": list(ORDER)}, "licence": "MIT"}))
    entry = import_model(copied, ImportOptions(trust=True, settings=settings))
    assert entry.licence == "MIT" and read_description(entry.folder).input.channels == ORDER


@pytest.mark.parametrize(
    "output",
    [
        {"channels": ["background", "SNFH", "RC", "ET"]},
        {"values": "logits"},
        {"kind": "regions", "channels": ["SNFH", "RC", "NETC", "ET", "ET"]},
    ],
)
def test_settings_that_contradict_what_nnunet_gives_are_refused(
    trained: Path, tmp_path: Path, shelf: Path, output: dict[str, object]
) -> None:
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({"output": output}))
    with pytest.raises(ModelRefused, match="gives probabilities of 5 labels, its output says"):
        import_model(trained, ImportOptions(trust=True, settings=settings))
    assert list(shelf.iterdir()) == []


def test_a_two_dimensional_configuration_is_refused(trained: Path) -> None:
    told = plans()
    told["configurations"]["2d"] = {**told["configurations"]["3d_fullres"], "spacing": [2.0, 2.0]}
    with pytest.raises(ModelRefused, match="only 3D"):
        described(told, DATASET, "2d")


def test_a_missing_package_is_told_at_the_run(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from GliomaSegLib.model.engines import nnunet_engine

    folder = import_model(trained, TRUSTED).folder
    assert imported_folder(folder.name) == folder
    monkeypatch.setattr(nnunet_engine, "find_spec", lambda name: None)
    from GliomaSegLib.errors import UsageError
    from GliomaSegLib.model.engines import EngineOptions, open_engine

    with pytest.raises(UsageError, match=r'pip install "gliomaseg\[nnunet\]"'):
        open_engine(read_description(folder), EngineOptions(device="cpu"))


@pytest.mark.parametrize(
    "change",
    [
        {"configurations": {"3d_fullres": {"inherits_from": "3d_fullres"}}},
        {"configurations": {"3d_fullres": {"inherits_from": "b"}, "b": {"inherits_from": "3d_fullres"}}},
        {"configurations": {"3d_fullres": {"inherits_from": ["b"]}}},
        {"configurations": []},
        {"configurations": {"3d_fullres": {"architecture": 3}}},
        {
            "configurations": {
                "3d_fullres": {"architecture": {"arch_kwargs": 1, "_kw_requires_import": ["a"]}}
            }
        },
        {"transpose_forward": "abc"},
        {"transpose_forward": [0, 0, 1]},
    ],
)
def test_plans_that_make_no_sense_are_refused(
    trained: Path, tmp_path: Path, shelf: Path, change: dict[str, object]
) -> None:
    copied = tmp_path / trained.name
    shutil.copytree(trained, copied)
    (copied / "plans.json").write_text(json.dumps({**plans(), **change}))
    with pytest.raises(ModelRefused):
        import_model(copied, TRUSTED)
    assert list(shelf.iterdir()) == []


@pytest.mark.parametrize(
    "change",
    [
        {"channel_names": {"x": "T1"}},
        {"labels": {"background": 0, "edema": "one"}},
        {"labels": [1]},
        {"labels": {"background": 0, "a": [1, 2], "b": [1]}, "regions_class_order": "ab"},
    ],
)
def test_a_dataset_that_makes_no_sense_is_refused(
    trained: Path, tmp_path: Path, change: dict[str, object]
) -> None:
    copied = tmp_path / trained.name
    shutil.copytree(trained, copied)
    (copied / "dataset.json").write_text(json.dumps({**DATASET, **change}))
    with pytest.raises(ModelRefused):
        import_model(copied, TRUSTED)


def test_a_cascade_is_refused() -> None:
    told = plans()
    told["configurations"]["c"] = {"inherits_from": "3d_fullres", "previous_stage": "3d_lowres"}
    with pytest.raises(ModelRefused, match="cascade"):
        described(told, DATASET, "c")
