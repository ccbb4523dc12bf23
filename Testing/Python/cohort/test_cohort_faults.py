"""What kills, stops or starves workers and schedulers costs time, and no study; tried for real."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from cohort_samples import assert_whole, read_table, write_manifest, write_volumes
from samples import CHECKOUT

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(2400),
    pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals"),
]
PATIENCE = 900.0
MODULE = [sys.executable, "-m", "GliomaSegLib"]


def environment(**more: str) -> dict[str, str]:
    """That of a command of this checkout."""
    return {**os.environ, "PYTHONPATH": str(CHECKOUT / "GliomaSeg"), "OMP_NUM_THREADS": "1", **more}


def words(manifest: Path, output: Path, model: Path, *more: str) -> list[str]:
    """The command line of one cohort."""
    fixed = ["--model", str(model), "--device", "cpu", "--progress", "none", "--registration", "off"]
    return [*MODULE, "cohort", "--manifest", str(manifest), "--output", str(output), *fixed, *more]


_STARTED: list[subprocess.Popen[str]] = []


def start(command: list[str], **more: str) -> subprocess.Popen[str]:
    """The command in a process group of its own."""
    process = subprocess.Popen(
        command,
        env=environment(**more),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    _STARTED.append(process)
    return process


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """A test that fails leaves no process behind."""
    yield
    for process in _STARTED:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    _STARTED.clear()


def wait_for(happened: Callable[[], bool], what: str) -> None:
    """Poll until it happened."""
    end = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.1)


def published(output: Path) -> int:
    """How many results are in place."""
    return len(list(output.glob("sub-*/**/anat/record.json")))


def under_way(output: Path) -> bool:
    """Whether a study is being worked on."""
    attempts = output / ".cohort" / "attempts"
    return attempts.is_dir() and any(attempts.iterdir())


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The worker processes of a local cluster."""
    found = psutil.Process(process.pid).children(recursive=True)
    return [child for child in found if any("spawn_main" in word for word in child.cmdline())]


def finish(process: subprocess.Popen[str], code: int = 0) -> str:
    """Wait for the end; what was said."""
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == code, said
    assert "Traceback" not in said
    return said


def assert_all_done(output: Path, count: int) -> None:
    """Every study exactly once, with a whole result."""
    rows = read_table(output)
    assert len(rows) == len({(row["subject"], row["session"]) for row in rows}) == count
    assert {row["status"] for row in rows} == {"done"}
    assert_whole(output, rows)


def test_one_of_three_workers_is_killed(tmp_path: Path, tiny_model: Path) -> None:
    manifest, output = write_manifest(tmp_path / "in", 9), tmp_path / "out"
    process = start(words(manifest, output, tiny_model, "--workers", "3"))
    wait_for(lambda: published(output) >= 1 and under_way(output), "the first result")
    victims = workers_of(process)
    assert len(victims) == 3
    victims[0].kill()
    finish(process)
    assert_all_done(output, 9)


