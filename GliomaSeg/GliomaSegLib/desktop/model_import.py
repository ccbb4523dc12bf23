"""A model brought from the panel: ``gliomaseg models import`` in a process of its own, with a few questions.

It runs beside Slicer as a segmentation does: unpacking, check-summing and trying a large model takes torch
and may take minutes, while the window stays alive; and the button does exactly what the shell does.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import qt
from slicer.i18n import tr as _

from .dialogs import Dialogs
from .process import FAILED_TO_START, ProcessRunner
from .progress import Refusal, imported_name, parse, refused
from .run import FAREWELL_MS

TRUST, REPLACE = "--trust", "--replace"
_OPTIONS = {"TrustNeeded": TRUST, "NameTaken": REPLACE}
"""By the kind of a refusal: the option with which the import goes through, once a person says yes."""
_STEP_MS = 100


@dataclass
class ModelImport:
    """Imports one model at a time. ``ended`` gets the name of the model, or none and why there is none."""

    runner: ProcessRunner
    dialogs: Dialogs
    log: Callable[[str], None]
    ended: Callable[[str, str], None]
    started_at: float = 0.0
    _source: Path | None = None
    _options: list[str] = field(default_factory=list)
    _child_pid: int | None = None
    _cancelling: bool = False
    _name: str = ""
    _refusal: Refusal | None = None

    @property
    def running(self) -> bool:
        """Whether an import, or its question, is going on."""
        return self._source is not None

    def seconds(self) -> float:
        """How long it has been going, in seconds."""
        return time.monotonic() - self.started_at

    def start(self, source: Path) -> None:
        """Import a zip or a folder. Raises ``RuntimeError`` when an import is going on."""
        if self.running:
            raise RuntimeError("an import is going on")
        self._source, self._options = source, []
        self._cancelling, self.started_at = False, time.monotonic()
        try:
            self._launch()
        except BaseException:
            self._source = None
            raise

    def cancel(self) -> None:
        """End the import; what it has written goes."""
        self._cancelling = True
        if self._child_pid is not None:
            self.runner.kill(self._child_pid)
        # Else its launcher alone would end: the child is ended as soon as it has told its number.

    def abandon(self) -> None:
        """End the import now and forget it: the module is going."""
        if not self.running:
            return
        self.cancel()
        for _step in range(FAREWELL_MS // _STEP_MS):
            if not self.runner.running:
                break
            self.runner.wait(_STEP_MS)
        self.runner.kill(self._child_pid)
        self._source = None
        self._clear()

    def _launch(self) -> None:
        self._child_pid, self._name, self._refusal = None, "", None
        words = ["-u", "-m", "GliomaSegLib", "models", "import", str(self._source), "--progress", "json"]
        self.runner.start([*words, *self._options], self._on_output, self.log, self._on_end)

    def _on_output(self, line: str) -> None:
        told = parse(line)
        if told is not None and told.pid is not None:
            self._child_pid = told.pid
            if self._cancelling:
                self.runner.kill(told.pid)
        refusal = refused(line)
        self._name = imported_name(line) or self._name
        self._refusal = refusal or self._refusal
        if told is None and refusal is None:
            self.log(line)

    def _on_end(self, exit_code: int) -> None:
        # Later: a question must not be asked inside the process's own signal.
        qt.QTimer.singleShot(0, lambda: self._conclude(exit_code))

    def _conclude(self, exit_code: int) -> None:
        if not self.running:
            return
        option = _OPTIONS.get(self._refusal.kind) if self._refusal else None
        if exit_code == 0 and self._name:
            self._end(self._name, "")
        elif self._cancelling:
            self._clear()
            self._end("", _("Cancelled. Nothing was changed."))
        elif option is not None and option not in self._options:
            self._ask(option)
        else:
            sentence = explain(exit_code, self._refusal)
            self._end("", sentence)
            self.dialogs.error(sentence)

    def _ask(self, option: str) -> None:
        assert self._refusal is not None
        if not self.dialogs.allow(question(option, self._refusal.what)):
            self._end("", _("Nothing was imported."))
        elif self.running:  # Slicer may have been closed over the question
            self._options.append(option)
            self._launch()

    def _end(self, name: str, sentence: str) -> None:
        if self.running:
            self._source = None
            self.ended(name, sentence)

    def _clear(self) -> None:
        """A killed process leaves its half of a model in a hidden folder."""
        from ..model.importing import clear_after

        clear_after(self._child_pid)


def question(option: str, what: str) -> str:
    """What a person is asked before the import goes on with ``option``. ``what``: a file or a model."""
    if option == TRUST:
        return _(
            "{file} can run any program on this computer when it is opened. Do you trust where it comes from?"
        ).format(file=what)
    return _("There is an imported model {name} already. Replace it by this one?").format(name=what)


def explain(exit_code: int, refusal: Refusal | None) -> str:
    """One sentence for an import that ended with ``exit_code``."""
    if refusal is not None and re.search(r" --[a-z]", refusal.sentence):
        return _("{sentence} (Words with -- belong to the command  gliomaseg models import.)").format(
            sentence=refusal.sentence
        )
    if refusal is not None:
        return refusal.sentence
    if exit_code == FAILED_TO_START:
        return _("Slicer's Python could not be started: reinstall 3D Slicer, or ask for help with the log.")
    return _(
        "The import ended unexpectedly (code {code}), most often for lack of memory: see the log."
    ).format(code=exit_code)
