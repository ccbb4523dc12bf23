"""Pointing at a place: where the mouse is over a slice view, or where it is clicked next."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import qt
import slicer

Point = npt.NDArray[np.float64]
"""World point (R, A, S) in mm."""


def point_under_mouse() -> Point | None:
    """The world point under the mouse, in a 3D view that of the surface; None over the panel."""
    crosshair = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
    place = [0.0, 0.0, 0.0]
    if crosshair is None or not crosshair.GetCursorPositionRAS(place):
        return None
    return np.array(place)


class Pointing:
    """Waits for one click in a slice view and tells its world point."""

    def __init__(self) -> None:
        self._observed: list[tuple[Any, int]] = []
        self._tell: Callable[[Point], None] | None = None

    @property
    def waiting(self) -> bool:
        """Whether a click is awaited."""
        return self._tell is not None

    def start(self, tell: Callable[[Point], None]) -> None:
        """Wait for a click; ``tell`` gets its world point once, when Slicer has done its own part of it."""
        self.stop()
        self._tell = tell
        layout = slicer.app.layoutManager()
        for name in layout.sliceViewNames():
            widget = layout.sliceWidget(name)
            interactor = widget.sliceView().interactorStyle().GetInteractor()
            clicked = self._listener(widget.mrmlSliceNode(), interactor)
            self._observed.append((interactor, interactor.AddObserver("LeftButtonPressEvent", clicked)))

    def stop(self) -> None:
        """Wait no longer."""
        for interactor, tag in self._observed:
            interactor.RemoveObserver(tag)
        self._observed, self._tell = [], None

    def _listener(self, slice_node: Any, interactor: Any) -> Callable[[Any, str], None]:
        def clicked(_caller: Any, _event: str) -> None:
            tell = self._tell
            if tell is None:
                return
            x, y = interactor.GetEventPosition()
            place = np.array(slice_node.GetXYToRAS().MultiplyPoint((x, y, 0.0, 1.0))[:3])
            self.stop()
            qt.QTimer.singleShot(0, lambda: tell(place))

        return clicked
