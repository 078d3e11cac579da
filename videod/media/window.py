"""A remote MP4 of which only the index is read, and of its samples only what the clips need.

What a clip needs becomes a small local file of its own, a window, which is examined and cut like any other file.
The plan is made on the whole index, so that times count from the first frame of the source.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Protocol

from videod.media.frames import Table, shown, trouble
from videod.media.model import Cut, Frames, Media, Plan, Source, Video
from videod.media.plan import MICRO, micro, plan
from videod.media.splice import Unspliced
from videod.mp4.boxes import BadMp4
from videod.mp4.copying import FileCopy
from videod.mp4.index import Index, load
from videod.mp4.model import UPRIGHT, Movie, Placement, Samples, Track, join
from videod.mp4.output import TrackOut
from videod.mp4.writer import write

_CODECS = {b"avc1": "h264", b"avc3": "h264", b"hvc1": "hevc", b"hev1": "hevc", b"av01": "av1", b"vp09": "vp9"}
_CODECS |= {b"mp4v": "mpeg4"}
# sound that is fetched beside what is needed, on both sides: coded frames overlap, and decoders want a run-in
MARGIN = Fraction(1, 4)
_SOUND, _PICTURE = b"soun", b"vide"


class Unreadable(Exception):
    """The file is not one of which a part could be taken: the whole has to be fetched. The text says why."""


class Parts(Protocol):
    """A source that is read in parts, see transfer.ranges.Remote."""

    @property
    def size(self) -> int: ...  # noqa: D102

    def read(self, start: int, length: int) -> bytes: ...  # noqa: D102

    def fetch(  # noqa: D102
        self, spans: Iterable[tuple[int, int]], path: Path, on_progress: Callable[[float], None] = ...
    ) -> int: ...


@dataclass(frozen=True)
class Piece:
    """The samples of one track from `low` on to before `high`."""

    track: Track
    low: int
    high: int

    @property
    def samples(self) -> Samples:
        """Them."""
        s, part = self.track.samples, slice(self.low, self.high)
        columns = s.sizes[part], s.offsets[part], s.dts[part], s.pts[part], s.durations[part]
        return Samples(*columns, s.sync[part])


@dataclass(frozen=True)
class Window:
    """What one clip needs. `plan` is on the source's clock, `begin` the time of the window's first frame on it, in
    ticks of the picture; `pts` the times of all frames that the window shows, from its first on."""

    plan: Plan
    pieces: tuple[Piece, ...]
    begin: int
    pts: array[int]
    movie: Movie

    def spans(self) -> list[tuple[int, int]]:
        """Where its bytes are in the source."""
        found = []
        for piece in self.pieces:
            s = piece.samples
            found += [(offset, offset + size) for offset, size in zip(s.offsets, s.sizes, strict=True)]
        return found

    def write(self, source: Path, out: Path) -> None:
        """Make it, out of a file that holds its bytes where the source has them. Raises BadMp4, OSError."""
        video = self.pieces[0].track
        begin = Fraction(self.begin, video.timescale)
        tracks = [_track_out(piece, self.movie.timescale, begin) for piece in self.pieces]
        with open(source, "rb", buffering=0) as file, open(out, "wb") as made:
            write(made, tracks, FileCopy(made, [file]))

    def moved(self, found: Source) -> Plan:
        """The plan on the clock of the window as it was examined. Raises Unreadable if it shows other frames."""
        frames, wanted, base = found.frames, self.plan, self.plan.time_base
        if frames.time_base != base or [pts - frames.pts[0] for pts in frames.pts] != list(self.pts):
            raise Unreadable("ffprobe sees other frames than the index tells")
        by = self.begin - frames.pts[0]
        ahead = wanted.pts[0] - self.begin
        start = ahead * base
        first, stop = wanted.sound
        clock = by * base
        return replace(
            wanted,
            pts=array("q", [pts - by for pts in wanted.pts]),
            after=wanted.after - by,
            start=start,
            end=start + wanted.duration,
            seek=None,
            sound=(first - clock, None if stop is None else stop - clock),
        )

    def told(self, made: Cut) -> Cut:
        """What was made, in times of the source."""
        return replace(made, start=micro(self.plan.start) / MICRO, end=micro(self.plan.end) / MICRO)


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
            return _window(movie, video, ticks, wanted, frames)
        except (BadMp4, Unspliced) as error:
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


def _window(movie: Movie, video: Track, ticks: int, wanted: Plan, frames: Frames) -> Window:
    s = video.samples
    pts = [time + ticks for time in s.pts]
    wants = set(wanted.pts)
    places = [n for n, time in enumerate(pts) if time in wants]
    high = _closed(pts, places[-1], len(pts))
    low = _key(s.sync, pts, places[0], wanted.pts[0])
    if low > 0 and min(pts[low:high]) < pts[low]:
        # pictures that are shown before this key frame lean on what is before it: a decoder that enters here
        # complains as it does of damage, so that `damage` wants to enter one key frame earlier
        low = _key(s.sync, pts, low - 1, pts[low])
    begin = pts[low]
    inside = sorted(time for time in pts[low:high] if begin <= time and time not in frames.hidden)
    picture = Piece(video, low, high)
    seconds = Fraction(begin, video.timescale)
    stop = wanted.sound[1]
    sounds = [_sound(track, movie.timescale, seconds, stop) for track in movie.tracks if track.handler == _SOUND]
    pieces = (picture, *[piece for piece in sounds if piece.low < piece.high])
    return Window(wanted, pieces, begin, array("q", [time - begin for time in inside]), movie)


def _key(sync: bytes, pts: Sequence[int], at: int, first: int) -> int:
    """The last key frame that is stored at `at` or before it, and shown at `first` or before."""
    while at >= 0 and not (sync[at] and pts[at] <= first):
        at -= 1
    if at < 0:
        raise Unreadable("no key frame is stored before the first wanted frame")
    return at


def _closed(pts: Sequence[int], last: int, count: int) -> int:
    """Where to stop so that no frame between those that are shown is missing; a GOP is longer than that."""
    top = max(pts[max(0, last - 64) : last + 1])
    high = last + 1
    while high < count and min(pts[high : high + 64]) <= top:
        top = max(top, pts[high])
        high += 1
    return high


def _sound(track: Track, timescale: int, begin: Fraction, end: Fraction | None) -> Piece:
    shift = track.shift(timescale)
    if shift is None:
        raise Unreadable("an edit list of an unusual shape")
    s = track.samples
    low = (begin - MARGIN - shift) * track.timescale
    high = None if end is None else (end + MARGIN - shift) * track.timescale
    first = next((n for n, (at, lasts) in enumerate(zip(s.pts, s.durations, strict=True)) if at + lasts > low), len(s))
    last = len(s) if high is None else next((n for n in range(first, len(s)) if s.pts[n] >= high), len(s))
    # one that stands for a pause, too, makes players skip more than it holds when an edit list hides it
    zero = (begin - shift) * track.timescale
    for n in range(first, last - 1):
        if s.pts[n] + s.durations[n] > zero:
            break
        if s.durations[n] > s.durations[n + 1]:
            first = n + 1
    return Piece(track, first, last)


def _track_out(piece: Piece, timescale: int, begin: Fraction) -> TrackOut:
    """The samples of a piece, shown from `begin` on, which is 0 in the window."""
    track = piece.track
    shift = track.shift(timescale)
    assert shift is not None
    samples = piece.samples
    zero = round((begin - shift) * track.timescale)
    first = min(samples.pts)
    # the picture's first frame is its key frame; a sound may begin later, or earlier and then hidden
    start = max(zero, first)
    late = Fraction(start - zero, track.timescale)
    entry = track.entry[:14] + b"\0\1" + track.entry[16:]
    what = track.handler, track.timescale, entry, samples, b"", Placement(start, late, None)
    return TrackOut(*what, track.header, track.language, track.media_header, track.unit)
