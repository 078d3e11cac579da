"""What a clip needs of a remote MP4: which samples, and the small local file, a window, that is made of them.

A window is examined and cut like any other file; its plan comes from the index of the whole.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from videod.media.model import Frames, Plan, Source
from videod.media.plan import seek_to
from videod.mp4.copying import FileCopy
from videod.mp4.entries import first_reference
from videod.mp4.model import Movie, Placement, Samples, Track
from videod.mp4.output import TrackOut
from videod.mp4.writer import write

# sound that is fetched beside what is needed, on both sides: coded frames overlap, and decoders want a run-in
MARGIN = Fraction(1, 4)
_SOUND = b"soun"


class Unreadable(Exception):
    """The file is not one of which a part could be taken: the whole has to be fetched. The text says why."""


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
    """What a clip needs. `plan` is on the source's clock, `begin` the time of the window's first frame on it, in
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
            write(made, tracks, FileCopy(made, [file]), title=self.movie.title)

    @property
    def over(self) -> int:
        """When its last frame is shown, in ticks as `begin`."""
        return self.begin + self.pts[-1]

    def check(self, found: Source) -> None:
        """Raise Unreadable if the window as it was examined shows other frames."""
        frames = found.frames
        shown = [pts - frames.pts[0] for pts in frames.pts]
        if frames.time_base != self.plan.time_base or shown != list(self.pts):
            raise Unreadable("ffprobe sees other frames than the index tells")

    def moved(self, found: Source, plan: Plan | None = None) -> Plan:
        """The plan on the clock of the window as it was examined; or the plan of a part of what it shows."""
        frames, wanted, base = found.frames, plan or self.plan, self.plan.time_base
        by = self.begin - frames.pts[0]
        ahead = wanted.pts[0] - self.begin
        start = ahead * base
        first, stop = wanted.sound
        clock = by * base
        pts = array("q", [pts - by for pts in wanted.pts])
        return replace(
            wanted,
            pts=pts,
            after=wanted.after - by,
            start=start,
            end=start + wanted.duration,
            seek=None if plan is None else seek_to(found.media, frames, pts[0]),
            sound=(first - clock, None if stop is None else stop - clock),
        )


def window_of(movie: Movie, video: Track, ticks: int, wanted: Plan, frames: Frames) -> Window:
    """The window of a plan; `ticks` was added to the track's times. Raises Unreadable."""
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
    if first >= last:
        # silent here: with any one of its samples the window has the track
        first = max(0, min(first, len(s)) - 1)
        return Piece(track, first, min(first + 1, len(s)))
    # one that stands for a pause, too, makes players skip more than it holds when an edit list hides it
    zero = (begin - shift) * track.timescale
    for n in range(first, last - 1):
        if s.pts[n] + min(s.durations[n : n + 2]) > zero:
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
    what = track.handler, track.timescale, first_reference(track.entry), samples, b"", Placement(start, late, None)
    return TrackOut(*what, track.header, track.language, track.media_header, track.unit, track.title)
