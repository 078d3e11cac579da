"""sidx and mfra: where the fragments of a file begin, and about when."""

from __future__ import annotations

from fractions import Fraction
from itertools import accumulate
from typing import NamedTuple

from videod.mp4.boxes import BadMp4, Box, Data, column, fields, header, walk

# a day in fragments shorter than a second
MOST_POINTS = 1 << 17


class Point(NamedTuple):
    """A place in the file where fragments begin that hold this time, in seconds. A hint: fragments know better."""

    time: Fraction
    offset: int


class SegmentIndex(NamedTuple):
    """A sidx: the subsegments of one track, and where the last one ends."""

    track: int
    points: tuple[Point, ...]
    end: int


def read_sidx(data: Data, box: Box, anchor: int) -> SegmentIndex:
    """`anchor`: the place in the file behind the box. Raises BadMp4 for an index of indices."""
    long = fields(data, box, "B")[0]
    track, timescale = fields(data, box, "II", 4)
    time, gap = fields(data, box, "QQ" if long else "II", 12)
    _, count = fields(data, box, "HH", 28 if long else 20)
    cells = column(data, box, "I", 32 if long else 24, 3 * count)
    if not timescale:
        raise BadMp4("sidx has no timescale")
    if any(cell >> 31 for cell in cells[::3]):
        raise BadMp4("a sidx that refers to further sidx is not read")
    offsets = list(accumulate(cells[::3], initial=anchor + gap))
    times = accumulate(cells[1::3], initial=time)
    points = [Point(Fraction(at, timescale), offset) for at, offset in zip(times, offsets[:-1], strict=False)]
    return SegmentIndex(track, tuple(points), offsets[-1])


def read_mfro(tail: bytes) -> int:
    """How long mfra is, by the last 16 bytes of a file; 0 if there is none."""
    if len(tail) != 16 or tail[:8] != b"\0\0\0\x10mfro":
        return 0
    return int.from_bytes(tail[12:], "big")


def read_mfra(mfra: bytes, track: int, timescale: int) -> tuple[Point, ...]:
    """The fragments with key frames of a track, by a whole mfra box. Times are those of the media."""
    data = memoryview(mfra)
    top = header(data, 0, len(data))
    if top.kind != b"mfra":
        raise BadMp4(f"{top.name} in place of mfra")
    for box in walk(data, top.body, top.end):
        if box.kind == b"tfra" and fields(data, box, "I", 4)[0] == track:
            return _tfra(data, box, timescale)
    return ()


def _tfra(data: Data, box: Box, timescale: int) -> tuple[Point, ...]:
    long = fields(data, box, "B")[0]
    widths, count = fields(data, box, "II", 8)
    more = sum((widths >> bits & 3) + 1 for bits in (4, 2, 0))
    width = (16 if long else 8) + more
    if count > MOST_POINTS or box.body + 16 + count * width > box.end:
        raise BadMp4(f"tfra has {count} entries")
    layout = "QQ" if long else "II"
    points: list[Point] = []
    for n in range(count):
        time, offset = fields(data, box, layout, 16 + n * width)
        # several key frames of one fragment have an entry each
        if not points or points[-1].offset != offset:
            points.append(Point(Fraction(time, timescale), offset))
    return tuple(points)
