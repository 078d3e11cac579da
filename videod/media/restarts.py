"""Where the clock of a file begins anew, stream by stream, and by how much what follows is moved.

ffmpeg would move all streams by what it sees in the one that comes first. Around a seam packets of both recordings
are mixed, so that with some sounds it moves twice, and the picture gets a pause that it has not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from videod.media.frames import JUMP
from videod.media.model import Media
from videod.media.reading import opened
from videod.media.sums import total
from videod.process import Tools

# seconds by which decoding times may go back within one recording, as ffmpeg has it
BACK = Fraction(1, 10)
# by which picture and sound may disagree about a leap: one may begin and end sooner than the other
ALIKE = 5
# expressions of ffmpeg may not grow without end
MOST_RESTARTS = 200
# formats of which ffmpeg, too, takes a leap of the clock for a new recording; their clocks tick alike
LEAPING = frozenset({"mpegts", "mpeg"})
# a clock that is set back by more than a minute is taken for one that has run over: not here
RAW = ("-correct_ts_overflow", "0")
OVERFLOW = Fraction(1 << 33, 90_000)
# seconds: where the first packet is put, far enough from 0 that its time in ticks tells how long they are
ORIGIN = 1000


@dataclass(frozen=True)
class Moves:
    """How the packets of one stream are moved. `first`: the time of the first, in seconds, 0 being the file's first.

    `places`: (number of the packet, counted from the first key frame, by how many seconds to move what follows).
    """

    first: Fraction
    places: tuple[tuple[int, Fraction], ...]

    def filter(self, rate: int = 0) -> str:
        """The filter that does it; `rate` of the samples of sound.

        What a filter is told of its ticks (TB) is true of the demuxer; ffmpeg 5 hands it the muxer's, and NUT counts
        samples of sound.
        """
        at, unit = f"{float(ORIGIN + self.first):.6f}", "TB"
        if rate:
            unit = f"if(lt(abs(STARTPTS*TB-{at}),abs(STARTPTS/{rate}-{at})),TB,1/{rate})"
        moves = total([f"gte(N,{count})*({by.numerator}/{by.denominator})" for count, by in self.places])
        by = f"round(({moves})/{unit})"
        return f"setts=pts='if(eq(PTS,NOPTS),NOPTS,PTS+{by})':dts='if(eq(DTS,NOPTS),NOPTS,DTS+{by})'"


@dataclass
class Clock:
    """The decoding times of one stream. `restarts`: (number of the packet, seconds by which the clock leapt)."""

    base: Fraction
    count: int = 0
    begun: bool = False
    first: int | None = None
    restarts: list[tuple[int, Fraction]] = field(default_factory=list)
    _last: int | None = None
    _lasts: int = 0

    def add(self, time: int | None, lasts: int, key: bool) -> None:
        """The next packet; what stands before the first key frame is not counted: ffmpeg copies none of it."""
        self.begun = self.begun or key
        if self.begun and self.first is None:
            self.first = time
        if time is not None:
            if self._last is not None and not -BACK <= (time - self._last) * self.base <= JUMP:
                self.restarts.append((self.count, (time - self._last - self._lasts) * self.base))
            elif self._last is not None and not lasts:
                lasts = time - self._last
            self._last, self._lasts = time, lasts
        self.count += self.begun


def restarts(media: Media, tools: Tools) -> tuple[Fraction, dict[int, Moves]]:
    """How to move each stream, by its index; and by how much ffmpeg has to move all of them before, in seconds.

    It has to read the file with -copyts and RAW. All are moved as the picture is. Empty if its clock does not begin
    anew, or not together with that of each sound.
    """
    clocks = {media.video.index: Clock(media.video.time_base)}
    clocks |= {track.index: Clock(track.time_base) for track in media.audio}

    def take(line: str) -> None:
        cells = line.split(",")
        if len(cells) < 5 or not cells[0].isdigit() or int(cells[0]) not in clocks:
            return
        try:
            times = [None if cell == "N/A" else int(cell) for cell in cells[1:4]]
        except ValueError:
            return
        clock = clocks[int(cells[0])]
        if len(clock.restarts) <= MOST_RESTARTS:
            clock.add(times[0] if times[1] is None else times[1], times[2] or 0, "K" in cells[4])

    if LEAPING.isdisjoint(media.formats):
        return Fraction(0), {}
    argv = ["ffprobe", "-v", "error", *RAW, "-of", "csv=p=0"]
    argv += ["-show_entries", "packet=stream_index,pts,dts,duration,flags"]
    tools.run([*argv, *opened(media.path)], on_line=take, may_fail=True)
    return _together(media.video.index, clocks)


def _together(picture: int, clocks: Mapping[int, Clock]) -> tuple[Fraction, dict[int, Moves]]:
    leaps = [leap for _, leap in clocks[picture].restarts]
    firsts = {n: clock.first * clock.base for n, clock in clocks.items() if clock.first is not None}
    # of one that has run over ffmpeg takes care even with -copyts
    over = any(abs(abs(leap) - OVERFLOW) < abs(leap) / 5 for leap in leaps)
    if not leaps or len(leaps) > MOST_RESTARTS or over or picture not in firsts:
        return Fraction(0), {}
    zero, found = min(firsts.values()), {}
    for index, first in firsts.items():
        theirs = clocks[index].restarts
        if len(theirs) != len(leaps) or any(abs(a - b) > ALIKE for a, (_, b) in zip(leaps, theirs, strict=True)):
            return Fraction(0), {}
        places = tuple((count, -leap) for leap, (count, _) in zip(leaps, theirs, strict=True))
        found[index] = Moves(first - zero, places)
    return ORIGIN - zero, found
