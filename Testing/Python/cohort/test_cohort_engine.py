"""How machines are shared out, queues described and volumes drawn."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest
from cohort_samples import ThreadEngine

import GliomaSegLib.cohort.engine
import GliomaSegLib.cohort.histogram
import GliomaSegLib.cohort.study
from GliomaSegLib.cohort.driver import Driver, Job
from GliomaSegLib.cohort.engine import configured, read_queue_file, share_out, thread_environment
from GliomaSegLib.cohort.page import page
from GliomaSegLib.cohort.rows import COLUMNS, DONE, REFUSED, without_names
from GliomaSegLib.cohort.study import RoleInput
from GliomaSegLib.cohort.tables import as_csv, write_tables
from GliomaSegLib.errors import InputRefused


@pytest.mark.parametrize("module", ["engine", "histogram", "study"])
def test_examples(module: str) -> None:
    assert doctest.testmod(getattr(GliomaSegLib.cohort, module)).failed == 0


@pytest.mark.parametrize("cores", [1, 2, 7, 64])
@pytest.mark.parametrize("memory", [4e9, 16e9, 1e12])
@pytest.mark.parametrize("gpus", [0, 1, 8])
def test_nobody_gets_more_than_there_is(cores: int, memory: float, gpus: int) -> None:
    shares = share_out(cores, memory, gpus)
    assert shares.workers >= 1 and shares.threads >= 1
    assert shares.workers * shares.memory <= memory
    assert shares.workers * shares.threads <= max(cores, shares.workers)
    assert shares.workers == gpus if gpus else shares.workers <= cores


def test_every_library_is_held_to_its_share() -> None:
    found = thread_environment(3)
    assert set(found.values()) == {"3"} and "OMP_NUM_THREADS" in found


def test_queue_files(tmp_path: Path) -> None:
    file = tmp_path / "q.yaml"
    file.write_text("jobqueue:\n  slurm:\n    cores: 8\n    memory: 32GB\n    queue: gpu\n")
    assert read_queue_file(file) == ("slurm", {"cores": 8, "memory": "32GB", "queue": "gpu"})
    for wrong in ("a: [", "jobqueue: {lasso: {cores: 1}}", "jobqueue: {slurm: {}, pbs: {}}", "7", ""):
        file.write_text(wrong)
        with pytest.raises(InputRefused, match=r"q\.yaml"):
            read_queue_file(file)


def square(number: int) -> dict[str, int]:
    if number == 13:
        raise ValueError("unlucky")
    return {"square": number * number}


def test_the_driver_gives_each_job_one_row() -> None:
    rows: dict[int, dict] = {}

    def done(job: Job, row: dict) -> None:
        assert job.place not in rows
        rows[job.place] = row

    with configured():
        engine = ThreadEngine(3)
        try:
            jobs = [Job(f"n{n}", square, n, lambda told: {"told": told}, n) for n in range(40)]
            Driver(engine, 2, done, lambda text: None).run(jobs)
        finally:
            engine.close()
    assert {n: row for n, row in rows.items() if n != 13} == {
        n: {"square": n * n} for n in range(40) if n != 13
    }
    assert "ValueError" in rows[13]["told"]


def row(number: int, **more: object) -> dict[str, object]:
    """A made-up row of a finished study."""
    blank = dict.fromkeys(COLUMNS)
    volumes = {f"{name}_ml": float(number % 40) for name in ("NETC", "SNFH", "ET", "RC", "TC", "WT")}
    known = {"subject": f"S{number}", "session": "1", "status": DONE, "sentence": "", "seconds": 2.0}
    return {**blank, **volumes, **known, "peak_memory_mb": 900.0, "warnings": "", **more}


def test_tables_survive_odd_text(tmp_path: Path) -> None:
    from pyarrow import parquet

    odd = 'a "quoted", text;\nwith a line | and an é 头'
    rows = [row(1, sentence=odd, status=REFUSED), row(2)]
    write_tables(tmp_path, rows)
    assert parquet.read_table(tmp_path / "cohort.parquet")["sentence"].to_pylist() == [odd, ""]
    lines = as_csv(rows).split("\r\n")
    assert len(lines) == 4 and lines[3] == "" and '"a ""quoted"", text; with a line' in lines[1]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cohort.csv", "cohort.parquet"]


def test_the_page_lists_failures_outliers_and_warnings() -> None:
    rows = [row(n, warnings="T1 missing: the result is less certain.") for n in range(30)]
    rows += [row(30, subject="<b>Odd</b>", WT_ml=9999.0), row(31, status=REFUSED, sentence="T1c is empty.")]
    text = page(rows, "facts")
    assert "To look at: 1 without a result" in text and "T1c is empty." in text
    assert "&lt;b&gt;Odd&lt;/b&gt;" in text and "<b>Odd" not in text and "9999.0 ml" in text
    assert "<td>30</td><td>T1 missing" in text
    assert page([], "nothing").count("none</text>") >= 6


def test_a_histogram_tells_range_and_median() -> None:
    drawn = GliomaSegLib.cohort.histogram.histogram([1.0, 2.0, 4.0, 9.0], "ml", True)
    assert "4 values from 1 to 9 ml, median 3 ml" in drawn and drawn.count("<rect") == 4
    assert "none" in GliomaSegLib.cohort.histogram.histogram([], "ml", True)


def test_sentences_lose_the_names_of_files_and_folders() -> None:
    series = {"t2": RoleInput(Path("/data/Doe^Jane/T2_doe.nii.gz"), "")}
    told = without_names("T2 (T2_doe.nii.gz) is empty, in Doe^Jane and T2_doe.nii.gz.", series)
    assert told == "T2 is empty, in its file and its file."
