"""The token that tells one job to stop."""

from __future__ import annotations

import queue

from videod.errors import Cancelled


class Cancel:
    """Set once, by whoever ends the job; read by the job's thread and the tools it runs.

    `wanted` tells that a user asked for the end. Else the message is no longer ours, or was given back.
    """

    def __init__(self) -> None:
        self._over = False
        self.wanted = False
        # a threading.Event would do, at twenty times the cost: every job makes one
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()

    def set(self, *, wanted: bool = False) -> None:
        """Ask for the end."""
        self.wanted = self.wanted or wanted
        self._over = True
        self._wake.put(None)

    def is_set(self) -> bool:
        """Whether the end was asked for."""
        return self._over

    def check(self) -> None:
        """Raise Cancelled once the end was asked for."""
        if self._over:
            raise Cancelled

    def wait(self, seconds: float) -> None:
        """Sleep for so long, but raise Cancelled as soon as the end is asked for."""
        self.check()
        try:
            self._wake.get(timeout=seconds)
        except queue.Empty:
            return
        self._wake.put(None)
        self.check()
