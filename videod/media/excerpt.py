"""A local file that holds a part of a source, cut like any other: its times count from the source's first frame.

What it must hold is proven by its own clock. What told where to begin and to end, a playlist or an index of seconds,
may be wrong.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, replace
from fractions import Fraction

from videod.errors import Permanent
from videod.media.examine import examine
from videod.media.frames import JUMP
from videod.media.model import Frames, Source
from videod.media.plan import asked_micro, micro
from videod.media.probe import Bounds
from videod.media.window import Unreadable
from videod.process import Tools

# key frames at or before the first wanted frame: decoders that enter an open GOP complain as of damage, so that it is
# entered one earlier then; and reading of MPEG-TS begins at some packet before a key frame
KEYS = 2
# of picture behind the end: frames that are shown before it may be stored there, and the sound of the end
BEHIND = Fraction(1)
DEEP = 17


@dataclass(frozen=True)
class Zero:
    """The first shown frame of a source: its time in ticks of `time_base`. `wrap`: ticks after which the clock
    begins anew, 0: never."""

    pts: int
    time_base: Fraction
    wrap: int = 0


def zero_of(path: str, tools: Tools, settings: Bounds) -> Zero:
    """From a file that holds the beginning of the source. Raises Unreadable."""
    source = _examined(path, tools, settings)
    # the clock of MPEG-TS has 33 bits
    wrap = 1 << 33 if "mpegts" in source.media.formats else 0
    return Zero(source.frames.pts[0], source.frames.time_base, wrap)


def part_of(path: str, zero: Zero, about: Fraction, tools: Tools, settings: Bounds) -> Source:
    """A file that holds a part, whose first frame is expected `about` seconds behind the first of the source.

    Raises Unreadable where it is far from there, so that one cannot be told by the other's clock.
    """
    source = _examined(path, tools, settings)
    return replace(source, frames=placed(source.frames, zero, about))


def placed(frames: Frames, zero: Zero, about: Fraction) -> Frames:
    """The frames with the source's zero. Raises Unreadable."""
    base = frames.time_base
    if base != zero.time_base:
        raise Unreadable("its parts have different clocks")
    since = frames.pts[0] - zero.pts
    if zero.wrap:
        since += round((about / base - since) / zero.wrap) * zero.wrap
    # a clock that leaps by more is taken for that of another recording, see frames.trouble
    if since < 0 or abs(since * base - about) > JUMP:
        raise Unreadable(f"its clock says {float(since * base):.3f} s where {float(about):.3f} s should be")
    return replace(frames, origin=frames.pts[0] - since)


def lacks(frames: Frames, start: float | None, end: float | None, *, first: bool, last: bool) -> tuple[bool, bool]:
    """Whether a part lacks something before, or behind, of what a clip of [start, end) takes.

    `first`, `last`: whether the part begins, or ends, with the source.
    """
    pts, before, behind = frames.pts, False, False
    if not first:
        at = bisect_right(pts, asked_micro(start or 0.0), key=lambda time: micro(frames.seconds(time)))
        before = frames.keys.count(1, 0, at) < KEYS
    if not last and end is not None:
        at = bisect_left(pts, asked_micro(end), key=lambda time: micro(frames.seconds(time)))
        behind = len(pts) - at < DEEP or frames.seconds(pts[-1]) < Fraction(repr(end)) + BEHIND
    return before, behind or (not last and end is None)


def _examined(path: str, tools: Tools, settings: Bounds) -> Source:
    try:
        source = examine(path, tools, settings)
    except Permanent as failure:
        raise Unreadable(f"a part of it cannot be read: {failure}") from None
    if source.media.path != path or source.frames.step is not None or source.frames.lapses:
        raise Unreadable("the times of a part have to be straightened")
    return source
