"""Workers as jobs of a queue: SLURM's own commands, played by two scripts that run the job at once."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from cohort_samples import assert_whole, read_table, write_manifest
from samples import CHECKOUT

from GliomaSegLib.cli import main

SBATCH = """#!/bin/sh
for last; do :; done
cp "$last" "$LOG/job"
setsid sh "$LOG/job" > "$LOG/worker" 2>&1 &
echo "Submitted batch job $!"
"""
SCANCEL = """#!/bin/sh
echo "$@" >> "$LOG/cancelled"
kill -- -"$1"
"""


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.skipif(sys.platform == "win32", reason="SLURM")
def test_a_cohort_as_slurm_jobs(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, script in (("sbatch", SBATCH), ("scancel", SCANCEL)):
        (tools / name).write_text(script)
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{Path('/usr/bin')}:{Path('/bin')}")
    monkeypatch.setenv("LOG", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(CHECKOUT / "GliomaSeg"))
    queue = tmp_path / "queue.yaml"
    queue.write_text(
        "jobqueue:\n  slurm:\n    cores: 1\n    processes: 1\n    memory: 3GB\n    queue: brains\n"
        f"    walltime: '00:30:00'\n    local-directory: {tmp_path}\n"
    )
    manifest, output = write_manifest(tmp_path / "in", 3), tmp_path / "out"
    words = ["cohort", "--manifest", str(manifest), "--output", str(output), "--model", str(tiny_model)]
    words += ["--device", "cpu", "--progress", "none", "--registration", "off"]
    assert main([*words, "--jobqueue", str(queue), "--workers", "1"]) == 0
    job = (tmp_path / "job").read_text()
    assert "#SBATCH -p brains" in job and "dask_worker" in job
    assert (tmp_path / "cancelled").is_file()
    rows = read_table(output)
    assert [row["status"] for row in rows] == ["done"] * 3
    assert_whole(output, rows)
