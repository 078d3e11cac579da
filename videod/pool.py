"""The slots: a thread pool that never holds more than it works on."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from videod.cancel import Cancel
from videod.errors import RedisAway
from videod.jobqueue import Taken

T = TypeVar("T")
MOST_THREADS = 256
AGAIN_SECONDS = 0.5


@dataclass(eq=False)
class Flight:
    """A message that a thread works on.

    `elements`: how it may stand in the running list: as it was taken, as our envelope, or, while the claim
    is under way, either. Written by the worker, in one assignment. `alone`: no other may run beside it.
    `committing`: its end is being written, and the message may have left the running list already.
    """

    taken: Taken
    alone: bool = False
    cancel: Cancel = field(default_factory=Cancel)
    elements: tuple[bytes, ...] = ()
    job: str = ""
    stage: str = ""
    committing: bool = False
    since: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.elements = (self.taken.element,)

    def insist(self, step: Callable[[], T]) -> T:
        """Do a step in Redis until it is done. Cancelled when this flight is to end."""
        while True:
            try:
                return step()
            except RedisAway:  # or it refuses, until somebody mends a key or a right
                self.cancel.wait(AGAIN_SECONDS)


class Pool:
    """Counts slots and runs flights.

    - `has_slot`: may a message be taken now?
    - `submit`: one slot, one flight; the future's callback is the one place that frees it
    - a flight that must be alone waits for those before it, and none is taken while it waits or flies
    - `flights`: what is under way, oldest first; the service gives it back at a forced end
    - `begun`: how many flights there were so far

    Owns the set of flights and their cancel tokens.
    """

    def __init__(
        self, size: int, work: Callable[[Flight], None], freed: Callable[[], None], log: logging.Logger
    ) -> None:
        self.size = size
        self.begun = 0
        self._work, self._freed, self._log = work, freed, log
        self._lock = threading.Lock()
        self._flights: dict[Flight, None] = {}
        self._waits: Flight | None = None
        # threads are made when needed; slots, not threads, bound the work, so that a reload can change them
        self._executor = ThreadPoolExecutor(MOST_THREADS, thread_name_prefix="worker")

    def has_slot(self) -> bool:
        """Whether a slot is free. Only the thread that submits may rely on it."""
        return len(self._flights) < self.size and not any(flight.alone for flight in self.flights())

    def submit(self, taken: Taken, *, alone: bool = False) -> None:
        """Work on a message in a thread; `alone` once all others have ended."""
        flight = Flight(taken, alone)
        with self._lock:
            self.begun += 1
            waits = alone and bool(self._flights)
            self._flights[flight] = None
            self._waits = flight if waits else None
        if not waits:
            self._launch(flight)

    def _launch(self, flight: Flight) -> None:
        self._executor.submit(self._work, flight).add_done_callback(lambda future: self._free(flight, future))

    def _free(self, flight: Flight, future: Future[None]) -> None:
        with self._lock:
            del self._flights[flight]
            waits = self._waits if len(self._flights) == 1 else None
            self._waits = None if waits else self._waits
        if error := future.exception():
            self._log.error("a worker failed: %s: %s", type(error).__name__, error)
        if waits:
            self._launch(waits)
        self._freed()

    def flights(self) -> list[Flight]:
        """What is under way, oldest first."""
        with self._lock:
            return list(self._flights)

    def cancel_all(self) -> None:
        """Tell every flight to end now; one that still waits never begins."""
        with self._lock:
            if self._waits:
                del self._flights[self._waits]
            self._waits = None
        for flight in self.flights():
            flight.cancel.set()

    def close(self, *, wait: bool) -> None:
        """End the threads; without `wait` those that still work are left behind."""
        self._executor.shutdown(wait=wait, cancel_futures=True)
