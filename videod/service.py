"""The phase and the loop: running → draining → stopped.

Loop of the main thread: pending signals → a free slot → the phase once more → take → submit. Nothing else
takes messages, so that there are never more of them out of the lists than slots.
"""

from __future__ import annotations

import contextlib
import enum
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

from videod.boot import Rooms
from videod.config.settings import Settings
from videod.errors import Failure, RedisAway, VideodError
from videod.fitness import Fitness
from videod.heartbeat import Heartbeat
from videod.job import Job
from videod.jobqueue.steer import ITSELF
from videod.logs import Logs
from videod.pool import Flight, Pool
from videod.postman import Postman
from videod.reload import changed, live_names, merged, restart_for
from videod.rounds import Rounds
from videod.shared import Shared
from videod.signals import STOP, Signals
from videod.space import Watermark
from videod.systemd import Systemd
from videod.worker import Worker

WAIT_SECONDS = 1.0
AWAY_SECONDS = 0.5
FORCED_SECONDS = 5.0
EXTEND_SECONDS = 30.0


class Phase(enum.Enum):
    """Where the service stands in its life."""

    RUNNING = "running"
    DRAINING = "draining"
    FORCED = "forced"


class Service:
    """Serves until it is told to stop. Owns the phase.

    - takes a message when a slot is free, and only then
    - drains on SIGTERM or SIGINT; on a second one, or past drain_timeout, gives back first and kills second
    - SIGHUP reopens the log and re-reads the settings; SIGUSR1 logs what runs
    - `reloaded` is told after each SIGHUP what needs a restart
    """

    def __init__(
        self,
        settings: Settings,
        rooms: Rooms,
        signals: Signals,
        logs: Logs,
        systemd: Systemd,
        load: Callable[[], Settings],
        reloaded: Callable[[list[str]], None] = lambda left: None,
    ) -> None:
        self.settings, self._reloaded = settings, reloaded
        self._rooms, self._signals, self._logs, self._systemd, self._load = rooms, signals, logs, systemd, load
        self._log = logs.log
        self._phase = Phase.RUNNING
        self._losses, self._counted = rooms.health.losses, time.monotonic()
        self._disk, self._pausing = Watermark(), ""
        self._postman = Postman(lambda: self.settings, rooms.outbox, self._log)
        self._shared = Shared.of(lambda: self.settings)
        works = (rooms.queue, rooms.guardian, self._shared)
        self._worker = Worker(lambda: self.settings, *works, self._ended, self._log)
        self._pool = Pool(settings.max_worker, self._worker.work, signals.wake, self._log)
        self._heartbeat = Heartbeat(rooms.node, settings.lease, self._facts, self._pool.cancel_all, self._log)
        self._rounds = Rounds(rooms.queue, rooms.takeover, rooms.health, self._pool, self._postman, self._log)
        self._fitness = Fitness()

    def run(self, ready: Callable[[], None]) -> int:
        """Serve; returns 0 when everything that ran was finished, 1 when something was given back."""
        self._heartbeat.start()
        self._postman.start()
        self._rounds.start()
        ready()
        self._log.info("serving as node %s: %s", self.settings.node, self._status())
        self._systemd.ready(self._status())
        while self._phase is Phase.RUNNING:
            self._systemd.watchdog()
            self._systemd.status(self._status)
            self._handle_signals()
            self._rooms.revive(self._log)
            if self._phase is Phase.RUNNING:
                self._step()
        code = self._drain()
        for thread in (self._rounds, self._postman, self._heartbeat):
            thread.stop()
        self._shared.cache.close()
        return code

    def _step(self) -> None:
        """Take one message if a slot is free; waits at most about a second."""
        if not self._may_take():
            self._signals.wait(WAIT_SECONDS)
            return
        rooms = self._rooms
        try:
            if rooms.health.losses != self._losses or time.monotonic() > self._counted + self.settings.lease / 3:
                self._count()
            taken = rooms.queue.take()
            if taken is None:
                return
            alone = self._worker.must_be_alone(taken)
        except RedisAway:
            self._signals.wait(AWAY_SECONDS)
            return
        self._handle_signals()
        if self._phase is Phase.RUNNING:
            self._pool.submit(taken, alone=alone)
        else:  # stop came while Redis was asked: after it nothing is taken
            self._give_back([Flight(taken)])

    def _may_take(self) -> bool:
        """Whether a slot is free and nothing else keeps us from taking."""
        if self._pausing != self._rounds.paused:
            # told here and not by the thread that noticed: while we wait for a message one may still be taken
            self._pausing = self._rounds.paused
            self._log.warning("%s", f"takes no message: paused: {self._pausing}" if self._pausing else "goes on")
            self._heartbeat.now()
        may = self._pool.has_slot() and self._heartbeat.ours and not self._pausing
        return may and self._enough_space()

    def _count(self) -> None:
        """Compare the running list with what threads work on.

        The answer of a move may be lost with the connection, and the message then belongs to nobody: it goes
        back. A message that is no longer in the list was taken over: its thread must end. After a loss, and now
        and then: Redis may make a move for a client that is gone a moment after we looked.
        """
        losses = self._rooms.health.losses
        before = {flight: flight.elements for flight in self._pool.flights()}
        held = self._rooms.recovery.held()
        # from before and from after: a worker may have claimed, or ended, at any moment in between
        shapes = [tuple(dict.fromkeys((*elements, *flight.elements))) for flight, elements in before.items()]
        if found := self._rooms.recovery.orphans(held, shapes):
            self._log.warning("gave back %d messages that no thread works on", found)
        known = set(held)
        for flight, elements in before.items():
            if not flight.committing and known.isdisjoint((*elements, *flight.elements)):
                flight.cancel.set()
        self._losses, self._counted = losses, time.monotonic()

    def _ended(self, job: Job, failure: Failure | None) -> None:
        """A job ended: its callback may be due, and this machine may have shown that it is not fit."""
        if job.callback:  # a look costs a thread's turn and an answer of Redis
            self._postman.look()
        if why := self._fitness.note(job.id, failure):
            self._log.error("pauses itself: %s: mend it, then: videod resume --node %s", why, self.settings.node)
            with contextlib.suppress(RedisAway):  # the next fault says it again
                self._rooms.steer.pause(self.settings.node, why, ITSELF)
                self._rounds.look()

    def _enough_space(self) -> bool:
        disk = self._disk
        if disk.look(self.settings):
            text = f"takes no message: {disk.lack}" if disk.lack else "takes messages again: work_dir has room"
            self._log.warning("%s", text)
            self._heartbeat.now()
        if disk.lack:
            self._shared.cache.shrink()
        return not disk.lack

    def _handle_signals(self) -> None:
        for number in self._signals.pending():
            if number in STOP:
                self._phase = Phase.DRAINING if self._phase is Phase.RUNNING else Phase.FORCED
                self._log.info("%s: %s", signal.Signals(number).name, self._phase.value)
            elif number == signal.SIGHUP:
                self._reload()
            elif number == signal.SIGUSR1:
                self._dump()

    def _drain(self) -> int:
        """Wait for what runs; past drain_timeout or on a second signal give it back."""
        limit = self.settings.drain_timeout
        deadline = time.monotonic() + limit if limit else None
        extended = 0.0
        while self._pool.flights() and self._phase is Phase.DRAINING:
            now = time.monotonic()
            if now - extended >= EXTEND_SECONDS / 2:
                extended = now
                self._systemd.stopping(self._status(), EXTEND_SECONDS)
            self._systemd.watchdog()
            self._rooms.revive(self._log)
            self._signals.wait(min(WAIT_SECONDS, deadline - now if deadline else WAIT_SECONDS))
            self._handle_signals()
            if deadline and time.monotonic() >= deadline and self._phase is Phase.DRAINING and self._pool.flights():
                self._log.warning("drain_timeout of %g s is over", limit)
                self._phase = Phase.FORCED
        if self._pool.flights():
            return self._force()
        self._pool.close(wait=True)
        self._log.info("stopped: everything that ran is finished")
        return 0

    def _force(self) -> int:
        """Requeue before kill: running twice beats losing."""
        flights = self._pool.flights()
        back = self._give_back(flights)
        self._pool.cancel_all()
        deadline = time.monotonic() + FORCED_SECONDS
        while self._pool.flights() and time.monotonic() < deadline:
            self._signals.wait(0.1)
            list(self._signals.pending())
        self._pool.close(wait=False)
        self._log.warning("stopped: gave back %d of %d messages that ran", back, len(flights))
        return 1

    def _give_back(self, flights: list[Flight]) -> int:
        """Each message back to its list, in whichever shape it stands in the running list; how many were.

        The newest first: the oldest ends up rightmost and is taken first again.
        """
        back, recovery = 0, self._rooms.recovery
        try:
            for flight in reversed(flights):
                origin = flight.taken.origin
                back += any(recovery.give_back(element, "drain", origin) for element in reversed(flight.elements))
        except RedisAway as error:  # the rest stays in the running list, where the next start takes it up
            self._log.error("%d messages stay with this node for its next start: %s", len(flights) - back, error)
        return back

    def _reload(self) -> None:
        self._systemd.reloading()
        self._logs.reopen()
        left: list[str] = []
        try:
            new = self._load()
        except VideodError as error:
            self._log.error("reload: nothing changed: %s", error)
        else:
            names, left = changed(self.settings, new), restart_for(self.settings, new)
            self.settings = merged(self.settings, new)
            self._logs.configure(self.settings)
            self._pool.size = self.settings.max_worker
            self._heartbeat.now()
            taken = [name for name in names if name in live_names()]
            self._log.info("reload: %s", f"took up {', '.join(taken)}" if taken else "nothing changed")
            if left:
                self._log.warning("reload: needs a restart: %s", ", ".join(left))
        self._reloaded(left)
        self._systemd.ready(self._status())

    def _dump(self) -> None:
        """SIGUSR1: what runs, and every thread's stack, a line each."""
        self._log.info("phase %s, %d of %d slots busy", self._phase.value, len(self._pool.flights()), self._pool.size)
        for flight in self._pool.flights():
            self._log.info("runs %s: %s, %.0f s", flight.job, flight.stage, time.monotonic() - flight.since)
        frames = sys._current_frames()
        for thread in threading.enumerate():
            if thread.ident in frames:
                stack = traceback.extract_stack(frames[thread.ident])
                lines = " < ".join(f"{f.filename.rpartition('/')[2]}:{f.lineno} {f.name}" for f in reversed(stack))
                self._log.info("thread %s: %s", thread.name, lines)

    def _facts(self) -> dict[str, Any]:
        """What stands in this node's entry beside who it is."""
        busy = [flight.job for flight in self._pool.flights()]
        facts = {"state": self._phase.value, "slots": self._pool.size, "busy": len(busy), "jobs": busy}
        return {**facts, "paused": self._pausing, "lacks": self._disk.lack}

    def _status(self) -> str:
        paused = ", paused" if self._pausing else ""
        return f"{self._phase.value}: {len(self._pool.flights())} of {self._pool.size} slots busy{paused}"
