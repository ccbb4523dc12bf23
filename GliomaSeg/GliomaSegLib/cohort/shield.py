"""Ctrl-C reaches every process of a terminal; only the command answers it, and ends the workers in order."""

from __future__ import annotations

import signal
import threading

from distributed import Worker, WorkerPlugin


class Shield(WorkerPlugin):
    """A worker with this plugin does not hear Ctrl-C; one that is started anew gets it, too."""

    name = "gliomaseg-shield"

    def setup(self, worker: Worker) -> None:
        """Called in the worker's process."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.SIG_IGN)
