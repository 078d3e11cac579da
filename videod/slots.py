"""Slots for encoders: of the jobs that run, at most `max_encode` encode at once. Fetches and uploads of others go on.

As many encoders as cores is what takes the least time in all; more of them only cost memory.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from videod.config.settings import Settings

AGAIN_SECONDS = 0.05
# x264 and the decoders gain little from more, and each costs memory
MOST_THREADS = 8


class Slots:
    """Who encodes, and who is next. Thread-safe; one for each daemon. The number may change while it runs."""

    def __init__(self, settings: Callable[[], Settings]) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._line: list[object] = []
        self._busy = 0

    @contextmanager
    def encode(self, pause: Callable[[float], None]) -> Iterator[int]:
        """Wait for a slot, in turn; gives the number of threads that an encoder should have.

        `pause` sleeps for so many seconds, and raises when it is time to give up.
        """
        me = object()
        with self._lock:
            self._line.append(me)
        try:
            while not self._take(me):
                pause(AGAIN_SECONDS)
        except BaseException:
            with self._lock:
                self._line.remove(me)
            raise
        try:
            yield max(1, min(MOST_THREADS, (os.cpu_count() or 1) // self._busy))
        finally:
            with self._lock:
                self._busy -= 1

    def _take(self, me: object) -> bool:
        with self._lock:
            if self._line[0] is not me or self._busy >= self._settings().max_encode:
                return False
            self._line.pop(0)
            self._busy += 1
            return True
