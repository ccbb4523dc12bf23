"""Packages that not every run needs: offered where they help, installed after a click, never without."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import qt
from slicer.i18n import tr as _

from .dependencies import BRAIN_FINDER, FAST_ENGINE, OPTIONAL, Dependencies

_NEEDS = re.compile(r"needs the package (\w+)")
"""How the command says that a package is missing (``errors.missing_extra``)."""
RUN_BY: dict[str, tuple[str, ...]] = {"onnx": ("onnxruntime", FAST_ENGINE), "nnunet": ("nnunetv2",)}
"""By kind of model: the packages of which one must be there."""


class Offers:
    """The buttons that install under *Advanced*, and the question after a run that lacked a package.

    ``say`` shows a sentence; ``run_again`` repeats the run, once the package is there.
    """

    def __init__(
        self,
        ui: Any,
        dependencies: Dependencies,
        say: Callable[[str], None],
        run_again: Callable[[], None],
    ) -> None:
        self._ui, self._dependencies, self._say, self._run_again = ui, dependencies, say, run_again
        ui.offlineButton.connect("clicked()", self.install_offline)
        ui.fastButton.connect("clicked()", self.install_fast)
        ui.advancedSection.connect("contentsCollapsed(bool)", lambda _folded: self.update())
        self.update()

    def update(self) -> None:
        """The fast engine is offered only while it is not there."""
        self._ui.fastButton.visible = self._dependencies.lacks(FAST_ENGINE)

    def install_offline(self) -> None:
        """Install the missing packages from a folder."""
        if self._dependencies.ensure_offline():
            self._say(_("All packages that a run needs are installed."))
        self.update()

    def install_fast(self) -> None:
        """Install OpenVINO: from then on the command takes it by itself where there is no graphics card."""
        if self._dependencies.ensure_optional(FAST_ENGINE):
            self._say(_("OpenVINO is installed: from now on it runs the network on the processor."))
        self.update()

    def lacking_for(self, runtime: str) -> str:
        """The package that a kind of model still needs here, or an empty text."""
        packages = RUN_BY.get(runtime, ())
        return packages[0] if packages and all(map(self._dependencies.lacks, packages)) else ""

    def after_failure(self, sentence: str) -> None:
        """Where a run failed for want of a package that can be installed: offer it, a moment later."""
        found = _NEEDS.search(sentence)
        if found and found[1] in OPTIONAL:
            qt.QTimer.singleShot(0, lambda: self._offer(found[1]))

    def _offer(self, name: str) -> None:
        self._say(
            _("This scan shows the skull: choose a brain mask, or let {name} be installed.").format(name=name)
            if name == BRAIN_FINDER
            else _("The chosen model needs {name}: let it be installed, or choose another model.").format(
                name=name
            )
        )
        # Where this process sees the package and the command does not, another run would fail again.
        if self._dependencies.lacks(name) and self._dependencies.ensure_optional(name):
            self._run_again()
        self.update()
