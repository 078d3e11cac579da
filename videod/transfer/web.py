"""Fetch one http or https source whole: hops checked by us, broken transfers taken up again.

A body is whole when it has the length that was promised, never because a tool said so. A transfer that was
cut goes on behind what came, under If-Range, so that a source that changed meanwhile is sent anew instead of
being glued to the old part.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from videod.config import Settings
from videod.errors import Failure, FetchFailed, TooBig
from videod.process import Tools
from videod.transfer import wget
from videod.transfer.answers import Hops, gone_wrong, validator
from videod.transfer.chunked import fetch_chunked
from videod.transfer.door import Door
from videod.transfer.guard import Guard
from videod.transfer.http import REDIRECTS
from videod.transfer.landing import disk_full
from videod.transfer.sources import authorized, source_of
from videod.transfer.urls import Url

MAX_TRIES = 6
MAX_ANEW = 2
_NO_SPACE = re.compile(r"No space left on device|Disk quota exceeded")


class _Anew(Exception):
    """What came so far is of no use: the source changed, or its server cannot go on."""


class _Full(Exception):
    """There is no room for the body until another job ends."""


class _Chunked(Exception):
    """The body comes in chunks, whose end wget does not check."""


@dataclass
class _Part:
    """What is known of a body of which a part came: its length and what it is recognized by."""

    promised: int | None = None
    validator: str = ""
    go_on: bool = False


@dataclass
class Web:
    """One fetch into `path`. `on_progress` gets the part that came, 0 to 1, where the length is known."""

    path: Path
    settings: Settings
    tools: Tools
    guard: Guard
    on_progress: Callable[[float], None]
    received: int = 0

    def run(self, url: Url) -> Url:
        """Fetch, and return the address that the body came from. `received` adds up bodies, tries included."""
        hops = Hops(url)
        with Door(self.settings.proxy, idle=self.tools.stall_timeout or 3600.0) as door:
            while True:
                answer = self._body(hops.url, door, trusted=hops.enter())
                if answer.status not in REDIRECTS:
                    return hops.url
                hops.follow(answer.headers.get("location", ""), wget.LONGEST_HEADER - len("Location: ") - 1)

    def _body(self, url: Url, door: Door, trusted: bool) -> wget.Answer:
        """The whole body, or the answer that redirects."""
        source = source_of(url, self.settings.sources)
        request = wget.Request(url, self.path, source, authorized(url, source, trusted))
        part, anew = _Part(), 0
        for tried in range(1, MAX_TRIES + 1):
            before = wget.size_of(self.path) if part.go_on else 0
            try:
                answer = self._once(request, door, part)
                if answer is not None:
                    return answer
                if wget.size_of(self.path) <= before or tried == MAX_TRIES:
                    break
                part.go_on = bool(part.validator)
            except _Chunked:
                return self._chunked(request)
            except _Full:
                # not while wget holds the body back: that would pass for a stall
                if self.tools.room:
                    self.tools.room.wait(part.promised or 0)
                part, anew = _Part(), anew - 1
            except _Anew:
                part = _Part()
            anew += not part.go_on
            if anew > MAX_ANEW:
                break
            self.tools.cancel.wait(0.1 * tried)
        came = f"{wget.size_of(self.path)} of {part.promised or 'unknown'} bytes came"
        raise FetchFailed(f"the transfer broke off: {url.shown}: {came} in {tried} tries")

    def _chunked(self, request: wget.Request) -> wget.Answer:
        try:
            fetch_chunked(request, self.settings, self.tools, self.guard)
        finally:
            self.received += wget.size_of(self.path)
        self.on_progress(1.0)
        return wget.Answer(status=200)

    def _once(self, request: wget.Request, door: Door, part: _Part) -> wget.Answer | None:
        """One try; None when the body was cut."""
        url = request.url
        self._permit(door, url)
        before = wget.size_of(self.path) if part.go_on else self._emptied()
        headers = (*request.headers, f"If-Range: {part.validator}") if part.go_on else request.headers
        request = replace(request, headers=headers, go_on=part.go_on, most=self.settings.max_source_bytes)
        try:
            answer = wget.run(
                request,
                door,
                self.tools,
                lambda found: self._look(found, part, before),
                lambda size: self._progress(size, part),
            )
        finally:
            self.received += max(0, wget.size_of(self.path) - before)
        if _NO_SPACE.search(answer.said):
            raise disk_full(self.path)
        return self._judge(answer, url, door, part)

    def _judge(self, answer: wget.Answer, url: Url, door: Door, part: _Part) -> wget.Answer | None:
        if door.failure or not answer.status:
            why = door.failure or " ".join(answer.said.split())[:300] or "no HTTP answer"
            raise FetchFailed(f"cannot fetch: {url.shown}: {why}", detail=answer.said)
        if answer.status in REDIRECTS and not part.go_on:
            return answer
        if answer.status == 416 and part.go_on:
            raise _Anew
        if answer.status != (206 if part.go_on else 200):
            raise _gone_wrong(answer, url, part.go_on)
        size = wget.size_of(self.path)
        whole = answer.code == 0 if part.promised is None else size == part.promised
        if not whole:
            return None
        self.on_progress(1.0)
        return answer

    def _permit(self, door: Door, url: Url) -> None:
        if self.settings.proxy:
            self.guard.check_unresolved(url.host, url.port)
            door.permit(url.host, url.port, ())
        else:
            door.permit(url.host, url.port, self.guard.resolve(url.host, url.port))

    def _emptied(self) -> int:
        self.path.unlink(missing_ok=True)
        return 0

    def _progress(self, size: int, part: _Part) -> None:
        if part.promised:
            self.on_progress(min(size / part.promised, 1.0))

    def _look(self, answer: wget.Answer, part: _Part, before: int) -> None:
        """Judge a head while it comes, before the body does."""
        if part.go_on:
            _check_part(answer, part, before)
        elif answer.status == 200:
            self._check_whole(answer, part)

    def _check_whole(self, answer: wget.Answer, part: _Part) -> None:
        headers = answer.headers
        if headers.get("content-encoding", "identity").lower() != "identity":
            raise FetchFailed("the body is compressed though identity was asked for: ask who runs the server")
        if headers.get("transfer-encoding", "").lower() not in ("", "identity"):
            raise _Chunked
        if headers.get("content-length") == "contradictory":
            raise FetchFailed("the server promises two lengths at once: ask who runs it")
        part.promised, part.validator = answer.length, _validator(headers)
        most = self.settings.max_source_bytes
        if most and (part.promised or 0) > most:
            raise TooBig(f"the source has {part.promised} bytes: max_source_bytes: {most} are allowed")
        if self.tools.room and not self.tools.room.fits(part.promised or 0):
            raise _Full


def _check_part(answer: wget.Answer, part: _Part, before: int) -> None:
    """Raise _Anew where the answer is no continuation of what came."""
    if answer.status == 200:
        raise _Anew
    if answer.status != 206:
        return
    headers = answer.headers
    found = headers.get("content-range")
    if found is not None and found.replace(" ", "").lower() != (
        f"bytes{before}-{(part.promised or 0) - 1}/{part.promised}"
    ):
        raise _Anew
    if part.validator.startswith('"') and headers.get("etag", part.validator) != part.validator:
        raise _Anew
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise _Anew


def _validator(headers: dict[str, str]) -> str:
    """What If-Range may hold; empty: do not go on."""
    if headers.get("accept-ranges", "").lower() == "none" or "content-length" not in headers:
        return ""
    return validator(headers)


def _gone_wrong(answer: wget.Answer, url: Url, go_on: bool) -> Failure:
    failure = gone_wrong(answer.status, answer.reason, url)
    # it was there a moment ago: a signed address that ran out, say
    return FetchFailed(f"{failure.message}: in the middle of the transfer") if go_on else failure
