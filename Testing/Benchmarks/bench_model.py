"""Scores of a model on the real scans in reach and on phantoms, as the guidance table of its card.

    python Testing/Benchmarks/bench_model.py --data ../shared/data --phantoms 24 --output out/bench-model

Real cases are marked seen or held out, as ``model.json`` says. Phantoms are simulated by the second renderer,
which shares no code with the synthesis that training uses: in the ICBM152 brain, and in a real brain without
tumour that the model has not seen (``--in-real-brain``). A third set paints experts' contours of real tumours
into that brain (``--expert-shape``). A run that was interrupted goes on where it stopped.

Weights of a last run have seen every real case, and the brain of the second and third set: the tables say so.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from bench_scored import (
    EXPERT_SHAPE,
    IN_REAL_BRAIN,
    REAL,
    SIMULATED,
    WITHOUT_TUMOUR,
    Scored,
    case_table,
    from_plain,
    plain,
    summary_table,
)

from GliomaSegLib.evaluation import conspicuity, phantom
from GliomaSegLib.evaluation.lesionwise import score_case
from GliomaSegLib.evaluation.phantom import ICBM152, phantom_name, write_phantom
from GliomaSegLib.evaluation.phantom.expert_shape import render_expert_shape
from GliomaSegLib.evaluation.phantom.writing import write_rendered
from GliomaSegLib.intake.label_maps import read_label_map
from GliomaSegLib.intake.volume import Grid
from GliomaSegLib.model.weights import (
    DEFAULT_MODEL,
    MODEL_FILE,
    ModelDescription,
    file_sha256,
    find_model,
    read_description,
)
from GliomaSegLib.pipeline import NIFTI, SegmentOptions, segment
from GliomaSegLib.training.cases import CaseFiles, case_labels, find_cases

SEED, SEED_IN_REAL_BRAIN, SEED_EXPERT = 9000, 9500, 9900
"""Seeds of the reported phantoms. Anything that is tuned uses others."""
_NO_LOOKS = ("__init__.py", "writing.py", "picture.py", "expert_shape.py")
"""Files of the second renderer that don't shape its voxels."""


@dataclass(frozen=True)
class Job:
    """One case to be segmented by ``model`` (name or folder) and scored; the result lies below ``output``."""

    case: CaseFiles
    group: str
    seen: bool
    model: str
    output: Path
    missing: str = ""

    @property
    def folder(self) -> Path:
        """Folder of this job's result."""
        group = "".join(c if c.isalnum() else "-" for c in self.group)
        given = f"without-{self.missing}" if self.missing else "complete"
        return self.output / "results" / group / given

    @property
    def label_map(self) -> Path:
        """The predicted label map, once the job is done."""
        return self.folder / self.case.name / NIFTI

    @property
    def record(self) -> Path:
        """Where the scores are kept."""
        return self.folder / f"{self.case.name}.json"


def score(case: CaseFiles, group: str, seen: bool, model: str, output: Path, missing: str = "") -> Scored:
    """Segment one case through the same pipeline as ``gliomaseg segment`` and score it at full resolution.

    The result's folder is ``output / results / set / complete`` or ``without-ROLE``.
    """
    job = Job(case, group, seen, model, output, missing)
    folder = job.folder / case.name
    reference = "t1c" if "t1c" in case.images else "flair"
    options = SegmentOptions(reference=reference, model=model, device="cpu", overwrite=True, progress="none")
    result = segment(case.images, folder, options)
    _, grid = read_label_map(folder / NIFTI)
    rows = {**result.measures["structures"], **result.measures["regions"]}
    # A structure that can't be assessed without the missing sequence has no interval.
    intervals = {
        name: tuple(r["volume_interval_ml"]) for name, r in rows.items() if "volume_interval_ml" in r
    }
    scores = score_case(case_labels(case, grid), result.labels, grid.spacing_mm)
    return Scored(case.name, group, seen, scores, intervals, missing, str(result.run["engine"]))


