"""Where the work runs: this machine's cores or GPUs, a scheduler that runs already, or a cluster's queue."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import GliomaSegError, InputRefused, UsageError, missing_extra

if TYPE_CHECKING:
    from distributed import Client

STUDY_BYTES = 4e9
"""Memory that one study may need: its volumes, registration and one pass of a network of moderate size."""
_MOST_OF_MEMORY = 0.9
_HERE = "127.0.0.1"
_CONNECT_SECONDS = 10
_QUEUES = {
    "slurm": "SLURMCluster",
    "pbs": "PBSCluster",
    "sge": "SGECluster",
    "lsf": "LSFCluster",
    "htcondor": "HTCondorCluster",
    "oar": "OARCluster",
    "moab": "MoabCluster",
}


@dataclass(frozen=True)
class Shares:
    """How a machine is shared out: ``workers`` of ``threads`` and ``memory`` bytes each, ``gpus`` in use."""

    workers: int
    threads: int
    memory: int
    gpus: int

    def __str__(self) -> str:
        where = f"{self.gpus} GPU{'s' * (self.gpus > 1)}, " if self.gpus else ""
        return (
            f"{self.workers} worker{'s' * (self.workers > 1)} ({where}{self.threads} "
            f"thread{'s' * (self.threads > 1)} and {self.memory / 1e9:.1f} GB each)"
        )


def share_out(
    cores: int, memory: float, gpus: int, workers: int | None = None, threads: int | None = None
) -> Shares:
    """How many studies run at a time on one machine, and what each may take.

    One study a GPU; without GPUs as many as cores and memory (``STUDY_BYTES`` each) allow, because
    small teams of threads lose less than large ones. Processors are shared out evenly: nobody fights.

    >>> print(share_out(8, 32e9, 0))
    7 workers (1 thread and 4.1 GB each)
    >>> print(share_out(16, 128e9, 2))
    2 workers (2 GPUs, 8 threads and 57.6 GB each)
    >>> print(share_out(8, 32e9, 0, workers=2))
    2 workers (4 threads and 14.4 GB each)
    """
    usable = memory * _MOST_OF_MEMORY
    if workers is None:
        workers = gpus or max(1, min(cores // (threads or 1), int(usable // STUDY_BYTES)))
    return Shares(workers, threads or max(1, cores // workers), int(usable // workers), min(gpus, workers))


def this_machine(device: str) -> tuple[int, float, int]:
    """Cores, bytes of memory and GPUs that this process may use (containers' limits kept)."""
    import torch
    from dask.system import CPU_COUNT
    from distributed.system import MEMORY_LIMIT

    gpus = 0
    if device in ("auto", "cuda") and torch.cuda.is_available():
        gpus = torch.cuda.device_count()
    elif device != "cpu" and (device != "auto" or torch.backends.mps.is_available()):
        gpus = 1  # one that is named, or Apple's
    return int(CPU_COUNT), float(MEMORY_LIMIT), gpus


class Engine:
    """Workers behind a client. ``again`` connects anew after the scheduler was lost."""

    gpus = 0
    threads: int | None = None
    rejoins = False
    """Whether the scheduler lives elsewhere, so that it may come back."""

    def __init__(self) -> None:
        self.client: Client = self._connect()

    def _connect(self) -> Client:
        raise NotImplementedError

    def again(self) -> bool:
        """Connect anew; False while the scheduler is still away."""
        return False

    def workers(self) -> int:
        """How many workers there are now. Raises ``OSError`` when the scheduler does not answer."""
        return len(self.client.nthreads())

    @property
    def dashboard(self) -> str:
        """Address of the page on which Dask shows what goes on, or ""."""
        return str(self.client.dashboard_link or "")

    def close(self) -> None:
        """Let go of everything that was started here."""
        _quiet(self.client.close)


class LocalEngine(Engine):
    """A ``LocalCluster`` of this machine, heard on this machine only."""

    def __init__(self, shares: Shares, retries: int) -> None:
        self.shares, self.retries = shares, retries
        self.gpus, self.threads = shares.gpus, shares.threads
        super().__init__()

    def _connect(self) -> Client:
        from distributed import Client, LocalCluster

        from .shield import Shield

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a dashboard's port that is taken: it gets another
            self.cluster = LocalCluster(
                n_workers=self.shares.workers,
                threads_per_worker=1,
                memory_limit=self.shares.memory,
                host=_HERE,
                dashboard_address=f"{_HERE}:8787",
                silence_logs=logging.CRITICAL,
                scheduler_kwargs={"allowed_failures": self.retries},
                env=thread_environment(self.shares.threads),
            )
        client = Client(self.cluster)
        client.register_plugin(Shield())
        return client

    def close(self) -> None:
        super().close()
        _quiet(self.cluster.close)


class JoinedEngine(Engine):
    """The workers of a scheduler that runs already, at ``tcp://host:port``."""

    rejoins = True

    def __init__(self, address: str) -> None:
        self.address = address
        super().__init__()

    def _connect(self) -> Client:
        from distributed import Client

        try:
            return Client(self.address, timeout=_CONNECT_SECONDS, name="gliomaseg-cohort")
        except (OSError, ValueError) as error:
            raise UsageError(
                f"No Dask scheduler answers at {self.address}: start one with  dask scheduler  "
                "and give the address that it prints."
            ) from error

    def again(self) -> bool:
        _quiet(self.client.close)
        try:
            self.client = self._connect()
        except UsageError:
            return False
        return True


class QueueEngine(Engine):
    """Jobs of a cluster's queue (SLURM, PBS, SGE, ...) by a file as dask-jobqueue knows it."""

    def __init__(self, file: Path, jobs: int, retries: int) -> None:
        self.file, self.jobs, self.retries = file, jobs, retries
        super().__init__()

    def _connect(self) -> Client:
        import dask
        import dask_jobqueue
        from distributed import Client

        kind, settings = read_queue_file(self.file)
        # Where the file says nothing, dask-jobqueue's own defaults stand. The settings stay until
        # the end: each job reads them when it is made.
        self._settings = dask.config.set({f"jobqueue.{kind}.{key}": v for key, v in settings.items()})
        try:
            self.cluster = getattr(dask_jobqueue, _QUEUES[kind])(
                scheduler_options={"allowed_failures": self.retries}
            )
            self.cluster.job_script()  # what is missing shows here, before anybody waits for a job
        except (ValueError, TypeError, OSError) as error:
            self._settings.__exit__(None, None, None)
            told = str(error).partition("\n")[0].partition(", for example")[0]
            raise InputRefused(f"{self.file.name} does not describe a {kind} queue: {told}.") from error
        self.cluster.scale(jobs=self.jobs)
        return Client(self.cluster)

    def close(self) -> None:
        super().close()
        _quiet(self.cluster.close)
        self._settings.__exit__(None, None, None)


def read_queue_file(file: Path) -> tuple[str, dict[str, Any]]:
    """Kind of queue and its settings, from YAML with ``jobqueue: {slurm: {cores: 8, ...}}``.

    Raises ``InputRefused`` for anything else, ``UsageError`` when a package is missing.
    """
    try:
        import dask_jobqueue  # noqa: F401
        import yaml
    except ImportError as error:
        raise missing_extra("dask-jobqueue", "cohort", "A cluster's queue") from error
    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputRefused(f"{file.name} is not readable YAML: check it.") from error
    queues = found.get("jobqueue", found) if isinstance(found, dict) else None
    kinds = [kind for kind in queues if kind in _QUEUES] if isinstance(queues, dict) else []
    if not isinstance(queues, dict) or len(kinds) != 1 or not isinstance(queues[kinds[0]], dict):
        raise InputRefused(
            f"{file.name} must have one queue under jobqueue ({', '.join(_QUEUES)}) with its settings, "
            "as dask-jobqueue's own file."
        )
    return kinds[0], queues[kinds[0]]


def thread_environment(threads: int) -> Mapping[str, str]:
    """Environment that holds every library of a worker to its share of the processors."""
    names = ("OMP", "MKL", "OPENBLAS", "NUMEXPR", "VECLIB_MAXIMUM")
    return {f"{name}_NUM_THREADS": str(threads) for name in names} | {
        "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": str(threads)
    }


@contextmanager
def configured() -> Iterator[None]:
    """Inside, Dask is set up for few, long, heavy tasks."""
    try:
        import dask
        import distributed
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise missing_extra(str(error.name), "cohort", "A cohort") from error
    settings = {
        # Studies keep nothing in Dask's memory: there is nothing to spill, and a paused worker would stay so.
        "distributed.worker.memory.target": False,
        "distributed.worker.memory.spill": False,
        "distributed.worker.memory.pause": False,
        "distributed.worker.memory.terminate": 0.95,
        "distributed.scheduler.worker-saturation": 1.0,
    }
    # A scheduler that went away is told of in our words; connections that die with it would add tracebacks.
    # Dask gives some of its loggers, such as distributed.client, levels and handlers of their own.
    families = (distributed.__name__, "asyncio", "tornado")
    known = [name for name in logging.root.manager.loggerDict if name.split(".")[0] in families]
    loggers = [logging.getLogger(name) for name in sorted({*known, *families})]
    levels = [logger.level for logger in loggers]
    if not os.environ.get("GLIOMASEG_DASK_LOG"):
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
    try:
        with dask.config.set(settings):
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _quiet(close: Any) -> None:
    """Close what may be gone already."""
    try:
        close()
    except (OSError, TimeoutError, RuntimeError, GliomaSegError):
        logging.getLogger(__name__).debug("closing failed", exc_info=True)
