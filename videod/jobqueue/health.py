"""Whether Redis answers, and whether a replica has what it acknowledged: each said once, not at every call."""

from __future__ import annotations

import logging
import threading
import time

from videod.errors import RedisAway

MOST_REFUSALS = 100


class Health:
    """Says once that Redis is away and once that it is back. Owns that knowledge; shared by all threads."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._since: float | None = None
        self._refuses = False
        self._refusals: set[str] = set()
        self._alone = False
        self.losses = 0

    def away(self, error: RedisAway, *, answered: bool = False) -> None:
        """A call failed. `answered`: Redis refused it for now, so that it may well answer other calls."""
        with self._lock:
            self.losses += 1
            self._refuses = self._refuses or answered
            if self._since is None:
                self._since = time.monotonic()
                self._log.error("Redis is away: %s", error)

    def refused(self, text: str) -> None:
        """Redis answered that it will not: said once for each text, since the loop asks again and again."""
        with self._lock:
            if text not in self._refusals and len(self._refusals) < MOST_REFUSALS:
                self._refusals.add(text)
                self._log.error("Redis refuses: %s", text)

    def back(self, *, wrote: bool) -> None:
        """A call succeeded. One that is full or read-only serves reads: only certain writes tell that it is back."""
        if self._since is None or (self._refuses and not wrote):
            return
        with self._lock:
            if self._since is not None:
                self._log.warning("Redis is back after %.1f s", time.monotonic() - self._since)
                self._since, self._refuses = None, False

    def copied(self, copied: bool) -> None:
        """Whether a replica had what was committed, where there was one."""
        if copied is not self._alone:
            return
        with self._lock:
            if copied is not self._alone:
                return
            self._alone = not copied
            if copied:
                self._log.warning("a replica of Redis has what is committed again")
            else:
                self._log.error("no replica of Redis has what is committed: a failover would undo it: look at them")

    @property
    def is_away(self) -> bool:
        """Whether the last call failed."""
        return self._since is not None
