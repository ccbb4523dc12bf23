"""What a cohort costs beyond its studies: scaling from 1 to 2 workers, Dask's overhead, tables.

make bench-cohort                       all parts; writes cohort.json here and Docs/scaling.md
make bench-cohort PARTS="noop rows"     some parts; the others stay as they were measured before
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench_cohort_page import scaling_page

from GliomaSegLib.cohort.driver import Driver, Job
from GliomaSegLib.cohort.engine import LocalEngine, Shares, configured
from GliomaSegLib.cohort.page import PAGE, page
from GliomaSegLib.cohort.plan import find_studies
from GliomaSegLib.cohort.rows import COLUMNS, COUNT, DONE, NUMBER, Row, row_of
from GliomaSegLib.cohort.run import Cohort, run_cohort
from GliomaSegLib.cohort.store import write_whole
from GliomaSegLib.cohort.tables import CSV, PARQUET, write_tables
from GliomaSegLib.evaluation.phantom import write_phantoms
from GliomaSegLib.pipeline import SegmentOptions
from GliomaSegLib.provenance import versions
from GliomaSegLib.training.cases import find_cases

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "cohort.json"
SCALING = HERE.parents[1] / "Docs" / "scaling.md"
_SEED = 4711
_WORKER_BYTES = 4_000_000_000


def throughput(folder: Path, studies: int, rounds: int) -> dict[str, Any]:
    """Seconds a study with 1 and with 2 workers of one thread each, in turn; models loaded beforehand."""
    write_phantoms(folder / "cases", 1, _SEED)
    case = find_cases([folder / "cases"])[0]
    found: dict[str, list[float]] = {"1": [], "2": []}
    rows: list[Row] = []
    for number in range(rounds):
        for workers in (1, 2):
            manifest = _manifest(folder / f"m{number}{workers}", case.images, studies * workers + workers)
            seconds, rows = _timed_run(manifest, folder / f"o{number}{workers}", workers)
            found[str(workers)].append(round(seconds / (studies * workers), 3))
            shutil.rmtree(folder / f"o{number}{workers}")
    stages = {
        name: statistics.median(row[name] for row in rows) for name in ("seconds", "predicting_seconds")
    }
    size = sum(path.stat().st_size for path in case.images.values())
    ratio = statistics.median(one / two for one, two in zip(found["1"], found["2"], strict=True))
    return {
        "seconds_a_study": found,
        "ratio": round(ratio, 3),
        "studies_a_worker": studies,
        "rounds": rounds,
        "input_mb": round(size / 1e6, 1),
        "peak_memory_mb": max(row["peak_memory_mb"] for row in rows),
        "model": f"{rows[0]['model']} {rows[0]['model_version']}",
        **stages,
    }


def _manifest(folder: Path, images: dict[str, Path], count: int) -> Path:
    """The same case under ``count`` names: files of their own, so that each is read from disk."""
    lines = ["subject,session,t1,t1c,t2,flair"]
    for number in range(count):
        for role, path in images.items():
            target = folder / f"s{number}" / f"{role}.nii.gz"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
        lines.append(
            f"s{number},1," + ",".join(f"s{number}/{r}.nii.gz" for r in ("t1", "t1c", "t2", "flair"))
        )
    (folder / "m.csv").write_text("\n".join(lines) + "\n")
    return folder / "m.csv"


def _timed_run(manifest: Path, output: Path, workers: int) -> tuple[float, list[Row]]:
    """Seconds of a cohort after one study a worker; its rows."""
    studies = find_studies(manifest, None, None, None)[0]
    options = SegmentOptions(device="cpu", threads=1, progress="none")
    with configured():
        engine = LocalEngine(Shares(workers, 1, _WORKER_BYTES, 0), 0)
    try:
        warm = _Kept(engine)
        run_cohort(Cohort(studies[:workers], output, options), lambda: warm, lambda text: None)
        started = time.perf_counter()
        rows = run_cohort(Cohort(studies, output, options), lambda: warm, lambda text: None)
        return time.perf_counter() - started, rows
    finally:
        engine.close()


class _Kept:
    """An engine that stays open from one cohort to the next."""

    def __init__(self, engine: LocalEngine) -> None:
        self._engine = engine

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def close(self) -> None:
        """Later."""


def nothing(number: int) -> Row:
    """A study that takes no time."""
    return {"status": DONE, "number": number}


def noop(studies: int) -> dict[str, Any]:
    """Seconds that ``studies`` empty studies take with 2 workers: what Dask and the driver cost."""
    rows: list[Row] = []
    with configured():
        engine = LocalEngine(Shares(2, 1, _WORKER_BYTES, 0), 2)
        try:
            jobs = [Job(f"n{n}", nothing, n, lambda told: {"told": told}, n) for n in range(studies)]
            driver = Driver(engine, 2, lambda job, row: rows.append(row), lambda text: None)
            started, cpu = time.perf_counter(), time.process_time()
            driver.run(jobs)
            seconds, used = time.perf_counter() - started, time.process_time() - cpu
        finally:
            engine.close()
    if len({row["number"] for row in rows}) != studies or len(rows) != studies:
        raise SystemExit("not every study came back once")
    return {
        "studies": studies,
        "seconds": round(seconds, 2),
        "ms_a_study": round(1000 * seconds / studies, 3),
        "cpu_ms_a_study": round(1000 * used / studies, 3),
    }


def again(folder: Path, studies: int) -> dict[str, Any]:
    """Seconds until a cohort of ``studies`` finished studies says that nothing is to do, tables written."""
    from GliomaSegLib import __version__
    from GliomaSegLib.cohort.identity import stamp
    from GliomaSegLib.cohort.loading import model_identity
    from GliomaSegLib.cohort.run import settings
    from GliomaSegLib.cohort.store import RECORD, write_json

    lines = ["subject,session,t1,t1c,t2,flair"]
    for number in range(studies):
        place = folder / "in" / f"s{number}"
        place.mkdir(parents=True)
        for role in ("t1", "t1c", "t2", "flair"):
            (place / f"{role}.nii.gz").write_bytes(b"x")
        lines.append(
            f"s{number},1," + ",".join(f"s{number}/{r}.nii.gz" for r in ("t1", "t1c", "t2", "flair"))
        )
    (folder / "in" / "m.csv").write_text("\n".join(lines) + "\n")
    options = SegmentOptions(progress="none")
    identity = {"version": __version__, "model": model_identity(""), "settings": settings(options)}
    planned = find_studies(folder / "in" / "m.csv", None, None, None)[0]
    for number, study in enumerate(planned):
        record = {"identity": identity | {"inputs": "x"}, "stamp": stamp(study.series), "files": []}
        write_json(folder / "out" / study.folder / RECORD, record | {"row": made_up_row(number)})
    (folder / "out" / ".cohort").mkdir()
    started, used = time.perf_counter(), time.process_time()
    planned = find_studies(folder / "in" / "m.csv", None, None, None)[0]
    run_cohort(Cohort(planned, folder / "out", options), _nobody, lambda text: None)
    cpu = round(time.process_time() - used, 2)
    return {"studies": studies, "seconds": round(time.perf_counter() - started, 2), "cpu_s": cpu}


def _nobody() -> Any:
    raise SystemExit("a finished cohort wanted a worker")


def made_up_row(number: int) -> Row:
    """A full row with made-up numbers."""
    from GliomaSegLib.cohort.study import PlannedStudy

    kinds = {NUMBER: (number * 37 % 9973) / 7.0, COUNT: number % 7}
    full: Row = {name: kinds.get(kind, f"{name} {number}") for name, kind in COLUMNS.items()}
    full |= row_of(PlannedStudy(f"s{number}", "1", {}), DONE)
    return full | {"follow_up": None, "warnings": "T1 missing: the result is less certain."}


def rows(folder: Path, count: int) -> dict[str, Any]:
    """Seconds and megabytes of the tables and the page of ``count`` rows."""
    folder.mkdir()
    made = [made_up_row(number) for number in range(count)]
    started, used = time.perf_counter(), time.process_time()
    write_tables(folder, made)
    tables = time.perf_counter() - started
    write_whole(folder / PAGE, page(made, "made-up rows"))
    pages = time.perf_counter() - started - tables
    cpu = round(time.process_time() - used, 2)
    sizes = {name: round((folder / name).stat().st_size / 1e6, 1) for name in (CSV, PARQUET, PAGE)}
    return {"rows": count, "tables_s": round(tables, 2), "page_s": round(pages, 2), "cpu_s": cpu, "mb": sizes}


def main() -> None:
    """Measure the wanted parts, keep the others, write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", nargs="+", default=["throughput", "noop", "again", "rows"])
    parser.add_argument("--studies", type=int, default=6, help="a worker and round, for the throughput")
    parser.add_argument("--rounds", type=int, default=2)
    wanted = parser.parse_args()
    found = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        parts: dict[str, Callable[[], dict[str, Any]]] = {
            "throughput": lambda: throughput(folder / "throughput", wanted.studies, wanted.rounds),
            "noop": lambda: noop(10_000),
            "again": lambda: again(folder / "again", 10_000),
            "rows": lambda: rows(folder / "rows", 100_000),
        }
        for part in wanted.parts:
            load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
            made = parts[part]()
            when = {"date": time.strftime("%Y-%m-%d"), "load_before": load, "cores": os.cpu_count()}
            found[part] = {**made, **when, "dask": versions_of_dask(), "torch": versions()["torch"]}
            RESULTS.write_text(json.dumps(found, indent=1) + "\n")
            print(part, json.dumps(found[part]), flush=True)
    SCALING.write_text(scaling_page(SCALING.read_text(encoding="utf-8"), found), encoding="utf-8")


def versions_of_dask() -> str:
    """Version of Dask distributed."""
    from importlib import metadata

    return metadata.version("distributed")


if __name__ == "__main__":
    main()
