"""Where to begin in a fragmented file: its places and about their times, by sidx or mfra."""

from __future__ import annotations

from fractions import Fraction

from videod.mp4.boxes import SHORT, BadMp4, Box
from videod.mp4.model import Movie
from videod.mp4.segments import Point, SegmentIndex, read_mfra, read_mfro, read_sidx
from videod.mp4.window import Window

MOST_MFRA = 64 << 20
# read of the file's end to see how long mfra is: most are not longer
TAIL = 1 << 14
_AHEAD = 1 << 12
_MOST_BETWEEN = 256


def find_points(window: Window, movie: Movie, start: int) -> list[Point]:
    """The points of a file, in order of time and place. `start`: behind moov. The first is 0, for its begin."""
    found = _segments(window, start)
    lead = movie.lead.id if movie.lead else 0
    index = next((one for one in found if one.track == lead), found[0] if found else None)
    if index and _is_last(window, index.end):
        points = index.points
    else:
        # one sidx for each fragment leads nowhere
        points = _mfra(window, movie) or (index.points if index else ())
    chosen = [Point(Fraction(0) if not points else min(points[0].time, Fraction(0)), 0)]
    for point in points:
        if point.time >= chosen[-1].time and chosen[-1].offset < point.offset < window.size and point.offset >= start:
            chosen.append(point)
    return chosen


def _segments(window: Window, at: int) -> list[SegmentIndex]:
    """The sidx between moov and the first fragment."""
    found: list[SegmentIndex] = []
    for _ in range(_MOST_BETWEEN):
        if window.size - at < SHORT:
            break
        box = window.box(at, _AHEAD)
        if box.kind == b"moof":
            break
        if box.kind == b"sidx":
            length = box.end - box.start
            if length > 1 << 20:
                raise BadMp4(f"sidx has a size of {length}")
            here = Box(box.kind, 0, box.body - box.start, length)
            found.append(read_sidx(window.get(box.start, length), here, box.end))
        at = box.end
    return found


def _is_last(window: Window, end: int) -> bool:
    """Whether nothing follows but mfra."""
    return window.size - end < SHORT or window.box(end).kind == b"mfra"


def _mfra(window: Window, movie: Movie) -> tuple[Point, ...]:
    lead = movie.lead
    length = min(TAIL, window.size)
    tail = window.get(window.size - length, length)
    size = read_mfro(tail[-16:])
    if not lead or not SHORT <= size <= min(MOST_MFRA, window.size):
        return ()
    mfra = tail[-size:] if size <= length else window.get(window.size - size, size)
    shift = lead.shift(movie.timescale) or Fraction(0)
    return tuple(Point(time + shift, at) for time, at in read_mfra(mfra, lead.id, lead.timescale))
