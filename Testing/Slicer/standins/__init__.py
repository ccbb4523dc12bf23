"""Strict stand-ins for the parts of 3D Slicer that need a screen: ``qt``, ``ctk``, the application, modules.

Under them are real things: PySide6 widgets on an offscreen screen, and slicer-core's MRML scene, logic
classes and ``slicer.util``. What a stand-in offers is limited to what ``slicer_api_used.json`` lists, and
that file was read off the real application. ``install()`` puts everything into ``sys.modules``.
"""

from .install import Desktop, install

__all__ = ["Desktop", "install"]
