"""What the heads of HTTP answers mean, for whoever reads a source: failures, validators, the way of redirects."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime

from videod.errors import Denied, Failure, FetchFailed, NotFound
from videod.transfer.urls import Url, redirected

MAX_HOPS = 10
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
    text = f"the server answered {status} {reason}".rstrip() + f": {url.shown}"
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
    return changed if age.total_seconds() >= 1 else ""
