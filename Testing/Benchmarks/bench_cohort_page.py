"""The figures of ``Docs/scaling.md`` from what ``bench_cohort.py`` measured, every assumption named."""

from __future__ import annotations

import statistics
from typing import Any

_STUDIES = 10_000
_GPUS = (1, 8, 64)


def scaling_page(text: str, found: dict[str, Any]) -> str:
    """The page ``text`` with what stands between its marks written anew; what was not measured is said so."""
    parts = [_throughput(found.get("throughput")), _noop(found.get("noop")), _again(found.get("again"))]
    measured = "\n\n".join([*parts, _rows(found.get("rows"))])
    return _between(_between(text, "measured", measured), "cost", _cost(found))


def _between(text: str, mark: str, new: str) -> str:
    start, end = f"<!-- {mark}: by make bench-cohort -->", f"<!-- /{mark} -->"
    before, _, rest = text.partition(start)
    _, found, after = rest.partition(end)
    if not found:
        raise SystemExit(f"Docs/scaling.md has lost its marks {start} and {end}")
    return f"{before}{start}\n{new}\n{end}{after}"


def _when(part: dict[str, Any]) -> str:
    return (
        f"({part['date']}, {part['cores']} cores, load before {part['load_before']}, "
        f"distributed {part['dask']}, torch {part['torch']})"
    )


def _missing(what: str) -> str:
    return f"{what}: not measured yet (`make bench-cohort`)."


def _throughput(part: dict[str, Any] | None) -> str:
    if part is None:
        return _missing("**1 and 2 workers**")
    one, two = (part["seconds_a_study"][n] for n in ("1", "2"))
    return (
        f"**1 and 2 workers** of one thread each, {part['rounds']} rounds in turn, "
        f"{part['studies_a_worker']} studies a worker, a simulated case of 182x218x182 voxels, "
        f"model {part['model']}, loaded beforehand: {_list(one)} s a study with 1 worker, "
        f"{_list(two)} s with 2. Two workers do **{part['ratio']:.2f} times** as much "
        f"(median of the rounds' ratios). Largest memory of a worker "
        f"{part['peak_memory_mb'] / 1000:.2f} GB. {_when(part)}"
    )


def _list(values: list[float]) -> str:
    return " and ".join(f"{value:.2f}" for value in values)


def _noop(part: dict[str, Any] | None) -> str:
    if part is None:
        return _missing("**Overhead**")
    return (
        f"**Overhead**: {part['studies']:,} studies that do nothing take {part['seconds']:.1f} s with "
        f"2 workers: {part['ms_a_study']:.2f} ms a study, of which {part['cpu_ms_a_study']:.2f} ms are the "
        f"processor time of command and scheduler. {_when(part)}"
    )


def _again(part: dict[str, Any] | None) -> str:
    if part is None:
        return _missing("**Second start**")
    return (
        f"**Second start** over {part['studies']:,} finished studies (records and times of 4 files each are "
        f"looked at, tables and page written): {part['seconds']:.1f} s, "
        f"{part['cpu_s']:.1f} s of the processor. {_when(part)}"
    )


def _rows(part: dict[str, Any] | None) -> str:
    if part is None:
        return _missing("**Tables**")
    size = ", ".join(f"{name} {mb} MB" for name, mb in part["mb"].items())
    return (
        f"**Tables** of {part['rows']:,} rows: {part['tables_s']:.1f} s for CSV and Parquet, "
        f"{part['page_s']:.1f} s for the page ({size}), {part['cpu_s']:.1f} s of the processor. {_when(part)}"
    )


def _cost(found: dict[str, Any]) -> str:
    part, overhead = found.get("throughput"), found.get("noop")
    if part is None or overhead is None:
        return _missing("The estimate")
    study = statistics.median(part["seconds_a_study"]["1"])
    predicting = min(part["predicting_seconds"], study)
    low, high = study - predicting, study
    ms = overhead["ms_a_study"]
    lines = [
        "| GPUs | hours, network for nothing | hours, network as slow as on this processor | GPU-hours "
        "| input MB/s | share of the scheduler |",
        "|---|---|---|---|---|---|",
    ]
    for gpus in _GPUS:
        fast, slow = (_STUDIES * seconds / gpus / 3600 for seconds in (low, high))
        rate = gpus * part["input_mb"] / low
        lines.append(
            f"| {gpus} | {fast:.2f} | {slow:.2f} | {fast * gpus:.1f} to {slow * gpus:.1f} | {rate:.0f} "
            f"| {100 * gpus * ms / 1000 / low:.1f} % |"
        )
    return "\n".join([*lines, "", _assumptions(part, ms, low, high)])


def _assumptions(part: dict[str, Any], ms: float, low: float, high: float) -> str:
    lost = 100 * (1 - part["ratio"] / 2)
    return f"""**No GPU was measured.** The table is arithmetic on the figures above, and assumes:

- A study is the simulated case above: {part["input_mb"]} MB in, aligned, without skull. It took
  {high:.2f} s with one worker of one thread, {high - low:.2f} s of it in the network. Scans straight from the
  scanner need registration and a brain mask, which take longer: put the `seconds` of your own `cohort.csv`
  in their place.
- A GPU speeds up the network alone. The first column takes that as free, the second as slow as on this
  processor: the truth lies between.
- One study a GPU at a time, and for each GPU one processor core as fast as this one's. With more cores a
  study's alignment and writing use them, too; that is not counted.
- Nothing is lost by running side by side. From 1 to 2 workers {lost:.0f} % were lost here; beyond 2 nothing
  was measured.
- The storage delivers the column *input MB/s* to all workers together.
- The last column is {ms:.2f} ms a study on one thread of the scheduler, over the time in which so many GPUs
  do one study each: near 100 % the scheduler would be the limit.
- Starting workers (imports, loading the model) and studies that are tried again are not counted.
- Money: GPU-hours times what one of yours costs."""
