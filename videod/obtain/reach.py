"""A part is made of units, segments or clusters: as many as it takes to hold what a clip needs."""

from __future__ import annotations

from collections.abc import Callable

from videod.media.excerpt import lacks
from videod.media.model import Source
from videod.obtain.wish import Wish


def reach(wish: Wish, span: range, count: int, make: Callable[[range], Source]) -> tuple[Source, range]:
    """What `make` makes of so many of `count` units, from those in `span` on, that it lacks nothing; which those are.

    `make` raises where that are too many.
    """
    more = 1
    while True:
        source = make(span)
        first, last = span.start == 0, span.stop == count
        before, behind = lacks(source.frames, wish.start, wish.end, first=first, last=last)
        if not before and not behind:
            return source, span
        span = range(max(0, span.start - more * before), min(count, span.stop + more * behind))
        more *= 2
