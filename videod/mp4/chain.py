"""The fragments of a file, each of which is followed by the next: read when wanted, and kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from operator import sub
from typing import NamedTuple

from videod.mp4.boxes import SHORT, BadMp4, Box
from videod.mp4.fragments import read_fragment
from videod.mp4.model import MOST_SAMPLES, Movie, Samples
from videod.mp4.window import Window

MOST_MOOF = 64 << 20
# boxes of other kinds between two fragments
MOST_BETWEEN = 1 << 10
# what is read to see a moof whose size is not known yet
GUESS, MOST_GUESS = 1 << 12, 1 << 18


class Begin(NamedTuple):
    """Of the samples of one track in a fragment, in its timescale: the lowest pts, the first dts, the lowest
    difference of both."""

    pts: int
    dts: int
    shift: int


@dataclass(frozen=True)
class Fragment:
    """A fragment whose moof lies from `offset` to `end`. `clocks`: when what follows is decoded, by track id."""

    offset: int
    end: int
    samples: dict[int, Samples]
    begins: dict[int, Begin]
    clocks: dict[int, int]


class Chain:
    """All fragments of a file. The samples in moov count as a fragment at 0, if there are any."""

    def __init__(self, window: Window, movie: Movie, start: int) -> None:
        self._window = window
        self._movie = movie
        self._guess = GUESS
        self._room = MOST_SAMPLES
        self._known: dict[int, Fragment] = {}
        self._next: dict[int, int] = {}
        samples = {track.id: track.samples for track in movie.tracks if track.samples}
        clocks = {track.id: track.samples.end for track in movie.tracks}
        self._head = _fragment(0, start, samples, clocks)

    def at(self, place: int) -> Fragment | None:
        """The first fragment at or behind a place of the file; None if there is none."""
        if place == 0:
            return self._head if self._head.samples else self._follow(self._head)
        return self._read(place, {})

    def after(self, fragment: Fragment | None) -> Iterator[Fragment]:
        """The fragments behind one; all of them if None."""
        following = self.at(0) if fragment is None else self._follow(fragment)
        while following:
            yield following
            following = self._follow(following)

    def _follow(self, fragment: Fragment) -> Fragment | None:
        return self._read(fragment.end, fragment.clocks)

    def _read(self, place: int, clocks: dict[int, int]) -> Fragment | None:
        if place not in self._next:
            moof = self._seek(place)
            self._next[place] = moof.start if moof else -1
            if moof and moof.start not in self._known:
                self._known[moof.start] = self._parse(moof, clocks)
        return self._known.get(self._next[place])

    def _seek(self, place: int) -> Box | None:
        for _ in range(MOST_BETWEEN):
            if self._window.size - place < SHORT:
                return None
            box = self._window.box(place, self._guess)
            if box.kind == b"moof":
                return box
            place = box.end
        raise BadMp4(f"more than {MOST_BETWEEN} boxes between fragments")

    def _parse(self, moof: Box, clocks: dict[int, int]) -> Fragment:
        length = moof.end - moof.start
        if length > MOST_MOOF:
            raise BadMp4(f"moof has a size of {length}")
        # the next one is likely as large, and mdat's header comes with it
        self._guess = min(MOST_GUESS, max(GUESS, length + length // 4))
        data = self._window.get(moof.start, length)
        samples = read_fragment(self._movie, data, moof.start, self._window.size, clocks)
        self._room -= sum(map(len, samples.values()))
        if self._room < 0:
            raise BadMp4(f"more than {MOST_SAMPLES} samples")
        return _fragment(moof.start, moof.end, samples, clocks)


def _fragment(offset: int, end: int, samples: dict[int, Samples], clocks: dict[int, int]) -> Fragment:
    begins = {
        number: Begin(min(part.pts), part.dts[0], min(map(sub, part.pts, part.dts))) for number, part in samples.items()
    }
    after = {number: part.end for number, part in samples.items()}
    return Fragment(offset, end, samples, begins, {**clocks, **after})
