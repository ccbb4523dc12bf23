"""``gliomaseg demo``: files, table, picture, and nothing half-written."""

from __future__ import annotations

import builtins
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from GliomaSegLib import pipeline
from GliomaSegLib.demo import DEMO_SEED, compare, run_demo, table
from GliomaSegLib.errors import InputRefused, OutputRefused, UsageError
from GliomaSegLib.evaluation.phantom.rendering import render_phantom
from GliomaSegLib.intake.volume import ROLES

pytest.importorskip("nilearn", reason="the ICBM152 brain comes with nilearn")
pytest.importorskip("matplotlib", reason="the picture needs matplotlib")
COARSE_MM = 5.0


def demo(output: Path, model: Path, **more: Any) -> None:
    """The demonstration on coarse voxels, with a model that is wrong about everything."""
    run_demo(output, device="cpu", model=str(model), spacing_mm=COARSE_MM, **{"progress": "none", **more})


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """The folder of one finished demonstration."""
    output = tmp_path_factory.mktemp("demo") / "out"
    demo(output, tiny_model)
    return output


def test_writes_the_case_the_result_the_picture_and_its_note(finished: Path) -> None:
    assert {p.name for p in finished.iterdir()} == {"case", "result", "demo.png", "run.json"}
    assert {p.name for p in (finished / "case").iterdir()} == {f"{role}.nii.gz" for role in ROLES}
    # DICOM-SEG comes only where DICOM went in.
    assert {p.name for p in (finished / "result").iterdir()} == set(pipeline.RESULT_FILES) - {
        pipeline.DICOM_SEG
    }
    case = sitk.ReadImage(str(finished / "case" / "t1c.nii.gz"))
    labels = sitk.ReadImage(str(finished / "result" / "segmentation.nii.gz"))
    assert labels.GetSize() == case.GetSize()
    run = json.loads((finished / "run.json").read_text(encoding="utf-8"))
    assert run["simulated"] is True and run["seed"] == DEMO_SEED
    assert [row["structure"] for row in run["structures"]] == ["NETC", "SNFH", "ET", "RC"]


def test_the_picture_is_a_picture(finished: Path) -> None:
    from matplotlib.image import imread

    picture = imread(finished / "demo.png")
    assert picture.shape[0] > 700 and picture.shape[1] > 900
    assert picture[..., :3].std() > 0.05
    # Truth and prediction are drawn in the structures' colours: the yellow of the cavity is somewhere.
    red, green, blue = picture[..., 0], picture[..., 1], picture[..., 2]
    assert ((red > 0.8) & (green > 0.65) & (blue < 0.45)).sum() > 50


def test_an_existing_demo_is_kept_unless_told_otherwise(finished: Path, tiny_model: Path) -> None:
    before = (finished / "run.json").read_bytes()
    with pytest.raises(OutputRefused, match="--overwrite"):
        demo(finished, tiny_model)
    assert (finished / "run.json").read_bytes() == before
    demo(finished, tiny_model, overwrite=True)
    assert {p.name for p in finished.iterdir()} == {"case", "result", "demo.png", "run.json"}
    assert json.loads((finished / "run.json").read_text(encoding="utf-8"))["simulated"] is True


def test_a_folder_named_case_that_is_not_ours_is_left_alone(tmp_path: Path, tiny_model: Path) -> None:
    (tmp_path / "out" / "case").mkdir(parents=True)
    (tmp_path / "out" / "case" / "patient.nii.gz").write_bytes(b"precious")
    with pytest.raises(OutputRefused, match="case"):
        demo(tmp_path / "out", tiny_model, overwrite=True)
    assert (tmp_path / "out" / "case" / "patient.nii.gz").read_bytes() == b"precious"


def test_a_failed_run_leaves_nothing(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise InputRefused("the scan fell off the table")

    monkeypatch.setattr(pipeline, "segment", refuse)
    with pytest.raises(InputRefused, match="table"):
        demo(tmp_path / "deep" / "out", tiny_model)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("package", ["nilearn", "matplotlib"])
def test_a_missing_extra_is_named(
    package: str, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.util

    from GliomaSegLib.evaluation.phantom import anatomy

    found, imported = importlib.util.find_spec, builtins.__import__

    def find_spec(name: str, *more: Any) -> Any:
        return None if name == package else found(name, *more)

    def refuse(name: str, *more: Any, **words: Any) -> Any:
        if name.split(".")[0] == package:
            raise ImportError(name)
        return imported(name, *more, **words)

    monkeypatch.setattr("GliomaSegLib.evaluation.phantom.picture.find_spec", find_spec)
    monkeypatch.setattr(builtins, "__import__", refuse)
    anatomy._icbm152_maps.cache_clear()
    with pytest.raises(UsageError, match=rf"{package}.*gliomaseg\[demo\]"):
        demo(tmp_path / "out", tiny_model)
    assert list(tmp_path.iterdir()) == []


def test_the_table_says_simulated_and_counts_right() -> None:
    case = render_phantom(DEMO_SEED, spacing_mm=COARSE_MM)
    perfect = compare(case, SimpleNamespace(labels=case.labels))  # type: ignore[arg-type]
    assert all(row["dice"] in (1.0, None) for row in perfect)
    nothing = compare(case, SimpleNamespace(labels=np.zeros_like(case.labels)))  # type: ignore[arg-type]
    assert [row["segmented_ml"] for row in nothing] == [0.0] * 4
    for row, number in zip(nothing, range(1, 5), strict=True):
        millilitres = float((case.labels == number).sum()) * case.grid.voxel_ml
        assert row["true_ml"] == pytest.approx(millilitres, abs=1e-3)
        assert row["dice"] == (0.0 if millilitres else None)
    text = table(nothing)
    assert "simulated" in text and "Resection cavity" in text


def test_the_table_is_on_standard_output_but_not_among_json_lines(
    tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    demo(tmp_path / "out", tiny_model, progress="json")
    captured = capsys.readouterr()
    assert all(json.loads(line) for line in captured.out.splitlines())
    assert "simulated" in captured.err and "Dice" in captured.err
