"""What a worker does: one study, or one comparison of two visits, from files to a published folder and a row.

These functions travel by name: every worker needs the same version of this package. Whatever concerns one
study comes back as its row; only what another try may cure (memory) is raised.
"""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import Cancelled, InputRefused, ModelRefused, OutOfMemory, OutputRefused, UsageError
from ..output_folder import RUN_FILE, refused_output
from ..pipeline import NIFTI, RESULT_FILES, SegmentOptions, segment
from .identity import content, stamp
from .loading import keeping_engine
from .rows import (
    DONE,
    FAILED,
    NOT_RUN,
    REFUSED,
    Row,
    row_of,
    row_of_changes,
    row_of_no_changes,
    row_of_result,
    sentence_of,
)
from .store import RECORD, Store, link_or_copy, read_json, write_json
from .study import PlannedStudy, RoleInput

FORMAT = 1
FOLLOW_UP = "followup"
_ONE_AT_A_TIME = threading.Lock()
"""A worker with several threads still does one study at a time: memory and processors are shared out so."""


@dataclass(frozen=True)
class StudyTask:
    """One study for a worker. ``identity``: model, version and settings; the worker adds the inputs.

    ``gpus``: how many there are to be shared among the workers of one machine; 0 leaves ``options.device``.
    """

    root: Path = field(repr=False)
    study: PlannedStudy
    options: SegmentOptions = field(repr=False)
    identity: Mapping[str, Any] = field(repr=False)
    gpus: int = 0


@dataclass(frozen=True)
class FollowUpTask:
    """Two published results of one subject for a worker, with the scans that their labels lie on.

    ``earlier``: the visits before them, in their order, for the plot over time.
    """

    root: Path = field(repr=False)
    earlier: tuple[PlannedStudy, ...]
    before: PlannedStudy
    after: PlannedStudy
    identity: Mapping[str, Any] = field(repr=False)


def own_files(study: PlannedStudy) -> tuple[str, ...]:
    """Names of the files of a study's folder that are the cohort's; others are a person's."""
    return (*RESULT_FILES, RECORD, f"{study.name}_dseg.nii.gz")


def run_study(task: StudyTask) -> Row:
    """Segment one study, unless its very result is there, and publish it.

    Raises ``OutOfMemory``, ``ModelRefused`` and, on a worker of another version, ``UsageError``.
    """
    with _ONE_AT_A_TIME:
        return _outcome(task)


def _outcome(task: StudyTask) -> Row:
    study, store = task.study, Store(task.root)
    try:
        _check_version(task.identity)
        stamped = stamp(study.series)
        identity = {**task.identity, "inputs": content(study.series)}
    except OSError:
        return row_of(study, FAILED, "Its files are gone or can't be read on the worker: check the source.")
    for present in (store.record(study.folder), store.refusal(study.name)):
        if present is not None and present["identity"] == identity:
            return _known(store, study, present, stamped)
    try:
        return _segmented(task, store, identity, stamped)
    except (OutOfMemory, MemoryError) as error:
        raise OutOfMemory("Memory ran out on the worker: run with fewer workers.") from error
    except Cancelled:
        return row_of(study, NOT_RUN)
    except InputRefused as error:
        row = row_of(study, REFUSED, sentence_of(error, study.series))
        with contextlib.suppress(OSError):  # then the next start tries it again
            store.note_refusal(study.name, _record(study, identity, stamped, row))
        return row
    except (OutputRefused, OSError) as error:
        told = refused_output(task.root, error) if isinstance(error, OSError) else error
        return row_of(study, FAILED, str(told)) | {"output": True}
    except ModelRefused:
        raise  # no study can be run: the whole cohort ends
    except Exception as error:  # noqa: BLE001 - a study that breaks the program is a row, not the run's end
        return row_of(study, FAILED, sentence_of(error, study.series))


def _check_version(identity: Mapping[str, Any]) -> None:
    if identity["version"] != __version__:
        raise UsageError(
            f"A worker has gliomaseg {__version__}, the cohort {identity['version']}: install one."
        )


def _known(store: Store, study: PlannedStudy, present: dict[str, Any], stamped: str) -> Row:
    """The row of a result that is there already; its stamp renewed, so that nobody reads the bytes again."""
    if present["stamp"] != stamped:
        refused = present["row"]["status"] != DONE
        renewed = present | {"stamp": stamped}
        with contextlib.suppress(OSError):  # only a matter of speed
            if refused:
                store.note_refusal(study.name, renewed)
            else:
                write_json(store.root / study.folder / RECORD, renewed)
    return {**present["row"], "visit": study.visit}


def _record(study: PlannedStudy, identity: Mapping[str, Any], stamped: str, row: Row) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "subject": study.subject,
        "session": study.session,
        "identity": dict(identity),
        "stamp": stamped,
        "row": row,
    }


