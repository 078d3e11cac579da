"""How long pages of the web side last: until `keep_results` after the end of their job, however long that waits.

A page has no TTL while its job is not over, so that it stays where no web side runs for a while; with one in place it
gets one from here, and loses it if the job is queued again. Several processes may do so at once, at any time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from videod.config.settings import Settings
from videod.events import FINAL
from videod.jobqueue.browse import glob, read_object, text_of
from videod.jobqueue.connection import Connection, Script
from videod.jobqueue.names import Names
from videod.jobqueue.oversize import SHOWN
from videod.message import KEPT_BYTES

AT_ONCE = 500
# elements of a list in one call: Redis does nothing else meanwhile
ELEMENTS = 200
LASTS, GONE = -1, -2
T = TypeVar("T")


@dataclass(frozen=True)
class Lasting:
    """Jobs that wait or run, and uploads that are needed: by a job that is not over, or was not long ago."""

    jobs: frozenset[str]
    uploads: frozenset[str]


@dataclass(frozen=True)
class _Page:
    """`state` and `ended`, in unix time, of its record, '' and 0 without one; `left` ms."""

    id: str
    upload: str
    state: str
    ended: float
    left: int


class Upkeep:
    """Sees to all pages. RedisAway."""

    def __init__(self, settings: Settings, connection: Connection) -> None:
        self._names, self._connection = Names.of(settings), connection
        self._web, self._idents = settings.web, Script("idents")

    def renew(self, at: float) -> Lasting:
        """Let pages last whose job is not over, and the others expire; `at` in unix time."""
        keys = self._keys()
        begin = self._names.page("")
        pages = self._pages([key.removeprefix(begin) for key in keys if key.startswith(begin)])
        unknown = [page.id for page in pages if not page.state]
        waiting = self._waiting(unknown) if unknown else set[str]()
        live = {page.id for page in pages if (page.state not in FINAL if page.state else page.id in waiting)}
        self._last([page for page in pages if page.id in live and page.left != LASTS])
        # what is over, and what was dropped by hand: it has neither a record nor a place
        self._expire([page for page in pages if page.id not in live and page.left == LASTS])
        self._trim([key for key in keys if key.startswith(self._names.pages(""))], {page.id for page in pages})
        # without a record an upload stays as long as the page: a message may have moved while the lists were read
        needed = (page for page in pages if page.state not in FINAL or page.ended + self._web.keep_uploads >= at)
        return Lasting(frozenset(live), frozenset(page.upload for page in needed if page.upload))

    def _keys(self) -> list[str]:
        begin, cursor, found = self._names.page("").removesuffix(":"), 0, dict[str, None]()
        while True:
            answer = self._connection.call("SCAN", cursor, "MATCH", glob(begin) + "*", "COUNT", AT_ONCE)
            cursor = int(answer[0])
            found |= dict.fromkeys(map(text_of, answer[1]))
            if cursor == 0:
                return list(found)

    def _pages(self, idents: Sequence[str]) -> list[_Page]:
        found = []
        for some in _some(idents):
            uploads = self._connection.many([("HGET", self._names.page(ident), "upload") for ident in some])
            records = self._connection.many([("HMGET", self._names.job(ident), "state", "ended_at") for ident in some])
            # last: a page that is there now was there before
            left = self._connection.many([("PTTL", self._names.page(ident)) for ident in some])
            for ident, upload, (state, ended), ms in zip(some, uploads, records, left, strict=True):
                if ms != GONE:
                    found.append(_Page(ident, text_of(upload or b""), text_of(state or b""), unix(ended), ms))
        return found

    # ------------------------------------------------------------- what waits
    def _waiting(self, idents: Sequence[str]) -> set[str]:
        """The ids in all lists where a message without a record may be: it waits, or was taken at this moment."""
        names = self._names
        nodes = {names.node, *map(text_of, self._connection.call("HKEYS", names.nodes)), *self._asked(idents)}
        lists = [names.queue, names.batch_queue, names.abnormal_queue, *(names.queue_of(node) for node in nodes)]
        # after those: a message moves from there to here
        lists += [names.running(node) for node in nodes]
        return {ident for name in dict.fromkeys(lists) for ident in self._list(name)}

    def _list(self, name: str) -> Iterator[str]:
        """From the left: what comes and what is taken meanwhile moves nothing past us."""
        first, length = 0, 1
        while first < length:
            arguments = (first, ELEMENTS, *SHOWN, KEPT_BYTES)
            length, *found = self._connection.run(self._idents, (name,), arguments)
            yield from map(text_of, found)
            first += ELEMENTS

    def _asked(self, idents: Sequence[str]) -> set[str]:
        """The nodes that alone may take these, also such as serve no more."""
        found = set()
        for some in _some(idents):
            for message in self._connection.many([("HGET", self._names.page(ident), "message") for ident in some]):
                node = read_object(message or b"").get("node")
                found |= {node} if isinstance(node, str) and node else set()
        return found

    # ------------------------------------------------------------- what is done about it
    def _last(self, pages: Sequence[_Page]) -> None:
        for some in _some(pages):
            self._connection.many([("PERSIST", self._names.page(page.id)) for page in some])

    def _expire(self, pages: Sequence[_Page]) -> None:
        keep = round(self._web.keep_results * 1000)
        for some in _some(pages if keep else ()):
            self._connection.many([("PEXPIRE", self._names.page(page.id), keep) for page in some])

    def _trim(self, owners: Sequence[str], known: set[str]) -> None:
        """Take out of their owners' lists what has expired."""
        for key in owners:
            self._connection.call("PERSIST", key)
            mine = [text_of(ident) for ident in self._connection.call("ZRANGE", key, 0, -1)]
            for some in _some([ident for ident in mine if ident not in known]):
                there = self._connection.many([("EXISTS", self._names.page(ident)) for ident in some])
                if gone := [ident for ident, is_there in zip(some, there, strict=True) if not is_there]:
                    self._connection.call("ZREM", key, *gone)


def _some(all_: Sequence[T]) -> Iterator[Sequence[T]]:
    for n in range(0, len(all_), AT_ONCE):
        yield all_[n : n + AT_ONCE]


def unix(stamp: Any) -> float:
    """Unix time of an ISO 8601 stamp of a record; 0 where it does not tell it."""
    text = text_of(stamp) if isinstance(stamp, bytes) else str(stamp)
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        return 0.0
