"""The section *Correct*: doubtful regions, the cavity's edge, islands, revert and undo, one button each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from slicer.i18n import tr as _

from ..errors import GliomaSegError
from ..labels import STRUCTURES
from . import scene
from .choices import say
from .doubts import Doubts
from .editing import Editing
from .parameters import PanelState
from .pointing import Point, Pointing, point_under_mouse


class CorrectView:
    """Corrects the result that a state names. ``changed`` is called after each click that may change it."""

    def __init__(self, ui: Any, changed: Callable[[], None]) -> None:
        self.ui = ui
        self.editing = Editing(ui.editorLayout)
        self.doubts = Doubts()
        self.pointing = Pointing()
        self._changed = changed
        self._state: PanelState | None = None
        for each in STRUCTURES:
            ui.revertCombo.addItem(f"{each.abbreviation}  {each.name}", each.abbreviation)
        say(ui.correctLabel, "")
        self._connect()

    def _connect(self) -> None:
        pairs: list[tuple[Any, Callable[[], None]]] = [
            (self.ui.doubtButton, lambda: self._edit(self._next_doubt)),
            (self.ui.smoothButton, lambda: self._edit(self.editing.smooth)),
            (self.ui.fillButton, lambda: self._edit(self.editing.fill)),
            (self.ui.snapButton, lambda: self._edit(self.editing.snap)),
            (self.ui.islandButton, self._island),
            (self.ui.revertButton, self._revert),
            (self.ui.undoButton, lambda: self._edit(lambda _state: self.editing.undo())),
            (self.ui.redoButton, lambda: self._edit(lambda _state: self.editing.redo())),
        ]
        for button, action in pairs:
            button.connect("clicked()", action)
        self.ui.correctSection.connect("contentsCollapsed(bool)", self._folded)

    def set_state(self, state: PanelState | None) -> None:
        """Correct the result of another state, or of none."""
        self._state = state

    def result_changed(self) -> None:
        """The state names another result now, or none."""
        self.doubts.clear()
        self._stop_pointing()
        say(self.ui.correctLabel, "")
        result = self._state.result if self._state is not None else None
        if result is None:
            self.editing.forget()
        elif not self.ui.correctSection.collapsed:
            self._attach()

    def close(self) -> None:
        """The scene or the module goes."""
        self.doubts.clear()
        self._stop_pointing()
        self.editing.forget()

    def enter(self) -> None:
        """The module is shown again."""
        self.editing.enter(unfolded=not self.ui.correctSection.collapsed)

    def leave(self) -> None:
        """Another module is shown."""
        self._stop_pointing()
        self.editing.leave()

    def _attach(self) -> None:
        if self._state is not None and self._state.result is not None:
            reference = scene.reference_of(self._state.result)
            if reference is not None:
                self.editing.attach(self._state.result, self._state.t1c or reference)

    def _folded(self, folded: bool) -> None:
        if folded:
            self._stop_pointing()
            self.editing.detach()
        else:
            self._attach()
            self._changed()

    def _edit(self, action: Callable[[PanelState], None]) -> None:
        self._stop_pointing()
        if self._state is None or self._state.result is None:
            return
        say(self.ui.correctLabel, "")
        try:
            action(self._state)
        except GliomaSegError as refusal:
            say(self.ui.correctLabel, str(refusal))
        self._changed()

    def _next_doubt(self, state: PanelState) -> None:
        say(self.ui.correctLabel, self.doubts.show_next(state.result))

    def _revert(self) -> None:
        abbreviation = self.ui.revertCombo.itemData(self.ui.revertCombo.currentIndex)
        self._edit(lambda state: self.editing.revert(state, abbreviation))

    def _island(self) -> None:
        """By its key the button takes the piece under the mouse; by a click it waits for one in a slice."""
        waiting = self.pointing.waiting
        self._stop_pointing()
        place = point_under_mouse()
        if waiting:
            say(self.ui.correctLabel, "")
        elif place is not None:
            self._remove_island(place)
        elif self._state is not None and self._state.result is not None:
            self.editing.pause()
            self.pointing.start(self._remove_island)
            self.ui.islandButton.checked = True
            say(
                self.ui.correctLabel,
                _("Click the piece to remove in a slice view, or click the button again to leave it."),
            )

    def _remove_island(self, place: Point) -> None:
        self._edit(lambda state: self.editing.remove_island(state, place))

    def _stop_pointing(self) -> None:
        self.pointing.stop()
        self.ui.islandButton.checked = False