def run_job(job: Job) -> Scored:
    """The job's scores: as kept from an earlier run with the same model, else made and kept."""
    digest = _model_digest(job.model)
    if job.record.is_file():
        kept = json.loads(job.record.read_text(encoding="utf-8"))
        if kept.pop("model") == digest:
            # What was trained on may have been corrected since.
            return replace(from_plain(kept), seen=job.seen)
    made = score(job.case, job.group, job.seen, job.model, job.output, job.missing)
    job.record.write_text(json.dumps({"model": digest, **plain(made)}, default=float), encoding="utf-8")
    return made


def _model_digest(model: str) -> str:
    """Changes with the weights and with what shapes labels: temperature, clean-up and mirroring."""
    facts = json.loads((find_model(model) / MODEL_FILE).read_text(encoding="utf-8"))
    parts = [facts["weights"]["sha256"], facts["temperature"], facts["clean_up"], facts["input"]]
    parts.append(facts.get("inference"))
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def run_jobs(jobs: Sequence[Job], processes: int = 1) -> Iterator[Scored]:
    """The scores of all jobs, in their order; several ``processes`` need about 1 GB each."""
    if processes == 1:
        yield from map(run_job, jobs)
        return
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _one_thread) as pool:
        yield from pool.map(run_job, jobs)


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def real_jobs(data: Path, model: str, output: Path) -> list[Job]:
    """Every real case below ``data``, marked as ``model.json`` says."""
    seen = set(read_description(find_model(model)).facts.get("trained_on", ()))
    return [
        Job(case, REAL if case.labels else WITHOUT_TUMOUR, case.name in seen, model, output)
        for case in find_cases([data])
    ]


def _folder_of(cache: Path, kind: str) -> Path:
    """Where phantoms of one kind are kept; another renderer is another folder."""
    sources = sorted(Path(phantom.__file__).parent.glob("*.py"))
    sources = [path for path in sources if path.name not in _NO_LOOKS] + [Path(conspicuity.__file__)]
    digest = hashlib.sha256("".join(file_sha256(path) for path in sources).encode()).hexdigest()[:8]
    return cache / f"phantoms-{kind}-{digest}"


def phantom_cases(
    cache: Path, count: int, seed: int, anatomy: str | Path = ICBM152, spacing_mm: float = 1.0
) -> list[CaseFiles]:
    """Phantoms in ``cache``, rendered where they are not there yet."""
    if not count:
        return []
    folder = _folder_of(cache, f"{Path(anatomy).name}-{seed}-{spacing_mm:g}mm")
    names = [phantom_name(number) for number in range(count)]
    for number, name in enumerate(names):
        if not (folder / name).is_dir():
            write_phantom(folder, seed, number, anatomy, spacing_mm)
    return [case for case in find_cases([folder]) if case.name in names]


def expert_cases(cache: Path, count: int, seed: int, brain: Path, data: Path) -> list[CaseFiles]:
    """Expert contours of the real cases below ``data``, operated on and painted into the folder ``brain``."""
    sources = [c for c in find_cases([data]) if c.labels and c.labels.name.endswith("seg.nii.gz")]
    if not count or not sources:
        return []
    folder = _folder_of(cache, f"expert-{brain.name}-{seed}")
    names = [phantom_name(1000 + number) for number in range(count)]
    for number, name in enumerate(names):
        if not (folder / name).is_dir():
            labels, head = _upright(sources[number % len(sources)])
            write_rendered(render_expert_shape(seed + number, brain, labels, head), folder, name)
    return [case for case in find_cases([folder]) if case.name in names]


def _upright(case: CaseFiles) -> tuple[np.ndarray, np.ndarray]:
    """Labels (BraTS 2024 numbers) and brain (z, y, x) of a skull-stripped case, turned along L, P, S."""
    scan = sitk.ReadImage(str(case.images[case.reference_role]))
    grid = Grid.of_image(scan)
    turned = [sitk.DICOMOrient(image, "LPS") for image in (grid.image(case_labels(case, grid)), scan)]
    labels, values = (sitk.GetArrayFromImage(image) for image in turned)
    return labels, values > 0


