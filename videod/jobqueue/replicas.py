"""What Redis says of itself in INFO, and whether a commit has to wait for a replica.

A failover undoes what no replica has: an end that was told would be forgotten, and the job would run again.
"""

from __future__ import annotations

import threading
import time

from videod.jobqueue.health import Health

LOOK_SECONDS = 5.0
PATIENCE_MS = 1000
# while they lag each job must not cost seconds: it was said, and the next answer in time ends it
LAGGING_MS = 100


def facts(info: bytes) -> dict[str, str]:
    """The fields of INFO."""
    lines = (line.partition(":") for line in info.decode("utf-8", "replace").splitlines())
    return {name: value.strip() for name, colon, value in lines if colon}


class Replicas:
    """How many replicas follow the master, as far as we know; shared by all threads of a connection.

    The first to come after `LOOK_SECONDS`, or after a loss of the connection, looks; the others go by it.
    """

    def __init__(self, health: Health | None) -> None:
        self._health = health
        self._lock = threading.Lock()
        self._next = 0.0
        self._count = 0
        self._lags = False

    def look_due(self) -> bool:
        """Whether the caller is the one to ask."""
        if time.monotonic() < self._next:
            return False
        with self._lock:
            now = time.monotonic()
            due = now >= self._next
            if due:
                self._next = now + LOOK_SECONDS
            return due

    def forget(self) -> None:
        """The connection was lost: behind the address may be another master now."""
        self._next = 0.0

    def learned(self, info: dict[str, str]) -> None:
        """What INFO replication said. One that still loads the first copy answers no WAIT."""
        states = [value for name, value in info.items() if name.startswith("slave") and "state=" in value]
        count = sum("state=online" in value for value in states)
        if self._count and not count:
            self._tell(False)
        self._count = count

    @property
    def patience(self) -> int:
        """How many milliseconds to wait for a replica; 0 where there is none."""
        return (LAGGING_MS if self._lags else PATIENCE_MS) if self._count else 0

    def acknowledged(self, copies: int) -> None:
        """WAIT's answer."""
        if not copies:
            self.forget()  # one that is gone must not be waited for again
        self._tell(copies > 0)

    def _tell(self, copied: bool) -> None:
        self._lags = not copied
        if self._health:
            self._health.copied(copied)
