"""The packet table of the picture, and from it the frames that a player shows. Nothing is decoded.

A frame is shown if its packet comes at or after the first key frame, is not displayed before that (such
leading pictures refer to what is not there) and is not hidden by an edit list.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise

from videod.errors import Damaged, EncodeFailed, TooBig
from videod.media.model import Frames, Media, ticks
from videod.media.reading import opened
from videod.process import Tools

# of counted frames: (number of a frame, by how many ticks it and all behind it come later)
Leaps = tuple[tuple[int, int], ...]
UNKNOWN = -(1 << 63)
# where a clock may leap, a forward jump by more is a new recording, not a pause in the picture
JUMP = 10
# of one video: a day at 60 frames a second. Each takes some 200 bytes of the daemon's memory for a moment
MOST_PACKETS = 24 * 3600 * 60


@dataclass
class Table:
    """Packets in decoding order, columns of equal length; UNKNOWN where the file has no stamp."""

    pts: array[int] = field(default_factory=ticks)
    dts: array[int] = field(default_factory=ticks)
    lasts: array[int] = field(default_factory=ticks)
    flags: bytearray = field(default_factory=bytearray)
    doubts: tuple[str, ...] = ()

    def add(self, line: str) -> None:
        """One line of ffprobe: pts,dts,duration,flags and perhaps more."""
        cells = line.split(",")
        if len(cells) < 4:
            return
        if len(self.flags) >= MOST_PACKETS:
            raise TooBig(f"the video has more than {MOST_PACKETS} frames", stage="probe")
        try:
            for column, cell in zip((self.pts, self.dts, self.lasts), cells, strict=False):
                column.append(UNKNOWN if cell == "N/A" else int(cell))
        except (ValueError, OverflowError):
            raise EncodeFailed("ffprobe printed no packet", detail=line[:200], stage="probe") from None
        self.flags.append(("K" in cells[3]) | ("D" in cells[3]) << 1)


def read_table(media: Media, tools: Tools, sound: Callable[[str], None] | None = None) -> Table:
    """The packets of the picture, by ffprobe; a line each, so that half a million need little memory.

    `sound` is given those of the other streams, for the price of none: stream_index,pts,dts,duration,flags.
    """
    table = Table()
    picture = str(media.video.index)

    def take(line: str) -> None:
        index, _, rest = line.partition(",")
        if index == picture:
            table.add(rest)
        elif sound:
            sound(line)

    chosen = [] if sound else ["-select_streams", picture]
    argv = ["ffprobe", "-v", "error", *chosen, "-of", "csv=p=0"]
    argv += ["-show_entries", "packet=stream_index,pts,dts,duration,flags", *opened(media.path)]
    result = tools.run(argv, on_line=take, may_fail=True)
    table.doubts = tuple(line for line in result.stderr if line.strip())
    return table


def trouble(table: Table, time_base: Fraction, *, leaps: bool = False) -> str:
    """Why the table's times cannot be used as they are; empty if they can.

    `untimed`: packets without time; `clock`: it goes back or jumps; `twice`: frames at times that belong to
    others. `leaps`: whether a jump forward may be another recording, as in MPEG-TS; an MP4 says how long a picture
    stays, be it an hour.
    """
    first = _first_key(table)
    pts = [p for p, flags in zip(table.pts[first:], table.flags[first:], strict=True) if not flags & 2]
    if any(p == UNKNOWN for p in pts):
        return "untimed"
    dts = [d for d in table.dts[first:] if d != UNKNOWN]
    far = JUMP / time_base if leaps else 1 << 62
    if any(not 0 <= b - a <= far for a, b in pairwise(dts)) and _returns(pts, far, 1 / time_base):
        return "clock"
    return "twice" if len(set(pts)) < len(pts) or seams(table) else ""


def seams(table: Table) -> list[int]:
    """The packets with which a recording begins while another goes on: key frames (by index) that are shown
    before or together with what comes earlier in decoding order."""
    found: list[int] = []
    top = UNKNOWN
    for n, (pts, flags) in enumerate(zip(table.pts, table.flags, strict=True)):
        if flags & 1 and UNKNOWN < pts <= top:
            found.append(n)
            top = pts
        top = max(top, pts)
    return found


def shown(table: Table, time_base: Fraction, rate: Fraction) -> Frames:
    """The frames of a table without `trouble`. Raises Damaged if it has no key frame."""
    first = _first_key(table)
    coded, dts = table.pts[first:], table.dts[first:]
    start = next(p for p, flags in zip(coded, table.flags[first:], strict=True) if flags & 1)
    frames, hidden, tails = [], [], {}
    for pts, flags, lasts in zip(coded, table.flags[first:], table.lasts[first:], strict=True):
        if flags & 2:
            hidden.append(pts)
        elif pts >= start:
            frames.append((pts, flags & 1))
            tails[pts] = lasts
    if not frames:
        raise Damaged("the file hides all of its frames", stage="probe")
    frames.sort()
    times = array("q", [pts for pts, _ in frames])
    tail = _tail(times, tails[times[-1]], time_base, rate)
    keys = bytes(key for _, key in frames)
    return Frames(time_base, times, keys, coded, dts, tail, frozenset(hidden), first, None, table.doubts)


def counted(
    first: int, step: int, count: int, time_base: Fraction, doubts: Iterable[str] = (), leaps: Leaps = ()
) -> Frames:
    """The frames of a file without usable times: the n-th decoded one counts as `first` + n * `step`, and comes later
    by the second number of each of `leaps` whose first is not above n."""
    times, later = array("q"), dict(leaps)
    for n in range(count):
        first += later.get(n, 0)
        times.append(first + n * step)
    keys = b"\1" + bytes(count - 1)
    return Frames(time_base, times, keys, times, times, step, step=step, doubts=tuple(doubts), leaps=leaps)


def _first_key(table: Table) -> int:
    for index, flags in enumerate(table.flags):
        if flags & 1:
            return index
    raise Damaged("the file holds no key frame: no picture of it can be decoded", stage="probe")


def _returns(pts: Iterable[int], far: Fraction | int, back: Fraction) -> bool:
    """Whether display times jump forward by more than `far`, or go back by more than reordering explains."""
    top = None
    for time in pts:
        if top is not None and (time < top - back or time > top + far):
            return True
        top = time if top is None else max(top, time)
    return False


def _tail(times: array[int], lasts: int, time_base: Fraction, rate: Fraction) -> int:
    if lasts > 0:
        return lasts
    if len(times) > 1:
        return times[-1] - times[-2]
    return max(1, round(1 / rate / time_base)) if rate else max(1, round(Fraction(1, 25) / time_base))
