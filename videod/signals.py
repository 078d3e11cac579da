"""Signals as numbers in a queue, read by the main thread.

A handler that does more can dead-lock (logging, Event.set) or lose the message being taken (an exception in
the middle of a reply). SimpleQueue.put is reentrant; the same queue also wakes the loop when a slot is free.
"""

from __future__ import annotations

import queue
import signal
from collections.abc import Iterator
from types import FrameType

STOP = (signal.SIGTERM, signal.SIGINT)
WATCHED = (*STOP, signal.SIGHUP, signal.SIGUSR1)
WAKE = 0


class Signals:
    """Owns what is pending."""

    def __init__(self) -> None:
        self._pending: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._waiting: list[int] = []

    def install(self) -> None:
        """Catch the signals that we know; ignore SIGPIPE. From the main thread, before daemonizing."""
        for number in WATCHED:
            signal.signal(number, self._handle)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._pending.put(number)

    def wake(self) -> None:
        """End a wait from another thread."""
        self._pending.put(WAKE)

    def wait(self, seconds: float) -> None:
        """Sleep until a signal, a wake or the end of the time."""
        if self._waiting:
            return
        try:
            self._waiting.append(self._pending.get(timeout=seconds))
        except queue.Empty:
            return

    def pending(self) -> Iterator[int]:
        """The signals that came, in order."""
        while not self._pending.empty():
            self._waiting.append(self._pending.get_nowait())
        numbers, self._waiting = self._waiting, []
        return (number for number in numbers if number != WAKE)
