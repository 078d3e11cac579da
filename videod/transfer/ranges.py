"""Read of a remote source only what is needed: small pieces of its index, then the spans that a clip lies in.

    with ranges.open(url, settings, tools) as remote:
        head = remote.read(0, 4096)
        remote.fetch([(start, stop), …], path, on_progress)

All that one Remote gives is of one version of the source, or it raises Changed: `consistently` begins anew then.
What cannot be read in parts raises Refused, at the beginning or in the middle; whoever meets it fetches the whole.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from videod.config import Settings
from videod.errors import FetchFailed, Stalled
from videod.process import Tools
from videod.transfer.gather import Sparse, gather
from videod.transfer.guard import Guard
from videod.transfer.http import Broken, Silent
from videod.transfer.parts import SMALL, Changed, Head, Parts, Refused, Watch
from videod.transfer.spans import Span, behind, joined, pieces
from videod.transfer.stores import SCHEMES
from videod.transfer.urls import check_url

__all__ = ["SMALL", "Changed", "Refused", "Remote", "consistently", "open"]

LONGEST_READ = 64 << 20
MAX_ANEW = 2
MAX_TRIES = 6
MAX_IDLE = 3
# a server that gives less than asked for, but so much at once, may go on doing so
FAIR = 64 << 10
# what a span may take on the disk beside its bytes: the rest of its first and its last block
EDGES = 8 << 10
T = TypeVar("T")


def open(
    url: str,
    settings: Settings,
    tools: Tools,
    *,
    private: bool = True,
    on_bytes: Callable[[int], None] = lambda number: None,
) -> Remote:
    """The source at `url`, by one request that also tells whether it can be read in parts; close it after use.

    `on_bytes` gets the bytes of bodies as they come, one call at a time. Raises Refused where parts cannot be had
    or are not worth it: a file of this machine, a source of up to SMALL bytes, a server that does not answer ranges
    as it should. Raises as `fetch.fetch` does where that would, too: ForbiddenSource, NotFound, Denied,
    FetchFailed, TooBig, Stalled, TimedOut, Cancelled.
    """
    scheme = url.partition(":")[0].lower()
    if url.startswith("/") or scheme == "file":
        raise Refused("a file of this machine is read where it lies")
    remote = Remote(lambda watch: _parts(url, scheme, settings, private, watch), settings, tools, on_bytes)
    try:
        remote.begin()
    except BaseException:
        remote.close()
        raise
    return remote


def consistently(
    url: str,
    settings: Settings,
    tools: Tools,
    work: Callable[[Remote], T],
    *,
    private: bool = True,
    on_bytes: Callable[[int], None] = lambda number: None,
) -> T:
    """What `work` makes of one version of the source: it is called again, with a new Remote, after a change.

    Raises as `open` and `work` do, but Refused for a source that changes again and again.
    """
    for _ in range(MAX_ANEW + 1):
        with open(url, settings, tools, private=private, on_bytes=on_bytes) as remote:
            try:
                return work(remote)
            except Changed:
                shown = remote.url
    # machines of a farm may differ in their ETags alone: one request for all is of one version
    raise Refused(f"the source changes while it is fetched: {shown}")


def _parts(url: str, scheme: str, settings: Settings, private: bool, watch: Watch) -> Parts:
    if scheme in SCHEMES:
        from videod.transfer.parts_store import StoreParts

        return StoreParts(url, settings, watch)
    from videod.transfer.parts_http import WebParts

    return WebParts(check_url(url), settings, Guard.of(settings, private=private), watch)


class _Over(Exception):
    """Another thread has failed."""


class Remote:
    """A source that is read in parts. Used by one thread, which may start others for the time of a call.

    `fetched` adds up the bodies received, tries included.
    """

    def __init__(
        self, parts: Callable[[Watch], Parts], settings: Settings, tools: Tools, on_bytes: Callable[[int], None]
    ) -> None:
        self._tools, self._connections, self._on_bytes = tools, settings.fetch_connections, on_bytes
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._paths: set[Path] = set()
        self._kept = 0
        self._head = Head(0, "", "", "", b"")
        self._silence = tools.stall_timeout or 3600.0
        self._parts = parts(Watch(self._check, self._count, self._silence, self._connections))
        self.fetched = 0

    def __enter__(self) -> Remote:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._parts.close()

    def begin(self) -> None:
        """The first request; `open` makes it."""
        self._head = self._parts.head()
        if self.size <= SMALL:
            raise Refused(f"it has only {self.size} bytes")

    @property
    def size(self) -> int:
        """All bytes of the source."""
        return self._head.size

    @property
    def validator(self) -> str:
        """The strong ETag or the date that later requests insist on; empty where there is none."""
        return self._head.validator

    @property
    def url(self) -> str:
        """Where it came from in the end, fit to be shown."""
        return self._head.url

    @property
    def key(self) -> str:
        """Tells this content from any other, and who may see it: for caches. Empty without a validator.

        It shows no query and no secret, but a digest of them: a weak password could be tried against it.
        """
        return self._head.key

    def read(self, start: int, length: int) -> bytes:
        """`length` bytes from `start` on, fewer at the end of the source. What the first request brought costs none.

        Raises Changed, Refused (also for more than LONGEST_READ), NotFound, Denied, ForbiddenSource, FetchFailed,
        Stalled, TimedOut, Cancelled.
        """
        if start < 0 or length < 0:
            raise Refused("a piece before the start of the source was asked for")
        stop = min(start + length, self.size)
        if stop - start > LONGEST_READ:
            raise Refused(f"a piece of {stop - start} bytes was asked for: more than is read at once")
        made = bytearray(self._head.first[start:stop])
        if start + len(made) < stop:
            self._bring(start + len(made), stop, lambda at, piece: made.extend(piece))
        return bytes(made)

    def fetch(self, spans: Iterable[Span], path: Path, on_progress: Callable[[float], None] = lambda part: None) -> int:
        """Bring the spans, each (start, stop), into the file at `path`, at the offsets that they have in the source.

        What lies between them is a hole, or came along where it was small. The first call for a path empties the
        file. Up to `fetch_connections` parts come at once; `on_progress` gets 0.0 to 1.0. Returns how many bytes
        were written. Raises as `read`, and DiskFull, NoRoom.
        """
        wanted = joined(spans)
        if wanted and (wanted[0][0] < 0 or wanted[-1][1] > self.size):
            raise Refused("a piece outside of the source was asked for")
        total = sum(stop - start for start, stop in wanted)
        self._kept += total + EDGES * len(wanted)
        if self._tools.room:
            self._tools.room.wait(self._kept)
        first = self._head.first
        parts = pieces(behind(wanted, len(first)), self._connections, self._parts.most)
        with Sparse(path, anew=path not in self._paths) as file:
            self._paths.add(path)
            for start, stop in wanted:
                file.put(start, first[start:stop])

            def bring(start: int, stop: int) -> None:
                self._bring(start, stop, file.put)

            def look() -> None:
                self._check()
                on_progress(min(file.written / total, 1.0))

            try:
                gather(parts, bring, self._connections, self._over, look)
            finally:
                self._over.clear()
        on_progress(1.0)
        return total

    def _bring(self, start: int, stop: int, sink: Callable[[int, bytes], object]) -> None:
        """Give the bytes to `sink`, in order, each with its offset; what breaks goes on where it broke."""
        at, tried, idle = start, 0, 0
        while at < stop:
            before, why = at, "less came than was asked for"
            try:
                with closing(self._parts.pieces(at, stop)) as coming:
                    for piece in coming:
                        sink(at, piece)
                        at += len(piece)
            except Silent:
                raise Stalled(f"the server sent nothing for {self._silence:g} s: {self.url}") from None
            except Broken as error:
                why, tried = str(error), tried + 1
            else:
                tried += at - before < FAIR and at < stop
            idle = 0 if at > before else idle + 1
            if at < stop and (tried >= MAX_TRIES or idle >= MAX_IDLE):
                raise FetchFailed(f"the transfer broke off: {self.url}: {why}: in {tried} tries")
            # not before the first try again: a server may just have closed what was kept open for long
            self._over.wait(0.2 * max(tried - 1, 0) if at < stop else 0)

    def _check(self) -> None:
        self._tools.check()
        if self._over.is_set():
            raise _Over

    def _count(self, number: int) -> None:
        with self._lock:
            self.fetched += number
            self._on_bytes(number)
