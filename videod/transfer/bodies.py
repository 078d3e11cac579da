"""Fetch many small files of http and https servers, each whole or a range of it, several at once.

What breaks off is asked for anew: such a file is a few seconds of video. A body counts when it has the length that
was promised. All files of one Bodies together stay below `max_source_bytes`. What the cache has is asked for under
If-None-Match, and does not come again while it is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from videod.config import Settings
from videod.errors import FetchFailed, Stalled, TooBig
from videod.process import Tools
from videod.transfer.answers import Hops, gone_wrong, range_of, validator
from videod.transfer.asking import Asker
from videod.transfer.body import Broken, Silent, pieces
from videod.transfer.cache import Cache
from videod.transfer.gather import Crew
from videod.transfer.guard import Guard
from videod.transfer.landing import land
from videod.transfer.parts import Refused, Watch, key_of
from videod.transfer.parts_http import Pace
from videod.transfer.playlist import Resource
from videod.transfer.sources import authorized, source_of

if TYPE_CHECKING:
    from videod.transfer.response import Response

MAX_TRIES = 6
# that wait for a connection: each is looked at several times a second
MOST_AT_ONCE = 512
PIECE = 64 << 10


class Bodies:
    """Used by one thread, which starts others for the time of a call; close it after use.

    `kept`: the bytes of those that are on the disk.

    All calls raise ForbiddenSource, NotFound, Denied, FetchFailed, TooBig, Stalled, TimedOut and Cancelled.
    """

    def __init__(
        self,
        settings: Settings,
        tools: Tools,
        private: bool,
        on_bytes: Callable[[int], None],
        cache: Cache | None = None,
    ) -> None:
        self._settings, self._tools, self._cache = settings, tools, cache
        self._crew = Crew(tools, settings.fetch_connections, on_bytes)
        self._silence = tools.stall_timeout or 3600.0
        self._pace = Pace(self._crew.check)
        watch = Watch(self._crew.check, self._crew.count, self._silence, settings.fetch_connections)
        self._asker = Asker(settings, Guard.of(settings, private=private), watch)
        self.kept = 0

    @property
    def fetched(self) -> int:
        """The bytes of all bodies received, tries included."""
        return self._crew.fetched

    def close(self) -> None:
        """Close all connections."""
        self._asker.close()

    def text(self, way: Hops, most: int) -> tuple[bytes, Hops]:
        """A body of at most `most` bytes, and the way to where it was. Also raises Refused for a longer one."""
        came = bytearray()
        ends: list[Hops] = []

        def take(end: Hops, coming: Iterator[bytes]) -> None:
            came.clear()
            ends.append(end)
            for piece in coming:
                came.extend(piece)
                if len(came) > most:
                    raise Refused(f"it has more than {most} bytes")

        self._tried(way, Resource(way.url), take)
        return bytes(came), ends[-1]

    def bring(self, wanted: Sequence[tuple[Resource, Path]], secure: bool, on_done: Callable[[int], None]) -> None:
        """Fetch each resource into its file, up to `fetch_connections` at once; `on_done` gets how many are there.

        `secure`: whether their addresses came over TLS, so that no secret is sent in clear. Also raises DiskFull.
        """
        done = 0

        def one(n: int, _: int) -> None:
            nonlocal done
            resource, path = wanted[n]
            self._into(path, resource, secure)
            with self._crew.lock:
                self.kept += path.stat().st_size
                done += 1
            self._check_most()

        def look() -> None:
            self._crew.check()
            on_done(done)

        for begin in range(0, len(wanted), MOST_AT_ONCE):
            batch = [(n, n + 1) for n in range(begin, min(begin + MOST_AT_ONCE, len(wanted)))]
            self._crew.gather(batch, one, look)
        on_done(len(wanted))

    def check_size(self, size: int) -> None:
        """Before a file of `size` bytes is made of them: TooBig, NoRoom."""
        self._check_most(size - self.kept)
        if self._tools.room:
            self._tools.room.wait(max(size, self.kept))

    def _check_most(self, more: int = 0) -> None:
        most = self._settings.max_source_bytes
        if most and self.kept + more > most:
            raise TooBig(f"the source is larger than {most} bytes: max_source_bytes: raise it to serve it")

    def _into(self, path: Path, resource: Resource, secure: bool) -> None:
        """Bring a resource, by way of the cache where there is one."""

        def take(end: Hops, coming: Iterator[bytes]) -> None:
            self._land(coming, path)

        cache, way = self._cache, Hops(resource.url, secure)
        if not cache or not cache.most:
            self._tried(way, resource, take)
            return
        key = self._key(resource, way)
        with cache.turn(key, self._crew.check) as known:
            found = self._tried(way, resource, take, known)
            if found is None and not cache.give(key, path):  # it was the least recently used just now
                found = self._tried(Hops(resource.url, secure), resource, take)
            if found is not None:
                cache.keep(key, found, path)

    def _key(self, resource: Resource, way: Hops) -> str:
        url, trusted = resource.url, resource.url.scheme == "https" or not way.secure
        lines = authorized(url, source_of(url, self._settings.sources), trusted)
        return key_of(url.shown, url.text, resource.start, resource.stop, lines)

    def _land(self, coming: Iterator[bytes], path: Path) -> None:
        def bounded() -> Iterator[bytes]:
            size = 0
            for piece in coming:
                size += len(piece)
                self._check_most(size)
                yield piece

        land(bounded(), path, self._tools)

    def _tried(
        self, way: Hops, resource: Resource, take: Callable[[Hops, Iterator[bytes]], None], known: str = ""
    ) -> str | None:
        """Let `take` have the body; it is called anew when that breaks off. Gives what the content is recognized by;
        None where it is still that of `known`, and does not come."""
        asked = {} if resource.stop is None else {"Range": f"bytes={resource.start}-{resource.stop - 1}"}
        if known:
            asked["If-None-Match" if known.startswith('"') else "If-Modified-Since"] = known
        why = ""
        for tried in range(MAX_TRIES):
            self._crew.wait(0.2 * tried)
            try:
                with self._asker.answer(Hops(way.url, way.secure), asked) as (end, response):
                    if known and response.status == 304:
                        return None
                    length = _judged(response, end, resource)
                    with closing(self._body(response, end, length)) as coming:
                        take(end, coming)
                    return validator(response.headers)
            except Silent:
                raise Stalled(f"the server sent nothing for {self._silence:g} s: {way.url.shown}") from None
            except Broken as error:
                why = str(error)
        raise FetchFailed(f"the transfer broke off: {way.url.shown}: {why}: in {MAX_TRIES} tries")

    def _body(self, response: Response, end: Hops, length: int | None) -> Generator[bytes, None, None]:
        rate, came = source_of(end.url, self._settings.sources).limit_rate, 0
        for piece in pieces(response, PIECE):
            self._crew.count(len(piece))
            self._pace.spend(len(piece), rate)
            came += len(piece)
            yield piece
        if length is not None and came != length:
            raise Broken(f"{came} of {length} bytes came")


def _judged(response: Response, end: Hops, resource: Resource) -> int | None:
    """How many bytes an answer brings, None where it does not say. Raises Broken where another try may help."""
    url, headers = end.url, response.headers
    if response.status not in (200, 206):
        failure = gone_wrong(response.status, response.reason or "", url)
        raise Broken(failure.message) if isinstance(failure, FetchFailed) else failure
    if headers.get("Content-Encoding", "identity").lower() != "identity":
        raise FetchFailed(f"the body is compressed though identity was asked for: {url.shown}: ask who runs the server")
    if resource.stop is not None:
        return _ranged(response, end, resource, resource.stop)
    if response.status == 206:
        raise FetchFailed(f"the server sends a part that nobody asked for: {url.shown}: ask who runs it")
    length = headers.get("Content-Length", "")
    return int(length) if length.isascii() and length.isdigit() else None


def _ranged(response: Response, end: Hops, resource: Resource, stop: int) -> int:
    if response.status == 200:
        raise FetchFailed(f"the playlist needs ranges, which the server ignores: {end.url.shown}: ask who runs it")
    try:
        found = range_of(response.headers)
    except Refused as why:
        raise FetchFailed(f"{why}: {end.url.shown}: ask who runs the server") from None
    if (found.start, found.stop) != (resource.start, stop):
        raise FetchFailed(f"the server sends another range than asked for: {end.url.shown}: ask who runs it")
    return stop - resource.start
