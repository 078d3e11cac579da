"""What the clips of a message are cut from: of a remote MP4 only the parts that they need, else the whole source."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from videod.errors import OutOfRange, Permanent
from videod.media.examine import examine
from videod.media.film import Film
from videod.media.model import Cut, Plan, Source
from videod.media.plan import plan
from videod.media.window import Unreadable, Window
from videod.transfer import fetch

if TYPE_CHECKING:
    from videod.context import Context
    from videod.transfer.ranges import Remote

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
    """A local file to cut from and the plan for it; `window` where it is a part of the source."""

    source: Source
    plan: Plan
    window: Window | None = None

    def told(self, made: Cut) -> Cut:
        """What was made, in times of the source."""
        return self.window.told(made) if self.window else made

    @property
    def bounds(self) -> tuple[Fraction, Fraction]:
        """Start and end in seconds of the source."""
        shown = self.window.plan if self.window else self.plan
        return shown.start, shown.end


def parts(url: str, wishes: Sequence[Wish], ctx: Context) -> list[Ready] | None:
    """A window for each wish; None where parts cannot be had, which the log explains.

    Raises OutOfRange, and what the fetch of a source may raise.
    """
    from videod.transfer import ranges

    if any(wish.whole for wish in wishes):
        return None
    try:
        found = ranges.consistently(
            url,
            ctx.settings,
            ctx.tools,
            lambda remote: _windows(remote, wishes, ctx),
            on_bytes=_counter(ctx),
            cache=ctx.cache,
        )
    except (ranges.Refused, Unreadable) as why:
        ctx.log.info(f"the source is fetched whole: {why}")
        return None
    return found


def whole(url: str, ctx: Context) -> Source:
    """All of the source, examined. Raises as `fetch` and `examine` do."""
    begun, file = time.monotonic(), ctx.scratch / "source"

    def tell(fraction: float) -> None:
        size = file.stat().st_size if file.exists() else 0
        ctx.progress.update(fraction, speed(size / 1e6, begun, " MB/s"))

    fetched = fetch.fetch(url, ctx.scratch, ctx.settings, ctx.tools, tell, on_bytes=_counter(ctx))
    ctx.progress.begin("probe", 0)
    ctx.log.info(f"source {fetched.url}: {megabytes(fetched.bytes)}, fetched {megabytes(fetched.fetched_bytes)}")
    source = examine(str(fetched.path), ctx.tools, ctx.settings)
    ctx.log.info(_about(source))
    return source


def of_whole(source: Source, wish: Wish) -> Ready:
    """A wish of a source that is there. Raises OutOfRange, Damaged."""
    return Ready(source, plan(source.media, source.frames, wish.start, wish.end, wish.cut, wish.container))


def _counter(ctx: Context) -> Callable[[int], None]:
    def count(received: int) -> None:
        ctx.fetched_bytes += received

    return count


def _windows(remote: Remote, wishes: Sequence[Wish], ctx: Context) -> list[Ready]:
    before, begun = remote.fetched, time.monotonic()
    film = Film(remote)
    try:
        windows = [film.window(wish.start, wish.end, wish.cut, wish.container) for wish in wishes]
    except OutOfRange as error:
        error.stage = "cut"
        raise
    index = remote.fetched - before
    spans = [span for window in windows for span in window.spans()]
    if sum(stop - start for start, stop in _merged(spans)) > MOST * remote.size:
        raise Unreadable("nearly all of it is needed")
    path = ctx.scratch / "source.parts"

    def tell(fraction: float) -> None:
        ctx.progress.update(fraction, speed(fraction * got / 1e6, begun, " MB/s"))

    got = sum(stop - start for start, stop in _merged(spans))
    try:
        remote.fetch(spans, path, tell)
        files = [_file(window, path, ctx.scratch / f"part-{n}.mp4") for n, window in enumerate(windows, 1)]
    finally:
        path.unlink(missing_ok=True)
    ctx.progress.begin("probe", 0)
    ctx.log.info(
        f"source {remote.url}: {megabytes(remote.size)}, fetched {megabytes(remote.fetched)}"
        f" with an index of {megabytes(index)}"
    )
    return [_ready(window, file, ctx) for window, file in zip(windows, files, strict=True)]


def _merged(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, stop in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(stop, merged[-1][1])
        else:
            merged.append((start, stop))
    return merged


def _file(window: Window, source: Path, out: Path) -> Path:
    try:
        window.write(source, out)
    except ValueError as error:
        raise Unreadable(str(error)) from None
    return out


def _ready(window: Window, file: Path, ctx: Context) -> Ready:
    try:
        source = examine(str(file), ctx.tools, ctx.settings)
    except Permanent as failure:
        raise Unreadable(f"a part of it cannot be read: {failure}") from None
    moved = window.moved(source)
    ctx.log.info(_about(source))
    return Ready(source, moved, window)


def _about(source: Source) -> str:
    media, frames = source.media, source.frames
    video = media.video
    seconds = float(frames.seconds(frames.after(len(frames.pts) - 1)))
    sound = ", ".join(track.codec for track in media.audio) or "none"
    return f"{video.codec} {video.width}x{video.height}, {len(frames.pts)} frames in {seconds:.3f} s, sound: {sound}"


def speed(size: float, begun: float, unit: str) -> str:
    """How much of `size` was done in a second since `begun`."""
    return f"{size / max(time.monotonic() - begun, 0.01):.1f}{unit}"


def megabytes(number: int) -> str:
    """A size, to be read."""
    return f"{number / 1e6:.1f} MB"
