"""Many studies on a distributed engine: what is there, what is left to do, who does it, and one table of it.

Uses ``pipeline`` and ``follow_up`` as the shell does; nothing uses this room. Dask, pyarrow and PyYAML (extra
``cohort``) are imported inside functions.
"""
