"""Running the command in a process of its own, so that the window stays alive and memory comes back."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import qt

from .progress import LineBuffer

PACKAGE_PARENT = Path(__file__).resolve().parents[2]
"""The folder to have on PYTHONPATH: additional module paths change only the application's own sys.path."""

FAILED_TO_START = -1
"""Stands for an exit code when the program could not be started at all."""
CRASHED = -2
"""Stands for an exit code when the program was ended by a crash or a kill."""


class ProcessRunner(Protocol):
    """What a run needs of a process. Tests hand in their own."""

    def start(
        self,
        arguments: Sequence[str],
        on_output: Callable[[str], None],
        on_log: Callable[[str], None],
        on_end: Callable[[int], None],
    ) -> None:
        """Start ``python arguments``; ``on_end`` gets the exit code, once, after the last line."""

    def kill(self, child_pid: int | None) -> None:
        """End the process and the child that it said it launched."""

    def wait(self, milliseconds: int) -> None:
        """Wait for the end for so long at most; ``on_end`` is called before this returns when it comes."""

    @property
    def running(self) -> bool:
        """Whether the process has been started and has not ended."""


def python_program() -> str:
    """The Python that runs the command: Slicer's own launcher, which finds Slicer's libraries."""
    return shutil.which("PythonSlicer") or sys.executable


def child_environment(base: Mapping[str, str]) -> dict[str, str]:
    """``base`` with what the command needs: its package on the path, UTF-8, no buffering."""
    before = base.get("PYTHONPATH", "")
    path = os.pathsep.join(part for part in (str(PACKAGE_PARENT), before) if part)
    return {**base, "PYTHONPATH": path, "PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1"}


class QtProcessRunner:
    """A ProcessRunner over QProcess. ``program`` and ``environment`` are for tests."""

    def __init__(self, program: str | None = None, environment: Mapping[str, str] | None = None) -> None:
        self._program = program or python_program()
        self._environment = child_environment(os.environ if environment is None else environment)
        self._process: Any = None
        self._buffers: tuple[LineBuffer, LineBuffer] = (LineBuffer(), LineBuffer())
        self._callbacks: tuple[Callable[[str], None], Callable[[str], None], Callable[[int], None]]

    @property
    def running(self) -> bool:
        """Whether the process has been started and has not ended."""
        return self._process is not None

    def start(
        self,
        arguments: Sequence[str],
        on_output: Callable[[str], None],
        on_log: Callable[[str], None],
        on_end: Callable[[int], None],
    ) -> None:
        """See ``ProcessRunner``. Raises ``RuntimeError`` when a process is running already."""
        if self.running:
            raise RuntimeError("a process is running already")
        self._buffers = (LineBuffer(), LineBuffer())
        self._callbacks = (on_output, on_log, on_end)
        process = qt.QProcess()
        environment = qt.QProcessEnvironment()
        for name, value in self._environment.items():
            environment.insert(name, value)
        process.setProcessEnvironment(environment)
        connected = (
            process.connect("readyReadStandardOutput()", self._read_output)
            and process.connect("readyReadStandardError()", self._read_log)
            and process.connect("finished(int,QProcess::ExitStatus)", self._finished)
            and process.connect("errorOccurred(QProcess::ProcessError)", self._failed)
        )
        if not connected:
            raise RuntimeError("this Qt has no process signals that the panel knows")
        self._process = process
        process.start(self._program, list(arguments))

    def kill(self, child_pid: int | None) -> None:
        """End the child first: ending only the launcher would leave it an orphan."""
        if child_pid is not None and self.running:
            end_process(child_pid)
        if self._process is not None:
            self._process.kill()

    def wait(self, milliseconds: int) -> None:
        """See ``ProcessRunner``."""
        if self._process is not None:
            self._process.waitForFinished(milliseconds)

    def _read_output(self) -> None:
        if self._process is not None:
            for line in self._buffers[0].feed(self._process.readAllStandardOutput().data()):
                self._callbacks[0](line)

    def _read_log(self) -> None:
        if self._process is not None:
            for line in self._buffers[1].feed(self._process.readAllStandardError().data()):
                self._callbacks[1](line)

    def _finished(self, exit_code: int, exit_status: int) -> None:
        self._end(CRASHED if exit_status == qt.QProcess.CrashExit else exit_code)

    def _failed(self, error: int) -> None:
        if error == qt.QProcess.FailedToStart:
            self._end(FAILED_TO_START)

    def _end(self, exit_code: int) -> None:
        process = self._process
        if process is None:
            return
        if exit_code != FAILED_TO_START:
            self._read_output()
            self._read_log()
        for buffer, callback in zip(self._buffers, self._callbacks[:2], strict=True):
            for line in buffer.rest():
                callback(line)
        self._process = None
        # Held until later: PythonQt deletes at once what nobody holds, here inside the process's signal.
        qt.QTimer.singleShot(0, lambda: process.deleteLater())
        self._callbacks[2](exit_code)


def end_process(pid: int) -> None:
    """End a process and all that it started; one that has ended already is no error."""
    if os.name == "nt":
        command = ["taskkill", "/PID", str(pid), "/T", "/F"]
        subprocess.run(command, capture_output=True, check=False, creationflags=0x08000000)
        return
    for each in (pid, *_descendants(pid)):
        try:
            os.kill(each, signal.SIGKILL)
        except ProcessLookupError:
            logging.debug("a process of the segmentation had ended already")


def _descendants(pid: int) -> list[int]:
    """The processes below ``pid``, by what ``ps`` lists on Linux and macOS; none where there is no ``ps``."""
    try:
        listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        logging.warning("GliomaSeg: the processes below the segmentation could not be listed")
        return []
    parents = {int(child): int(parent) for child, parent in map(str.split, listed.stdout.splitlines())}
    found = [pid]
    for each in found:  # grows while it is walked
        found.extend(child for child, parent in parents.items() if parent == each)
    return found[1:]
