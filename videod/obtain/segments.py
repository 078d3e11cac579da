"""Parts of a video that comes as an HLS playlist: the segments around each clip, and the first, which has the zero."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from videod.errors import NotVideo
from videod.media.examine import examine
from videod.media.excerpt import Zero, part_of, zero_of
from videod.media.model import Source
from videod.media.muxed import glued, heard, mux
from videod.media.probe import probe
from videod.media.whole import looks_like_video
from videod.media.window import Unreadable
from videod.obtain.reach import reach
from videod.obtain.wish import MOST, Ready, Wish, about, counter, megabytes, of_whole, speed
from videod.transfer import hls

if TYPE_CHECKING:
    from videod.context import Context

# of sound that stands apart, beside the picture: seconds
MARGIN = Fraction(1, 2)
WRAP = Fraction(1 << 33, 90_000)


def parts(url: str, wishes: Sequence[Wish], ctx: Context) -> list[Ready]:
    """A file for each wish, of the segments around it; one for all where these cannot be told apart from the rest.

    Raises OutOfRange, Damaged, and as `hls.open` and the fetch of a source do.
    """
    with opened(url, ctx) as video:
        try:
            found = _Parts(video, ctx).of(wishes)
        except (Unreadable, hls.Mixed) as why:
            ctx.log.info(f"all segments are fetched: {why}")
            source = _all(video, ctx)
            return [of_whole(source, wish) for wish in wishes]
        ctx.log.info(
            f"source {video.url}: fetched {megabytes(video.fetched)} of {len(video.picture.segments)} segments"
        )
        return found


def whole(url: str, ctx: Context) -> Source:
    """All of it. Raises as `parts` does."""
    with opened(url, ctx) as video:
        source = _all(video, ctx)
        ctx.log.info(f"source {video.url}: fetched {megabytes(video.fetched)}")
        return source


def opened(url: str, ctx: Context) -> hls.Video:
    """The playlist, read. Raises as `hls.open` does."""
    private = not ctx.job.public_only
    settings, tools = ctx.settings, ctx.tools
    return hls.open(url, ctx.scratch, settings, tools, private=private, on_bytes=counter(ctx), cache=ctx.cache)


def _all(video: hls.Video, ctx: Context) -> Source:
    tell, path = _telling(video, ctx), ctx.scratch / "source"
    streams = [stream for stream in (video.picture, video.sound) if stream]
    for stream in streams:
        stream.fetch([0])
    for stream in streams:
        stream.fetch(range(len(stream.segments)), tell)
    ctx.progress.begin("probe", 0)
    try:
        video.picture.join(range(len(video.picture.segments)), path, last=True)
        source = examine(str(path), ctx.tools, ctx.settings)
        if video.sound:
            source = _all_with_sound(video.sound, source, path, ctx)
    except (Unreadable, hls.Mixed) as why:
        raise NotVideo(f"the playlist is not served: {video.url}: {why}", stage="probe") from None
    ctx.log.info(about(source))
    return source


def _all_with_sound(sound: hls.Stream, source: Source, path: Path, ctx: Context) -> Source:
    wanted, name = range(len(sound.segments)), "source"
    if source.media.path == str(path) and source.frames.step is None:
        return _with_sound(sound, wanted, source, ctx, name)
    apart = ctx.scratch / f"{name}.sound"
    sound.join(wanted, apart, last=True)
    stream = probe(str(path), ctx.tools, ctx.settings).video.index
    return glued(path, stream, apart, ctx.scratch / f"{name}.nut", ctx.tools, ctx.settings)


class _Parts:
    """What is known of a video while parts of it are made. Raises Unreadable where these cannot be had."""

    def __init__(self, video: hls.Video, ctx: Context) -> None:
        self._video, self._ctx = video, ctx
        self._picture = video.picture
        self._count = len(self._picture.segments)

    def of(self, wishes: Sequence[Wish]) -> list[Ready]:
        """One for each wish."""
        picture, ctx = self._picture, self._ctx
        spans = [picture.around(*_seconds(wish)) for wish in wishes]
        self._check(n for span in spans for n in span)
        picture.fetch([0])
        if not looks_like_video(picture.head(0)) and not picture.segments[0].init:
            raise Unreadable("its segments are neither MPEG-TS nor MP4")
        beginning = ctx.scratch / "first.part"
        picture.join([0], beginning)
        zero = zero_of(str(beginning), ctx.tools, ctx.settings)
        beginning.unlink()
        picture.fetch((n for span in spans for n in span), _telling(self._video, ctx))
        ctx.progress.begin("probe", 0)
        return [self._part(wish, span, n, zero) for n, (wish, span) in enumerate(zip(wishes, spans, strict=True), 1)]

    def _check(self, wanted: Iterable[int]) -> None:
        """That the clock runs on from the first segment to these, and they are worth it."""
        numbers, segments = {0, *wanted}, self._picture.segments
        if len(numbers) > MOST * self._count:
            raise Unreadable("nearly all of them are needed")
        if any(segments[n].run for n in numbers):
            raise Unreadable("its clock begins anew before the wanted part (#EXT-X-DISCONTINUITY)")
        if any(segments[n].init != segments[0].init for n in numbers):
            raise Unreadable("its segments do not begin alike (#EXT-X-MAP)")

    def _part(self, wish: Wish, span: range, number: int, zero: Zero) -> Ready:
        """A file that holds what the wish takes; more is fetched until it does."""
        ctx, picture = self._ctx, self._picture
        path = ctx.scratch / f"part-{number}"

        def make(span: range) -> Source:
            self._check(span)
            picture.fetch(span)
            picture.join(span, path)
            begin = picture.segments[span.start].begin - picture.segments[0].begin
            return part_of(str(path), zero, begin, ctx.tools, ctx.settings)

        source, span = reach(wish, span, self._count, make)
        if self._video.sound:
            source = self._heard(self._video.sound, source, span, f"part-{number}")
        ctx.log.info(about(source))
        return of_whole(source, wish)

    def _heard(self, sound: hls.Stream, source: Source, span: range, name: str) -> Source:
        segments = self._picture.segments
        wanted = sound.around(segments[span.start].begin, segments[span[-1]].end)
        if any(sound.segments[n].run or sound.segments[n].init != sound.segments[0].init for n in wanted):
            raise Unreadable("the sound's clock begins anew before the wanted part")
        sound.fetch(wanted)
        return _with_sound(sound, wanted, source, self._ctx, name)


def _with_sound(sound: hls.Stream, wanted: range, source: Source, ctx: Context, name: str) -> Source:
    """The picture of `source` and this sound, in one file. Raises Unreadable, hls.Mixed."""
    if not looks_like_video(sound.head(wanted[0])) and not sound.segments[wanted[0]].init:
        raise Unreadable("its sound comes neither as MPEG-TS nor as MP4")
    apart, old = ctx.scratch / f"{name}.sound", Path(source.media.path)
    sound.join(wanted, apart)
    first, end = heard(apart, ctx.tools)
    frames = source.frames
    begin, over = (time * frames.time_base for time in (frames.pts[0], frames.after(len(frames.pts) - 1)))
    late = round((begin - first) / WRAP) * WRAP
    reaches = (
        wanted.start == 0 or first + late <= begin + MARGIN,
        wanted.stop == len(sound.segments) or (end + late >= over - MARGIN),
    )
    if not all(reaches):
        raise Unreadable("its sound is not where the playlist says")
    made = mux(source, apart, late, ctx.scratch / f"{name}.mp4", ctx.tools, ctx.settings)
    apart.unlink()
    old.unlink()
    return made


def _seconds(wish: Wish) -> tuple[Fraction, Fraction | None]:
    return Fraction(repr(wish.start or 0.0)), None if wish.end is None else Fraction(repr(wish.end))


def _telling(video: hls.Video, ctx: Context) -> Callable[[float], None]:
    begun = time.monotonic()
    return lambda fraction: ctx.progress.update(fraction, speed(video.fetched / 1e6, begun, " MB/s"))
