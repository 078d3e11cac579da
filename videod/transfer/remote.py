"""A source that is read in parts, over several connections, through the cache where there is one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path

from videod.config import Settings
from videod.errors import DiskFull, FetchFailed, NoRoom, Stalled
from videod.process import Tools
from videod.transfer.body import Broken, Silent
from videod.transfer.cache import Cache, Entry
from videod.transfer.gather import Crew, Sparse
from videod.transfer.parts import SMALL, Head, Parts, Refused, Watch
from videod.transfer.spans import Span, behind, joined, length, pieces

LONGEST_READ = 64 << 20
MAX_TRIES = 6
MAX_IDLE = 3
# a server that gives less than asked for, but so much at once, may go on doing so
FAIR = 64 << 10
# what a span may take on the disk beside its bytes: the rest of its first and its last block
EDGES = 8 << 10


class Remote:
    """A source that is read in parts. Used by one thread, which may start others for the time of a call."""

    def __init__(
        self,
        parts: Callable[[Watch], Parts],
        settings: Settings,
        tools: Tools,
        on_bytes: Callable[[int], None],
        cache: Cache | None = None,
    ) -> None:
        self._tools = tools
        self._crew = Crew(tools, settings.fetch_connections, on_bytes)
        self._paths: set[Path] = set()
        self._kept = 0
        self._head = Head(0, "", "", "", b"")
        self._silence = tools.stall_timeout or 3600.0
        self._parts = parts(Watch(self._crew.check, self._crew.count, self._silence, self._crew.connections))
        self._cache = cache
        self._entry: Entry | None = None

    def __enter__(self) -> Remote:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._parts.close()
        self._forget()

    def begin(self) -> None:
        """The first request; `open` makes it."""
        self._head = self._parts.head()
        if self.size <= SMALL:
            raise Refused(f"it has only {self.size} bytes")
        if self._cache:
            self._entry = self._cache.open(self.key)

    @property
    def fetched(self) -> int:
        """The bytes of all bodies received, tries included."""
        return self._crew.fetched

    @property
    def size(self) -> int:
        """All bytes of the source."""
        return self._head.size

    @property
    def validator(self) -> str:
        """The strong ETag or the date that later requests insist on; empty where there is none."""
        return self._head.validator

    @property
    def keeps_all(self) -> bool:
        """Whether the cache has room for all of it."""
        return self._entry is not None and self.size <= self._entry.most

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
        if (at := start + len(made)) < stop:
            if entry := self._filled([(at, stop)]):
                made += entry.read(at, stop)
            else:
                self._bring(at, stop, lambda at, piece: made.extend(piece))
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
        total = length(wanted)
        self._kept += total + EDGES * len(wanted)
        if self._tools.room:
            try:
                self._tools.room.wait(self._kept)
            except NoRoom:
                if not self._entry:
                    raise
                self._forget()
                self._tools.room.wait(self._kept)
        first = self._head.first
        rest = behind(wanted, len(first))
        with Sparse(path, anew=path not in self._paths) as file:
            self._paths.add(path)
            for start, stop in wanted:
                file.put(start, first[start:stop])
            if entry := self._filled(rest, on_progress):
                for at, piece in entry.pieces(rest):
                    file.put(at, piece)
                    self._crew.check()
            else:
                self._gather(rest, file.put, on_progress)
        on_progress(1.0)
        return total

    def _filled(self, spans: Sequence[Span], on_progress: Callable[[float], None] = lambda part: None) -> Entry | None:
        """What the cache keeps of the source, with these spans in it by now; None where it has no room for them."""
        entry = self._entry
        if not entry:
            return None
        try:
            here = entry.need(spans, lambda mine, put: self._gather(mine, put, on_progress), self._crew.check)
        except DiskFull:  # the job comes first
            self._forget()
            return None
        return entry if here else None

    def _forget(self) -> None:
        """Go on without the cache, which may need what it keeps for this job no longer."""
        if self._entry:
            self._entry.close()
        self._entry = None

    def _gather(
        self, spans: Sequence[Span], put: Callable[[int, bytes], object], on_progress: Callable[[float], None]
    ) -> None:
        """Give the bytes of the spans to `put`, in any order, by several connections."""
        total, got = length(spans), 0

        def sink(at: int, piece: bytes) -> None:
            nonlocal got
            put(at, piece)
            with self._crew.lock:
                got += len(piece)

        def look() -> None:
            self._crew.check()
            on_progress(min(got / total, 1.0))

        parts = pieces(spans, self._crew.connections, self._parts.most)
        self._crew.gather(parts, lambda start, stop: self._bring(start, stop, sink), look)

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
            self._crew.wait(0.2 * max(tried - 1, 0) if at < stop else 0)