@dataclass(frozen=True)
class Counts:
    """How many simulated cases of each set: in ICBM152, in a real brain, of expert contours there."""

    phantoms: int = 24
    in_real_brain: int = 12
    expert_shape: int = 8


def simulated_jobs(
    cache: Path,
    counts: Counts,
    data: Path,
    brain: Path | None,
    model: str,
    output: Path,
    brain_seen: bool = False,
) -> list[Job]:
    """The reported simulated cases; those in a real brain only where there is the folder ``brain``.

    ``brain_seen``: whether the model was trained on that brain.
    """
    sets = {SIMULATED: phantom_cases(cache, counts.phantoms, SEED)}
    if brain is not None:
        sets[IN_REAL_BRAIN] = phantom_cases(cache, counts.in_real_brain, SEED_IN_REAL_BRAIN, brain)
        sets[EXPERT_SHAPE] = expert_cases(cache, counts.expert_shape, SEED_EXPERT, brain, data)
    seen = {SIMULATED: False, IN_REAL_BRAIN: brain_seen, EXPERT_SHAPE: brain_seen}
    return [Job(case, group, seen[group], model, output) for group, cases in sets.items() for case in cases]


def held_out_brain(data: Path, held_out: Collection[str]) -> Path | None:
    """Folder of a real brain without tumour among the ``held_out`` cases; None when there is none."""
    case = _brain_case(data, held_out)
    return case and next(iter(case.images.values())).parent


def _brain_case(data: Path, names: Collection[str]) -> CaseFiles | None:
    found = (c for c in find_cases([data]) if c.labels is None and c.name in names and len(c.images) == 4)
    return next(found, None)


def brain_for(data: Path, description: ModelDescription) -> tuple[Path | None, bool]:
    """Folder of the real brain to simulate cases in, and whether the model was trained on it.

    One that the model's last run was trained on, and its measured run was not, is better than none.
    """
    for held_out in (description.facts.get("held_out", ()), description.measured_run.get("held_out", ())):
        if case := _brain_case(data, held_out):
            return held_out_brain(data, [case.name]), case.name in description.facts.get("trained_on", ())
    return None, False


def about(description: ModelDescription) -> str:
    """What must stand above the tables of weights that come from a last run; else nothing."""
    if not description.measured_run:
        return ""
    return (
        "These are figures of the shipped weights, which come from a last run on more cases: what is marked "
        "as seen, or lies in a brain that was, tells what was memorised. The model's card quotes the "
        "held-out run.\n\n"
    )


def main() -> None:
    """Score everything and print the tables."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--phantoms", type=int, default=24)
    parser.add_argument("--in-real-brain", type=int, default=12)
    parser.add_argument("--expert-shape", type=int, default=8)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--cache", type=Path, help="where phantoms are kept (default: output)")
    parser.add_argument("--processes", type=int, default=1)
    arguments = parser.parse_args()
    model, output, cache = arguments.model, arguments.output, arguments.cache or arguments.output
    jobs = real_jobs(arguments.data, model, output)
    description = read_description(find_model(model))
    brain, brain_seen = brain_for(arguments.data, description)
    counts = Counts(arguments.phantoms, arguments.in_real_brain, arguments.expert_shape)
    jobs += simulated_jobs(cache, counts, arguments.data, brain, model, output, brain_seen)
    rows = list(run_jobs(jobs, arguments.processes))
    report = f"{about(description)}{case_table(rows)}\n\n{summary_table(rows)}\n"
    (output / "scores.md").write_text(report, encoding="utf-8")
    (output / "scores.json").write_text(json.dumps([plain(r) for r in rows], indent=1, default=float))
    print(report)


if __name__ == "__main__":
    main()
