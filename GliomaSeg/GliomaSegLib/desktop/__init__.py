"""The panel in 3D Slicer: the only room that imports ``slicer``, ``qt`` or ``ctk``."""
