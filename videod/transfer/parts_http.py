"""Read parts of an http or https source: every hop checked, every answer judged before a byte of it is believed.

A 206 counts only if it says the range that was asked for, of a source that is still the same. All later requests
go to the address where the redirects of the first one led; when that one ends (a signed address runs out), the
way is gone again from its beginning.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import TYPE_CHECKING

from videod.config import Settings
from videod.errors import FetchFailed, Stalled, TooBig
from videod.transfer.answers import Hops, gone_wrong, range_of, validator
from videod.transfer.asking import Asker
from videod.transfer.body import Broken, Silent, pieces
from videod.transfer.guard import Guard
from videod.transfer.parts import PROBE, SMALL, Changed, Head, Refused, Watch, key_of
from videod.transfer.polled import TICK
from videod.transfer.sources import authorized, source_of
from videod.transfer.spans import MOST_PIECE
from videod.transfer.urls import Url

if TYPE_CHECKING:
    from videod.transfer.response import Response

# small, since what was read of a piece is lost when the connection is reset
PIECE = 64 << 10
_MARKUP = re.compile(rb"(?:\xef\xbb\xbf)?\s*<")
_GONE = (401, 403, 404, 410)


class WebParts:
    """One source; see `Parts`. User info of `url` and what `[source HOST]` says go to their hosts alone."""

    most = MOST_PIECE

    def __init__(self, url: Url, settings: Settings, guard: Guard, watch: Watch) -> None:
        self._first, self._last = url, Hops(url)
        self._settings, self._watch = settings, watch
        self._asker = Asker(settings, guard, watch)
        self._pace = Pace(watch.check)
        self._size = 0
        self._validator = ""
        self._marks: dict[str, str] = {}

    def close(self) -> None:
        """Close all connections."""
        self._asker.close()

    def head(self) -> Head:
        """See Parts."""
        try:
            with self._asker.answer(Hops(self._first), {"Range": f"bytes=0-{PROBE - 1}"}) as (hops, response):
                stop = self._begin(response, hops.url)
                first = self._beginning(response, hops.url, stop)
                self._last = hops
        except Silent:
            raise Stalled(f"the server sent nothing for {self._watch.silence:g} s: {self._first.shown}") from None
        except Broken as error:
            raise FetchFailed(f"cannot fetch: {self._first.shown}: {error}") from None
        if _MARKUP.match(first):
            raise Refused("it begins as HTML or XML does")
        return Head(self._size, self._validator, hops.url.shown, self._key() if self._validator else "", first)

    def pieces(self, start: int, stop: int) -> Generator[bytes, None, None]:
        """See Parts."""
        asked = {"Range": f"bytes={start}-{stop - 1}"}
        if self._validator:
            asked["If-Range"] = self._validator
        last = Hops(self._last.url, self._last.secure)
        for way in [last] if last.url.text == self._first.text else [last, Hops(self._first)]:
            with self._asker.answer(way, asked) as (hops, response):
                if response.status in _GONE and way is last and last.url.text != self._first.text:
                    response.close()
                    continue
                length = self._judge(response, hops.url, start, stop)
                self._last = hops
                yield from self._body(response, hops.url, length)
                return

    def _begin(self, response: Response, url: Url) -> int:
        """Judge the first answer and keep what later ones are compared with; how many bytes it brings."""
        if response.status in (200, 416):
            raise Refused("the server ignores Range" if response.status == 200 else "it is empty, or has no ranges")
        if response.status != 206:
            raise gone_wrong(response.status, response.reason or "", url)
        found, most = range_of(response.headers), self._settings.max_source_bytes
        if most and found.size > most:
            raise TooBig(f"the source has {found.size} bytes: max_source_bytes: {most} are allowed")
        if (found.start, found.stop) != (0, min(PROBE, found.size)):
            raise Refused("the server sends another range than asked for")
        if found.size <= SMALL:  # before its body is read: what fetches it whole would read it again
            raise Refused(f"it has only {found.size} bytes")
        self._size = found.size
        self._validator = validator(response.headers)
        self._marks = {name: response.headers.get(name, "") for name in ("etag", "last-modified")}
        return found.stop

    def _beginning(self, response: Response, url: Url, length: int) -> bytes:
        came = b""
        try:
            for piece in self._body(response, url, length):
                came += piece
        except Silent:
            raise
        except Broken:  # the head has told what matters; who needs more of the body asks again
            return came
        return came

    def _judge(self, response: Response, url: Url, start: int, stop: int) -> int:
        """How many bytes of the range an answer brings, at least one; it raises where they are not what we want."""
        status, headers = response.status, response.headers
        if status in (200, 416):
            size = headers.get("Content-Length", "") if status == 200 else headers.get("Content-Range", "")[8:]
            if size == str(self._size) and self._same(headers):
                raise Refused("the server sends ranges now and then")
            raise Changed(f"it answered {status} in the middle")
        if status != 206:
            failure = gone_wrong(status, response.reason or "", url)
            raise Broken(failure.message) if isinstance(failure, FetchFailed) else failure
        found = range_of(response.headers)
        if found.size != self._size or not self._same(headers):
            raise Changed("other size, ETag or date")
        if found.start != start or found.stop > stop:
            raise Refused("the server sends another range than asked for")
        return found.stop - start

    def _same(self, headers: Mapping[str, str]) -> bool:
        """Whether an answer may be of the same content. An ETag says more than a date, which mirrors may not share."""
        name = "etag" if self._marks["etag"] and headers.get("etag") else "last-modified"
        return not self._marks[name] or headers.get(name) in (None, self._marks[name])

    def _body(self, response: Response, url: Url, length: int) -> Iterator[bytes]:
        rate, left = source_of(url, self._settings.sources).limit_rate, length
        for piece in pieces(response, PIECE):
            self._watch.count(len(piece))
            left -= len(piece)
            if left < 0:
                raise Refused("the server sends more than it says")
            self._pace.spend(len(piece), rate)
            yield piece
        if left:
            raise Broken(f"{length - left} of {length} bytes came")

    def _key(self) -> str:
        source = source_of(self._first, self._settings.sources)
        lines = authorized(self._first, source, trusted=True)
        return key_of(self._first.shown, self._first.target, self._size, self._validator, lines)


class Pace:
    """Keeps all connections together below a rate."""

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check
        self._lock = threading.Lock()
        self._free = 0.0

    def spend(self, size: int, rate: int) -> None:
        """Wait until `size` bytes are due at `rate` bytes a second; 0: no limit."""
        if not rate:
            return
        with self._lock:
            self._free = until = max(self._free, time.monotonic()) + size / rate
        while (left := until - time.monotonic()) > 0:
            self._check()
            time.sleep(min(left, TICK))
