"""Where a file has sound: told by its packets, nothing is decoded."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from videod.media.model import Media
from videod.media.reading import opened
from videod.process import Tools

# coded frames overlap the range at both ends, and a seek may land a little late
MARGIN = Fraction(2)


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
    found: dict[int, Span] = {}
    bases = {track.index: track.time_base for track in media.audio}

    def take(line: str) -> None:
        index, pts, lasts = (*map(_number, line.split(",")), None, None, None)[:3]
        if index not in bases or pts is None:
            return
        start = pts * bases[index] - begin
        length = (lasts or 0) * bases[index]
        until = start + length if end is None else min(start + length, end - begin)
        if until > 0 and (end is None or start < end - begin):
            span = Span(max(start, Fraction(0)), until, length)
            found[index] = found[index].grown(span) if index in found else span

    if media.audio:
        tools.run(_argv(media, begin, end), on_line=take, may_fail=True)
    return found


def _argv(media: Media, begin: Fraction, end: Fraction | None) -> list[str]:
    argv = ["ffprobe", "-v", "error", "-select_streams", "a", "-show_entries", "packet=stream_index,pts,duration"]
    low = begin - MARGIN
    stop = "" if end is None else f"{round((end + MARGIN) * 1_000_000)}us"
    if low > 0 or stop:
        argv += ["-read_intervals", (f"{round(low * 1_000_000)}us" if low > 0 else "") + f"%{stop}"]
    return [*argv, "-of", "csv=p=0", *opened(media.path)]


def _number(cell: str) -> int | None:
    return int(cell) if cell.lstrip("-").isdigit() else None
