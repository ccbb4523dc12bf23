"""Tasks go out as workers come free, rows come in; lost workers and schedulers cost time, never a study."""

from __future__ import annotations

import queue
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..errors import GliomaSegError, OutOfMemory, UsageError
from .engine import Engine
from .rows import Row

_POLL_SECONDS = 0.5
_COUNT_SECONDS = 2.0
WAIT_SECONDS = 600.0
"""How long a lost scheduler may stay away."""


@dataclass
class Job:
    """One call for a worker: ``function(task)`` gives a row; ``place`` is the row's in the table.

    ``failed`` makes the row of a call that is lost, from a sentence.
    """

    key: str
    function: Callable[[Any], Row]
    task: Any
    failed: Callable[[str], Row]
    place: int = 0
    tries: int = field(default=0)


class Driver:
    """Runs jobs on an engine. ``done`` gets each job's row once; ``say`` gets sentences for a person."""

    def __init__(
        self,
        engine: Engine,
        retries: int,
        done: Callable[[Job, Row], None],
        say: Callable[[str], None],
        wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        self.engine, self.retries, self.done, self.say = engine, retries, done, say
        self.wait_seconds = wait_seconds
        self._finished: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._running: dict[Any, Job] = {}
        self._waiting: deque[Job] = deque()
        self._slots, self._counted, self._told_empty = 1, 0.0, False

    def run(self, jobs: list[Job]) -> None:
        """All jobs; returns when each has its row. Raises ``GliomaSegError`` when the engine is gone."""
        self._waiting.extend(jobs)
        try:
            while self._waiting or self._running:
                if not self._count():
                    self._lost()
                    continue
                self._submit()
                self._collect()
        finally:
            for future in self._running:
                _release(future, cancel=True)
            self._running.clear()

    def _count(self) -> bool:
        """Count the workers now and then; False when the scheduler is gone."""
        if self.engine.client.status != "running":
            return False
        now = time.monotonic()
        if now - self._counted < _COUNT_SECONDS:
            return True
        try:
            workers = self.engine.workers()
        except (OSError, TimeoutError, RuntimeError, AttributeError):
            return False
        self._counted = now
        if not workers and not self._told_empty:
            self.say("No worker is there yet: waiting for the first.")
        self._told_empty = not workers
        self._slots = max(1, workers)
        return True

    def _submit(self) -> None:
        """As many tasks as workers: when one dies, it is known which study it had."""
        while self._waiting and len(self._running) < self._slots:
            job = self._waiting.popleft()
            try:
                future = self.engine.client.submit(
                    job.function, job.task, key=f"{job.key}-{uuid.uuid4().hex[:8]}", pure=False
                )
            except (OSError, RuntimeError):
                self._waiting.appendleft(job)
                return
            self._running[future] = job
            future.add_done_callback(self._finished.put)

    def _collect(self) -> None:
        try:
            futures = [self._finished.get(timeout=_POLL_SECONDS)]
        except queue.Empty:
            # Futures of a lost connection are cancelled without a call.
            futures = [f for f in self._running if f.status in ("cancelled", "lost")]
        for future in futures:
            job = self._running.pop(future, None)
            if job is not None:
                self._settle(job, future)

    def _settle(self, job: Job, future: Any) -> None:
        status = future.status
        if status == "finished":
            try:
                row = future.result(timeout=30)
            except (OSError, TimeoutError):  # the row went down with its worker
                self._waiting.appendleft(job)
                return
            _release(future)
            self.done(job, row)
        elif status == "error":
            error = future.exception()
            _release(future)
            self._judge(job, error)
        else:
            # Cancelled by nobody here: the scheduler went away. The record on disk tells whether it was done.
            self._waiting.appendleft(job)

    def _judge(self, job: Job, error: BaseException) -> None:
        """Another try for what may pass; the rest is a row."""
        if isinstance(error, GliomaSegError) and not isinstance(error, OutOfMemory):
            raise error  # a worker that can run no study: another version, no such model
        if isinstance(error, ImportError):
            raise UsageError(
                "The workers can't import gliomaseg: install the same version on all."
            ) from error
        if isinstance(error, OutOfMemory | MemoryError):
            job.tries += 1
            if job.tries <= self.retries:
                self._waiting.append(job)
                return
            self.done(job, job.failed(f"Memory ran out {_times(job.tries)}: run with fewer workers."))
        elif type(error).__name__ == "KilledWorker":
            self.done(
                job,
                job.failed(
                    f"Its worker died {_times(getattr(error, 'allowed_failures', self.retries) + 1)}, "
                    "most often for want of memory: run with fewer workers, or it alone."
                ),
            )
        else:
            kind = type(error).__name__
            self.done(job, job.failed(f"Something unexpected went wrong on a worker ({kind}): run it alone."))

    def _lost(self) -> None:
        """The scheduler is gone: wait for it, then hand out again what has no row."""
        for future, job in self._running.items():
            self._waiting.append(job)
            _release(future)
        self._running.clear()
        if not self.engine.rejoins:
            raise GliomaSegError("The scheduler died: run the same command again, it goes on where it was.")
        self.say("The scheduler is away: waiting for it.")
        deadline = time.monotonic() + self.wait_seconds
        while not self.engine.again():
            if time.monotonic() > deadline:
                raise GliomaSegError("The scheduler did not come back: start it, then run the same command.")
            time.sleep(_POLL_SECONDS)
        self._counted = 0.0
        self.say("The scheduler is back.")


def _release(future: Any, cancel: bool = False) -> None:
    try:
        if cancel:
            future.cancel()
        future.release()
    except (OSError, RuntimeError, TimeoutError):
        return  # its client is gone, and it with it


def _times(number: int) -> str:
    return {1: "once", 2: "twice"}.get(number, f"{number} times")
