"""Which packets of a copy to keep, told by their place in the order in which ffmpeg reads them.

A packet filter of ffmpeg can drop packets by an expression, but which clock their times are in when it sees
them depends on ffmpeg's version and on the muxer. Their number does not: so a dry run with the same seek
lists the packets first.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise

from videod.media.model import Plan
from videod.media.sound import Span
from videod.media.sums import total

MOST_HOLES = 200


@dataclass
class Listing:
    """What `-f framecrc` printed: for each stream its time base and (time stamp, duration) of its packets."""

    bases: dict[int, Fraction] = field(default_factory=dict)
    packets: dict[int, list[tuple[int, int]]] = field(default_factory=dict)

    def add(self, line: str) -> None:
        """One line."""
        if line.startswith("#tb "):
            number, _, base = line[4:].partition(":")
            self.bases[int(number)] = Fraction(base.strip())
        elif line[:1].isdigit():
            stream, _, pts, lasts = (int(cell) for cell in line.split(",")[:4])
            self.packets.setdefault(stream, []).append((pts, lasts))


@dataclass(frozen=True)
class Pick:
    """Packets `low` to `high`, but not `holes`."""

    low: int
    high: int
    holes: tuple[int, ...] = ()

    @property
    def drop(self) -> str:
        """The expression that is true for the packets to leave out."""
        return total([f"lt(n,{self.low})", f"gt(n,{self.high})", *(f"eq(n,{hole})" for hole in self.holes)])


def picture(listing: Listing, plan: Plan) -> Pick | None:
    """The packets of exactly the plan's frames; None if they are not all there, each once."""
    base, wanted = listing.bases.get(0, Fraction(1)), set(plan.pts)
    scale = base / plan.time_base
    found = [n for n, (pts, _) in enumerate(listing.packets.get(0, ())) if pts * scale in wanted]
    if len(found) != len(wanted):
        return None
    inside = set(found)
    holes = tuple(n for n in range(found[0], found[-1]) if n not in inside)
    return Pick(found[0], found[-1], holes) if len(holes) <= MOST_HOLES else None


def sound(listing: Listing, stream: int, bounds: tuple[Fraction, Fraction | None]) -> tuple[Pick, Span] | None:
    """The coded frames of a track that lie within `bounds` or straddle them, and the one before; None if there
    are none. Without the one before, the first would decode to something softer: coded frames overlap."""
    begin, end = bounds
    base, found = listing.bases.get(stream, Fraction(1)), []
    packets = _lasting(listing.packets.get(stream, []))
    span: Span | None = None
    for n, (pts, lasts) in enumerate(packets):
        start, length = pts * base - begin, lasts * base
        if start + length > 0 and (end is None or start < end - begin):
            found.append(n)
            here = Span(max(start, Fraction(0)), start + length, length)
            span = span.grown(here) if span else here
    return (Pick(found[0] - _joins(packets, found[0]), found[-1]), span) if span else None


def _lasting(packets: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """With the lengths that a container does not tell: the shortest way from such a packet to the next."""
    ways = [b - a for (a, lasts), (b, _) in pairwise(packets) if not lasts and b > a]
    return [(pts, lasts or min(ways)) for pts, lasts in packets] if ways else packets


def _joins(packets: list[tuple[int, int]], n: int) -> bool:
    """Whether the packet before is as long as this one and leads up to it: one that stands for a pause, too,
    makes players skip more than it holds."""
    if not n:
        return False
    (before, lasted), (pts, lasts) = packets[n - 1], packets[n]
    return lasted <= lasts and abs(before + lasted - pts) <= 1
