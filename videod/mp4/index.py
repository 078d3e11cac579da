"""The index of a file of which only that is read: moov, or the moof of the fragments that a span of time needs.

Times of sidx and mfra are hints of where to begin. What counts is what fragments say themselves, so that a
wrong hint costs reads and no pictures.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import replace
from fractions import Fraction

from videod.mp4.boxes import SHORT, BadMp4, Box
from videod.mp4.chain import Chain, Fragment
from videod.mp4.model import Movie, Samples, join
from videod.mp4.points import find_points
from videod.mp4.reader import read_movie
from videod.mp4.segments import Point
from videod.mp4.window import Read, Window

PROBE = 1 << 16
# a tail of the file that is not longer is read at once: it is most likely moov
TAIL = 1 << 20
MOST_MOOV = 256 << 20
MOST_BRANDS = 1 << 12
MOST_READS = 1000
# fragments may hold one track each, so that some follow before all tracks have been seen
MOST_APART = 8
# what files begin with, to tell what is no MP4 at once
_BEGINS = frozenset({b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"uuid", b"styp", b"sidx", b"pdin"})
_MOST_TOP = 256
_TIMED = frozenset({b"vide", b"soun"})


class Index:
    """What is known of a file. `movie`: all samples of a plain file; of a fragmented one those in moov."""

    def __init__(self, window: Window, movie: Movie, chain: Chain | None, points: list[Point]) -> None:
        self._window = window
        self._chain = chain
        self._points = points
        self.movie = movie

    @property
    def bytes_read(self) -> int:
        """All that was read so far."""
        return self._window.bytes_read

    @property
    def reads(self) -> int:
        """In how many pieces."""
        return self._window.reads

    @property
    def first(self) -> Movie:
        """The movie from its begin on, as far as it takes to see the first samples of picture and sound."""
        if self._chain is None:
            return self.movie
        seen: list[Fragment] = []
        for fragment in self._chain.after(None):
            seen.append(fragment)
            if len(seen) > MOST_APART or self._timed() <= _tracks(seen):
                break
        return self._joined(seen)

    def span(self, start: Fraction, end: Fraction) -> Movie:
        """The movie with at least the samples that are shown in [start, end), and those to decode them.

        Seconds on the movie's clock: edit lists applied, but for unusual ones. From a key frame of the lead track
        on. A plain movie is given whole.
        """
        if self._chain is None:
            return self.movie
        at = max(0, bisect_right(self._points, start, key=lambda point: point.time) - 1)
        found = self._from(self._chain, at, None)
        reached, spare = self._reaches(found, start), 1
        while at > 0 and not (reached and (not spare or not self._late(found, start))):
            spare -= reached
            at -= 1
            part = self._from(self._chain, at, found[0] if found else None)
            if part:
                reached = reached or self._reaches(part, start)
                found = part + found
        self._extend(self._chain, found, end)
        return self._joined(found[self._begin(found, start) :])

    def _from(self, chain: Chain, at: int, stop: Fragment | None) -> list[Fragment]:
        """The fragments from a point up to one; only the first if None."""
        first = chain.at(self._points[at].offset)
        if first is None or (stop is not None and first.offset >= stop.offset):
            return []
        found = [first]
        while stop is not None:
            following = next(chain.after(found[-1]), None)
            if following is None or following.offset >= stop.offset:
                break
            found.append(following)
        return found

    def _extend(self, chain: Chain, found: list[Fragment], end: Fraction) -> None:
        """Add what follows, until each track has passed `end`."""
        lead = self.movie.lead
        lowest: dict[int, int] = {}
        passed = {n for part in found for n in self._passed(part, end, lowest)}
        following = chain.after(found[-1] if found else None)
        apart = 0
        while lead is None or lead.id not in passed or not _tracks(found) & self._timed() <= passed:
            fragment = next(following, None)
            if fragment is None or apart == MOST_APART:
                break
            apart += lead is None or lead.id in passed
            found.append(fragment)
            passed |= self._passed(fragment, end, lowest)

    def _passed(self, part: Fragment, end: Fraction, lowest: dict[int, int]) -> set[int]:
        """The tracks of which nothing is shown before `end` from this fragment on.

        Later samples may be shown before those here, by as much as pts lies before dts anywhere: `lowest`.
        """
        passed = set()
        for number, begin in part.begins.items():
            lowest[number] = min(lowest.get(number, 0), begin.shift)
            if self._seconds(number, min(begin.pts, begin.dts + lowest[number])) >= end:
                passed.add(number)
        return passed

    def _begin(self, found: list[Fragment], start: Fraction) -> int:
        """The last fragment from which all that is shown at `start` can be decoded."""
        for n in range(len(found) - 1, -1, -1):
            if self._reaches(found[n : n + 1], start):
                # of a track that begins later here, the sample before lies in the fragment before
                return max(0, n - 1) if self._late(found[n:], start) else n
        return 0

    def _reaches(self, found: list[Fragment], start: Fraction) -> bool:
        """Whether the lead track has a key frame that is shown at `start` or before."""
        lead = self.movie.lead
        if lead is None:
            return True
        limit = (start - self._seconds(lead.id, 0)) * lead.timescale
        parts = [part.samples[lead.id] for part in found if lead.id in part.samples]
        return any(sync and pts <= limit for part in parts for pts, sync in zip(part.pts, part.sync, strict=True))

    def _late(self, found: list[Fragment], start: Fraction) -> bool:
        """Whether picture or sound begins after `start` here."""
        firsts: dict[int, int] = {}
        for part in found:
            for number, begin in part.begins.items():
                firsts[number] = min(begin.pts, firsts.get(number, begin.pts))
        return any(number in self._timed() and self._seconds(number, pts) > start for number, pts in firsts.items())

    def _seconds(self, number: int, ticks: int) -> Fraction:
        """A track's time on the movie's clock."""
        track = self.movie.track(number)
        assert track is not None
        return Fraction(ticks, track.timescale) + (track.shift(self.movie.timescale) or 0)

    def _timed(self) -> set[int]:
        return {track.id for track in self.movie.tracks if track.handler in _TIMED}

    def _joined(self, found: list[Fragment]) -> Movie:
        tracks = []
        for track in self.movie.tracks:
            parts = [part.samples[track.id] for part in found if track.id in part.samples]
            tracks.append(replace(track, samples=join(parts) if parts else Samples()))
        return replace(self.movie, tracks=tuple(tracks))


def load(read: Read, size: int, most_reads: int = MOST_READS) -> Index:
    """Read the index of a file of `size` bytes by `read(offset, length)`, which gives all bytes that it is asked for.

    `most_reads` bounds the reads of later spans, too. Raises BadMp4, and what `read` raises.
    """
    window = Window(read, size, most_reads)
    moov, brands = _find_moov(window)
    if moov.end - moov.start > MOST_MOOV:
        raise BadMp4(f"moov has a size of {moov.end - moov.start}")
    movie = read_movie(window.get(moov.start, moov.end - moov.start), size, brands)
    if not movie.fragmented:
        return Index(window, movie, None, [])
    return Index(window, movie, Chain(window, movie, moov.end), find_points(window, movie, moov.end))


def _find_moov(window: Window) -> tuple[Box, tuple[bytes, ...]]:
    """moov, and the brands of ftyp if it comes before."""
    at = 0
    brands: tuple[bytes, ...] = ()
    for _ in range(_MOST_TOP):
        left = window.size - at
        if left < SHORT:
            break
        box = window.box(at, left if left <= TAIL and at else PROBE)
        if at == 0 and box.kind not in _BEGINS:
            raise BadMp4("this is no MP4")
        if box.kind == b"moov":
            return box, brands
        if box.kind == b"moof":
            raise BadMp4("fragments without a moov before them are not read")
        if box.kind == b"ftyp":
            brands = _brands(window, box)
        at = box.end
    raise BadMp4("there is no moov")


def _brands(window: Window, ftyp: Box) -> tuple[bytes, ...]:
    length = min(ftyp.end - ftyp.body, MOST_BRANDS)
    data = window.get(ftyp.body, length)
    found = [data[at : at + 4] for at in range(0, length - 3, 4)]
    # the second is the minor version
    return tuple(found[:1] + found[2:])


def _tracks(found: list[Fragment]) -> set[int]:
    return {number for part in found for number in part.samples}
