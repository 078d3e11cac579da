"""A thread with one duty: about twice a second look at what all nodes share, and act on it.

- retries that are due go to the abnormal list
- jobs that somebody wants to end are ended
- what a node that is gone ran is given to the others
- callbacks that are due are delivered
- a pause is noticed
- turns at recorders are kept
- memory that only cycles hold is given back
"""

from __future__ import annotations

import logging
import threading

from videod.errors import RedisAway
from videod.heap import Sweep
from videod.jobqueue import Health, JobQueue
from videod.jobqueue.takeover import TakeOver
from videod.pool import Pool
from videod.postman import Postman

ROUND_SECONDS = 0.5
# nothing runs that could be cancelled; what begins just after a round is still looked at within a second
IDLE_SECONDS = 0.8


class Rounds:
    """`paused` tells why no message should be taken, '' while they should."""

    def __init__(
        self,
        queue: JobQueue,
        takeover: TakeOver,
        health: Health,
        pool: Pool,
        postman: Postman,
        log: logging.Logger,
    ) -> None:
        self._queue, self._takeover, self._health = queue, takeover, health
        self._pool, self._postman, self._log = pool, postman, log
        self._wake, self._over = threading.Event(), False
        self._sweep = Sweep()
        self._thread = threading.Thread(target=self._serve, name="rounds", daemon=True)
        self.paused = ""

    def start(self) -> None:
        """Begin, with a first round before this returns: a node that pauses must take nothing."""
        self._may_fail()
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._over = True
        self._wake.set()
        self._thread.join()

    def look(self) -> None:
        """Do not wait for the next round."""
        self._wake.set()

    def _serve(self) -> None:
        while True:
            self._wake.wait(ROUND_SECONDS if self._pool.flights() else IDLE_SECONDS)
            self._wake.clear()
            if self._over:
                return
            self._may_fail()
            self._sweep.look(self._pool.begun)

    def _may_fail(self) -> None:
        try:
            self._once()
        except RedisAway:  # said by Health
            return

    def _once(self) -> None:
        flights = {flight.job: flight for flight in self._pool.flights() if flight.job}
        seen = self._queue.round(list(flights))
        for job in seen.unwanted:
            if not flights[job].cancel.is_set():
                self._log.info("job=%s is to be cancelled", job)
                flights[job].cancel.set(wanted=True)
        self.paused = seen.paused
        self._queue.turns.keep()
        if seen.callbacks:
            self._postman.look()
        self._takeover.look(seen.nodes, self._health.losses)
