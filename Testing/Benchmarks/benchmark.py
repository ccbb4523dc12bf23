"""Time and memory of GliomaSeg on this machine, side by side with others: writes ``results.md``.

    make bench                                       everything (about ten minutes on two quiet cores)
    python Testing/Benchmarks/benchmark.py --quick   ours alone, once (about a minute)

The case is simulated (a phantom on the BraTS 2024 grid, 182x218x182 at 1 mm): real scans are not in the
repository. With ``--data`` a real native exam as DICOM joins in. Every run is a process of its own, start-up
included. A run that was interrupted goes on where it stopped, unless the model has changed (``--fresh``).
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import bench_cases
from bench_report import written
from bench_rows import Row, Store, command, network

from GliomaSegLib.model.eight_bit import find_eight_bit
from GliomaSegLib.model.weights import DEFAULT_MODEL, ModelDescription, find_model, read_description
from GliomaSegLib.provenance import versions

_RUNS = 3
_GROWTH_ENGINES = ("openvino", "torch")
_PATCH = (128, 128, 128)


def say(line: str) -> None:
    """One line, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def engines(description: ModelDescription) -> dict[str, list[str]]:
    """The ways to run our own model here, by title, with the words of the command."""
    ways = {"torch, float32": ["--engine", "torch", "--precision", "full"]}
    if find_spec("openvino"):
        ways["OpenVINO, float32"] = ["--engine", "openvino", "--precision", "full"]
        if find_eight_bit(description):
            ways["OpenVINO, int8"] = ["--engine", "openvino", "--precision", "auto"]
    return ways


def ours(description: ModelDescription, cases: Path, out: Path) -> list[Row]:
    """The whole command with the bundled model, and with the same network at 1 mm."""
    volumes = bench_cases.brats_case(cases / "brats")
    finer = bench_cases.finer_model(description.folder, cases, 1.0)
    rows = []
    for title, words in engines(description).items():
        rows.append(Row(f"ours|{title}", lambda words=words: command(volumes, out, *words)))
        model = ["--model", str(finer)]
        rows.append(Row(f"1 mm|{title}", lambda words=words, m=model: command(volumes, out, *words, *m), 2))
    return rows


def native(data: Path, cases: Path, out: Path) -> list[Row]:
    """A real exam as four DICOM series: reading, registration, brain mask and all."""
    exam = bench_cases.native_exam(data, cases)
    return [] if exam is None else [Row("native|auto", lambda: command(exam, out))]


def growth(cases: Path, out: Path) -> list[Row]:
    """The whole command on cubes of 64^3 to 320^3 voxels."""
    rows = []
    words = ["--registration", "off", "--brain-mask", "off", "--precision", "full"]
    for engine in _GROWTH_ENGINES if find_spec("openvino") else _GROWTH_ENGINES[1:]:
        for edge in bench_cases.CUBES:
            options = [*words, "--engine", engine]
            rows.append(
                Row(
                    f"growth|{engine}|{edge}",
                    lambda edge=edge, o=options: command(bench_cases.cube(cases, edge), out, *o),
                    most=1,
                )
            )
    return rows


def others(cases: Path, scratch: Path, long: bool) -> list[Row]:
    """Networks of others with their own sliding windows, and the peak of the machine."""
    rows = [
        Row(f"peak|{kind}", lambda kind=kind: network(kind, scratch)) for kind in ("matmul", "convolution")
    ]
    rows.append(Row("network|plain", lambda: network("plain", scratch)))
    if find_spec("nnunetv2"):
        box = bench_cases.brain_box(bench_cases.brats_case(cases / "brats"))
        rows.append(Row("network|nnunet", lambda: network("nnunet", scratch, box)))
        shape = box if long else _PATCH
        key = "network|nnunet-mirrored" + ("" if long else "|one patch")
        rows.append(Row(key, lambda: network("nnunet-mirrored", scratch, shape)))
    if find_spec("monai"):
        rows.append(Row("network|segresnet", lambda: network("segresnet", scratch)))
    return rows


def main() -> None:
    """Measure what is not measured yet, print, and write the results beside this file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=_RUNS)
    parser.add_argument("--quick", action="store_true", help="our own rows, one run each")
    parser.add_argument(
        "--long", action="store_true", help="nnU-Net mirrored on the whole case, not one patch"
    )
    parser.add_argument("--fresh", action="store_true", help="forget what was measured before")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("GLIOMASEG_DATA", "../shared/data")))
    parser.add_argument("--work", type=Path, default=Path("out/bench"), help="cases and what was measured")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("results.md"))
    arguments = parser.parse_args()
    description = read_description(find_model(DEFAULT_MODEL))
    cases, out = arguments.work / "cases", arguments.work / "result"
    kept = arguments.work / "measured.json"
    if arguments.fresh:
        kept.unlink(missing_ok=True)
    origin = " ".join([description.sha256, platform.machine(), versions()["torch"], str(os.cpu_count())])
    store = Store(kept, origin)
    rows = ours(description, cases, out) + native(arguments.data, cases, out)
    if not arguments.quick:
        rows += growth(cases, out) + others(cases, arguments.work, arguments.long)
    started = time.perf_counter()
    measured = {row.key: store.measure(row, 1 if arguments.quick else arguments.runs, say) for row in rows}
    say(f"{time.perf_counter() - started:.0f} s")
    report = written(measured, description)
    arguments.output.write_text(report, encoding="utf-8")
    say(report)


if __name__ == "__main__":
    main()
