"""GliomaSeg: segmentation of treated and untreated glioma on MRI.

Nothing here imports Slicer, except the room ``desktop``. Physical space is LPS millimetres, arrays are
(z, y, x), channel first.
"""

__version__ = "0.1.0"
