"""The verb ``cohort``: many studies, one command."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from .cli_numbers import count, positive
from .cli_segment import add_method, method_of
from .errors import UsageError

if TYPE_CHECKING:
    from .cohort.engine import Engine

Verb = Callable[[argparse.Namespace], None]
_EPILOG = (
    "Exit codes: 0 every study has a result, 6 some were refused or failed (cohort.html lists them), "
    "130 cancelled; the same command goes on where it stopped."
)


def _cohort(arguments: argparse.Namespace) -> None:
    from .cohort.plan import find_studies, listing

    salt = None
    if arguments.salt_file is not None or arguments.hash_ids or arguments.dicom is not None:
        salt = _salt(arguments)
    studies, notes = find_studies(arguments.manifest, arguments.bids, arguments.dicom, salt)
    if arguments.dry_run:
        for line in listing(studies, notes):
            sys.stdout.write(line + "\n")
        return
    from .cohort.run import Cohort, run_cohort, say_on_stderr
    from .pipeline import SegmentOptions

    for note in notes:
        say_on_stderr(f"Note: {note}")
    options = SegmentOptions(**method_of(arguments))
    cohort = Cohort(studies, arguments.output, options, arguments.retries)
    run_cohort(cohort, lambda: _engine(arguments), say_on_stderr)


def _salt(arguments: argparse.Namespace) -> bytes:
    """The salt that is given, or the output's own; a dry run writes none."""
    from .cohort.derivatives import check_output
    from .cohort.plan import read_salt
    from .cohort.store import Store

    store = Store(arguments.output.resolve())
    check_output(store)
    file = arguments.salt_file or store.state / "salt"
    if arguments.dry_run and not file.exists():
        sys.stderr.write("Note: the hashes are examples; the salt is made at the first run.\n")
        return os.urandom(32)
    return read_salt(file)


def _engine(arguments: argparse.Namespace) -> Engine:
    from .cohort.engine import JoinedEngine, LocalEngine, QueueEngine, share_out, this_machine
    from .cohort.run import say_on_stderr

    if arguments.scheduler is not None:
        if arguments.workers is not None:
            raise UsageError("A running scheduler has its own workers: leave out --workers.")
        return JoinedEngine(arguments.scheduler)
    if arguments.jobqueue is not None:
        if arguments.workers is None:
            raise UsageError("Say how many jobs the queue may start: add --workers N.")
        return QueueEngine(arguments.jobqueue, arguments.workers, arguments.retries)
    cores, memory, gpus = this_machine(arguments.device)
    shares = share_out(cores, memory, gpus, arguments.workers, arguments.threads)
    say_on_stderr(f"On this machine: {shares}.")
    return LocalEngine(shares, arguments.retries)


def _add_cohort(parser: argparse.ArgumentParser) -> None:
    parser.epilog = _EPILOG
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--manifest", type=Path, metavar="F.csv", help="table with subject, session, t1, t1c, t2, flair"
    )
    source.add_argument("--bids", type=Path, metavar="DIR", help="root of a BIDS data set")
    source.add_argument("--dicom", type=Path, metavar="DIR", help="archive that is searched for exams")
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="folder for results and tables"
    )
    parser.add_argument("--dry-run", action="store_true", help="list what would run, with roles and reasons")
    _add_engine(parser)
    add_method(parser, one_mask=False)
    parser.add_argument(
        "--hash-ids", action="store_true", help="subjects and sessions become salted hashes (DICOM: always)"
    )
    parser.add_argument(
        "--salt-file",
        type=Path,
        metavar="F",
        help="the secret salt, made if missing (default: in the output)",
    )


def _add_engine(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--workers", type=positive, metavar="N", help="studies at a time (default: by cores, memory, GPUs)"
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--scheduler", metavar="ADDRESS", help="join a Dask scheduler, such as tcp://host:8786"
    )
    where.add_argument(
        "--jobqueue", type=Path, metavar="F.yaml", help="start workers as jobs: a dask-jobqueue file"
    )
    parser.add_argument(
        "--retries", type=count, default=2, metavar="N", help="more tries after lost workers, memory (2)"
    )


COHORT_VERBS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None], Verb]] = {
    "cohort": ("segment many studies, on one machine or on many", _add_cohort, _cohort),
}
"""Name, purpose, arguments and function of the verb, as ``cli`` wants them."""
