"""A cohort from manifest to tables: the same results as ``segment``, never twice, one row a study."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from cohort_samples import ThreadEngine, assert_whole, quick_options, read_table, write_volumes

from GliomaSegLib.cli import main
from GliomaSegLib.cohort.engine import Engine
from GliomaSegLib.cohort.plan import find_studies
from GliomaSegLib.cohort.run import Cohort, run_cohort
from GliomaSegLib.errors import InputRefused, OutputRefused, StudiesWithoutResult, UsageError
from GliomaSegLib.pipeline import segment


def never() -> Engine:
    raise AssertionError("there is nothing to run")


def cohort_of(manifest: Path, output: Path, model: Path) -> Cohort:
    return Cohort(find_studies(manifest, None, None, None)[0], output, quick_options(model))


@pytest.fixture(scope="module")
def finished(
    small_cohort: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Cohort, list[str]]:
    """The small cohort, run once; and what was said."""
    cohort, said = cohort_of(small_cohort, tmp_path_factory.mktemp("out") / "cohort", tiny_model), []
    run_cohort(cohort, ThreadEngine, said.append)
    return cohort, said


def test_every_study_has_a_whole_result_and_a_row(finished: tuple[Cohort, list[str]]) -> None:
    cohort, said = finished
    rows = read_table(cohort.output)
    assert [(row["subject"], row["session"], row["visit"]) for row in rows] == [
        ("S000", "1", "1"), ("S000", "2", "2"), ("S001", "1", "1"), ("S001", "2", "2"),
    ]  # fmt: skip
    assert_whole(cohort.output, rows)
    assert said[0] == "4 studies: 4 to run." and "4 studies: 4 done" in said[-1]
    row = rows[0]
    assert float(row["seconds"]) > 0 and float(row["peak_memory_mb"]) > 50
    assert row["model"] == "tiny" and len(row["model_sha256"]) == 64 and row["sequences"] == "flair t1 t1c t2"
    measures = json.loads((cohort.output / row["folder"] / "measures.json").read_text())
    assert float(row["WT_ml"]) == measures["regions"]["WT"]["volume_ml"]
    assert int(row["ET_lesions"]) == len(measures["lesions"]["ET"])


def test_the_labels_are_those_of_segment(finished: tuple[Cohort, list[str]], tmp_path: Path) -> None:
    cohort, _ = finished
    study = cohort.studies[1]
    paths = {role: one.path for role, one in study.series.items()}
    segment(paths, tmp_path / "alone", cohort.options)
    for name in ("segmentation.nii.gz", "segmentation.seg.nrrd", "uncertainty.nii.gz", "measures.csv"):
        alone, together = tmp_path / "alone" / name, cohort.output / study.folder / name
        assert alone.read_bytes() == together.read_bytes(), name


def test_visits_are_chained(finished: tuple[Cohort, list[str]]) -> None:
    cohort, _ = finished
    rows = read_table(cohort.output)
    assert [(row["follow_up_from"], row["follow_up"]) for row in rows] == [
        ("", ""), ("1", "done"), ("", ""), ("1", "done"),
    ]  # fmt: skip
    changes = json.loads((cohort.output / "sub-S000/ses-2/followup/follow_up.json").read_text())
    assert float(rows[1]["WT_change_percent"]) == changes["structures"]["WT"]["change_percent"]


def test_the_second_run_starts_no_worker_and_writes_the_same(finished: tuple[Cohort, list[str]]) -> None:
    cohort, _ = finished
    before = read_table(cohort.output)
    files = {p: p.stat().st_mtime_ns for p in cohort.output.rglob("sub-*/**/*") if p.is_file()}
    rows = run_cohort(cohort, never, lambda text: None)
    assert len(rows) == 4 and read_table(cohort.output) == before
    assert {p: p.stat().st_mtime_ns for p in cohort.output.rglob("sub-*/**/*") if p.is_file()} == files


def test_parquet_and_page_hold_the_same(finished: tuple[Cohort, list[str]]) -> None:
    from pyarrow import parquet

    cohort, _ = finished
    table = parquet.read_table(cohort.output / "cohort.parquet")
    rows = read_table(cohort.output)
    assert table.column_names == list(rows[0])
    assert [f"{ml:.4f}" for ml in table["WT_ml"].to_pylist()] == [f"{float(r['WT_ml']):.4f}" for r in rows]
    assert table["new_ET_lesions"].to_pylist()[0] is None
    page = (cohort.output / "cohort.html").read_text(encoding="utf-8")
    assert "Every study that ran has its result" in page and "<script" not in page and "http" not in page


def copied(finished: tuple[Cohort, list[str]], folder: Path) -> Cohort:
    """The finished cohort with inputs and output of its own, hard-linked nowhere."""
    cohort, _ = finished
    source = next(iter(cohort.studies[0].series.values())).path.parents[1]
    shutil.copytree(source, folder / "in", copy_function=shutil.copy2)
    shutil.copytree(cohort.output, folder / "out", copy_function=shutil.copy2)
    model = Path(cohort.options.model)
    return cohort_of(folder / "in" / "manifest.csv", folder / "out", model)


def test_only_what_changed_runs_again(finished: tuple[Cohort, list[str]], tmp_path: Path) -> None:
    cohort = copied(finished, tmp_path)
    write_volumes(tmp_path / "in" / "p3", 9)
    (cohort.output / "sub-S000/ses-1/anat/segmentation.nii.gz").unlink()
    (cohort.output / "sub-S001/ses-2/anat/corrected.nii.gz").write_bytes(b"mine")
    before = {row["folder"]: row for row in read_table(cohort.output)}
    said: list[str] = []
    run_cohort(cohort, ThreadEngine, said.append)
    after = {row["folder"]: row for row in read_table(cohort.output)}
    again = {folder for folder in after if after[folder]["seconds"] != before[folder]["seconds"]}
    # The copies have new times: their bytes are read, found the same, and nothing is run.
    assert again == {"sub-S000/ses-1/anat", "sub-S001/ses-2/anat"}
    assert after["sub-S001/ses-2/anat"]["inputs_sha256"] != before["sub-S001/ses-2/anat"]["inputs_sha256"]
    assert after["sub-S000/ses-1/anat"]["labels_sha256"] == before["sub-S000/ses-1/anat"]["labels_sha256"]
    assert (cohort.output / "sub-S001/ses-2/anat/corrected.nii.gz").read_bytes() == b"mine"
    run_cohort(cohort, never, said.append)


def test_another_setting_or_model_is_another_result(
    finished: tuple[Cohort, list[str]], tmp_path: Path, tiny_model: Path
) -> None:
    cohort = copied(finished, tmp_path)
    said: list[str] = []
    with pytest.raises(AssertionError, match="nothing to run"):
        run_cohort(replace(cohort, options=replace(cohort.options, mirror=True)), never, said.append)
    assert "4 to run" in said[0]
    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)
    facts = json.loads((model / "model.json").read_text())
    (model / "model.json").write_text(json.dumps({**facts, "temperature": 1.5}))
    with pytest.raises(AssertionError, match="nothing to run"):
        run_cohort(replace(cohort, options=replace(cohort.options, model=str(model))), never, said.append)
    assert "4 to run" in said[-1]


def test_failures_are_rows_and_refusals_are_not_tried_twice(
    small_cohort: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "Doe Jane"
    write_volumes(folder, 0)
    (folder / "DOE_JANE_flair.nii.gz").write_bytes(b"no picture")
    lines = ["subject,session,t1,t1c,t2,flair", "A,1,,t1c.nii.gz,,DOE_JANE_flair.nii.gz", "B,1,,,,gone.nii"]
    (folder / "m.csv").write_text("\n".join([*lines, "C,1,,t1c.nii.gz,,", "D,1,,t2.nii.gz,,"]) + "\n")
    calls: list[str] = []

    def breaking(paths, output, options, opener):
        calls.append(paths["t1c"].name)
        if paths["t1c"].name == "t2.nii.gz":
            raise ZeroDivisionError("/secret/path")
        return segment(paths, output, options, opener)

    monkeypatch.setattr("GliomaSegLib.cohort.work.segment", breaking)
    cohort = cohort_of(folder / "m.csv", tmp_path / "out", tiny_model)
    with pytest.raises(StudiesWithoutResult, match="3 of 4 studies have no result"):
        run_cohort(cohort, ThreadEngine, lambda text: None)
    rows = {row["subject"]: row for row in read_table(tmp_path / "out")}
    assert [rows[s]["status"] for s in "ABCD"] == ["refused", "refused", "done", "failed"]
    assert rows["A"]["sentence"] == "FLAIR is no NIfTI file in spite of its name: export it again."
    assert "ZeroDivisionError" in rows["D"]["sentence"] and "secret" not in rows["D"]["sentence"]
    for file in (tmp_path / "out").rglob("*"):
        assert "Doe" not in str(file.relative_to(tmp_path))
        if file.is_file():
            assert not any(word in file.read_bytes() for word in (b"DOE_JANE", b"Doe Jane", b"secret")), file
    page = (tmp_path / "out" / "cohort.html").read_text()
    assert "To look at: 3 without a result" in page and "ZeroDivisionError" in page
    calls.clear()
    with pytest.raises(StudiesWithoutResult):
        run_cohort(cohort, ThreadEngine, lambda text: None)
    assert calls == ["t2.nii.gz"]


def test_memory_gets_other_tries_and_refusals_none(
    small_cohort: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def hungry(paths, output, options, opener):
        calls.append(1)
        if len(calls) < 3:
            raise MemoryError
        raise InputRefused("T1c (t1c.nii.gz) is empty: export it again.")

    monkeypatch.setattr("GliomaSegLib.cohort.work.segment", hungry)
    cohort = replace(cohort_of(small_cohort, tmp_path / "out", tiny_model), retries=2)
    cohort = replace(cohort, studies=cohort.studies[:1])
    with pytest.raises(StudiesWithoutResult):
        run_cohort(cohort, ThreadEngine, lambda text: None)
    assert len(calls) == 3 and read_table(tmp_path / "out")[0]["status"] == "refused"
    calls.clear()
    shutil.rmtree(tmp_path / "out")
    with pytest.raises(StudiesWithoutResult):
        run_cohort(replace(cohort, retries=1), ThreadEngine, lambda text: None)
    (row,) = read_table(tmp_path / "out")
    assert len(calls) == 2 and row["status"] == "failed" and "Memory ran out twice" in row["sentence"]


def test_a_full_disk_ends_the_run_one_closed_folder_does_not(
    small_cohort: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("GliomaSegLib.cohort.work.segment", full)
    cohort = cohort_of(small_cohort, tmp_path / "out", tiny_model)
    with pytest.raises(StudiesWithoutResult):
        run_cohort(cohort, ThreadEngine, lambda text: None)
    assert {row["status"] for row in read_table(tmp_path / "out")} == {"failed"}
    probes: list[int] = []

    def probe(store: object) -> None:
        probes.append(1)
        if len(probes) > 1:
            raise OutputRefused("The disk that holds out is full: free some space and run again.")

    monkeypatch.setattr("GliomaSegLib.cohort.store.Store.check_writable", probe)
    with pytest.raises(OutputRefused, match="is full"):
        run_cohort(cohort, ThreadEngine, lambda text: None)
    assert len(probes) == 2 and [r["status"] for r in read_table(tmp_path / "out")].count("not run") == 3


def test_the_model_is_opened_once_a_worker(
    small_cohort: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from GliomaSegLib.cohort import loading

    opened: list[str] = []

    def counting(options):
        opened.append(options.model)
        return real(options)

    real = loading.open_model
    monkeypatch.setattr(loading, "open_model", counting)
    loading._KEPT.clear()
    cohort = cohort_of(small_cohort, tmp_path / "out", tiny_model)
    run_cohort(replace(cohort, studies=cohort.studies[::2]), ThreadEngine, lambda text: None)
    assert opened == [str(tiny_model)]


def test_workers_of_another_version_end_the_run(
    small_cohort: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("GliomaSegLib.cohort.work.__version__", "0.0.0")
    with pytest.raises(UsageError, match=r"A worker has gliomaseg 0\.0\.0"):
        run_cohort(cohort_of(small_cohort, tmp_path / "out", tiny_model), ThreadEngine, lambda text: None)
    assert {row["status"] for row in read_table(tmp_path / "out")} == {"not run"}


def test_no_path_is_in_any_output(finished: tuple[Cohort, list[str]], tiny_model: Path) -> None:
    cohort, _ = finished
    sources = {str(one.path.parent) for study in cohort.studies for one in study.series.values()}
    for file in cohort.output.rglob("*"):
        if file.is_file():
            data = file.read_bytes()
            assert not any(path.encode() in data for path in (*sources, str(tiny_model))), file


def test_two_workers_of_one_machine_take_two_gpus(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from types import SimpleNamespace

    from GliomaSegLib.cohort import work
    from GliomaSegLib.cohort.study import PlannedStudy

    monkeypatch.setattr(work, "_has_cuda", lambda: True)
    monkeypatch.setattr(work, "_bound_itk", lambda threads: None)
    devices = {}
    for name in (0, 1, 2, 3):
        worker = SimpleNamespace(name=name, state=SimpleNamespace(nthreads=1))
        monkeypatch.setattr("distributed.get_worker", lambda worker=worker: worker)
        for wanted in ("auto", "cpu", "cuda:1"):
            options = replace(quick_options(tiny_model), device=wanted, threads=3)
            task = work.StudyTask(tmp_path, PlannedStudy("A", "1", {}), options, {}, gpus=2)
            devices[name, wanted] = work._options(task).device
    assert [devices[name, "auto"] for name in (0, 1, 2, 3)] == ["cuda:0", "cuda:1", "cuda:0", "cuda:1"]
    assert {devices[name, "cpu"] for name in (0, 1, 2, 3)} == {"cpu"}
    assert {devices[name, "cuda:1"] for name in (0, 1, 2, 3)} == {"cuda:1"}


def test_a_dry_run_writes_nothing(
    small_cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["cohort", "--manifest", str(small_cohort), "--output", str(tmp_path / "out"), "--dry-run"]
    assert main(words) == 0
    assert "4 studies: 4 would run" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (
            ["--manifest", "m.csv", "--scheduler", "tcp://127.0.0.1:1", "--workers", "2"],
            2,
            "leave out --workers",
        ),
        (["--manifest", "m.csv", "--scheduler", "nonsense://x"], 2, "No Dask scheduler answers"),
        (["--manifest", "m.csv", "--jobqueue", "q.yaml"], 2, "add --workers N"),
        (["--manifest", "m.csv", "--jobqueue", "q.yaml", "--workers", "1"], 3, "q.yaml is not readable"),
        (["--manifest", "m.csv", "--model", "none-such"], 4, "no model none-such"),
        (["--manifest", "absent.csv"], 3, "absent.csv is no file"),
        (["--bids", "absent"], 3, "does not exist"),
        (["--dicom", "absent"], 3, "does not exist"),
    ],
)
def test_wrong_words_get_a_sentence(
    words: list[str],
    code: int,
    told: str,
    small_cohort: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(small_cohort.parent, tmp_path / "in")
    words = [str(tmp_path / "in" / "manifest.csv") if word == "m.csv" else word for word in words]
    assert main(["cohort", *words, "--output", "out", "--progress", "none"]) == code
    said = capsys.readouterr().err
    assert told in said and "Traceback" not in said
