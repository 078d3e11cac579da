"""Which browsers wait for which job, and what they are told: always the latest state, never one older than the last.

All of it happens in the loop's thread but the looks at Redis, which have threads of their own: one look at a time for
each job, however many watch it. A browser that is slow gets the latest state only: nothing is queued for it. After a
gap (Redis was away, entries were trimmed) all that are watched are looked up.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from starlette.concurrency import run_in_threadpool

from videod.errors import RedisAway
from videod.jobqueue.stream import NOTHING, Batch, Entry, Id
from videod.web.trouble import Trouble
from videod.web.words import told

BEAT_SECONDS = 15
# in all, and of one job: nobody alone takes the places of the others
MOST_WATCHERS, MOST_OF_JOB = 10_000, 500
# jobs of which it is known when they were heard of last, for who comes again
KEPT = 20_000
LOOKERS = 4
# how often those in line are told of their place
PLACES_SECONDS = 2.0
# looks at the line after something moved: what the first sees may be a second old
ROUNDS = 2
AWAY_SECONDS = 1.0
Position = tuple[Id, Id]
Look = Callable[[str], dict[str, Any]]


@dataclass(eq=False, slots=True)
class Watcher:
    """One browser. `state`: what it is to be told next; None: nothing. `slot`: in which second it gets its comment."""

    job: str
    slot: int
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    state: bytes | None = None
    beat: bool = False
    gone: bool = False

    def tell(self, state: bytes) -> None:
        """Instead of what it was not told yet."""
        self.state = state
        self.wake.set()


class Hub:
    """Who watches what. `place` may ask Redis, as `look` of `begin`; all else happens in the loop's thread."""

    def __init__(self, place: Callable[[str], int | None]) -> None:
        self._place = place
        self._look: Look | None = None
        self._watchers: dict[str, set[Watcher]] = {}
        self._queued: dict[str, dict[str, Any]] = {}
        # where the latest entry of each job stands, the job that was named last at the end
        self._latest: OrderedDict[str, Position] = OrderedDict()
        self._since: Position | None = None
        self._at: Position = ((0, 0), (0, 0))
        self._busy: set[str] = set()
        self._again: set[str] = set()
        self._threads = ThreadPoolExecutor(LOOKERS, thread_name_prefix="look")
        self._tasks: set[asyncio.Task[None]] = set()
        self._rounds = 0
        self.count = 0

    def begin(self, look: Look) -> None:
        """Serve; `look` gives the state of a job."""
        self._look = look

    # ------------------------------------------------------------- who watches
    def add(self, job: str, seen: str = "", *, queued: bool = True) -> Watcher:
        """Another browser, which gets the state at once unless it has `seen` all that happened. Trouble (503)."""
        if self.count >= MOST_WATCHERS or len(self._watchers.get(job, ())) >= MOST_OF_JOB:
            raise Trouble(503, "Too many are waiting here.", "Try again in a minute.", {"Retry-After": "60"})
        self.count += 1
        made = Watcher(job, self.count % BEAT_SECONDS)
        self._watchers.setdefault(job, set()).add(made)
        # places in line stand in no event
        if queued or not self._has_seen(job, seen):
            self.refresh([job])
        else:
            made.beat = True
            made.wake.set()
        return made

    def remove(self, watcher: Watcher) -> None:
        """It is gone."""
        self.count -= 1
        others = self._watchers[watcher.job]
        others.discard(watcher)
        if not others:
            del self._watchers[watcher.job]
            self._queued.pop(watcher.job, None)

    def _has_seen(self, job: str, seen: str) -> bool:
        """Whether nothing of this job came after that id."""
        at = _position(seen)
        if at is None or self._since is None:
            return False
        covered = all(known <= mine <= now for known, mine, now in zip(self._since, at, self._at, strict=True))
        latest = self._latest.get(job, at)
        return covered and latest[0] <= at[0] and latest[1] <= at[1]

    # ------------------------------------------------------------- what happens
    def heard(self, batch: Batch) -> None:
        """Entries of the streams."""
        named = dict[str, None]()
        at = list(self._at)
        for entry in batch.entries:
            at[entry.stream] = max(at[entry.stream], entry.at)
            self._note(entry)
            named[entry.job] = None
            if entry.stream == 0:
                self._rounds = ROUNDS
        self._at = (at[0], at[1])
        self.refresh(self._watchers if batch.gap else named)
        if batch.gap:
            self._latest.clear()
            self._since = None

    def _note(self, entry: Entry) -> None:
        events, progress = self._latest.pop(entry.job, (NOTHING, NOTHING))
        self._latest[entry.job] = (events, entry.at) if entry.stream else (entry.at, progress)
        if len(self._latest) > KEPT:
            _, gone = self._latest.popitem(last=False)
            if self._since:
                self._since = (max(self._since[0], gone[0]), max(self._since[1], gone[1]))

    def begun(self, position: Position) -> None:
        """What the reader will tell begins here."""
        self._since = self._at = position

    def refresh(self, jobs: Iterable[str]) -> None:
        """Look these up, of those that are watched."""
        for job in [job for job in jobs if job in self._watchers]:
            if job in self._busy:
                self._again.add(job)
            else:
                self._busy.add(job)
                task = asyncio.get_running_loop().create_task(self._told(job))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _told(self, job: str) -> None:
        """Look a job up until nothing new is known of it, and tell who watches it."""
        loop, look = asyncio.get_running_loop(), self._look
        try:
            while look and job in self._watchers:
                self._again.discard(job)
                at = self._at
                try:
                    state = await loop.run_in_executor(self._threads, look, job)
                except RedisAway:
                    await asyncio.sleep(AWAY_SECONDS)
                    continue
                if state["state"] == "queued":
                    self._queued[job] = state
                else:
                    self._queued.pop(job, None)
                self._tell(job, state, at)
                if job not in self._again:
                    return
        except Exception:
            logging.getLogger("videod").exception("fault: the state of a job")
        finally:
            self._busy.discard(job)
            self._again.discard(job)

    def _tell(self, job: str, state: dict[str, Any], at: Position) -> None:
        text = json.dumps(state, separators=(",", ":"))
        message = f"event: state\nid: {_id(at)}\ndata: {text}\n\n".encode()
        for watcher in self._watchers.get(job, ()):
            watcher.tell(message)

    # ------------------------------------------------------------- the clock
    async def tick(self) -> None:
        """Comments that keep connections open, spread over the seconds; places in line, where something moved."""
        second, told_at = 0, 0.0
        while True:
            await asyncio.sleep(1)
            second = (second + 1) % BEAT_SECONDS
            for watchers in list(self._watchers.values()):
                for watcher in watchers:
                    if watcher.slot == second:
                        watcher.beat = True
                        watcher.wake.set()
            now = time.monotonic()
            if self._rounds and self._queued and now >= told_at + PLACES_SECONDS:
                self._rounds, told_at = self._rounds - 1, now
                await self._places()

    async def _places(self) -> None:
        jobs = list(self._queued)
        try:
            places = await run_in_threadpool(lambda: [self._place(job) for job in jobs])
        except RedisAway:
            return
        for job, place in zip(jobs, places, strict=True):
            state = self._queued.get(job)
            if state is not None and place is not None and place != state["place"] and job not in self._busy:
                state = {**state, "place": place, "words": told("queued", place, "", 0, None)}
                self._queued[job] = state
                self._tell(job, state, self._at)

    def close(self) -> None:
        """Nobody is looked up any more."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _id(at: Position) -> str:
    return "_".join(f"{milliseconds}-{number}" for milliseconds, number in at)


def _position(text: str) -> Position | None:
    try:
        pairs = [tuple(map(int, part.split("-"))) for part in text.split("_")]
        (a, b), (c, d) = pairs
    except ValueError:
        return None
    return (a, b), (c, d)
