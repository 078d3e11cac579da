"""What the heads of HTTP answers mean, for whoever reads a source: failures, validators, the way of redirects."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime

from videod.errors import Denied, Failure, FetchFailed, NotFound
from videod.transfer.parts import Refused
from videod.transfer.urls import Url, redirected

MAX_HOPS = 10
_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)", re.IGNORECASE)
_TEXT = re.compile(r"text/html|(text|application)/([a-z.-]+\+)?xml|multipart/", re.IGNORECASE)
_STRONG_ETAG = re.compile(r'"[\x21\x23-\x7e]*"')


@dataclass
class Hops:
    """The way from an address through its redirects: `url` is where it has led so far.

    `secure` tells that TLS was left behind or is in use: from then on no secret is sent in clear.
    """

    url: Url
    secure: bool = False
    _seen: set[str] = field(default_factory=set)

    def enter(self) -> bool:
        """Before `url` is asked: whether it may be told secrets. FetchFailed when the way has no end."""
        if self.url.text in self._seen or len(self._seen) > MAX_HOPS:
            what = "redirects in a circle" if self.url.text in self._seen else f"more than {MAX_HOPS} redirects"
            raise FetchFailed(f"{what}: {self.url.shown}: ask who runs the server")
        self._seen.add(self.url.text)
        self.secure = self.secure or self.url.scheme == "https"
        return self.url.scheme == "https" or not self.secure

    def follow(self, location: str, longest: int = 8192) -> None:
        """Go on to where a Location header leads; FetchFailed without one, or with one that was cut."""
        if not location or len(location) > longest:
            shown = self.url.shown
            raise FetchFailed(f"a redirect without an address, or with one too long: {shown}: ask who runs the server")
        self.url = redirected(self.url, location)


def gone_wrong(status: int, reason: str, url: Url) -> Failure:
    """The failure that a status means. 4xx that the contract does not list are the server's refusal."""
    said = "".join(sign for sign in reason[:80] if sign.isprintable())
    text = f"the server answered {status} {said}".rstrip() + f": {url.shown}"
    if status in (404, 410):
        return NotFound(text)
    if 400 <= status < 500 and status not in (407, 408, 425, 429):
        return Denied(text)
    return FetchFailed(text)


def validator(headers: Mapping[str, str]) -> str:
    """What If-Range may hold: a strong ETag, or a date old enough to be strong; empty: neither was sent."""
    etag = headers.get("etag", "")
    if _STRONG_ETAG.fullmatch(etag):
        return etag
    changed, now = headers.get("last-modified", ""), headers.get("date", "")
    try:
        age = parsedate_to_datetime(now) - parsedate_to_datetime(changed)
    except (TypeError, ValueError, OverflowError):
        return ""
    return changed if age.total_seconds() >= 1 and changed.isprintable() else ""  # no folded line


@dataclass(frozen=True)
class Range:
    """A Content-Range, whose `stop` is behind the last byte."""

    start: int
    stop: int
    size: int


def range_of(headers: Mapping[str, str]) -> Range:
    """What a 206 says that it brings; Refused where it says nothing that could be relied on."""
    if _TEXT.match(headers.get("Content-Type", "")):
        raise Refused(f"it is {headers['Content-Type'].partition(';')[0][:80]}")
    if headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Refused("the body is compressed though identity was asked for")
    if headers.get("Transfer-Encoding", "identity").lower() not in ("identity", "chunked"):
        raise Refused("the body is coded for its transfer")
    found = _RANGE.fullmatch(headers.get("Content-Range", "").strip())
    if not found or found[3] == "*":
        raise Refused("the server does not say which range it sends" if not found else "the size is not known")
    made = Range(int(found[1]), int(found[2]) + 1, int(found[3]))
    if not made.start < made.stop <= made.size:
        raise Refused("the server sends a range that cannot be")
    if headers.get("Content-Length", str(made.stop - made.start)) != str(made.stop - made.start):
        raise Refused("the server promises another length than that of the range")
    return made
