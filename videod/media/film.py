"""A remote MP4 of which only the index is read.

The plan of a clip is made on the whole index, so that times count from the first frame of the source.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable
from dataclasses import replace
from fractions import Fraction
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
        index = self._index
        if not index.movie.fragmented:
            return index.movie
        first = index.first
        video = _picture(first)
        _, ticks = _table(video, first.timescale)
        zero = Fraction(min(video.samples.pts) + ticks, video.timescale)
        low = zero + Fraction(repr(start or 0.0))
        high = zero + Fraction(repr(end)) if end is not None else Fraction(1 << 40)
        return _both(first, index.span(low, high + 1))


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
