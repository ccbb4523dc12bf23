"""The panel: what a person chooses, the button, the run, and the result below."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
import slicer
import slicer.util
import vtk
from slicer.i18n import tr as _

from .. import __version__
from ..errors import GliomaSegError, InputRefused
from . import choices, display, scene
from .assignment import assign
from .dependencies import Dependencies
from .dialogs import Dialogs, SlicerDialogs
from .model_import import ModelImport
from .models_view import ModelsView
from .offers import Offers
from .parameters import chosen_volumes
from .process import ProcessRunner, QtProcessRunner
from .progress import Progress
from .readiness import effective_reference, note, obstacle
from .record import keep, read_record
from .result_view import ResultView
from .run import Listener, Request, SegmentationRun

TICK_MS = 500
_BAR_STEPS = 1000
_COMBOS = (
    ("referenceCombo", "reference"),
    ("brainMaskCombo", "brain"),
    ("deviceCombo", "device"),
    ("modelCombo", "model"),
)


class Panel:
    """Wires the widgets of GliomaSeg.ui to a state in the scene and to runs of the command.

    ``make_runner``, ``dialogs`` and ``dependencies`` are handed in by tests.
    """

    def __init__(
        self,
        ui: Any,
        make_runner: Callable[[], ProcessRunner] = QtProcessRunner,
        dialogs: Dialogs | None = None,
        dependencies: Dependencies | None = None,
    ) -> None:
        self.ui = ui
        self.dialogs = dialogs or SlicerDialogs()
        self.dependencies = dependencies or Dependencies(self.dialogs)
        self.results = ResultView(ui, self.dialogs, self.dependencies)
        listener = Listener(self._progress, self._log, self._done, self._failed, self._cancelled)
        self.run = SegmentationRun(make_runner(), listener)
        self.imports = ModelImport(make_runner(), self.dialogs, self._log, self._import_ended)
        self._state: Any = None
        self._gui_tag: int | None = None
        self._observer: int | None = None
        self._stage = ""
        self._clock = qt.QTimer()
        self._clock.setInterval(TICK_MS)
        self._clock.connect("timeout()", self._tick)
        choices.fill(ui.referenceCombo, choices.references())
        choices.fill(ui.deviceCombo, [(_("Automatic"), "auto"), (_("CPU"), "cpu")])
        choices.fill(ui.modelCombo, choices.models())
        choices.fill(ui.brainMaskCombo, choices.brains())
        self.models = ModelsView(ui, self.dialogs, self.bring_model)
        self.offers = Offers(ui, self.dependencies, self._say, self._start)
        self._devices_listed = False
        self._connect()
        self._show_running(False)
        for label in (ui.assignLabel, ui.messageLabel):
            choices.say(label, "")
        self.refresh()

    def _connect(self) -> None:
        self.ui.runButton.connect("clicked()", self.run_or_cancel)
        self.ui.autoAssignButton.connect("clicked()", self.auto_assign)
        self.ui.advancedSection.connect("contentsCollapsed(bool)", self._advanced_folded)
        for combo_name, field in _COMBOS:
            combo = getattr(self.ui, combo_name)
            combo.connect("currentIndexChanged(int)", self._combo_writer(combo, field))

    def _combo_writer(self, combo: Any, field: str) -> Callable[[int], None]:
        def write(index: int) -> None:
            value = combo.itemData(index)
            if self._state is not None and value is not None and getattr(self._state, field) != value:
                setattr(self._state, field, value)

        return write

    def set_state(self, state: Any) -> None:
        """Follow another PanelState, or none (the scene is closing, the module is left)."""
        if self._state is not None:
            self._state.disconnectGui(self._gui_tag)
            self._state.RemoveObserver(self._observer)
        self._state, self._gui_tag, self._observer = state, None, None
        if state is not None:
            for combo_name, field in _COMBOS:
                choices.select(getattr(self.ui, combo_name), getattr(state, field))
            self._gui_tag = state.connectGui(self.ui)
            self._observer = state.AddObserver(
                vtk.vtkCommand.ModifiedEvent, lambda *_a: self._state_changed()
            )
        self.results.set_state(state)
        self.refresh()

    def close(self) -> None:
        """The module goes: end the run, let go of the scene."""
        self.run.abandon()
        self.imports.abandon()
        self._clock.stop()
        self.set_state(None)
        self.results.close()

    def scene_closes(self) -> None:
        """The scene is about to be emptied: a run has lost its volumes."""
        self.run.abandon()
        self.set_state(None)
        self.results.close()

    def _state_changed(self) -> None:
        if self._state is not None:
            for combo_name, field in _COMBOS:
                choices.select(getattr(self.ui, combo_name), getattr(self._state, field))
            self.results.update()
        self.refresh()

    def refresh(self) -> None:
        """The line under the inputs and the button say what can be done now."""
        if self._job is not None:
            return
        reason, ready = _("Open the module again to start."), ""
        if self._state is not None:
            volumes = chosen_volumes(self._state)
            reason = obstacle(volumes, self._state.reference)
            ready = note(volumes, self._state.reference)
        self.ui.runButton.enabled = not reason
        self.ui.runButton.toolTip = reason or _(
            "Segment this scan. It runs beside Slicer, and you can cancel it."
        )
        choices.say(self.ui.readinessLabel, reason or ready)

    def auto_assign(self) -> None:
        """Fill the roles that have no volume yet, and say why."""
        if self._state is None:
            return
        nodes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
        listed = [node for node in nodes if not node.GetHideFromEditors() and not node.IsA(_LABEL_MAP)]
        guesses = assign(listed, chosen_volumes(self._state))
        for guess in guesses:
            if guess.node is not None:
                setattr(self._state, guess.role, guess.node)
        said = [guess.reason for guess in guesses]
        nothing = _("All four are chosen; clear one to have it guessed.")
        choices.say(self.ui.assignLabel, "\n".join(said) or nothing)

    def _advanced_folded(self, folded: bool) -> None:
        """Ask the graphics driver only when somebody wants to see its devices."""
        if folded or self._devices_listed:
            return
        self._devices_listed = True
        chosen = self._state.device if self._state is not None else "auto"
        choices.fill(self.ui.deviceCombo, choices.devices())
        choices.select(self.ui.deviceCombo, chosen)

    def run_or_cancel(self) -> None:
        """The large button."""
        job = self._job
        if job is not None:
            self.ui.runButton.enabled = False
            self.ui.stageLabel.text = _("Cancelling...")
            job.cancel()
        else:
            self._start()

    @property
    def _job(self) -> SegmentationRun | ModelImport | None:
        """What is going on in a process of its own; one thing at a time."""
        return next((job for job in (self.run, self.imports) if job.running), None)

    def bring_model(self, source: Path) -> None:
        """Import somebody's model from a zip or a folder; it is chosen when it is there."""
        if self._job is not None or not self._packages_there():
            return
        self.imports.start(source)
        self._show_running(True)
        # How long it takes can't be told: a bar from 0 to 0 only moves.
        self.ui.progressBar.maximum = 0
        self._stage = _("Importing {name}").format(name=source.name)
        choices.say(self.ui.modelInfoLabel, _("{stage}...").format(stage=self._stage))
        self._tick()

    def _import_ended(self, name: str, sentence: str) -> None:
        self._show_running(False)
        self.refresh()
        if not name:
            self.models.update()
            self._say(sentence)
            return
        self.models.choose(name)
        lacking = self.offers.lacking_for(self.models.runtime(name))
        said = _("The model {name} is imported and chosen.").format(name=name)
        more = _("It needs the package {package}, which Slicer will ask about.").format(package=lacking)
        self._say(f"{said} {more}" if lacking else said)

    def _packages_there(self) -> bool:
        """Whether what every run needs is there, after asking where it was not."""
        self._say("")
        if not self.dependencies.ensure():
            self._say(_("Nothing was started: some Python packages are still missing."))
            return False
        self.ui.logText.setPlainText("")
        return True

    def _start(self) -> None:
        state = self._state
        if self._job is not None:
            return
        if state is None or obstacle(chosen_volumes(state), state.reference):
            self.refresh()
            return
        if not self._packages_there():
            return
        volumes = chosen_volumes(state)
        reference = effective_reference(volumes, state.reference)
        request = Request(
            volumes,
            reference,
            state.device,
            state.model,
            state.mirror,
            state.registration,
            state.brain,
            state.brainMaskNode,
        )
        try:
            self.run.start(request)
        except (GliomaSegError, OSError) as error:
            self._say(str(error))
            return
        self._show_running(True)

    def _show_running(self, running: bool) -> None:
        self.ui.progressBar.visible = running
        self.ui.stageLabel.visible = running
        self.ui.runButton.text = _("&Cancel") if running else _("&Segment")
        self.ui.inputsSection.enabled = not running
        self.ui.advancedSection.enabled = not running
        if running:
            self.ui.runButton.enabled = True
            self.ui.runButton.toolTip = _("Stop the run; nothing is changed then.")
            choices.say(self.ui.readinessLabel, "")
            self.ui.progressBar.value = 0
            self._stage = _("Starting")
            self._clock.start()
            self._tick()
        else:
            self._clock.stop()
            self.ui.progressBar.maximum = _BAR_STEPS

    def _tick(self) -> None:
        job = self._job
        if job is not None and self.ui.runButton.enabled:
            seconds = int(job.seconds())
            self.ui.stageLabel.text = _("{stage} ({seconds} s)").format(stage=self._stage, seconds=seconds)

    def _progress(self, told: Progress) -> None:
        self.ui.progressBar.value = max(int(told.fraction * _BAR_STEPS), self.ui.progressBar.value)
        self._stage = told.message or told.stage
        self._tick()

    def _log(self, line: str) -> None:
        self.ui.logText.appendPlainText(line)

    def _done(self, request: Request, folder: Path) -> None:
        self._show_running(False)
        try:
            self._import(request, folder)
        except (GliomaSegError, OSError, ValueError, RuntimeError) as error:
            logging.exception("GliomaSeg: the result could not be taken into the scene")
            self._failed(_("The result could not be loaded: {reason}").format(reason=error))
            return
        self._say("")
        self.models.update()
        self.refresh()

    def _import(self, request: Request, folder: Path) -> None:
        if self._state is None:
            return
        reference = request.reference
        if slicer.mrmlScene.GetNodeByID(reference.GetID() or "") is not reference:
            raise InputRefused(_("the reference volume was removed during the run."))
        record = read_record(folder, f"GliomaSeg {__version__}")
        labels = scene.read_labels(folder / "segmentation.nii.gz", reference)
        name = _("{study} GliomaSeg").format(study=scene.study_name(reference))
        node = scene.add_segmentation(labels, reference, name, record.algorithm)
        keep(node, record)
        doubt = folder / "uncertainty.nii.gz"
        if doubt.exists():  # results of a model's older versions have none
            scene.keep_uncertainty(node, scene.read_labels(doubt, reference), reference)
        display.show(node, request.volumes.get("t1c", reference))
        display.show_in_3d(node, True)
        self._state.result = node

    def _failed(self, sentence: str) -> None:
        self._show_running(False)
        self._say(sentence)
        self.refresh()
        self.offers.after_failure(sentence)

    def _cancelled(self) -> None:
        self._show_running(False)
        self._say(_("Cancelled. Nothing was changed."))
        self.refresh()

    def _say(self, sentence: str) -> None:
        choices.say(self.ui.messageLabel, sentence)


_LABEL_MAP = "vtkMRMLLabelMapVolumeNode"
