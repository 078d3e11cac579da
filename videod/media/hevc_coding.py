"""HEVC in a smart cut: each IRAP picture of the output, copied or encoded, brings its parameter sets with it.

A copy that begins at a CRA picture leaves out its RASL pictures, which lean on what is before it; the picture then
calls itself BLA. RADL pictures lean on their IRAP picture alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from videod.codec.hevc import (
    Hevc,
    HevcFacts,
    cra_to_bla,
    delimiter,
    hevc_facts,
    with_sets_in_band,
)
from videod.codec.hevc_onto import HevcSource
from videod.codec.hevc_sei import display_sei
from videod.codec.nal import join, split
from videod.codec.onto import Misfit
from videod.codec.records import HevcConfig
from videod.media.coding import Changed, Coding, Parts, Stored
from videod.media.edges import Encoded, Encoder
from videod.media.splice import Edge, Role
from videod.media.tracks import with_config
from videod.mp4.boxes import BadMp4
from videod.mp4.entries import child

# of 1080p: 1.6 dB more than x264 at veryfast and 18, for 2.5 times its work; veryfast is a third more for 0.3 dB
SPEED, QUALITY = "superfast", 18
_ENTRIES = (b"hvc1", b"hev1")
# Dolby Vision, and layers beside the base
_MORE = (b"dvcC", b"dvvC", b"dvwC", b"lhvC")


def patched(place: range, changed: Mapping[int, bytes], skip: int) -> Parts:
    """A sample that lies at `place`, from byte `skip` on, with some bytes changed."""
    parts: list[bytes | range] = []
    for at, byte in changed.items():
        parts += (place[skip:at], byte)
        skip = at + 1
    return (*parts, place[skip:])


class HevcCoding(Coding):
    """Of a track with hvcC."""

    def __init__(self, stored: Stored) -> None:
        super().__init__(stored)
        entry = stored.tracks.video.entry
        more = [kind for kind in _MORE if child(entry, b"vide", kind) is not None]
        if entry[4:8] not in _ENTRIES or more:
            raise Misfit(f"a sample entry {entry[4:8]!r} with {more}")
        config = HevcConfig.read(stored.tracks.config(b"hvcC"))
        self._source = HevcSource.read(config)
        self._size = config.length_size
        self._told = tuple(nal for array in config.arrays if array.nal_type == Hevc.PREFIX_SEI for nal in array.nals)
        self._edges = 0
        # the first part's sets, where that is an edge
        self._first: tuple[bytes, ...] = ()

    def role(self, n: int) -> Role:
        """By its type."""
        facts = self._facts(n)
        if facts.rasl:
            return Role.LOST
        if facts.radl:
            return Role.EARLY
        # one that discards what is not shown yet would take frames of the head with it
        return Role.START if (facts.idr or facts.cra or facts.bla) and not facts.discards else Role.PLAIN

    def copied(self, copied: Sequence[int]) -> Mapping[int, Changed]:
        """The IRAP pictures that lack sets, and the CRA pictures: the first, and the others to be decoded alone."""
        pts, first, entered = self.stored.tracks.pts, copied[0], True
        radl = any(pts[n] < pts[first] for n in copied)
        found: dict[int, Changed] = {}
        for n in copied:
            sample = self.stored[n]
            facts = hevc_facts(sample, self._size)
            if reason := self._source.picture_why_not(facts):
                raise Misfit(reason)
            entered = entered and (n == first or not facts.irap)
            if entered and facts.rasl:
                raise Misfit("a picture leans on what is before the copy")
            complete = set(self._source.sets) <= set(facts.sets)
            if facts.cra or (facts.irap and not complete):
                found[n] = self._changed(n, sample, facts, complete, first=n == first, radl=radl)
        return found

    def _changed(self, n: int, sample: bytes, facts: HevcFacts, complete: bool, *, first: bool, radl: bool) -> Changed:
        """An IRAP picture with the source's sets before it, and what hvcC tells about display."""
        place, front, sets = self.stored.place(n), 0, b""
        if not complete:
            front, told = delimiter(sample, self._size), display_sei(self._told)
            sets = join([*self._source.sets, *([told] if told else [])], self._size)
        same: Parts = (place[:front], sets, place[front:])
        if not facts.cra:
            return Changed(same, same)
        # not the bytes: key frames of hours would fill the memory
        changes = cra_to_bla(sample, self._size, radl=radl and first)
        bla = place[:front], sets, *patched(place, changes, front)
        # after a CRA picture that is entered a decoder may throw away what it has not shown; not so after a BLA picture
        return Changed(bla if first else same, bla)

    def needed(self, edge: Edge) -> list[int]:
        """All but what is shown before the first, and lost without what is before that. What nothing leans on, too:
        other pictures may name it, and a decoder misses it then."""
        pts, begin = self.stored.tracks.pts, edge.samples.start
        return [n for n in edge.samples if pts[n] >= pts[begin]]

    def encoder(self, pix_fmt: str, threads: int) -> Encoder:
        """x265 with the source's format and no more reordering than it has."""
        edge = self._source.edge()
        return Encoder(["-c:v", "libx265", "-preset", SPEED, "-crf", str(QUALITY), *edge.argv(threads)], edge.chain)

    def edge(self, made: Encoded, beside: int, *, first: bool) -> Sequence[bytes]:
        """With sets of its own, in what the source's have in common with them."""
        body = child(made.track.entry, b"vide", b"hvcC")
        if body is None:
            raise BadMp4("an edge without hvcC")
        config = HevcConfig.read(body)
        moved = self._source.moved(config, made.samples, self._edges)
        self._edges += 1
        facts = [hevc_facts(sample, config.length_size) for sample in made.samples]
        if not facts[0].idr or any(fact.irap for fact in facts[1:]):
            raise Misfit("an edge that is not one IDR picture and what follows from it")
        told = display_sei([*split(self.stored[beside], self._size), *self._told])
        front = with_sets_in_band(moved.samples[0], [*moved.sets, *([told] if told else [])], config.length_size)
        self._first = moved.sets if first else self._first
        return [join(split(sample, config.length_size), self._size) for sample in (front, *moved.samples[1:])]

    @property
    def entry(self) -> bytes:
        """hvc1, with the first part's sets."""
        made = with_config(self.stored.tracks.video.entry, b"hvcC", self._source.record(self._first))
        return made[:4] + b"hvc1" + made[8:]

    def _facts(self, n: int) -> HevcFacts:
        return hevc_facts(self.stored[n], self._size)
