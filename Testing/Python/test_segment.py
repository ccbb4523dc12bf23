"""``gliomaseg segment`` as a person meets it: files, exit codes, sentences, and nothing half-written."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from samples import CHECKOUT, write_tiny_model

from GliomaSegLib.cli import main

FILES = {
    "intake.png",
    "segmentation.seg.nrrd",
    "segmentation.nii.gz",
    "measures.json",
    "measures.csv",
    "report.html",
    "uncertainty.nii.gz",
    "run.json",
}


def command(arguments: list[str], **more: object) -> subprocess.Popen[str]:
    """The command in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT / "GliomaSeg"), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-m", "GliomaSegLib", *arguments]
    return subprocess.Popen(
        words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more
    )  # type: ignore[call-overload]


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, with its bytes."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_writes_the_files_on_the_references_grid(
    segment_arguments: list[str], tiny_study: dict[str, Path], tmp_path: Path
) -> None:
    output = tmp_path / "result"
    assert main([*segment_arguments, "--output", str(output)]) == 0
    assert {p.name for p in output.iterdir()} == FILES
    labels, reference = (
        sitk.ReadImage(str(output / "segmentation.nii.gz")),
        sitk.ReadImage(str(tiny_study["t1c"])),
    )
    assert labels.GetSize() == reference.GetSize()
    assert np.allclose(labels.GetOrigin(), reference.GetOrigin(), atol=1e-4)
    assert np.allclose(labels.GetDirection(), reference.GetDirection(), atol=1e-6)
    values = sitk.GetArrayFromImage(labels)
    assert values.dtype == np.uint8 and values.max() <= 4
    uncertainty = sitk.ReadImage(str(output / "uncertainty.nii.gz"))
    assert uncertainty.GetSize() == labels.GetSize() and uncertainty.GetDirection() == labels.GetDirection()
    doubt = sitk.GetArrayFromImage(uncertainty)
    assert doubt.dtype == np.uint8 and 0 < doubt.max() <= 100
    measures = json.loads((output / "measures.json").read_text())
    for number, name in enumerate(("NETC", "SNFH", "ET", "RC"), 1):
        assert measures["structures"][name]["volume_ml"] == pytest.approx(
            (values == number).sum() * 0.008, abs=1e-3
        )
    tumour = sum(measures["structures"][name]["volume_ml"] for name in ("NETC", "SNFH", "ET"))
    assert measures["regions"]["WT"]["volume_ml"] == pytest.approx(tumour, abs=1e-3)


def test_run_json_says_what_made_the_result_and_no_path(segment_arguments: list[str], tmp_path: Path) -> None:
    output = tmp_path / "result"
    assert main([*segment_arguments, "--output", str(output), "--threads", "1", "--mirror"]) == 0
    text = (output / "run.json").read_text()
    run = json.loads(text)
    assert [s["stage"] for s in run["stages"]] == [
        "reading", "loading", "aligning", "masking", "preparing", "predicting", "labelling", "writing",
    ]  # fmt: skip
    assert all(s["seconds"] >= 0 for s in run["stages"])
    assert run["mirror"] is True and run["threads"] == 1 and run["device"] == "cpu" and run["window"] is None
    assert len(run["model"]["sha256"]) == 64
    assert str(tmp_path) not in text and "study0" not in text


def test_a_model_that_was_measured_with_its_mirror_image_sees_it(
    segment_arguments: list[str], tiny_model: Path, tmp_path: Path
) -> None:
    own = tmp_path / "mirrored"
    shutil.copytree(tiny_model, own)
    facts = json.loads((own / "model.json").read_text())
    facts["inference"]["mirror"] = True
    (own / "model.json").write_text(json.dumps(facts))
    words = [str(own) if word == str(tiny_model) else word for word in segment_arguments]
    told = {}
    for name, more in {"asked": ["--mirror"], "own": [], "off": ["--no-mirror"]}.items():
        assert main([*words, "--output", str(tmp_path / name), "--threads", "1", *more]) == 0
        run = json.loads((tmp_path / name / "run.json").read_text())
        doubt = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / name / "uncertainty.nii.gz")))
        told[name] = (run["mirror"], doubt)
    assert told["own"][0] is True and told["off"][0] is False
    assert np.array_equal(told["own"][1], told["asked"][1])
    assert not np.array_equal(told["own"][1], told["off"][1])