def test_one_worker_is_stopped_and_continued(tmp_path: Path, tiny_model: Path) -> None:
    """Stopped for so long that its study is given to another; awake again, it finishes the same one."""
    manifest, output = write_manifest(tmp_path / "in", 6), tmp_path / "out"
    ttl = {"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "20s"}
    process = start(words(manifest, output, tiny_model, "--workers", "3"), **ttl)
    wait_for(lambda: published(output) >= 1 and under_way(output), "the first result")
    victim = workers_of(process)[0]
    victim.suspend()
    time.sleep(40)
    with_record = published(output)
    if victim.is_running():
        victim.resume()
    finish(process)
    assert with_record >= 1
    assert_all_done(output, 6)


@contextmanager
def dask(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A Dask scheduler or worker in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "dask", *arguments],
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        for child in psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []:
            child.kill()
        process.kill()
        process.wait(timeout=30)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(address: str) -> bool:
    """Whether somebody answers at ``address``."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(address.rpartition(":")[2]))) == 0


def test_the_scheduler_is_killed_and_started_again(tmp_path: Path, tiny_model: Path) -> None:
    manifest, output = write_manifest(tmp_path / "in", 5), tmp_path / "out"
    address = f"tcp://127.0.0.1:{free_port()}"
    scheduler = ("scheduler", "--host", "127.0.0.1", "--port", address.rpartition(":")[2], "--no-dashboard")
    worker = ("worker", address, "--nthreads", "1", "--no-dashboard", "--local-directory", str(tmp_path))
    with dask(*scheduler) as first, dask(*worker), dask(*worker):
        wait_for(lambda: listens(address), "the scheduler")
        process = start(words(manifest, output, tiny_model, "--scheduler", address))
        wait_for(lambda: published(output) >= 1 and under_way(output), "the first result")
        first.send_signal(signal.SIGKILL)
        first.wait(timeout=30)
        time.sleep(3)
        with dask(*scheduler), dask(*worker):
            said = finish(process)
    assert "The scheduler is away" in said and "is back" in said
    assert_all_done(output, 5)


def test_a_study_that_needs_too_much_memory_is_a_row(tmp_path: Path, tiny_model: Path) -> None:
    """A worker dies of its memory limit; its study fails after its tries, the others are done."""
    manifest, output = write_manifest(tmp_path / "in", 2), tmp_path / "out"
    write_huge(tmp_path / "in" / "huge")
    lines = manifest.read_text().splitlines()
    files = ",".join(f"huge/{role}.nii.gz" for role in ("t1", "t1c", "t2", "flair"))
    manifest.write_text("\n".join([lines[0], f"HUGE,1,{files}", *lines[1:]]) + "\n")
    address = f"tcp://127.0.0.1:{free_port()}"
    scheduler = ("scheduler", "--host", "127.0.0.1", "--port", address.rpartition(":")[2], "--no-dashboard")
    limit = (
        "--nthreads",
        "1",
        "--memory-limit",
        "700MB",
        "--no-dashboard",
        "--local-directory",
        str(tmp_path),
    )
    with dask(*scheduler), dask("worker", address, *limit):
        wait_for(lambda: listens(address), "the scheduler")
        said = finish(start(words(manifest, output, tiny_model, "--scheduler", address)), 6)
    assert "1 of 3 studies have no result" in said
    rows = {row["subject"]: row for row in read_table(output)}
    assert rows["HUGE"]["status"] == "failed" and "memory" in rows["HUGE"]["sentence"]
    assert {rows["S000"]["status"], rows["S001"]["status"]} == {"done"}


def write_huge(folder: Path) -> None:
    """A study of 280^3 voxels."""
    import numpy as np
    import SimpleITK as sitk
    from samples import tiny_volume

    folder.mkdir(parents=True)
    for role in ("t1", "t1c", "t2", "flair"):
        image = sitk.GetImageFromArray(np.kron(tiny_volume(role), np.ones((7, 7, 7), np.float32)))
        image.SetSpacing((0.4, 0.4, 0.4))
        sitk.WriteImage(image, str(folder / f"{role}.nii.gz"))


def test_ctrl_c_ends_cleanly_and_the_next_start_goes_on(tmp_path: Path, tiny_model: Path) -> None:
    manifest, output = write_manifest(tmp_path / "in", 6), tmp_path / "out"
    command = words(manifest, output, tiny_model, "--workers", "2")
    process = start(command)
    wait_for(lambda: published(output) >= 1 and under_way(output), "the first result")
    family = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does it: to every process
    said = finish(process, 130)
    assert "The same command goes on" in said
    assert not under_way(output)
    _, alive = psutil.wait_procs(family, timeout=20)
    assert not alive
    before = {path: path.stat().st_mtime_ns for path in output.glob("sub-*/**/anat/run.json")}
    rows = read_table(output)
    assert len(rows) == 6 and sum(row["status"] == "done" for row in rows) == len(before) >= 1
    said = finish(start(command))
    assert f"{len(before)} done before" in said
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert_all_done(output, 6)


def test_a_killed_cohort_goes_on(tmp_path: Path, tiny_model: Path) -> None:
    manifest, output = write_manifest(tmp_path / "in", 5), tmp_path / "out"
    command = words(manifest, output, tiny_model, "--workers", "2")
    process = start(command)
    wait_for(lambda: published(output) >= 1 and under_way(output), "the first result")
    family = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate()
    _, alive = psutil.wait_procs(family, timeout=60)
    assert not alive
    finish(start(command))
    assert_all_done(output, 5)


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """A file system of its own; skips where this may not be made."""
    folder.mkdir()
    mount = shutil.which("mount")
    made = mount and subprocess.run(
        [mount, "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True
    )
    if not made or made.returncode:
        pytest.skip("a small file system can't be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_stops_the_run_and_loses_nothing(tmp_path: Path, tiny_model: Path) -> None:
    manifest, disk = write_manifest(tmp_path / "in", 8), tmp_path / "disk"
    output = disk / "out"
    command = words(manifest, output, tiny_model, "--workers", "1")
    with small_disk(disk, "1500k"):
        said = finish(start(command), 2)
        assert "is full" in said
        before = published(output)
        assert 1 <= before < 8
        subprocess.run(["mount", "-o", "remount,size=50m", str(disk)], check=True)
        said = finish(start(command))
        assert f"{before} done before" in said
        assert_all_done(output, 8)


def test_a_read_only_output_is_refused_at_once(tmp_path: Path, tiny_model: Path) -> None:
    manifest, disk = write_manifest(tmp_path / "in", 1), tmp_path / "disk"
    with small_disk(disk, "5m"):
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        said = finish(start(words(manifest, disk / "out", tiny_model, "--workers", "1")), 2)
    assert "could not be written" in said and "out" in said


def test_two_cohorts_in_one_output(tmp_path: Path, tiny_model: Path) -> None:
    manifest, output = write_manifest(tmp_path / "in", 3), tmp_path / "out"
    command = words(manifest, output, tiny_model, "--workers", "1")
    first = start(command)
    wait_for(lambda: (output / ".cohort" / "attempts").is_dir(), "the first study")
    assert "Another cohort" in finish(start(command), 2)
    finish(first)
    write_volumes(tmp_path / "in" / "p0", 4)
    said = finish(start(command))
    assert "2 done before" in said and "1 to run" in said
    assert_all_done(output, 3)
