"""Fetch many files into one folder, each whole under its name, over connections that all downloads share.

A file that fails in a way that may pass waits and is tried again; the others go on. What is this machine's fault
ends them all.
"""

from __future__ import annotations

import heapq
import queue
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from videod.backoff import delay_after
from videod.config import Settings
from videod.connections import Connections, Turn
from videod.connections import Line as Turns
from videod.errors import (
    BadMessage,
    Damaged,
    Denied,
    Failure,
    FetchFailed,
    ForbiddenSource,
    NotFound,
    Stalled,
    TooBig,
    UploadDenied,
)
from videod.process import Tools
from videod.space import Space
from videod.transfer.asking import Asker
from videod.transfer.gather import Crew
from videod.transfer.guard import Guard
from videod.transfer.part import discard, part_of
from videod.transfer.parts import Watch
from videod.transfer.streamed import Line, host_of, stream

TICK = 0.1
# what ends within so much is announced at once
TOGETHER = 0.01
PATIENCE = 0.8
MOST_AT_ONCE = 64
OF_THE_FILE = (BadMessage, Damaged, Denied, ForbiddenSource, NotFound, TooBig, UploadDenied)
MAY_PASS = (FetchFailed, Stalled)


@dataclass(frozen=True)
class Wanted:
    """A file: where it is, its path below the folder, its SHA-256 in hex where that is known."""

    url: str
    path: str
    sha256: str = ""


@dataclass(frozen=True)
class Came:
    """What became of the file `n` of those wanted: its size and SHA-256, or the failure that was the last."""

    n: int
    bytes: int = 0
    sha256: str = ""
    failure: Failure | None = None


Ended = tuple[Came, BaseException | None]


