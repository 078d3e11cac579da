"""Find jobs: by state, kind, node, time, text; one whole with its events; what waits and since when.

Bounded whatever Redis holds: a look that did not see all of it says so.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from videod.config.settings import Settings
from videod.errors import BadMessage
from videod.events import stamp
from videod.job import head
from videod.jobqueue.ages import Ages
from videod.jobqueue.browse import BRIEF, Browse, brief, glob, read_object, sound, text_of
from videod.jobqueue.connection import Connection
from videod.jobqueue.names import Names
from videod.jobqueue.pages import titles
from videod.message import read_envelope, read_message
from videod.redact import hide_message

# messages looked at in each list
WAITING = 100
# of a message that waits, as much is shown
SHOWN = 2000
STATES = ("waiting", "running", "retry", "requeued", "done", "dead", "cancelled")
PAGE = 500
# records that one search looks at; with a text their messages are read, which may be long
MOST_RECORDS, MOST_READ, READ_AT_ONCE = 20_000, 2_000, 20
# events whose jobs are looked at before all others
LATEST = 2000
# for so long it is known which lists there are, for who only looks: to find out, all keys are gone through
LISTS_SECONDS = 300.0
# entries of the stream that are looked through for the events of one job
MOST_EVENTS = 20_000


@dataclass(frozen=True)
class Wanted:
    """What to look for; '' is anything. `since` and `until` (ISO 8601 UTC) are of the time when it was taken, `before`
    is where the page before ended, `idents` are the only ones meant (None: all)."""

    state: str = ""
    kind: str = ""
    node: str = ""
    since: str = ""
    until: str = ""
    text: str = ""
    before: str = ""
    idents: Sequence[str] | None = None


@dataclass(frozen=True)
class Found:
    """Jobs in brief, newest first; `before` of the next page, '' where there is none; whether all were looked at."""

    jobs: list[dict[str, Any]]
    before: str
    complete: bool


class Search:
    """Reads what jobqueue writes. RedisAway."""

    def __init__(self, settings: Settings, connection: Connection, browse: Browse) -> None:
        self._settings, self._connection, self._browse = settings, connection, browse
        self._names, self._ages = Names.of(settings), Ages(connection)
        self._lists: tuple[float, tuple[str, ...]] = (float("-inf"), ())

    def find(self, wanted: Wanted, most: int) -> Found:
        """At most so many jobs that fit."""
        seen, complete, fitting = set[str](), True, list[dict[str, Any]]()
        for number, job in enumerate(self._records(wanted)):
            if number >= (MOST_READ if wanted.text else MOST_RECORDS):
                complete = False
                break
            seen.add(job["id"])
            if _fits(job, wanted):
                job.pop("message", None), job.pop("name", None)
                fitting.append(job)
        if wanted.state in ("", "waiting") and not wanted.node and not wanted.since and not wanted.until:
            ahead = waiting(self._browse, self._settings, WAITING)
            named = self._titles(wanted, [job["id"] for job in ahead])
            for job in ahead:
                mine = wanted.idents is None or job["id"] in wanted.idents
                if mine and job["id"] not in seen and _fits({**job, "name": named.get(job["id"], "")}, wanted):
                    fitting.append({name: job[name] for name in ("id", "kind", "state", "list")})
        fitting.sort(key=place, reverse=True)
        left = [job for job in fitting if not wanted.before or place(job) < wanted.before]
        more = place(left[most - 1]) if len(left) > most else ""
        return Found(left[:most], more, complete)

    def _records(self, wanted: Wanted) -> Iterator[dict[str, Any]]:
        fields = (*BRIEF, "message") if wanted.text else BRIEF
        # messages may be long: not many at once
        step = READ_AT_ONCE if wanted.text else PAGE
        pages = (keys[n : n + step] for keys in self._keys(wanted) for n in range(0, len(keys), step))
        for keys in pages:
            rows = self._connection.many([("HMGET", key, *fields) for key in keys])
            idents = [text_of(key)[len(self._names.job("")) :] for key in keys]
            named = self._titles(wanted, idents)
            for ident, values in zip(idents, rows, strict=True):
                if record := brief(zip(fields, values, strict=True)):
                    yield {"id": ident, **record, "name": named.get(ident, "")}

    def _titles(self, wanted: Wanted, idents: Sequence[str]) -> dict[str, str]:
        return titles(self._connection, self._names, idents) if wanted.text else {}

    def _keys(self, wanted: Wanted) -> Iterator[list[bytes]]:
        """What Redis finds comes in no order: before it what is most likely meant, since not all may be looked at."""
        if wanted.idents is not None:
            yield [self._names.job(ident).encode() for ident in wanted.idents]
            return
        cursor, first = 0, self._first(wanted)
        seen = set(first)
        yield first
        while True:
            found = self._connection.call("SCAN", cursor, "MATCH", glob(self._names.job("")) + "*", "COUNT", PAGE)
            cursor, keys = int(found[0]), [key for key in dict.fromkeys(found[1]) if key not in seen]
            seen.update(keys)
            if keys:
                yield keys
            if cursor == 0:
                return

    def _first(self, wanted: Wanted) -> list[bytes]:
        """The job whose id was typed, and those of which something happened last."""
        rows = self._connection.call("XREVRANGE", self._names.events, "+", "-", "COUNT", LATEST)
        idents = (dict(zip(flat[::2], flat[1::2], strict=True)).get(b"id", b"") for _, flat in rows)
        named = [wanted.text.encode()] if wanted.text else []
        return [self._names.job("").encode() + ident for ident in dict.fromkeys([*named, *idents]) if ident]

    def whole(self, ident: str) -> dict[str, Any] | None:
        """All that is known of a job, secrets of its message hidden; None where nothing is."""
        record = self._browse.job(ident)
        if record is None:
            found = (job for job in waiting(self._browse, self._settings, WAITING) if job["id"] == ident)
            return next(found, None)
        if isinstance(record.get("message"), str):
            record["message"] = hide_message(record["message"])
        return {**record, "events": self.events(ident)}

    def events(self, ident: str) -> list[dict[str, Any]]:
        """Those of a job that the stream still has, oldest first."""
        found: list[dict[str, Any]] = []
        end, looked = "+", 0
        while looked < MOST_EVENTS:
            rows = self._connection.call("XREVRANGE", self._names.events, end, "-", "COUNT", PAGE)
            for _, flat in rows:
                fields = dict(zip(flat[::2], flat[1::2], strict=True))
                if fields.get(b"id") == ident.encode():
                    found.append(read_object(fields.get(b"json", b"")))
                    if found[-1].get("event") == "started" and found[-1].get("attempt") == 1:
                        return found[::-1]
            if len(rows) < PAGE:
                break
            end, looked = "(" + rows[-1][0].decode(), looked + PAGE
        return found[::-1]

    def queues(self) -> list[dict[str, Any]]:
        """Each list with its length, and since when (ISO 8601) what is in it waits at least, where that is known."""
        known, lengths = self._next(), self._browse.lengths()
        seen = self.look(lengths)
        return [
            {"name": name, "length": length, "oldest_at": _earlier(known.get(name), seen.get(name)) if length else None}
            for name, length in lengths.items()
        ]

    def look(self, lengths: Mapping[str, int] | None = None) -> dict[str, float]:
        """Remember what waits now, to know later since when; see Ages. `lengths`: of the lists, by name."""
        at, lists = self._lists
        if lengths is not None or time.monotonic() > at + LISTS_SECONDS:
            others = (self._names.dead, self._names.delayed, self._names.outbox)
            lists = tuple(name for name in lengths or self._browse.lengths() if name not in others)
            self._lists = (time.monotonic(), lists)
        return self._ages.since(lists)

    def _next(self) -> dict[str, str]:
        """Since when what is next in each list waits, as its page or its record tells."""
        next_: dict[str, str] = {}
        for name, element, size in self._browse.waiting(1):
            if size == len(element) and (ident := _ident(element, self._settings)):
                next_.setdefault(name, ident)
        rows = self._connection.many(
            [("HGET", key, "at" if n else "taken_at") for ident in next_.values() for n, key in
             enumerate((self._names.job(ident), self._names.page(ident)))]
        )  # fmt: skip
        times = [next((text_of(value) for value in rows[n : n + 2] if value), "") for n in range(0, len(rows), 2)]
        return {name: at for name, at in zip(next_, times, strict=True) if at}


def place(job: Mapping[str, Any]) -> str:
    """Where a job stands among others: what waits comes first, then the newest."""
    return f"{'~' if job['state'] == 'waiting' else job.get('taken_at', '')} {job['id']}"


def waiting(jobs: Browse, settings: Settings, most: int) -> list[dict[str, Any]]:
    """What waits in the lists, the next messages of each."""
    found = []
    for name, element, size in jobs.waiting(most):
        try:
            envelope = read_envelope(element)
            raw = envelope.raw if envelope else element
            known = head(read_message(raw), settings)
            ident, kind = (envelope.id if envelope else known.id) or "", known.kind
        except BadMessage:
            raw, ident, kind = element, "", "?"
        text = hide_message(raw.decode("utf-8", "replace"))[:SHOWN]
        text = text if size == len(element) else f"too large, {size} bytes: {text}"
        found.append(sound({"id": ident, "kind": kind, "state": "waiting", "list": name, "message": text}))
    return found


def _ident(element: bytes, settings: Settings) -> str:
    try:
        envelope = read_envelope(element)
        return envelope.id if envelope else head(read_message(element), settings).id or ""
    except BadMessage:
        return ""


def _earlier(known: str | None, seen: float | None) -> str | None:
    return min(filter(None, (known, None if seen is None else stamp(seen))), default=None)


def _fits(job: Mapping[str, Any], wanted: Wanted) -> bool:
    exact = all(
        not asked or job.get(name) == asked
        for name, asked in (("state", wanted.state), ("kind", wanted.kind), ("node", wanted.node))
    )
    at = str(job.get("taken_at", ""))
    if not exact or (wanted.since and at < wanted.since) or (wanted.until and not at < wanted.until):
        return False
    if not wanted.text:
        return True
    # secrets are hidden first: else one could be guessed letter by letter
    error = job.get("error") or {}
    told = [str(job["id"]), str(job.get("name", "")), str(error.get("code", "")), str(error.get("message", ""))]
    told.append(hide_message(str(job.get("message", ""))))
    return any(wanted.text.casefold() in text.casefold() for text in told)