def _segmented(task: StudyTask, store: Store, identity: dict[str, Any], stamped: str) -> Row:
    study = task.study
    with _attempt(store) as attempt:
        paths = gathered(study.series, attempt / "inputs")
        made = attempt / "result"
        result = segment(paths, made, _options(task), keeping_engine)
        row = row_of_result(study, result.measures, result.run)
        row |= {"inputs_sha256": identity["inputs"], "labels_sha256": _sha256(made / NIFTI)}
        link_or_copy(made / NIFTI, made / f"{study.name}_dseg.nii.gz")
        record = _record(study, identity, stamped, row)
        record["files"] = sorted(p.name for p in made.iterdir())
        write_json(made / RECORD, record)
        if not store.publish(made, study.folder, own_files(study), identity):
            row = (store.record(study.folder) or record)["row"]
        store.forget_refusal(study.name)
        return row


@contextlib.contextmanager
def _attempt(store: Store) -> Iterator[Path]:
    folder = store.attempt()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def gathered(series: Mapping[str, RoleInput], folder: Path) -> dict[str, Path]:
    """The path of each role; series scattered over folders or mixed with others get one of links each."""
    paths = {}
    for role, one in series.items():
        paths[role] = one.path
        if one.scattered:
            own = folder / role
            own.mkdir(parents=True)
            for number, file in enumerate(one.scattered):
                _link(file, own / f"{number:06d}.dcm")
            paths[role] = own / "000000.dcm"
    return paths


def _link(source: Path, target: Path) -> None:
    try:
        target.symlink_to(source.resolve())
    except OSError:  # not everyone may make links on Windows
        shutil.copy2(source, target)


def _options(task: StudyTask) -> SegmentOptions:
    """The options on this worker: its share of the processors, and its own GPU where several are shared."""
    from distributed import get_worker

    try:
        worker = get_worker()
    except ValueError:  # called without an engine
        return replace(task.options, progress="none", threads=task.options.threads)
    threads = task.options.threads or worker.state.nthreads
    _bound_itk(threads)
    device = task.options.device
    if task.gpus and device in ("auto", "cuda") and _has_cuda():
        device = f"cuda:{int(worker.name) % task.gpus}"
    return replace(task.options, progress="none", threads=threads, device=device)


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def _bound_itk(threads: int) -> None:
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)


def _sha256(path: Path) -> str:
    from ..model.weights import file_sha256

    return file_sha256(path)


def run_follow_up(task: FollowUpTask) -> Row:
    """Compare two visits, unless this very comparison is there; the columns that it adds to the later row."""
    with _ONE_AT_A_TIME:
        since = task.before.session
        try:
            return _compared(task, Store(task.root))
        except (OutOfMemory, MemoryError) as error:
            raise OutOfMemory("Memory ran out on the worker: run with fewer workers.") from error
        except InputRefused as error:
            told = sentence_of(error, {**task.before.series, **task.after.series})
            return row_of_no_changes(since, REFUSED, told)
        except Exception as error:  # noqa: BLE001 - as in run_study
            told = sentence_of(error, {**task.before.series, **task.after.series})
            return row_of_no_changes(since, FAILED, told)


def follow_up_folder(after: PlannedStudy) -> Path:
    """Where the comparison with the visit before goes, relative to the output."""
    return after.folder.parent / FOLLOW_UP


def _compared(task: FollowUpTask, store: Store) -> Row:
    from ..follow_up import FOLLOW_UP_FILES, FollowUpRequest, follow_up

    before, after, place = task.before, task.after, follow_up_folder(task.after)
    identity = follow_up_identity(task, store)
    present = store.record(place)
    if present is not None and present["identity"] == identity:
        return dict(present["row"])
    with _attempt(store) as attempt:
        scans = [_scan(store, study, attempt / str(n)) for n, study in enumerate((before, after))]
        earlier = tuple(store.root / study.folder for study in task.earlier)
        request = FollowUpRequest(
            store.root / before.folder, store.root / after.folder, scans[0], scans[1], earlier=earlier
        )
        made = attempt / "result"
        changes = follow_up(request, made)
        row = row_of_changes(before.session, changes)
        record = {"format": FORMAT, "identity": identity, "row": row}
        record["files"] = sorted(p.name for p in made.iterdir())
        write_json(made / RECORD, record)
        store.publish(made, place, (*FOLLOW_UP_FILES, RECORD), identity)
        return row


def follow_up_identity(task: FollowUpTask, store: Store) -> dict[str, Any]:
    """What a comparison depends on: the version, and the labels and inputs of its visits."""
    visits = (*task.earlier, task.before, task.after)
    records = [store.record(study.folder) or {} for study in visits]
    rows = [record.get("row", {}) for record in records]
    return {**task.identity, "visits": [[row.get("labels_sha256"), row.get("inputs_sha256")] for row in rows]}


def _scan(store: Store, study: PlannedStudy, folder: Path) -> Path:
    run = read_json(store.root / study.folder / RUN_FILE) or {}
    role = run.get("reference", study.reference)
    return gathered({role: study.series[role]}, folder)[role]
