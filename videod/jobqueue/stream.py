"""Both streams of events as they grow, for one reader that passes them on.

What cannot be told from the entries is told as a gap: Redis was away, entries were trimmed before they were read, or
the streams began anew, with lower ids. Who is told of a gap looks at the records.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from videod.config.settings import Settings
from videod.errors import RedisAway
from videod.jobqueue.connection import Connection
from videod.jobqueue.names import Names

AT_ONCE = 500
# how often is looked whether the streams are still those that were read
CHECK_SECONDS = 2.0
BLOCK_MS = 1000
Id = tuple[int, int]
NOTHING: Id = (0, 0)


@dataclass(frozen=True, slots=True)
class Entry:
    """One event: its stream (0: `videod:events`, 1: `videod:progress`), its id there, whose it is, what it says."""

    stream: int
    at: Id
    job: str
    event: str
    json: bytes


@dataclass(frozen=True)
class Batch:
    """What was read at once, oldest first of each stream. `gap`: what went before may have been missed."""

    entries: Sequence[Entry]
    gap: bool = False


class Stream:
    """Used by one thread. Begins with what comes after the first `read`."""

    def __init__(self, settings: Settings, connection: Connection) -> None:
        names = Names.of(settings)
        self._connection, self._keys = connection, (names.events, names.progress)
        self._at: list[Id] = [NOTHING, NOTHING]
        self._lost, self._checked = True, 0.0

    @property
    def position(self) -> tuple[Id, Id]:
        """The last ids that were read."""
        return self._at[0], self._at[1]

    def read(self) -> Batch:
        """What came; waits a second for it. RedisAway: call it again after a moment, then there is a gap."""
        if self._lost:
            self._begin()
            return Batch((), gap=True)
        self._lost = True
        asked = [_text(at) for at in self._at]
        answer = self._connection.call("XREAD", "COUNT", AT_ONCE, "BLOCK", BLOCK_MS, "STREAMS", *self._keys, *asked)
        found = self._entries(answer or ())
        behind = any(sum(entry.stream == n for entry in found) >= AT_ONCE for n in (0, 1))
        now = time.monotonic()
        gap = False
        if behind or now >= self._checked + CHECK_SECONDS:
            self._checked = now
            gap = self._broken(trimmed=behind)
        self._lost = gap
        for entry in found:
            self._at[entry.stream] = max(self._at[entry.stream], entry.at)
        return Batch(found, gap)

    def _begin(self) -> None:
        self._at = [self._end(n) for n in (0, 1)]
        self._lost, self._checked = False, time.monotonic()

    def _end(self, n: int) -> Id:
        newest = self._connection.call("XREVRANGE", self._keys[n], "+", "-", "COUNT", 1)
        return _id(newest[0][0]) if newest else NOTHING

    def _broken(self, *, trimmed: bool) -> bool:
        """Whether a stream ends before the place that was read, or begins behind it."""
        for n, at in enumerate(self._at):
            if self._end(n) < at:
                return True
            oldest = self._connection.call("XRANGE", self._keys[n], "-", "+", "COUNT", 1) if trimmed else None
            if oldest and at != NOTHING and _id(oldest[0][0]) > at:
                return True
        return False

    def _entries(self, answer: Any) -> list[Entry]:
        pairs = answer.items() if isinstance(answer, dict) else answer
        found = []
        for key, rows in pairs:
            n = self._keys.index(key.decode())
            for at, flat in rows:
                fields = dict(zip(flat[::2], flat[1::2], strict=True))
                job, event = (fields.get(name, b"").decode("utf-8", "replace") for name in (b"id", b"event"))
                found.append(Entry(n, _id(at), job, event, fields.get(b"json", b"{}")))
        return found


def forever(stream: Stream, tell: Any, over: Any, away: Any) -> None:
    """Read until `over` is set; each batch goes to `tell`, what RedisAway says to `away`, once for each loss."""
    gone = False
    while not over.is_set():
        try:
            batch = stream.read()
        except RedisAway as error:
            if not gone and not over.is_set():  # at the end our own sockets are closed
                away(str(error))
            gone = True
            over.wait(1.0)
            continue
        gone = False
        if batch.entries or batch.gap:
            tell(batch)


def _id(text: bytes) -> Id:
    milliseconds, _, number = text.partition(b"-")
    return int(milliseconds), int(number)


def _text(at: Id) -> str:
    return f"{at[0]}-{at[1]}"
