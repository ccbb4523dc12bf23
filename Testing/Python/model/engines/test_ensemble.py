"""Several models as one: names, grids, classes that not all know."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from foreign_models import write_onnx
from samples import write_tiny_model

from GliomaSegLib.cli import main
from GliomaSegLib.errors import ModelRefused, UsageError
from GliomaSegLib.intake.exam import read_exam
from GliomaSegLib.labels import CLASS_NAMES
from GliomaSegLib.model.engines import EngineOptions
from GliomaSegLib.model.ensemble import EnsembleInput, averaged, model_names, open_models, prepare_for

CPU = EngineOptions(device="cpu")
PRE_OPERATIVE = {
    "kind": "labels",
    "values": "logits",
    "channels": ["background", "NETC", "SNFH", "ET"],
}


def shares(seed: int, classes: int) -> np.ndarray:
    values = np.random.default_rng(seed).random((classes, 4, 5, 6)).astype(np.float32)
    return values / values.sum(axis=0)


def test_models_of_the_same_classes_are_averaged() -> None:
    one, other = shares(0, 5), shares(1, 5)
    made = averaged([one, other], [CLASS_NAMES, CLASS_NAMES])
    assert np.allclose(made, (one + other) / 2, atol=1e-6)


def test_channels_are_matched_by_name() -> None:
    one = shares(0, 3)
    names = [("background", "ET", "RC"), ("background", "RC", "ET")]
    made = averaged([one, one[[0, 2, 1]]], names)
    assert np.allclose(made[[0, 1, 2]], one, atol=1e-6)


def test_a_model_without_the_cavity_does_not_vote_against_it() -> None:
    """It calls a cavity background; where it sees tumour, it says so."""
    knows = np.array([0.1, 0.0, 0.0, 0.0, 0.9], np.float32).reshape(5, 1, 1, 1)
    blind = np.array([1.0, 0.0, 0.0, 0.0], np.float32).reshape(4, 1, 1, 1)
    made = averaged([knows, blind], [CLASS_NAMES, CLASS_NAMES[:4]]).ravel()
    assert np.allclose(made, [0.1, 0, 0, 0, 0.9], atol=1e-6)
    sees_tumour = np.array([0.0, 0.0, 1.0, 0.0], np.float32).reshape(4, 1, 1, 1)
    made = averaged([knows, sees_tumour], [CLASS_NAMES, CLASS_NAMES[:4]]).ravel()
    assert np.allclose(made, [0.05, 0, 0.5, 0, 0.45], atol=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_the_mean_stays_a_probability(seed: int) -> None:
    names = [CLASS_NAMES, CLASS_NAMES[:4], ("background", "RC")]
    made = averaged([shares(seed + n, len(k)) for n, k in enumerate(names)], names)
    assert np.allclose(made.sum(axis=0), 1, atol=1e-5) and made.min() >= 0


def test_names_are_told_apart(tmp_path: Path) -> None:
    comma = tmp_path / "a,b"
    comma.mkdir()
    assert model_names(str(comma)) == [str(comma)]
    assert model_names("a, b,c") == ["a", "b", "c"]
    with pytest.raises(UsageError, match="empty name"):
        model_names("a,,b")


def test_a_model_named_twice_or_unknown_is_refused(tiny_model: Path) -> None:
    with pytest.raises(UsageError, match="names a model twice"):
        open_models(f"{tiny_model},{tiny_model}/", CPU)
    with pytest.raises(ModelRefused, match="no model nowhere"):
        open_models(f"{tiny_model},nowhere", CPU)


def test_an_engine_that_runs_no_member_is_refused(tmp_path: Path, tiny_model: Path) -> None:
    other = write_onnx(tmp_path / "other")
    with pytest.raises(UsageError, match="nnunet runs none of the models"):
        open_models(f"{tiny_model},{other}", CPU, "nnunet")
    assert open_models(f"{tiny_model},{other}", CPU, "onnxruntime")[0].members


def test_members_of_other_grids_and_classes_meet_on_the_finest_grid(
    tmp_path: Path, upright_study: dict[str, Path], tiny_model: Path
) -> None:
    """Native at 4 mm with five classes, ONNX at 3 mm with four: each prepared as it wants, then averaged."""
    other = write_onnx(tmp_path / "other", PRE_OPERATIVE, input={"spacing_mm": [3.0, 3.0, 3.0]})
    study, _ = read_exam(upright_study, None, None, False)
    description, engine = open_models(f"{tiny_model},{other}", CPU)
    prepared = prepare_for(description, study, None)
    assert isinstance(prepared, EnsembleInput)
    assert [p.grid.spacing_mm[0] for p in prepared.members] == [4.0, 3.0]
    assert prepared.grid == prepared.members[1].grid
    told: list[float] = []
    made = engine.predict(prepared, told.append)
    assert description.classes == CLASS_NAMES and description.name == "tiny + tiny-onnx"
    assert made.probabilities.shape == (5, *prepared.grid.shape)
    assert np.allclose(made.probabilities.sum(axis=0), 1, atol=1e-4)
    assert told == sorted(told) and told[-1] == 1.0
    alone = open_models(str(other), CPU)[1].predict(prepared.members[1]).probabilities
    # Where the second is sure of tumour, so is half of the mean.
    sure = alone[1:].max(axis=0) > 0.99
    assert sure.any() and (made.probabilities[1:4].sum(axis=0)[sure] > 0.49).all()


def test_an_ensemble_goes_from_files_to_files(
    tmp_path: Path, upright_study: dict[str, Path], tiny_model: Path
) -> None:
    other = write_tiny_model(tmp_path / "other", name="other", version="2.0")
    volumes = [word for role, path in upright_study.items() for word in (f"--{role}", str(path))]
    words = ["--device", "cpu", "--progress", "none", "--registration", "off", "--brain-mask", "off"]
    both = f"{tiny_model},{other}"
    assert main(["segment", *volumes, "--model", both, *words, "--output", str(tmp_path / "both")]) == 0
    one = ["--model", str(tiny_model), "--output", str(tmp_path / "one")]
    assert main(["segment", *volumes, *words, *one]) == 0
    run = json.loads((tmp_path / "both" / "run.json").read_text())
    assert run["model"]["name"] == "tiny + other" and run["model"]["version"] == "0.0.0 + 2.0"
    assert [member["name"] for member in run["model"]["members"]] == ["tiny", "other"]
    labels = [
        sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / name / "segmentation.nii.gz")))
        for name in ("both", "one")
    ]
    # Both members have the same weights, so that their mean is each of them.
    assert np.array_equal(*labels)


def test_what_a_model_does_not_know_is_not_told_as_zero(
    tmp_path: Path, upright_study: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    model = write_onnx(tmp_path / "model", PRE_OPERATIVE)
    volumes = [word for role, path in upright_study.items() for word in (f"--{role}", str(path))]
    words = ["--device", "cpu", "--progress", "none", "--registration", "off", "--brain-mask", "off"]
    output = tmp_path / "out"
    assert main(["segment", *volumes, "--model", str(model), *words, "--output", str(output)]) == 0
    measures = json.loads((output / "measures.json").read_text())
    row = measures["structures"]["RC"]
    assert row["assessable"] is False and row["volume_ml"] is None
    assert measures["structures"]["SNFH"]["assessable"] and measures["lesions"]["RC"] is None
    assert "does not know: resection cavity. It is not assessed." in capsys.readouterr().err
