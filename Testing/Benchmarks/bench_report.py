"""The Markdown of the benchmark."""

from __future__ import annotations

import os
import platform
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from bench_network import operations
from bench_rows import median, spread

from GliomaSegLib.model.network import build_network
from GliomaSegLib.model.weights import ModelDescription
from GliomaSegLib.provenance import versions

Measured = dict[str, list[dict[str, Any]]]
_NAMES = {
    "network|plain": "our network in plain torch, whole image at 1 mm, nothing folded or cropped",
    "network|nnunet": "nnU-Net v2 predictor, PlainConvUNet, patches 128^3, no mirroring",
    "network|nnunet-mirrored": "the same with mirroring over three axes (its default)",
    "network|nnunet-mirrored|one patch": "the same with mirroring over three axes (its default), one patch",
    "network|segresnet": "MONAI SegResNet, windows 240x240x160 (bundle brats_mri_segmentation)",
}


def written(measured: Measured, description: ModelDescription) -> str:
    """The whole page."""
    parts = [
        _head(description),
        _commands(measured),
        _stages(measured),
        _networks(measured, description),
        _growth(measured),
    ]
    return "\n".join(line for part in parts for line in part) + "\n"


def _head(description: ModelDescription) -> list[str]:
    packages = [f"torch {versions()['torch']}"]
    for name in ("openvino", "nnunetv2", "monai"):
        try:
            packages.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            packages.append(f"{name} not installed")
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    return [
        "# Time and memory",
        "",
        f"`make bench`, {time.strftime('%Y-%m-%d')}. Medians (least to most) of up to three runs, fewer",
        "where one takes a minute. Each run is a process of its own. The case is simulated: 182x218x182",
        "voxels of 1 mm.",
        "",
        f"Model {description.name} {description.version} ({description.sha256[:8]}). {_processor()}, "
        f"{os.cpu_count()} processors, load {load} at the end. {', '.join(packages)}.",
        "",
    ]


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if not info.is_file():
        return platform.processor() or platform.machine()
    lines = dict(line.split(":", 1) for line in info.read_text().splitlines() if ":" in line)
    facts = {key.strip(): value.strip() for key, value in lines.items()}
    flags = set(facts.get("flags", "").split())
    known = [name for name in ("avx2", "avx512f", "avx512_vnni", "amx_tile") if name in flags]
    return f"{facts.get('model name', platform.machine())} ({', '.join(known)})"


def _commands(measured: Measured) -> list[str]:
    lines = [
        "## From files to files", "",
        "`gliomaseg segment` with the bundled model: four files in, all results out, start-up included.", "",
        "| what | engine | wall s | CPU s | peak resident MB | runs |", "|---|---|---|---|---|---|",
    ]  # fmt: skip
    titles = {
        "ours": "BraTS-size case",
        "1 mm": "the same network on a 1 mm grid (speed only)",
        "native": "real native exam, four DICOM series with skull",
    }
    for key, runs in measured.items():
        kind, _, title = key.partition("|")
        if kind in titles:
            engine = runs[-1]["engine"] if kind == "native" else title
            cells = [
                titles[kind],
                engine,
                spread(runs, "seconds"),
                spread(runs, "cpu_s"),
                spread(runs, "peak_mb", 0),
            ]
            lines.append("| " + " | ".join([*cells, str(len(runs))]) + " |")
    if "native|auto" not in measured:
        lines += ["", "No native exam: the real scans are not here (`--data`)."]
    return [*lines, ""]


