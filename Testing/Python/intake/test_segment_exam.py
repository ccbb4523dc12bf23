"""``gliomaseg segment`` on what a hospital stores: DICOM, thick slices, skull, missing sequences."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pydicom", reason="pydicom is not installed")

import SimpleITK as sitk
from dicom_files import write_classic, write_enhanced

from GliomaSegLib.cli import main
from GliomaSegLib.intake.volume import Grid, Study, Volume

DESCRIPTIONS = {"t1": "t1_se_tra", "t1c": "t1_se_tra KM", "t2": "t2_tse_tra", "flair": "t2_flair_tra"}
NUMBERS = {"t1": 2, "t1c": 6, "t2": 4, "flair": 5}


def stored(paths: dict[str, Path], role: str) -> tuple[np.ndarray, Grid]:
    """The tiny study's volume as a scanner would store it: whole numbers, on a grid that DICOM can write."""
    image = sitk.ReadImage(str(paths[role]))
    return np.rint(sitk.GetArrayFromImage(image)).astype(np.int16), Grid.of_image(image)


def segmented(arguments: list[str], output: Path) -> np.ndarray:
    assert (
        main(["segment", *arguments, "--output", str(output), "--device", "cpu", "--progress", "none"]) == 0
    )
    return sitk.GetArrayFromImage(sitk.ReadImage(str(output / "segmentation.nii.gz")))


def test_dicom_gives_the_labels_of_the_same_integers_in_nifti(
    tiny_study: dict[str, Path], tiny_model: Path, tmp_path: Path
) -> None:
    nifti, exam = tmp_path / "nifti", tmp_path / "exam"
    nifti.mkdir()
    for role in tiny_study:
        array, grid = stored(tiny_study, role)
        number, text = NUMBERS[role], DESCRIPTIONS[role]
        if role == "flair":
            array = array // 2 * 2  # the enhanced writer's slope is 2, its intercept -5
            order = list(range(0, len(array), 2)) + list(range(1, len(array), 2))
            raw = array // 2
            write_enhanced(
                exam / "enhanced.dcm", raw, grid, order, SeriesNumber=number, SeriesDescription=text
            )
            array = raw * 2 - 5
        else:
            write_classic(exam, array, grid, prefix=role, SeriesNumber=number, SeriesDescription=text)
        sitk.WriteImage(grid.image(array), str(nifti / f"{role}.nii.gz"))
    model = ["--model", str(tiny_model)]
    singles = [word for role in tiny_study for word in (f"--{role}", str(nifti / f"{role}.nii.gz"))]
    from_nifti = segmented([*singles, *model], tmp_path / "a")
    from_dicom = segmented(["--study", str(exam), *model], tmp_path / "b")
    assert (from_nifti == from_dicom).mean() >= 0.9999
    run = json.loads((tmp_path / "b" / "run.json").read_text())
    assert len(run["intake"]["roles"]) == 4
    assert set(run["intake"]["alignment"]) == {"t1", "t2", "flair"}
    assert "Secret" not in json.dumps(run) and "SECRET" not in json.dumps(run)


def test_thick_moved_flair_alone_runs_and_says_what_is_missing(
    tiny_study: dict[str, Path], tiny_model: Path, tmp_path: Path
) -> None:
    labels = segmented(["--flair", str(tiny_study["flair"]), "--model", str(tiny_model)], tmp_path / "out")
    assert labels.shape == (40, 40, 40)
    run = json.loads((tmp_path / "out" / "run.json").read_text())
    assert run["reference"] == "flair"
    assert any("missing" in warning for warning in run["warnings"])
    measures = json.loads((tmp_path / "out" / "measures.json").read_text())
    assert measures["structures"]["ET"]["assessable"] is False


def test_registration_off_takes_the_volumes_as_they_lie(
    tiny_study: dict[str, Path], tiny_model: Path, tmp_path: Path
) -> None:
    image = sitk.ReadImage(str(tiny_study["flair"]))
    image.SetOrigin([o + 6.0 for o in image.GetOrigin()])
    sitk.WriteImage(image, str(tmp_path / "moved.nii.gz"))
    arguments = [
        "--t1c",
        str(tiny_study["t1c"]),
        "--flair",
        str(tmp_path / "moved.nii.gz"),
        "--model",
        str(tiny_model),
    ]
    segmented([*arguments, "--registration", "off"], tmp_path / "off")
    off = json.loads((tmp_path / "off" / "run.json").read_text())
    assert "alignment" not in off["intake"]
    assert any("were taken as aligned" in warning for warning in off["warnings"])
    segmented(arguments, tmp_path / "auto")
    auto = json.loads((tmp_path / "auto" / "run.json").read_text())
    assert auto["intake"]["alignment"]["flair"]["moved"] is True
    assert not any("were taken as aligned" in warning for warning in auto["warnings"])


def test_two_series_that_could_both_be_t1c_end_with_exit_code_3(
    tiny_study: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    array, grid = stored(tiny_study, "t1c")
    for number in (3, 4):
        write_classic(
            tmp_path / "exam",
            array + number,
            grid,
            prefix=f"{number}",
            SeriesNumber=number,
            SeriesDescription="t1 KM",
        )
    assert main(["segment", "--study", str(tmp_path / "exam"), "--output", str(tmp_path / "out")]) == 3
    told = capsys.readouterr().err
    assert "series 3" in told and "series 4" in told and "--t1c" in told
    assert not (tmp_path / "out").exists()


def test_a_mask_file_guides_the_registration_too(
    tiny_study: dict[str, Path], tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Volume | None] = []

    def remember(study: Study, mask: Volume | None, tick: object) -> tuple[Study, dict]:
        seen.append(mask)
        return study, {}

    monkeypatch.setattr("GliomaSegLib.intake.alignment.align", remember)
    image = sitk.ReadImage(str(tiny_study["t1c"]))
    brain = image > float(np.percentile(sitk.GetArrayViewFromImage(image), 60))
    sitk.WriteImage(brain, str(tmp_path / "brain.nii.gz"))
    volumes = [word for role in ("t1c", "flair") for word in (f"--{role}", str(tiny_study[role]))]
    words = [*volumes, "--model", str(tiny_model), "--brain-mask", str(tmp_path / "brain.nii.gz")]
    segmented(words, tmp_path / "out")
    (mask,) = seen
    assert mask is not None
    assert np.array_equal(mask.array > 0.5, sitk.GetArrayFromImage(brain) > 0)


def test_a_mask_file_elsewhere_is_refused_before_anything_is_moved(
    tiny_study: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = sitk.ReadImage(str(tiny_study["t1c"])) > 0
    image.SetOrigin([o + 500.0 for o in image.GetOrigin()])
    sitk.WriteImage(image, str(tmp_path / "away.nii.gz"))
    volumes = [word for role in ("t1c", "flair") for word in (f"--{role}", str(tiny_study[role]))]
    words = [*volumes, "--brain-mask", str(tmp_path / "away.nii.gz"), "--output", str(tmp_path / "out")]
    assert main(["segment", *words, "--progress", "none"]) == 3
    assert "give a mask of the brain in the reference's space" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