def test_file_names_stay_out_of_the_result(
    segment_arguments: list[str], tiny_study: dict[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "exam"
    folder.mkdir()
    for role, path in tiny_study.items():
        shutil.copy(path, folder / f"Doe_Jane_{role}.nii.gz")
    damaged = sitk.ReadImage(str(folder / "Doe_Jane_t2.nii.gz"))
    damaged[20, 20, 20] = float("nan")
    sitk.WriteImage(damaged, str(folder / "Doe_Jane_t2.nii.gz"))
    options = segment_arguments[segment_arguments.index("--model") :]
    assert main(["segment", "--study", str(folder), *options, "--output", str(tmp_path / "r")]) == 0
    run = json.loads((tmp_path / "r" / "run.json").read_text())
    assert any("not numbers" in warning for warning in run["warnings"])
    assert len(run["intake"]["roles"]) == 4
    for file in (tmp_path / "r").iterdir():
        assert b"Jane" not in file.read_bytes(), file.name


def test_same_input_same_labels(segment_arguments: list[str], tmp_path: Path) -> None:
    for name in ("a", "b"):
        assert main([*segment_arguments, "--output", str(tmp_path / name), "--threads", "1"]) == 0
    assert (tmp_path / "a/segmentation.nii.gz").read_bytes() == (
        tmp_path / "b/segmentation.nii.gz"
    ).read_bytes()


def test_json_progress_never_goes_back_and_ends_at_one(segment_arguments: list[str], tmp_path: Path) -> None:
    arguments = [a for a in segment_arguments if a not in ("--progress", "none")]
    process = command([*arguments, "--output", str(tmp_path / "r"), "--progress", "json"])
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    lines = [json.loads(line) for line in out.splitlines()]
    assert lines[0]["pid"] == process.pid
    fractions = [line["fraction"] for line in lines]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0 and fractions[-2] < 1.0
    assert all({"stage", "fraction", "message"} <= set(line) for line in lines)


def test_an_existing_result_stays_unless_told(
    segment_arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "result"
    assert main([*segment_arguments, "--output", str(output)]) == 0
    (output / "notes.txt").write_text("mine")
    before = tree(output)
    assert main([*segment_arguments, "--output", str(output)]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert tree(output) == before
    assert main([*segment_arguments, "--output", str(output), "--overwrite"]) == 0
    assert (output / "notes.txt").read_text() == "mine"
    assert {p.name for p in output.iterdir()} == FILES | {"notes.txt"}


def test_an_unfinished_folder_is_called_unfinished(
    segment_arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "result").mkdir()
    (tmp_path / "result" / "measures.json").write_text("{}")
    assert main([*segment_arguments, "--output", str(tmp_path / "result")]) == 2
    assert "unfinished" in capsys.readouterr().err


def test_refused_input_leaves_the_output_as_it_was(
    segment_arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "result"
    assert main([*segment_arguments, "--output", str(output)]) == 0
    before = tree(tmp_path)
    broken = list(segment_arguments)
    broken[broken.index("--t2") + 1] = str(tmp_path / "nowhere.nii.gz")
    assert main([*broken, "--output", str(output), "--overwrite"]) == 3
    assert "T2 (nowhere.nii.gz)" in capsys.readouterr().err
    assert tree(tmp_path) == before


def test_damaged_weights_are_refused(
    segment_arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = write_tiny_model(tmp_path / "model")
    content = bytearray((model / "weights.safetensors").read_bytes())
    content[-1] ^= 1
    (model / "weights.safetensors").write_bytes(content)
    arguments = list(segment_arguments)
    arguments[arguments.index("--model") + 1] = str(model)
    assert main([*arguments, "--output", str(tmp_path / "r")]) == 4
    assert "checksum" in capsys.readouterr().err
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("drop", [("t1",), ("t2", "t1"), ("t1c",)])
def test_missing_sequences_run_with_a_warning(
    segment_arguments: list[str], tmp_path: Path, drop: tuple[str, ...]
) -> None:
    arguments = list(segment_arguments)
    for role in drop:
        where = arguments.index(f"--{role}")
        del arguments[where : where + 2]
    reference = ["--reference", "flair"] if "t1c" in drop else []
    assert main([*arguments, *reference, "--output", str(tmp_path / "r")]) == 0
    assert "missing" in " ".join(json.loads((tmp_path / "r/run.json").read_text())["warnings"])


def test_what_a_missing_sequence_costs_is_said(
    tiny_study: dict[str, Path], segment_arguments: list[str], tmp_path: Path
) -> None:
    model = write_tiny_model(tmp_path / "model", without={"flair": {"WT": -0.42}, "t2": {"WT": -0.01}})
    arguments = list(segment_arguments)
    arguments[arguments.index("--model") + 1] = str(model)
    for role in ("flair", "t2"):
        where = arguments.index(f"--{role}")
        del arguments[where : where + 2]
    assert main([*arguments, "--output", str(tmp_path / "r")]) == 0
    said = " ".join(json.loads((tmp_path / "r/run.json").read_text())["warnings"])
    assert "Without FLAIR this model finds far less: whole-tumour Dice fell by 0.42" in said
    assert "Without T2" not in said


def test_neither_t1c_nor_flair_is_a_usage_error(
    segment_arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = list(segment_arguments)
    for role in ("t1c", "flair"):
        where = arguments.index(f"--{role}")
        del arguments[where : where + 2]
    assert main([*arguments, "--reference", "t1", "--output", str(tmp_path / "r")]) == 2
    assert "--t1c or --flair" in capsys.readouterr().err


@pytest.mark.parametrize(("option", "value"), [("--device", "cuda:9"), ("--device", "tpu")])
def test_absent_devices_are_usage_errors(
    segment_arguments: list[str], tmp_path: Path, option: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*segment_arguments, "--output", str(tmp_path / "r"), option, value]) == 2
    assert value in capsys.readouterr().err


def test_window_must_be_a_multiple_of_16(segment_arguments: list[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as caught:
        main([*segment_arguments, "--output", str(tmp_path / "r"), "--window", "50"])
    assert caught.value.code == 2


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_cancels_and_leaves_nothing(
    segment_arguments: list[str], tmp_path: Path, number: signal.Signals
) -> None:
    arguments = [a for a in segment_arguments if a not in ("--progress", "none")]
    process = command([*arguments, "--output", str(tmp_path / "deep/result"), "--progress", "json"])
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line)["stage"] in ("reading", "loading"):
            break
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Cancelled" in err
    assert list(tmp_path.iterdir()) == []


def test_a_cancel_file_stops_the_run(segment_arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "cancel").touch()
    arguments = [
        *segment_arguments,
        "--output",
        str(tmp_path / "r"),
        "--cancel-file",
        str(tmp_path / "cancel"),
    ]
    assert main(arguments) == 130
    assert [p.name for p in tmp_path.iterdir()] == ["cancel"]


def test_a_killed_run_leaves_the_target_and_the_next_run_tidies(
    segment_arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = (
        "import sys, time, GliomaSegLib.outcome.segmentation_file as f\n"
        "f.write_nifti = lambda *a: (print('writing', flush=True), time.sleep(60))\n"
        "from GliomaSegLib.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT / "GliomaSeg")}
    words = [sys.executable, "-c", script, *segment_arguments, "--output", str(tmp_path / "r")]
    process = subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "writing\n"
    process.kill()
    process.wait(timeout=30)
    process.stdout.close()
    left = list(tmp_path.iterdir())
    assert len(left) == 1 and left[0].name.endswith(".part")
    assert main([*segment_arguments, "--output", str(tmp_path / "r")]) == 0
    assert [p.name for p in tmp_path.iterdir()] == ["r"]


def test_a_full_disk_is_a_sentence_and_leaves_nothing(
    segment_arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import errno

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("GliomaSegLib.pipeline._write_json", full)
    assert main([*segment_arguments, "--output", str(tmp_path / "r")]) == 2
    assert "full" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_nothing_but_a_sentence_reaches_the_person_when_something_breaks(
    segment_arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("GliomaSegLib.outcome.measures.volumes_ml", broken)
    assert main([*segment_arguments, "--output", str(tmp_path / "r")]) == 1
    said = capsys.readouterr().err
    assert "ZeroDivisionError: a bug" in said and "Traceback" not in said and "--debug" in said


def test_non_ascii_and_long_paths(
    segment_arguments: list[str], tiny_study: dict[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "Müller – 头颅" / ("x" * 100) / ("y" * 80)
    folder.mkdir(parents=True)
    arguments = list(segment_arguments)
    for role, path in tiny_study.items():
        shutil.copy(path, folder / f"{role} é.nii.gz")
        arguments[arguments.index(f"--{role}") + 1] = str(folder / f"{role} é.nii.gz")
    started = time.monotonic()
    assert main([*arguments, "--output", str(folder / "ergebnis ü")]) == 0
    assert (folder / "ergebnis ü" / "run.json").is_file(), time.monotonic() - started
