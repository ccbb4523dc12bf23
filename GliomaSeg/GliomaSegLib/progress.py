"""What a person or a program sees while a run goes on, and how either stops it."""

from __future__ import annotations

import _thread
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Protocol, TextIO

from .errors import Cancelled, missing_extra

MODES = ("bar", "json", "none")

_MOMENT_S = 0.02
"""How long threads whose start a signal has interrupted are given to fail while their error is expected."""


class Renderer(Protocol):
    """Shows one state of progress: stage, fraction of the whole run (0 to 1), message."""

    def show(self, stage: str, fraction: float, message: str) -> None:
        """Show it now."""

    def close(self) -> None:
        """The run has ended."""


class Silent:
    """Shows nothing."""

    def show(self, stage: str, fraction: float, message: str) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class JsonLines:
    """One JSON object a line; the first one tells the process's own pid, which a launcher would hide."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.write({"pid": os.getpid(), "stage": "start", "fraction": 0.0, "message": "Starting"})

    def write(self, fields: dict[str, Any]) -> None:
        """One line, at once."""
        self.stream.write(json.dumps(fields) + "\n")
        self.stream.flush()

    def show(self, stage: str, fraction: float, message: str) -> None:
        """One line."""
        self.write({"stage": stage, "fraction": round(fraction, 4), "message": message})

    def close(self) -> None:
        """Nothing is left to do."""


class Bar:
    """A progress bar by tqdm, on standard error."""

    def __init__(self, stream: TextIO) -> None:
        try:
            from tqdm import tqdm
        except ImportError as error:
            raise missing_extra("tqdm", "bar", "The progress bar") from error
        layout = "{desc:<28}|{bar}| {percentage:3.0f}% {elapsed}"
        self.bar = tqdm(total=1.0, file=stream, bar_format=layout, leave=True)

    def show(self, stage: str, fraction: float, message: str) -> None:
        """Move the bar."""
        self.bar.set_description_str(message, refresh=False)
        self.bar.update(fraction - self.bar.n)

    def close(self) -> None:
        """Leave the bar as it stands."""
        self.bar.close()


def renderer(mode: str | None) -> Renderer:
    """The renderer for ``bar``, ``json`` or ``none``; None: a bar where tqdm is and a person watches."""
    if mode is None:
        from importlib.util import find_spec

        mode = "bar" if sys.stderr is not None and sys.stderr.isatty() and find_spec("tqdm") else "none"
    if mode == "bar":
        return Bar(sys.stderr)
    return JsonLines(sys.stdout) if mode == "json" else Silent()


class Progress:
    """Progress over stages of known weight; the fraction never goes back and ends at 1.

    ``stages`` maps each stage's name to (share of the run, sentence). ``cancel_file``: the run stops soon
    after this file appears.
    """

    def __init__(
        self, stages: dict[str, tuple[float, str]], shown: Renderer, cancel_file: Path | None = None
    ) -> None:
        total = sum(share for share, _ in stages.values())
        self._start: dict[str, float] = {}
        self._share = {name: share / total for name, (share, _) in stages.items()}
        self._message = {name: message for name, (_, message) in stages.items()}
        done = 0.0
        for name in stages:
            self._start[name] = done
            done += self._share[name]
        self._shown, self._cancel_file, self._fraction = shown, cancel_file, 0.0

    def tick(self, stage: str, share: float = 0.0) -> None:
        """``share`` (0 to 1) of ``stage`` is done. Raises ``Cancelled`` when the cancel file is there."""
        if self._cancel_file is not None and self._cancel_file.exists():
            raise Cancelled("Cancelled: nothing was written.")
        reached = self._start[stage] + self._share[stage] * min(max(share, 0.0), 1.0)
        self._fraction = min(max(self._fraction, reached), 0.999)
        self._shown.show(stage, self._fraction, self._message[stage])

    def finish(self, message: str = "Done") -> None:
        """The run has succeeded."""
        self._fraction = 1.0
        self._shown.show("done", 1.0, message)

    def close(self) -> None:
        """The run has ended, one way or another."""
        self._shown.close()


@contextmanager
def cancelled_by_signals() -> Iterator[None]:
    """Inside, SIGINT and SIGTERM raise ``Cancelled``, so that everything is put back as it was.

    Packages that were just being imported turn it into an ``ImportError``: that is ``Cancelled`` again. Where
    Python can't let an exception out (a finaliser, a weak reference's callback), the signal comes once more.
    """
    told = Cancelled("Cancelled: nothing was written.")
    stopped = False
    last = int(signal.SIGINT)
    unraisable = sys.unraisablehook

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal stopped, last
        stopped, last = True, number
        raise told

    def lost(what: sys.UnraisableHookArgs) -> None:
        if stopped and getattr(what.object, "__name__", "") == "_bootstrap":
            return  # A thread whose start the signal has interrupted; who started it has the exception.
        if what.exc_value is not told:
            unraisable(what)
            return
        again = threading.Timer(0.02, _thread.interrupt_main, (last,))
        again.daemon = True
        again.start()

    names = [s for s in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, s)]
    before = {name: signal.signal(getattr(signal, name), stop) for name in names}
    sys.unraisablehook = lost
    try:
        yield
    except Exception as error:
        if stopped and not isinstance(error, Cancelled):
            raise told from error
        raise
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)
        if stopped:
            time.sleep(_MOMENT_S)
        sys.unraisablehook = unraisable
