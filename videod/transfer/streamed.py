"""Fetch one file whole into its part, by scheme; what broke off goes on where it broke.

A body is whole when it has the length that was promised. It goes on under If-Range, so that a source that changed
meanwhile comes anew instead of being glued to the old part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from videod.config import Settings
from videod.errors import Damaged, FetchFailed, Stalled, TooBig
from videod.space import Space
from videod.transfer.answers import Hops, gone_wrong, range_of, validator
from videod.transfer.asking import Asker
from videod.transfer.body import Broken, Silent, arriving
from videod.transfer.gather import Crew
from videod.transfer.part import Part
from videod.transfer.parts import SMALL, Refused
from videod.transfer.parts_http import Pace
from videod.transfer.paths import file_source
from videod.transfer.sources import source_of
from videod.transfer.stores import SCHEMES
from videod.transfer.urls import PORTS, Url, check_url

if TYPE_CHECKING:
    from videod.transfer.response import Response

MAX_TRIES = 6
MAX_ANEW = 2
# of what comes at once: each piece costs a fight for Python's lock, and no more than this ever waits in a socket
PIECE = 1 << 20
# asked for on the disk at once where the length is not known
AHEAD = 16 << 20


class _Anew(Exception):
    """What came so far is of no use: the source changed, or its server cannot go on."""


@dataclass(frozen=True)
class Line:
    """What the files of one job come through in one thread of its crew, by way of a `buffer` that they share."""

    settings: Settings
    asker: Asker
    space: Space | None
    folder: str
    silence: float
    crew: Crew
    # new memory for each file costs the system as much as Python needs for it
    buffer: memoryview = field(default_factory=lambda: memoryview(bytearray(PIECE)))


def host_of(address: str) -> str:
    """What connections to an address are counted by. ForbiddenSource for what is no address."""
    scheme, _, rest = address.partition(":")
    scheme = scheme.lower()
    if address.startswith("/") or scheme == "file":
        return "file:"
    if scheme in SCHEMES:
        return f"{scheme}:{rest.lstrip('/').partition('/')[0]}"
    return check_url(address).host


def stream(address: str, part: Part, sha256: str, line: Line, on_part: Callable[[float], None]) -> None:
    """Fetch `address` until `part` is whole and has this SHA-256 (hex; '' for any).

    `on_part` gets 0.0 to 1.0 where the length is known. Raises ForbiddenSource, NotFound, Denied, FetchFailed, TooBig,
    Damaged, Stalled, NoRoom, OSError, and what the line's check raises.
    """
    scheme = address.partition(":")[0].lower()
    one = _One(address, part, line, on_part)
    line.crew.share_core(scheme in PORTS)
    while True:
        glued = part.earlier
        if address.startswith("/") or scheme == "file":
            one.from_file()
        elif scheme in SCHEMES:
            one.from_store()
        else:
            one.from_web(check_url(address))
        if not sha256 or (found := part.sha.hexdigest()) == sha256:
            return
        part.reset()
        if not glued:  # or it may be the fault of what was there before
            raise Damaged(f"the file's SHA-256 is {found}, not {sha256}")


class _One:
    def __init__(self, address: str, part: Part, line: Line, on_part: Callable[[float], None]) -> None:
        self._address, self._part, self._line, self._on_part = address, part, line, on_part
        self._most = line.settings.max_source_bytes

    def from_file(self) -> None:
        path = file_source(self._address, self._line.settings.allow_paths)
        self._part.reset()
        with open(path, "rb") as file:
            self._begin(path.stat().st_size, "")
            self._take(iter(lambda: file.read(PIECE), b""), fetched=False)

    def from_store(self) -> None:
        from videod.transfer.from_store import opened

        self._part.reset()
        total, coming = opened(self._address, self._line.settings, self._line.silence)
        self._begin(total, "")
        self._take(self._checked(coming))
        if self._part.size != total:
            raise FetchFailed(f"shorter than promised: {self._part.size} of {total} bytes came")

    def _checked(self, coming: Iterator[bytes]) -> Iterator[bytes]:
        for piece in coming:
            self._line.crew.check()
            yield piece

    def from_web(self, url: Url) -> None:
        anew, part = 0, self._part
        for tried in range(1, MAX_TRIES + 1):
            before, why = part.size, ""
            try:
                return self._once(url)
            except Silent:
                raise Stalled(f"the server sent nothing for {self._line.silence:g} s: {url.shown}") from None
            except Broken as error:
                why = str(error)
                came, total = part.size, part.total
                if came <= before:
                    break
                if not part.validator:
                    part.reset()
                    anew += 1
            except _Anew:
                why, came, total = "the source changed", 0, None
                part.reset()
                anew += 1
            if anew > MAX_ANEW:
                break
            self._line.crew.wait(0.1 * tried)
        shown = f"{came} of {'unknown' if total is None else total} bytes came"
        raise FetchFailed(f"the transfer broke off: {url.shown}: {why}: {shown} in {tried} tries")

    def _once(self, url: Url) -> None:
        part, asked = self._part, {}
        if part.size and part.size == part.total:
            return
        if part.size:
            asked = {"Range": f"bytes={part.size}-", "If-Range": part.validator}
        with self._line.asker.answer(Hops(url), asked) as (end, response):
            if response.status == 206 or (part.size and response.status != 200):
                self._go_on(response, end.url)
            else:
                self._whole(response, end.url)
            rate = source_of(end.url, self._line.settings.sources).limit_rate
            buffer = self._line.buffer[: rate or None]  # a slow pace needs small steps
            self._take(arriving(response, buffer), rate=rate)
        if part.total is not None and part.size != part.total:
            raise Broken("it ended early")

    def _whole(self, response: Response, url: Url) -> None:
        """Judge the head of an answer that brings all of it."""
        headers = response.headers
        if response.status != 200:
            raise gone_wrong(response.status, response.reason or "", url)
        self._part.reset()  # If-Range says that it changed
        if headers.get("Content-Encoding", "identity").lower() != "identity":
            raise FetchFailed("the body is compressed though identity was asked for: ask who runs the server")
        length = headers.get("Content-Length", "")
        if headers.get("Transfer-Encoding", "identity").lower() != "identity" or not length:
            self._begin(None, "")
            return
        if not (length.isascii() and length.isdigit()):
            raise FetchFailed("the server promises two lengths at once, or none: ask who runs it")
        goes_on = headers.get("Accept-Ranges", "").lower() != "none"
        self._begin(int(length), validator(headers) if goes_on else "")

    def _go_on(self, response: Response, url: Url) -> None:
        """Judge the head of an answer that should bring the rest."""
        part = self._part
        if not part.size:
            raise FetchFailed(f"the server sends a part that nobody asked for: {url.shown}: ask who runs it")
        if response.status == 416:
            raise _Anew
        if response.status != 206:  # it was there a moment ago: a signed address that ran out, say
            failure = gone_wrong(response.status, response.reason or "", url)
            raise FetchFailed(f"{failure.message}: in the middle of the transfer")
        try:
            found = range_of(response.headers)
        except Refused:
            raise _Anew from None
        name = "etag" if part.validator.startswith('"') else "last-modified"
        same = response.headers.get(name, part.validator) == part.validator
        if not same or (found.start, found.size) != (part.size, part.total):
            raise _Anew

    def _begin(self, total: int | None, validator: str) -> None:
        if self._most and (total or 0) > self._most:
            raise TooBig(f"the file has {total} bytes: max_source_bytes: {self._most} are allowed")
        self._part.total, self._part.validator = total, validator

    def _take(self, coming: Iterator[bytes | memoryview], *, fetched: bool = True, rate: int = 0) -> None:
        """Write all that comes; `fetched`: over the network, `rate`: at most so many bytes a second."""
        part, line, most, pace = self._part, self._line, self._most, Pace(self._line.crew.check)
        if part.total is None or part.total - part.size > SMALL:
            line.crew.share_core(False)
        with self._room() as wrote:
            for piece in coming:
                size = len(piece)
                if fetched:  # by what looks itself whether it is time to end, more often
                    line.crew.count(size)
                else:
                    line.crew.check()
                if most and part.size + size > most:
                    raise TooBig(f"the file is larger than {most} bytes: max_source_bytes: raise it to serve it")
                if part.total is not None and part.size + size > part.total:
                    raise Broken("more came than was promised")
                wrote(size)
                part.write(piece)
                if part.total:
                    self._on_part(part.size / part.total)
                if rate:
                    pace.spend(size, rate)

    @contextmanager
    def _room(self) -> Iterator[Callable[[int], None]]:
        """Room on the disk for what is to come; give the function each number of bytes before they are written."""
        space, part = self._line.space, self._part
        if not space:
            yield lambda size: None
            return
        kept = (part.total - part.size) if part.total is not None else AHEAD
        disk, written = space.expect(self._line.folder, kept), 0

        def wrote(size: int) -> None:
            nonlocal kept, written
            written += size
            if written > kept or written >= AHEAD:
                space.arrived(disk, min(written, kept))
                kept, written = kept - min(written, kept), 0
            if not kept and part.total is None:
                kept = AHEAD
                space.expect(self._line.folder, AHEAD)

        try:
            yield wrote
        finally:
            space.arrived(disk, kept)
