"""Whether this machine is fit to run jobs, told from how they end."""

from __future__ import annotations

import threading

from videod.errors import Failure, Machine

SICK_AFTER = 3


class Fitness:
    """Counts the jobs that failed in a row by a fault of this machine. Thread-safe; owns that count.

    One job may bring a fault about by itself: the same job twice counts once.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sick: dict[str, str] = {}

    def note(self, job: str, failure: Failure | None) -> str:
        """How a job ended; returns why no more should be taken, or ''."""
        with self._lock:
            if not isinstance(failure, Machine):
                self._sick.clear()
                return ""
            self._sick[job] = f"{failure.code}: {failure.message}"
            if len(self._sick) < SICK_AFTER:
                return ""
            self._sick.clear()
            return f"{SICK_AFTER} jobs in a row failed by this machine's fault: {failure.code}: {failure.message}"
