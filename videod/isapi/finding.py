"""Find recordings: pages of a search put together, whatever the recorder says of how many there are. Pure.

What recorders do: give 40 or 64 at once whatever was asked for; say MORE with an empty page, or for ever; stop at 4000
and say OK; give a page again; begin a page with what the last one ended with. So nothing of what they say is
believed: a search ends with the first page that brings nothing new, and another goes on where the last recording
began, until that brings nothing new either.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from videod.isapi.clock import read
from videod.isapi.document import Node

# what most recorders give at once; some refuse a search that asks for more
PAGE = 40
MOST = 100_000
# two that follow one another at once may be written down as a second apart
SEAM = timedelta(seconds=2)
_NAME = re.compile(r"[?&]name=([^&]{1,200})")
_SIZE = re.compile(r"[?&]size=(\d{1,15})(?:&|$)")


@dataclass(frozen=True, order=True)
class Found:
    """A recording, as a file of the recorder. Times are those of its clock; `uri` goes back to it as it came.

    `growing`: it was still being written when it was found.
    """

    track: int
    start: datetime
    end: datetime
    uri: str
    growing: bool = False

    @property
    def key(self) -> tuple[object, ...]:
        """What it is known by: of one that is still being written, end and address change from search to search."""
        found = _NAME.search(self.uri)
        return (self.start, found[1]) if found else (self.start, self.end, self.uri)

    @property
    def size(self) -> int:
        """Its bytes as its address tells them, 0 if it does not: a hint."""
        found = _SIZE.search(self.uri)
        return int(found[1]) if found else 0


@dataclass(frozen=True)
class Page:
    """What one answer brings, and how many items it had, sound or not."""

    found: tuple[Found, ...]
    items: int
    more: bool


# (from, to, position) of a search → a page; a search of other bounds is another search
Ask = Callable[[datetime, datetime, int], Page]


class TooMany(ValueError):
    """More recordings than any span that one asks for."""


def page_of(answer: Node, track: int) -> Page:
    """The recordings of this track in an answer; what cannot be understood is left out."""
    items = list(answer.all("searchMatchItem"))
    found = [made for made in (_found(item, track) for item in items) if made]
    # OK, MORE, NO MATCHES; it is spelt so
    return Page(tuple(found), len(items), answer.text("responseStatusStrg").upper() == "MORE")


def _found(item: Node, track: int) -> Found | None:
    named, uri = item.text("trackID"), item.verbatim("playbackURI")
    try:
        start, _ = read(item.text("startTime"))
        end, _ = read(item.text("endTime"))
    except ValueError:
        return None
    if not uri.strip() or end < start or (named and named != str(track)):
        return None
    return Found(track, start, end, uri)


def find(ask: Ask, begin: datetime, end: datetime) -> list[Found]:
    """All recordings that overlap [begin, end), in order. Raises TooMany, and what `ask` raises."""
    known: dict[tuple[object, ...], Found] = {}
    at = begin
    while True:
        before = len(known)
        _one_search(ask, at, end, known)
        last = max(known.values(), default=None)
        if last is None or len(known) == before or last.start <= at:
            break
        at = last.start
    # one that lasts no time at all is a moment of its span
    return sorted(one for one in known.values() if one.start < end and (one.end > begin or one.start >= begin))


def _one_search(ask: Ask, begin: datetime, end: datetime, known: dict[tuple[object, ...], Found]) -> None:
    position = 0
    while True:
        page = ask(begin, end, position)
        fresh = {one.key: one for one in page.found}
        new = fresh.keys() - known.keys()
        known |= fresh
        if len(known) > MOST:
            raise TooMany(f"more than {MOST} recordings: ask for a shorter span")
        # the first page of a search that goes on from another may hold nothing but what that one ended with
        if not page.items or not page.more or (position and not new):
            return
        position += page.items


def marked(found: Sequence[Found], now: datetime, margin: timedelta) -> list[Found]:
    """The same, those marked whose end is not over for so long: `now` on the recorder's clock."""
    return [replace(one, growing=one.end > now - margin) for one in found]


def joined(found: Sequence[Found]) -> list[list[Found]]:
    """What follows at once upon another of its track belongs together: the files of one recording."""
    made: list[list[Found]] = []
    for one in found:
        last = made[-1] if made else []
        fits = last and last[-1].track == one.track and abs(one.start - last[-1].end) <= SEAM
        if fits and one.start > last[-1].start:
            last.append(one)
        else:
            made.append([one])
    return made
