"""One run: volumes into a folder of its own, the command on it, the result or nothing, the folder gone."""

from __future__ import annotations

import logging
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from .process import CRASHED, FAILED_TO_START, ProcessRunner
from .progress import Progress, parse, refusal
from .scene import export_mask, export_volume

GRACE_MS = 5000
"""How long a cancelled command may take to stop by itself."""
FAREWELL_MS = 3000
"""How long to wait for an abandoned process: Slicer may be closing, and nobody would clean up later."""


@dataclass(frozen=True)
class Request:
    """What to segment: nodes by role, the reference's role, and the options of the command."""

    volumes: dict[str, Any]
    reference_role: str
    device: str = "auto"
    model: str = ""
    mirror: bool = False
    registration: bool = True
    brain: str = "auto"
    brain_mask: Any = None

    @property
    def reference(self) -> Any:
        """The node whose grid the result gets."""
        return self.volumes[self.reference_role]


@dataclass
class Listener:
    """Whom to tell. ``done`` gets the folder with the result, which is removed after it returns."""

    progress: Callable[[Progress], None]
    log: Callable[[str], None]
    done: Callable[[Request, Path], None]
    failed: Callable[[str], None]
    cancelled: Callable[[], None]


@dataclass
class SegmentationRun:
    """Runs one request at a time. States: idle, running, cancelling."""

    runner: ProcessRunner
    listener: Listener
    grace_ms: int = GRACE_MS
    parent_folder: str | None = None
    _request: Request | None = None
    _folder: Path | None = None
    _child_pid: int | None = None
    _cancelling: bool = False
    _sentence: str = ""
    started_at: float = 0.0

    @property
    def running(self) -> bool:
        """Whether a run is going on."""
        return self._request is not None

    def seconds(self) -> float:
        """How long the run has been going, in seconds."""
        return time.monotonic() - self.started_at

    def start(self, request: Request) -> None:
        """Write the volumes and start the command.

        Raises ``InputRefused`` for a volume that can't be written; nothing is left behind then.
        """
        if self.running:
            raise RuntimeError("a run is going on")
        base = self.parent_folder or slicer.app.temporaryPath
        Path(base).mkdir(parents=True, exist_ok=True)
        self._folder = Path(tempfile.mkdtemp(prefix="gliomaseg-", dir=base))
        try:
            inputs = self._export(request)
        except BaseException:
            self._remove_folder()
            raise
        self._request, self._child_pid, self._cancelling = request, None, False
        self._sentence, self.started_at = "", time.monotonic()
        self.runner.start(self._arguments(request, inputs), self._on_output, self.listener.log, self._on_end)

    def cancel(self) -> None:
        """Ask the command to stop; after ``grace_ms`` it is ended."""
        if not self.running or self._cancelling:
            return
        self._cancelling = True
        self._cancel_file().touch()
        qt.QTimer.singleShot(self.grace_ms, self._lose_patience)

    def abandon(self) -> None:
        """End the run now and forget it: the scene is closing, or the module is going."""
        if self.running:
            self._cancelling = True
            self._cancel_file().touch()  # for a child that has not told its pid yet
            self.runner.kill(self._child_pid)
            self.runner.wait(FAREWELL_MS)

    def _export(self, request: Request) -> dict[str, Path]:
        assert self._folder is not None
        inputs = {}
        for role, node in request.volumes.items():
            inputs[role] = self._folder / f"{role}.nrrd"
            export_volume(node, request.reference, inputs[role])
        if request.brain_mask is not None:
            export_mask(request.brain_mask, request.reference, self._mask_file())
        return inputs

    def _arguments(self, request: Request, inputs: dict[str, Path]) -> list[str]:
        arguments = ["-u", "-m", "GliomaSegLib", "segment"]
        for role, path in inputs.items():
            arguments += [f"--{role}", str(path)]
        arguments += ["--output", str(self._result_folder()), "--reference", request.reference_role]
        arguments += ["--device", request.device, "--progress", "json"]
        arguments += ["--cancel-file", str(self._cancel_file())]
        if request.model:
            arguments += ["--model", request.model]
        if request.mirror:
            arguments.append("--mirror")
        if not request.registration:
            arguments += ["--registration", "off"]
        if request.brain_mask is not None:
            arguments += ["--brain-mask", str(self._mask_file())]
        elif request.brain != "auto":
            arguments += ["--brain-mask", request.brain]
        return arguments

    def _mask_file(self) -> Path:
        assert self._folder is not None
        return self._folder / "brain.nrrd"

    def _cancel_file(self) -> Path:
        assert self._folder is not None
        return self._folder / "cancel"

    def _result_folder(self) -> Path:
        assert self._folder is not None
        return self._folder / "result"

    def _on_output(self, line: str) -> None:
        self._sentence = refusal(line) or self._sentence
        told = parse(line)
        if told is None:
            self.listener.log(line)
            return
        if told.pid is not None:
            self._child_pid = told.pid
        self.listener.progress(told)

    def _on_end(self, exit_code: int) -> None:
        request, cancelling = self._request, self._cancelling
        self._request = None
        try:
            if cancelling:
                self.listener.cancelled()
            elif exit_code == 0 and request is not None:
                self.listener.done(request, self._result_folder())
            else:
                self.listener.failed(explain(exit_code, self._named(request)))
        finally:
            self._remove_folder()

    def _named(self, request: Request | None) -> str:
        """The command's sentence, with the names of the person's volumes for those of our files."""
        sentence = self._sentence
        if request is None:
            return sentence
        for role, node in request.volumes.items():
            sentence = sentence.replace(f"{role}.nrrd", node.GetName())
        if request.brain_mask is not None:
            sentence = sentence.replace(self._mask_file().name, request.brain_mask.GetName())
        return sentence

    def _lose_patience(self) -> None:
        if self.running and self._cancelling:
            self.runner.kill(self._child_pid)

    def _remove_folder(self) -> None:
        folder, self._folder = self._folder, None
        if folder is None:
            return
        shutil.rmtree(folder, ignore_errors=True)
        if folder.exists():
            logging.warning("GliomaSeg could not remove all of its temporary files")


def explain(exit_code: int, sentence: str) -> str:
    """One sentence for a run that ended with ``exit_code``; ``sentence``: what the command said itself."""
    if sentence:
        return sentence
    if exit_code == FAILED_TO_START:
        return _("Slicer's Python could not be started: reinstall 3D Slicer, or ask for help with the log.")
    if exit_code == CRASHED:
        return _("The segmentation process ended unexpectedly, most often for lack of memory: see the log.")
    return _("The segmentation failed (code {code}): see the log below.").format(code=exit_code)
