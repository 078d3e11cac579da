"""What the web side keeps in Redis: whose page a job has, what a user took of the quotas, tries to log in."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from videod.config.settings import Settings
from videod.events import stamp
from videod.jobqueue.browse import text_of
from videod.jobqueue.connection import Connection, Script
from videod.jobqueue.names import Names
from videod.jobqueue.oversize import SHOWN
from videod.message import KEPT_BYTES

DAY_MS = 86_400_000
FILES_A_JOB = 10
# an upload is made before it is counted, and by another clock
SLACK_SECONDS = 60.0
# how far into a list is looked for a place in line, and for how long what was seen is told to others
DEEPEST, FRESH_SECONDS = 500, 1.0
# of one owner, for those that are shown
LOOKED_THROUGH = 1000
_IDENT = re.compile(rb'"id": ?"(w[A-Za-z0-9_-]{24})"')


@dataclass(frozen=True)
class Page:
    """The page of one job. `name` is what the user called the file: not to be trusted. `at`: ISO 8601 UTC."""

    id: str
    owner: str
    name: str
    upload: str
    message: str
    at: str

    @property
    def kind(self) -> str:
        """What its job does."""
        return str(json.loads(self.message)["kind"])


def titles(connection: Connection, names: Names, idents: Sequence[str]) -> dict[str, str]:
    """What users call the files of these jobs: of those that have a page."""
    rows = connection.many([("HGET", names.page(ident), "name") for ident in idents])
    return {ident: text_of(name) for ident, name in zip(idents, rows, strict=True) if name}


class Pages:
    """Pages, quotas and tries; for any number of threads."""

    def __init__(self, settings: Settings, connection: Connection) -> None:
        self._settings, self._connection = settings, connection
        self._names = Names.of(settings)
        self._submit, self._quota, self._tries = Script("submit"), Script("quota"), Script("tries")
        self._peek, self._uncount = Script("peek"), Script("uncount")
        self._lock = threading.Lock()
        self._seen: dict[str, int] = {}
        self._looked = float("-inf")

    def submit(self, page: Page, node: str | None) -> bool:
        """Queue the page's message and keep the page, in one step; False where both are there. May be repeated.

        `node`: who alone may take it, None: every node.
        """
        names = self._names
        fields = ("owner", page.owner, "name", page.name, "upload", page.upload, "message", page.message, "at", stamp())
        keys = (names.page(page.id), names.pages(page.owner), names.queue_of(node) if node else names.queue)
        answer = self._connection.run(self._submit, keys, (page.id, page.message, *fields), durable=True)
        return bool(answer == b"queued")

    def page(self, ident: str) -> Page | None:
        """The page of a job; None where there is none, or not any more."""
        return self._pages([ident]).get(ident)

    def stay(self, ident: str) -> None:
        """Let the page of a job that was queued again last until its end; upkeep.py lets it expire then."""
        self._connection.call("PERSIST", self._names.page(ident))

    def of(self, owner: str, most: int, besides: str = "") -> list[Page]:
        """The latest pages of an owner, newest first; none of the kind `besides`."""
        idents, found = self.idents(owner, LOOKED_THROUGH), list[Page]()
        while idents and len(found) < most:
            found += [page for page in self._pages(idents[:most]).values() if page.kind != besides]
            idents = idents[most:]
        return found[:most]

    def idents(self, owner: str, most: int) -> list[str]:
        """The ids of them alone: a message may be long."""
        return [
            text_of(ident) for ident in self._connection.call("ZRANGE", self._names.pages(owner), 0, most - 1, "REV")
        ]

    def _pages(self, idents: list[str]) -> Mapping[str, Page]:
        wanted = ("owner", "name", "upload", "message", "at")
        rows = self._connection.many([("HMGET", self._names.page(ident), *wanted) for ident in idents])
        found = {}
        for ident, values in zip(idents, rows, strict=True):
            if None not in values:
                found[ident] = Page(ident, *map(text_of, values))
        return found

    def titles(self, idents: Sequence[str]) -> dict[str, str]:
        """What users call the files of these jobs."""
        return titles(self._connection, self._names, idents)

    def states(self, idents: list[str]) -> dict[str, str]:
        """The state in the record of each of these jobs that has one."""
        rows = self._connection.many([("HGET", self._names.job(ident), "state") for ident in idents])
        return {ident: text_of(state) for ident, state in zip(idents, rows, strict=True) if state is not None}

    def answers(self) -> None:
        """RedisAway where Redis does not answer."""
        self._connection.call("EXISTS", self._names.nodes)

    def place(self, ident: str) -> int | None:
        """How many messages are taken from its list until this one is, itself included; None where it is not seen.

        Up to a second old: however many wait, the lists are looked at once a second.
        """
        with self._lock:
            if time.monotonic() >= self._looked + FRESH_SECONDS:
                self._seen, self._looked = self._line(), time.monotonic()
            return self._seen.get(ident)

    def _line(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for name in (self._names.queue, self._names.node_queue):
            flat = self._connection.run(self._peek, (name,), (DEEPEST, *SHOWN, KEPT_BYTES))
            for n, element in enumerate(flat[1::2], 1):
                if ident := _IDENT.search(element):
                    found.setdefault(ident[1].decode(), n)
        return found

    def charge(self, owner: str, *, size: int = 0, files: int = 0, jobs: int = 0) -> float:
        """Count bytes, files and jobs of a user's day; 0 where there was room, else the seconds until there is again.

        Files that become no job are counted, too: there may be FILES_A_JOB times as many.
        """
        web = self._settings.web
        parts = [("bytes", size, web.quota_bytes), ("jobs", jobs, web.quota_jobs)]
        parts.append(("files", files, web.quota_jobs * FILES_A_JOB))
        arguments = (DAY_MS, *chain(*parts))
        return float(self._connection.run(self._quota, (self._names.quota(owner),), arguments)) / 1000

    def give_back(self, owner: str, size: int, since: float) -> None:
        """Bytes that were counted at `since` (unix time) and never came; nothing where that was another day of theirs.

        May not be repeated.
        """
        arguments = (DAY_MS, round((since + SLACK_SECONDS) * 1000), "bytes", size)
        self._connection.run(self._uncount, (self._names.quota(owner),), arguments)

    def tried(self, who: str, most: int, seconds: float, *, by: int = 1) -> float:
        """Count a try to log in; 0 where it is one of the first `most`, else the seconds until they are forgotten.

        `by` -1: it was a good one, which does not count.
        """
        arguments = (most, round(seconds * 1000), by)
        return float(self._connection.run(self._tries, (self._names.tries(who),), arguments)) / 1000