class Many:
    """Used by one thread, which starts others for the time of `bring`."""

    def __init__(
        self, settings: Settings, tools: Tools, connections: Connections, space: Space | None, *, private: bool = True
    ) -> None:
        self._settings, self._tools, self._connections = settings, tools, connections
        self._crew = Crew(tools, settings.connections_per_task)
        self._came: queue.SimpleQueue[Ended] = queue.SimpleQueue()
        self._parts: dict[int, float] = {}
        self._space = space
        self._silence = tools.stall_timeout or 3600.0
        watch = Watch(self._crew.check, self._crew.count, self._silence, settings.connections_per_host)
        self._asker = Asker(settings, Guard.of(settings, private=private), watch)

    @property
    def received(self) -> int:
        """Bytes of bodies so far, tries included."""
        return self._crew.fetched

    def bring(
        self,
        wanted: Sequence[Wanted],
        folder: str,
        tries: int,
        overwrite: bool,
        on_came: Callable[[Sequence[Came]], None],
        look: Callable[[float], None],
    ) -> None:
        """Fetch all; each is tried up to `tries` times.

        `on_came` gets those that are whole or have failed for good, `look` several times a second how far all
        are, 0.0 to 1.0. Raises DiskFull, NoRoom, TimedOut, Cancelled, OSError, what `on_came` raises.
        """
        crew = self._crew
        line = partial(Line, self._settings, self._asker, self._space, folder, self._silence, crew)
        pool = ThreadPoolExecutor(min(crew.connections, len(wanted) or 1), "download")

        def start(host: str, n: int) -> None:
            pool.submit(self._serve, turns, host, n, wanted, line(), overwrite)

        turns = self._connections.line(start, self._asker.trim)
        try:
            rounds = _Rounds(tries, self._settings.retry_delay)
            for host, numbers in self._by_host(wanted, rounds).items():
                turns.add(host, *numbers)
            done = 0
            while done < len(wanted):
                if ended := rounds.judge(self._ready(rounds.early, len(wanted) - done)):
                    done += len(ended)
                    self._discard(ended, wanted, folder)
                    on_came(ended)
                if rounds.over:
                    raise rounds.over
                for n in rounds.due():
                    turns.add(host_of(wanted[n].url), n)
                self._tools.check()
                look(min(1.0, (done + sum(list(self._parts.values()))) / len(wanted)))
        finally:
            self._end(turns, pool)
            # what stands there is told, whatever ended the others
            if whole := [came for came, failed in self._ended(len(wanted)) if not failed]:
                on_came(whole)

    def _serve(self, turns: Turns, host: str, n: int, wanted: Sequence[Wanted], line: Line, overwrite: bool) -> None:
        """In a thread of the pool: a file whose turn it is, and what is next then."""
        turn: Turn | None = (host, n)
        while turn:
            host, n = turn
            try:
                ended: Ended = (self._one(n, wanted[n], line, overwrite), None)
            except BaseException as error:
                ended = (Came(n), error)
                self._asker.forget(host)
            finally:
                self._parts.pop(n, None)
                turn = turns.done(host)
                self._came.put(ended)

    def _end(self, turns: Turns, pool: ThreadPoolExecutor) -> None:
        self._crew.end()
        turns.leave()
        until = time.monotonic() + PATIENCE
        while turns.busy and time.monotonic() < until:
            time.sleep(TICK / 10)
        # one that waits for a resolver ends by itself, later: it finds that all is over
        pool.shutdown(wait=not turns.busy)
        self._asker.close()

    @staticmethod
    def _discard(ended: Sequence[Came], wanted: Sequence[Wanted], folder: str) -> None:
        for came in ended:
            if isinstance(came.failure, MAY_PASS):  # what is kept for another try gets none
                discard(folder, wanted[came.n].path)

    def _by_host(self, wanted: Sequence[Wanted], rounds: _Rounds) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        known: dict[str, str] = {}
        for n, one in enumerate(wanted):
            try:
                # parsing takes longer than all else that is done for a small file
                begin = "/".join(one.url.split("/", 3)[:3])
                host = known.get(begin) or known.setdefault(begin, host_of(begin))
                found.setdefault(host, []).append(n)
            except ForbiddenSource as error:
                rounds.early.append((Came(n), error))
        return found

    def _ready(self, early: list[Ended], left: int) -> list[Ended]:
        """What ended; waits a moment for the first, and then for its neighbours: of `left` files more are to come, and
        to announce each by itself would cost Redis and us more than to fetch it."""
        found = early[:]
        early.clear()
        with suppress(queue.Empty):
            if not found:
                found.append(self._came.get(timeout=TICK))
                if left > 1:
                    time.sleep(TOGETHER)
        return found + self._ended(MOST_AT_ONCE)

    def _ended(self, most: int) -> list[Ended]:
        found: list[Ended] = []
        with suppress(queue.Empty):
            while len(found) < most:
                found.append(self._came.get_nowait())
        return found

    def _one(self, n: int, one: Wanted, line: Line, overwrite: bool) -> Came:
        self._crew.check()

        def on_part(part: float) -> None:
            self._parts[n] = part

        with part_of(line.folder, one.path, one.url, sync=self._settings.fsync is True) as part:
            try:
                stream(one.url, part, one.sha256, line, on_part)
            except OF_THE_FILE:
                part.drop()
                raise
            part.finish(overwrite=overwrite)
            return Came(n, part.size, part.sha.hexdigest())


class _Rounds:
    """Which files are tried again, and when. `early`: what failed before it was tried; `over`: what ends them all."""

    def __init__(self, tries: int, delay: float) -> None:
        self._tries, self._delay = tries, delay
        self._tried: dict[int, int] = {}
        self._later: list[tuple[float, int]] = []
        self.early: list[Ended] = []
        self.over: BaseException | None = None

    def judge(self, found: Sequence[Ended]) -> list[Came]:
        """Those that are through."""
        ended = []
        for came, failed in found:
            if failed is None:
                ended.append(came)
            elif isinstance(failed, MAY_PASS):
                tried = self._tried[came.n] = self._tried.get(came.n, 0) + 1
                if tried >= self._tries:
                    ended.append(Came(came.n, failure=failed))
                else:
                    heapq.heappush(self._later, (time.monotonic() + delay_after(tried, self._delay), came.n))
            elif isinstance(failed, OF_THE_FILE):
                ended.append(Came(came.n, failure=failed))
            else:
                self.over = self.over or failed
        return ended

    def due(self) -> list[int]:
        """Those whose next try is due."""
        found = []
        while self._later and self._later[0][0] <= time.monotonic():
            found.append(heapq.heappop(self._later)[1])
        return found
