"""A part of a source that is asked for, what it is cut from, and words for the log."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

from videod.errors import OutOfRange
from videod.media.model import Cut, Plan, Source
from videod.media.plan import MICRO, micro, plan

if TYPE_CHECKING:
    from videod.context import Context

# of the whole source: who needs more of it takes it whole, by one request
MOST = 0.8


@dataclass(frozen=True)
class Wish:
    """A part of the source: see `media.plan`. Without bounds it is all of it."""

    start: float | None
    end: float | None
    cut: str
    container: str

    @property
    def whole(self) -> bool:
        """Whether it needs all there is."""
        return self.cut == "copy" or (self.start is None and self.end is None)


@dataclass(frozen=True)
class Ready:
    """A local file to cut from and the plan for it; `remote`: the same on the clock of a remote MP4 of which the file
    is a part."""

    source: Source
    plan: Plan
    remote: Plan | None = None

    def told(self, made: Cut) -> Cut:
        """What was made, in times of the source."""
        if not self.remote:
            return made
        start, end = (micro(time) / MICRO for time in self.bounds)
        return replace(made, start=start, end=end, duration=round(end - start, 6))

    @property
    def bounds(self) -> tuple[Fraction, Fraction]:
        """Start and end in seconds of the source."""
        shown = self.remote or self.plan
        return shown.start, shown.end


def of_whole(source: Source, wish: Wish) -> Ready:
    """A wish of a source that is there, or of which the part is there. Raises OutOfRange, Damaged."""
    try:
        return Ready(source, plan(source.media, source.frames, wish.start, wish.end, wish.cut, wish.container))
    except OutOfRange as error:
        error.stage = "cut"
        raise


def counter(ctx: Context) -> Callable[[int], None]:
    """Adds up what is received."""

    def count(received: int) -> None:
        ctx.fetched_bytes += received

    return count


def about(source: Source) -> str:
    """A source, to be read."""
    media, frames = source.media, source.frames
    video = media.video
    seconds = float(frames.after(len(frames.pts) - 1) - frames.pts[0]) * float(frames.time_base)
    sound = ", ".join(track.codec for track in media.audio) or "none"
    return f"{video.codec} {video.width}x{video.height}, {len(frames.pts)} frames in {seconds:.3f} s, sound: {sound}"


def speed(size: float, begun: float, unit: str) -> str:
    """How much of `size` was done in a second since `begun`."""
    return f"{size / max(time.monotonic() - begun, 0.01):.1f}{unit}"


def megabytes(number: int) -> str:
    """A size, to be read."""
    return f"{number / 1e6:.1f} MB"