def _stages(measured: Measured) -> list[str]:
    shown = {key: runs[-1]["stages"] for key, runs in measured.items() if runs and "stages" in runs[-1]}
    shown = {
        key: stages for key, stages in shown.items() if key.partition("|")[0] in ("ours", "1 mm", "native")
    }
    if not shown:
        return []
    names = [stage["stage"] for stage in next(iter(shown.values()))]
    lines = ["Where the time goes, s (last run; the rest of the wall time is start-up):", ""]
    lines += ["| what | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for key, stages in shown.items():
        seconds = {stage["stage"]: f"{stage['seconds']:.2f}" for stage in stages}
        lines.append(f"| {key.replace('|', ', ')} | " + " | ".join(seconds[name] for name in names) + " |")
    return [*lines, ""]


def _networks(measured: Measured, description: ModelDescription) -> list[str]:
    peaks = {kind: measured.get(f"peak|{kind}") for kind in ("matmul", "convolution")}
    if not all(peaks.values()):
        return []
    rates = {kind: runs[0]["gigaflop"] / median(runs, "seconds") for kind, runs in peaks.items() if runs}
    lines = [
        "## Networks side by side", "",
        "The network's part alone, on an array in memory, float32, random weights: speed only, nothing about "
        f"quality. Measured peak of this machine: matrix product {rates['matmul']:.0f}, convolution "
        f"{rates['convolution']:.0f} GFLOP/s.", "",
        "| network | voxels | s | CPU s | peak resident MB | 10^12 operations | of peak convolution |",
        "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for key, name in _NAMES.items():
        if runs := measured.get(key):
            share = _gigaflop(key, runs[0]) / median(runs, "seconds") / rates["convolution"]
            cells = [
                name, _size(runs[0]["shape"]), spread(runs, "seconds"), spread(runs, "cpu_s"),
                spread(runs, "peak_mb", 0), f"{_gigaflop(key, runs[0]) / 1000:.2f}", f"{100 * share:.0f} %",
            ]  # fmt: skip
            lines.append("| " + " | ".join(cells) + " |")
    for key, runs in measured.items():
        if key.startswith(("ours|", "1 mm|")):
            lines.append(_predicting(key, runs, description, rates["convolution"]))
    if one := measured.get("network|nnunet-mirrored|one patch"):
        count = patches(tuple(measured["network|nnunet"][0]["shape"]))
        seconds = count * median(one, "seconds")
        lines += [
            "",
            f"With mirroring, nnU-Net makes {count} such patches of this case: about {seconds:.0f} s.",
        ]
    return [*lines, ""]


def _predicting(key: str, runs: list[dict[str, Any]], description: ModelDescription, rate: float) -> str:
    """The row of our own stage *predicting*, with what it does beside the network."""
    told = [
        {"s": _stage(run, "predicting"), "mb": _stage(run, "predicting", "peak_memory_mb")} for run in runs
    ]
    multiple = description.network.multiple
    padded = tuple(-(-n // multiple) * multiple for n in runs[0]["shape"])
    gigaflop = operations(build_network(description.network, 0), padded)
    cells = [
        f"GliomaSeg, stage *predicting*, {key.replace('|', ', ')}", _size(runs[0]["shape"]),
        spread(told, "s", 2), "", spread(told, "mb", 0), f"{gigaflop / 1000:.2f}",
        f"{100 * gigaflop / median(told, 's') / rate:.0f} %",
    ]  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def _size(shape: list[int]) -> str:
    return "x".join(map(str, shape))


def _gigaflop(key: str, run: dict[str, Any]) -> float:
    """Operations of a whole run: of one window, times windows, times mirror images."""
    if key == "network|plain":
        return float(run["gigaflop"])
    windows = 2 if key == "network|segresnet" else patches(tuple(run["shape"]))
    return float(run["gigaflop"]) * windows * (8 if "mirrored" in key else 1)


def _stage(run: dict[str, Any], name: str, what: str = "seconds") -> Any:
    return next(stage[what] for stage in run["stages"] if stage["stage"] == name)


def _growth(measured: Measured) -> list[str]:
    found = {key: runs for key, runs in measured.items() if key.startswith("growth|")}
    if not found:
        return []
    lines = [
        "## Growth with the size of the volumes", "",
        "The whole command, float32, on four cubes of 1 mm voxels; no registration, no brain mask.", "",
        "| engine | voxels | wall s | CPU s | peak resident MB | window |", "|---|---|---|---|---|---|",
    ]  # fmt: skip
    for key, runs in found.items():
        _, engine, edge = key.split("|")
        cells = [
            engine,
            f"{edge}^3",
            spread(runs, "seconds"),
            spread(runs, "cpu_s"),
            spread(runs, "peak_mb", 0),
        ]
        lines.append("| " + " | ".join([*cells, str(runs[-1]["window"] or "one pass")]) + " |")
    return [*lines, ""]


def patches(shape: tuple[int, ...], patch: int = 128) -> int:
    """Patches at half overlap over ``shape``, as nnU-Net counts them.

    >>> patches((182, 218, 182))
    12
    """
    count = 1
    for length in shape:
        count *= -(-(max(length, patch) - patch) // (patch // 2)) + 1
    return count
