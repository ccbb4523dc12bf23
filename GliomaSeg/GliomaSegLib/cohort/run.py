"""The whole of a cohort: what there is, what is left to do, the work, the tables and the page."""

from __future__ import annotations

import signal
import sys
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import Cancelled, OutputRefused, StudiesWithoutResult
from ..output_folder import refused_output
from ..pipeline import SegmentOptions
from ..progress import Renderer, Silent, renderer
from .derivatives import check_output, describe
from .driver import Driver, Job
from .engine import Engine, configured
from .follow_ups import follow_up_jobs
from .identity import stamp
from .loading import found_anywhere, model_identity
from .lock import only_one
from .page import PAGE, page
from .rows import DONE, FAILED, NOT_RUN, REFUSED, Row, row_of
from .store import Store, write_whole
from .study import PlannedStudy
from .tables import write_tables
from .work import StudyTask, run_study

NOT_IDENTITY = (
    "study",
    "model",
    "device",
    "threads",
    "keep_identity",
    "overwrite",
    "progress",
    "cancel_file",
)
"""Options that don't belong to what a result is: where it was made, who watched; the model has checksums."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Cohort:
    """Studies to run into ``output`` with ``options``; ``retries`` for what may pass (lost workers)."""

    studies: Sequence[PlannedStudy]
    output: Path
    options: SegmentOptions
    retries: int = 2


def run_cohort(cohort: Cohort, open_engine: Callable[[], Engine], say: Say) -> list[Row]:
    """Run what has no result yet; returns and writes one row a study.

    ``open_engine`` is called only when there is work. Raises ``OutputRefused`` when the output can't be
    written, ``Cancelled`` (tables are written all the same), and ``StudiesWithoutResult`` when some were
    refused or failed.
    """
    store = Store(cohort.output.resolve())
    check_output(store)
    with configured(), only_one(store.root, store.state / "lock"):
        store.check_writable()
        store.tidy()
        describe(store)
        return _Run(cohort, store, say).execute(open_engine)


class _Run:
    """One start of a cohort: the rows that are known and those that come in."""

    def __init__(self, cohort: Cohort, store: Store, say: Say) -> None:
        self.cohort, self.store, self.say = cohort, store, say
        self.rows: dict[int, Row] = {}
        self.model = model_identity(cohort.options.model)
        self.identity = {
            "version": __version__,
            "model": self.model,
            "settings": settings(cohort.options),
        }
        self.cancel_file = store.state / f"cancel-{uuid.uuid4().hex}"
        self.progress: Renderer = Silent()

    def execute(self, open_engine: Callable[[], Engine]) -> list[Row]:
        todo = self._sorted_out()
        self.say(self._opening(len(todo)))
        try:
            self._work(todo, open_engine)
        except Cancelled as error:
            with undisturbed():
                self._look_again()
                self._write()
            done = self._counts().get(DONE, 0)
            raise Cancelled(
                f"Cancelled: {done} of {len(self.rows)} studies are done. The same command goes on from here."
            ) from error
        except BaseException:
            self._look_again()
            self._write_if_possible()
            raise
        self._write()
        return self._closing()

    def _sorted_out(self) -> list[int]:
        """Rows of what is refused or has its result; the places of what is to be run."""
        todo = []
        for place, study in enumerate(self.cohort.studies):
            if study.refusal:
                self.rows[place] = row_of(study, REFUSED, study.refusal)
                continue
            known = self._known(study)
            self.rows[place] = known or row_of(study, NOT_RUN)
            if known is None:
                todo.append(place)
        return todo

    def _known(self, study: PlannedStudy) -> Row | None:
        """The row of a study whose inputs were not touched since, None when a worker has to look closer."""
        records = (self.store.record(study.folder), self.store.refusal(study.name))
        found = next((one for one in records if one is not None and self._same(one["identity"])), None)
        if found is None:
            return None
        try:
            unchanged = found["stamp"] == stamp(study.series)
        except OSError:
            return None
        return {**found["row"], "visit": study.visit} if unchanged else None

    def _same(self, identity: dict[str, Any]) -> bool:
        return {key: identity.get(key) for key in self.identity} == self.identity

    def _work(self, todo: list[int], open_engine: Callable[[], Engine]) -> None:
        if not todo and not self._comparisons():
            return
        engine = open_engine()
        self.progress = renderer(self.cohort.options.progress)
        try:
            if engine.dashboard:
                self.say(f"Dashboard: {engine.dashboard}")
            driver = Driver(engine, self.cohort.retries, self._take, self.say)
            driver.run([self._job(place, engine) for place in todo])
            driver.run(self._comparisons())
            self.progress.show("done", 1.0, "Done")
        except BaseException:
            # Studies under way stop soon, wherever they are.
            with suppress(OSError):
                self.cancel_file.touch()
            raise
        finally:
            with undisturbed():
                self.progress.close()
                engine.close()
                if not engine.rejoins:  # then nobody works on an attempt any more
                    self.store.tidy_attempts()

    def _comparisons(self) -> list[Job]:
        return follow_up_jobs(self.store, self.cohort.studies, self.rows, self.identity)

    def _job(self, place: int, engine: Engine) -> Job:
        study = replace(self.cohort.studies[place], notes=())
        options = replace(
            self.cohort.options,
            model=found_anywhere(self.cohort.options.model),
            threads=self.cohort.options.threads or engine.threads,
            cancel_file=self.cancel_file,
            overwrite=False,
        )
        task = StudyTask(self.store.root, study, options, self.identity, engine.gpus)
        return Job(study.name, run_study, task, lambda told: row_of(study, FAILED, told), place)

    def _take(self, job: Job, row: Row) -> None:
        stuck = row.pop("output", False)
        self.rows[job.place].update(row)
        known = sum(r["status"] != NOT_RUN for r in self.rows.values())
        self.progress.show("segmenting", min(0.999, known / len(self.rows)), f"{known} of {len(self.rows)}")
        if stuck:
            # One study's folder may be closed; when nothing can be written, all others would fail as well.
            self.store.check_writable()

    def _look_again(self) -> None:
        """Rows of results that were put in place while nobody listened any more."""
        for place, row in self.rows.items():
            if row["status"] == NOT_RUN:
                row.update(self._known(self.cohort.studies[place]) or {})

    def _counts(self) -> Counter[str]:
        return Counter(row["status"] for row in self.rows.values())

    def _opening(self, todo: int) -> str:
        found = self._counts()
        parts = [
            f"{found[s]} {text}" for s, text in ((DONE, "done before"), (REFUSED, "refused")) if s in found
        ]
        return f"{len(self.rows)} studies: " + ", ".join([*parts, f"{todo} to run"]) + "."

    def _write(self) -> None:
        rows = [self.rows[place] for place in sorted(self.rows)]
        model = f"Model {self.model['name']} {self.model['version']}, gliomaseg {__version__}."
        try:
            write_tables(self.store.root, rows)
            write_whole(self.store.root / PAGE, page(rows, model))
        except OSError as error:
            raise refused_output(self.store.root, error) from error

    def _write_if_possible(self) -> None:
        try:
            self._write()
        except OutputRefused as error:
            self.say(str(error))

    def _closing(self) -> list[Row]:
        found = self._counts()
        told = ", ".join(f"{found[s]} {s}" for s in (DONE, REFUSED, FAILED) if s in found)
        self.say(f"{len(self.rows)} studies: {told}. Tables and cohort.html are in {self.store.root.name}.")
        missing = len(self.rows) - found.get(DONE, 0)
        if missing:
            raise StudiesWithoutResult(
                f"{missing} of {len(self.rows)} studies have no result: {PAGE} lists them with their reasons."
            )
        return [self.rows[place] for place in sorted(self.rows)]


def settings(options: SegmentOptions) -> dict[str, Any]:
    """The options that a result depends on."""
    return {key: value for key, value in vars(options).items() if key not in NOT_IDENTITY}


@contextmanager
def undisturbed() -> Iterator[None]:
    """Inside, a second Ctrl-C does not break off what puts everything in order."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def say_on_stderr(text: str) -> None:
    """One sentence on standard error, at once."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
