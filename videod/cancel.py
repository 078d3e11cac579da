"""The token that tells one job to stop."""

from __future__ import annotations

import threading

from videod.errors import Cancelled


class Cancel:
    """Set once, by the pool; read by the job's thread and the tools it runs."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        """Ask for the end."""
        self._event.set()

    def is_set(self) -> bool:
        """Whether the end was asked for."""
        return self._event.is_set()

    def check(self) -> None:
        """Raise Cancelled once the end was asked for."""
        if self._event.is_set():
            raise Cancelled

    def wait(self, seconds: float) -> None:
        """Sleep for so long, but raise Cancelled as soon as the end is asked for."""
        self._event.wait(seconds)
        self.check()
