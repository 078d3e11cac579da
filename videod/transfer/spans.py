"""Which bytes to ask for: spans of a source merged, joined over small gaps, and cut for several connections.

A span is (start, stop), in bytes from the start of the source, without the byte at `stop`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence

Span = tuple[int, int]

# A request costs a round trip of one connection, 600 bytes of heads and 0.4 ms of this machine. In a round trip of
# 40 ms each of four connections brings 64 KiB where the link has 50 Mbit/s: wider gaps are cheaper left out.
JOIN = 64 << 10
# below this a connection of its own brings nothing: its first round trips are slow
LEAST_PIECE = 1 << 20
MOST_PIECE = 16 << 20
# a forged index may name millions of places, each worth a request, or a piece of a source larger than all disks
MOST_SPANS = 4096
MOST_PIECES = 8192


def joined(spans: Iterable[Span], gap: int = JOIN) -> list[Span]:
    """The same bytes in order, none twice; spans that lie at most `gap` bytes apart are one. Empty ones go.

    The gap is made wider where more than MOST_SPANS would be left.
    """
    made = _joined(spans, gap)
    while len(made) > MOST_SPANS:
        gap *= 2
        made = _joined(made, gap)
    return made


def _joined(spans: Iterable[Span], gap: int) -> list[Span]:
    made: list[Span] = []
    for start, stop in sorted(span for span in spans if span[0] < span[1]):
        if made and start - made[-1][1] <= gap:
            made[-1] = (made[-1][0], max(made[-1][1], stop))
        else:
            made.append((start, stop))
    return made


def behind(spans: Iterable[Span], begin: int) -> list[Span]:
    """What of the spans lies at or behind `begin`."""
    return [(max(start, begin), stop) for start, stop in spans if stop > begin]


def length(spans: Iterable[Span]) -> int:
    """All bytes of spans that do not overlap."""
    return sum(stop - start for start, stop in spans)


def without(spans: Iterable[Span], taken: Iterable[Span]) -> list[Span]:
    """What of the spans, which do not overlap, lies in none of those `taken`; in order."""
    left, holes = [], joined(taken, 0)
    for start, stop in sorted(spans):
        low = bisect_left(holes, start, key=lambda hole: hole[1])
        at = start
        for begin, end in holes[low : bisect_left(holes, stop, key=lambda hole: hole[0])]:
            if at < begin:
                left.append((at, begin))
            at = max(at, end)
        if at < stop:
            left.append((at, stop))
    return left


def pieces(spans: Sequence[Span], connections: int, most: int = MOST_PIECE) -> list[Span]:
    """The spans in pieces of up to `most` bytes, so that each of the connections has something to do.

    They are longer where more than MOST_PIECES would be made of one span.
    """
    total = length(spans)
    size = max(min(-(-total // connections), most), LEAST_PIECE, total // MOST_PIECES)
    return [(at, min(at + size, stop)) for start, stop in spans for at in range(start, stop, size)]
