"""Since when the oldest message of a list waits. Producers write no times into their messages, so this is what somebody
saw who looked at the lists now and then.

Of each list a few messages are remembered, each with the time when it was the newest. The oldest of them that is still
there waits since then at least.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable

from videod.errors import RedisRefused
from videod.jobqueue.connection import Connection, Script

EVERY_SECONDS = 10.0
# remembered of each list, and so many bytes of a message: longer ones are passed over
MOST, LONGEST = 256, 4096
# lists that are remembered, messages that one question names, messages of a list that are looked through for each
MOST_LISTS, AT_ONCE, DEEP = 100, 16, 100_000


class Ages:
    """What was seen. For any number of threads; one looks, the others are told what was seen before."""

    def __init__(self, connection: Connection) -> None:
        self._connection, self._script = connection, Script("ages")
        self._looking = threading.Lock()
        self._looked = float("-inf")
        self._seen: dict[str, list[tuple[float, bytes]]] = {}

    def since(self, names: Iterable[str], now: float | None = None) -> dict[str, float]:
        """The time (seconds since 1970) since when the oldest message of each list waits, at least; without those that
        are empty, or where nothing is known. Looks where that is EVERY_SECONDS ago. RedisAway."""
        at = time.time() if now is None else now
        if self._looking.acquire(blocking=False):
            try:
                if not 0 <= at - self._looked < EVERY_SECONDS:
                    seen = {name: self._look(name, at) for name in list(names)[:MOST_LISTS]}
                    self._seen, self._looked = {name: marks for name, marks in seen.items() if marks}, at
            finally:
                self._looking.release()
        return {name: marks[0][0] for name, marks in self._seen.items()}

    def _look(self, name: str, now: float) -> list[tuple[float, bytes]]:
        marks = self._seen.get(name, [])
        while True:
            asked = [element for _, element in marks[:AT_ONCE]]
            try:
                gone, size, newest = self._connection.run(self._script, (name,), (LONGEST, DEEP, *asked))
            except RedisRefused:  # no list
                return []
            marks = marks[gone:]
            if gone < len(asked) or not marks:
                break
        if not size:
            return []
        if newest and (not marks or marks[-1][1] != newest):
            marks = [*marks, (now, newest)]
        # the older they are, the less it matters when exactly
        return marks if len(marks) <= MOST else [*marks[::2]]
