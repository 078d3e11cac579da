"""Where a file has sound: told by its packets, nothing is decoded."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

from videod.media.model import Audio, Media
from videod.media.reading import opened
from videod.process import Tools

# coded frames overlap the range at both ends, and a seek may land a little late
MARGIN = Fraction(2)
# a packet that lasts longer stands for a pause, too, in which nothing of it is heard: samples; but seconds of codecs
# whose frames may be long
FRAME, LONG_FRAME = 16384, Fraction(3)
_LONG = frozenset({"wavpack", "tta", "flac"})


@dataclass(frozen=True)
class Span:
    """A track's sound within a range: first and last, seconds from the range's begin; the longest packet."""

    first: Fraction
    last: Fraction
    longest: Fraction = Fraction(0)

    def grown(self, other: Span) -> Span:
        """Both together."""
        last = max(self.last, other.last)
        return Span(min(self.first, other.first), last, max(self.longest, other.longest))


def sounding(media: Media, begin: Fraction, end: Fraction | None, tools: Tools) -> dict[int, Span]:
    """For each sound track (by index) that has packets within [begin, end) seconds of the file's clock: its
    part of that range."""
    hearing = Hearing(media, begin, end)
    if media.audio:
        tools.run(_argv(media, begin, end), on_line=hearing.take, may_fail=True)
    return hearing.spans()


class Hearing:
    """Adds up the packets of all sound tracks within [begin, end) seconds of the file's clock."""

    def __init__(self, media: Media, begin: Fraction, end: Fraction | None) -> None:
        self._heard = {track.index: _Heard(track, begin, end) for track in media.audio}

    def take(self, line: str) -> None:
        """One line of ffprobe: stream_index,pts,dts,duration and perhaps more; those of other streams do not count."""
        index, pts, _, lasts = [*line.split(","), "", "", ""][:4]
        if index.isdigit() and int(index) in self._heard and pts not in {"N/A", ""}:
            self._heard[int(index)].add(int(pts), int(lasts) if lasts.isdigit() else 0)

    def spans(self) -> dict[int, Span]:
        """Of each track (by index) that had any."""
        spans = {index: track.span() for index, track in self._heard.items()}
        return {index: span for index, span in spans.items() if span}


class _Heard:
    """Adds up a track's packets within bounds; in ticks, for there may be half a million."""

    def __init__(self, track: Audio, begin: Fraction, end: Fraction | None) -> None:
        self._base, self._begin, self._end = track.time_base, begin, end
        base = track.time_base
        raw = track.codec in _LONG or track.codec.startswith("pcm_")
        self._most = ceil((LONG_FRAME if raw else Fraction(FRAME, track.sample_rate)) / base)
        self._low, self._high = floor(begin / base), None if end is None else ceil(end / base)
        self._first, self._last, self.longest = 1 << 62, -(1 << 62), -1
        self._open: int | None = None
        self._usual = 0

    def add(self, start: int, length: int) -> None:
        """A packet; of one without length the next tells it (Matroska with WavPack or ALAC), of the last all others."""
        if self._open is not None:
            lasted = max(0, start - self._open)
            self._usual = min(lasted, self._usual or lasted)
            self._take(self._open, self._usual)
        self._open = None if length else start
        if length:
            self._take(start, length)

    def _take(self, start: int, length: int) -> None:
        if start + min(length, self._most) > self._low and (self._high is None or start < self._high):
            self._first, self._last = min(self._first, start), max(self._last, start + length)
            self.longest = max(self.longest, length)

    def span(self) -> Span | None:
        """What was within the bounds."""
        if self._open is not None:
            self._take(self._open, self._usual)
            self._open = None
        if self.longest < 0:
            return None
        last = self._last * self._base
        last = last if self._end is None else min(last, self._end)
        first = max(self._first * self._base - self._begin, Fraction(0))
        return Span(first, last - self._begin, self.longest * self._base)


def _argv(media: Media, begin: Fraction, end: Fraction | None) -> list[str]:
    argv = ["ffprobe", "-v", "error", "-select_streams", "a", "-show_entries", "packet=stream_index,pts,dts,duration"]
    low = begin - MARGIN
    stop = "" if end is None else f"{round((end + MARGIN) * 1_000_000)}us"
    if low > 0 or stop:
        argv += ["-read_intervals", (f"{round(low * 1_000_000)}us" if low > 0 else "") + f"%{stop}"]
    return [*argv, "-of", "csv=p=0", *opened(media.path)]
