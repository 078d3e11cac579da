"""A remote MP4 of which only the index is read.

The plan of a clip is made on the whole index, so that times count from the first frame of the source.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import replace
from fractions import Fraction
from math import ceil, floor
from operator import sub
from pathlib import Path
from typing import Protocol

from videod.media.frames import Table, shown, trouble
from videod.media.model import Media, Video
from videod.media.plan import plan
from videod.media.window import Piece, Unreadable, Window, window_of
from videod.mp4.boxes import BadMp4
from videod.mp4.index import Index, load
from videod.mp4.model import UPRIGHT, Movie, Samples, Track, join

_CODECS = {b"avc1": "h264", b"avc3": "h264", b"hvc1": "hevc", b"hev1": "hevc", b"av01": "av1", b"vp09": "vp9"}
_CODECS |= {b"mp4v": "mpeg4"}
_PICTURE = b"vide"
# seconds: behind all that can be
_END = Fraction(1 << 40)


# a track with fewer samples is looked at wholly
FEW = 20_000
# key frames around a clip that are looked at: of an open GOP one more is needed
KEYS = 3
# samples; no decoder reorders more
REORDER = 64


class Parts(Protocol):
    """A source that is read in parts, see transfer.ranges.Remote."""

    @property
    def size(self) -> int: ...  # noqa: D102

    def read(self, start: int, length: int) -> bytes: ...  # noqa: D102

    def fetch(  # noqa: D102
        self, spans: Iterable[tuple[int, int]], path: Path, on_progress: Callable[[float], None] = ...
    ) -> int: ...


class Film:
    """The index of a remote MP4. Raises Unreadable from any call."""

    def __init__(self, parts: Parts) -> None:
        try:
            self._index: Index = load(parts.read, parts.size)
        except BadMp4 as error:
            raise Unreadable(str(error)) from None
        self._size = parts.size

    @property
    def index_bytes(self) -> int:
        """How much was read."""
        return self._index.bytes_read

    @property
    def seconds(self) -> Fraction:
        """How long the picture lasts."""
        try:
            first, last = _picture(self._index.first), _picture(self._index.span(_END, _END))
        except BadMp4 as error:
            raise Unreadable(str(error)) from None
        s = last.samples
        ends = max(pts + lasts for pts, lasts in zip(s.pts, s.durations, strict=True))
        return Fraction(ends - min(first.samples.pts), last.timescale)

    def window(self, start: float | None, end: float | None, cut: str, container: str) -> Window:
        """What a clip needs. Raises OutOfRange as `plan` does."""
        try:
            movie = self._reach(start, end)
            video = _picture(movie)
            table, ticks = _table(video, movie.timescale)
            frames = shown(table, Fraction(1, video.timescale), Fraction(0))
            wanted = plan(_media(video, self._size), frames, start, end, cut, container)
            return window_of(movie, video, ticks, wanted, frames)
        except BadMp4 as error:
            raise Unreadable(str(error)) from None

    def _reach(self, start: float | None, end: float | None) -> Movie:
        """The begin, what lies around the clip, and the end: what a plan looks at."""
        index = self._index
        first = index.first if index.movie.fragmented else index.movie
        video = _picture(first)
        shift = video.shift(first.timescale)
        if shift is None:
            raise Unreadable("an edit list of an unusual shape")
        zero = Fraction(min(video.samples.pts), video.timescale) + shift
        low = zero + Fraction(repr(start or 0.0))
        high = zero + Fraction(repr(end)) if end is not None else Fraction(1 << 40)
        if index.movie.fragmented:
            return _both(first, index.span(low, high + 1))
        # sound is taken from the key frame on
        low = min(low, Fraction(video.samples.dts[_around(video, shift, low, high)[0]], video.timescale) + shift)
        return replace(first, tracks=tuple(_near(track, first.timescale, low - 1, high + 1) for track in first.tracks))


def _near(track: Track, timescale: int, low: Fraction, high: Fraction) -> Track:
    """The track with the samples of its begin, around [low, high) seconds of the movie's clock, and of its end.

    What is made of each sample of a plan would cost seconds and 300 MB for ten hours.
    """
    s, count = track.samples, len(track.samples)
    shift = track.shift(timescale)
    if shift is None or count < FEW:
        return track
    parts, at = [], 0
    for begin, stop in ((0, _behind(s.sync, 0)), _around(track, shift, low, high), (_before(s.sync, count), count)):
        if max(begin, at) < stop:
            parts.append(Piece(track, max(begin, at), stop).samples)
            at = stop
    return replace(track, samples=join(parts))


def _around(track: Track, shift: Fraction, low: Fraction, high: Fraction) -> tuple[int, int]:
    """The samples that what is shown in [low, high) may need."""
    s = track.samples
    late, early = max(map(sub, s.pts, s.dts)), min(map(sub, s.pts, s.dts))
    first = bisect_left(s.dts, floor((low - shift) * track.timescale) - late)
    last = bisect_left(s.dts, ceil((high - shift) * track.timescale) - early)
    return _before(s.sync, min(first, len(s) - 1)), _behind(s.sync, last)


def _before(sync: bytes, at: int) -> int:
    """Some key frames before `at`."""
    for _ in range(KEYS):
        at = max(0, sync.rfind(1, 0, at))
    return at


def _behind(sync: bytes, at: int) -> int:
    """Behind some key frames from `at` on, and what may be shown before the last of them."""
    for _ in range(KEYS):
        at = sync.find(1, at) + 1 or len(sync)
    return min(at + REORDER, len(sync))


def _both(first: Movie, span: Movie) -> Movie:
    """The samples of the begin and of a span; those that are in both, once."""
    tracks = []
    for a, b in zip(first.tracks, span.tracks, strict=True):
        known = set(a.samples.offsets)
        new = next((n for n, offset in enumerate(b.samples.offsets) if offset not in known), len(b.samples))
        tracks.append(replace(a, samples=join([a.samples, Piece(b, new, len(b.samples)).samples])))
    return replace(first, tracks=tuple(tracks))


def _picture(movie: Movie) -> Track:
    video = movie.lead
    if video is None or video.handler != _PICTURE or not len(video.samples):
        raise Unreadable("the index has no picture")
    if any(track.encrypted for track in movie.tracks):
        raise Unreadable("it is encrypted")
    if any(track.descriptions > 1 for track in movie.tracks) or video.codec not in _CODECS:
        raise Unreadable("several sample entries in a track, or a codec that is rare in MP4")
    if len([track for track in movie.tracks if track.handler == _PICTURE]) > 1:
        raise Unreadable("several pictures")
    return video


def _media(video: Track, size: int) -> Media:
    """As much as a plan asks for."""
    turned = 0 if video.header.matrix == UPRIGHT else 90
    shape = video.header.width >> 16, video.header.height >> 16
    picture = Video(0, _CODECS[video.codec], *shape, Fraction(1, video.timescale), rotation=turned)
    return Media("", ("mov",), size, picture)


def _table(video: Track, timescale: int) -> tuple[Table, int]:
    """The packets as ffprobe would list them, and what was added to the times of the track."""
    placement, shift = video.placement(timescale), video.shift(timescale)
    if placement is None or shift is None:
        raise Unreadable("an edit list of an unusual shape")
    ticks = round(shift * video.timescale)
    s, low = video.samples, placement.media_time
    lasts = placement.duration
    # an edit list counts in a coarser clock
    high = None if lasts is None else low + (lasts + Fraction(1, timescale)) * video.timescale
    hidden = [pts < low or (high is not None and pts >= high) for pts in s.pts]
    flags = bytearray(key | hide << 1 for key, hide in zip(s.sync, hidden, strict=True))
    table = Table(
        array("q", [pts + ticks for pts in s.pts]),
        array("q", [dts + ticks for dts in s.dts]),
        array("q", s.durations),
        flags,
    )
    if 1 not in s.sync:
        raise Unreadable("the index names no key frame")
    # where only parts of a file are known there are leaps between them
    wrong = trouble(table, Fraction(1, video.timescale))
    if wrong and (wrong != "clock" or not _leaps(s)):
        raise Unreadable(f"its times are {wrong}")
    return table, ticks


def _leaps(samples: Samples) -> bool:
    """Whether decoding leaves out what is not known."""
    return any(a + lasts < b for a, b, lasts in zip(samples.dts, samples.dts[1:], samples.durations, strict=False))
