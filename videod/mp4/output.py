"""A track as it is to be written, and the clock of its media."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from fractions import Fraction
from itertools import repeat
from operator import add, le, sub

from videod.mp4.boxes import BadMp4
from videod.mp4.entries import first_reference
from videod.mp4.model import Placement, Samples, Track, TrackHeader


@dataclass(frozen=True)
class TrackOut:
    """A track to be written. Its samples: `offsets` are places in sources, `sources` says in which, a byte for each.

    Without `sources` all lie in the first. Without `placement` there is no edit list, and media time 0 is the movie's
    time 0: pts are written as they are, dts so that the first is 0, which makes composition offsets negative
    where pictures are reordered. With one, pts keep their distance to dts unless they lie before all dts; it counts on
    the clock of the samples.
    `durations` are used of the last sample alone. `unit` is that of `Track`, `language` three letters.
    """

    handler: bytes
    timescale: int
    entry: bytes
    samples: Samples
    sources: bytes = b""
    placement: Placement | None = None
    header: TrackHeader | None = None
    language: str = "und"
    media_header: bytes = b""
    unit: int = 0
    title: str = ""

    def __post_init__(self) -> None:
        s = self.samples
        if {len(s), len(s.offsets), len(s.dts), len(s.pts), len(s.durations), len(s.sync)} != {len(s)} or not s:
            raise BadMp4("a track needs samples, in columns of equal length")
        if self.sources and len(self.sources) != len(s):
            raise BadMp4("each sample needs a source")
        if not all(map(le, s.dts, s.dts[1:])):
            raise BadMp4("decoding times go back")
        if self.placement is None and min(s.pts) < 0:
            raise BadMp4("a picture is shown before 0, and there is no edit list")
        if self.unit and any(size % self.unit for size in s.sizes):
            raise BadMp4("raw sound ends inside a sample")
        if not 0 < self.timescale < 1 << 32 or len(self.handler) != 4:
            raise BadMp4("a track needs a timescale and a handler of four characters")
        if len(self.entry) < 16 or int.from_bytes(self.entry[:4], "big") != len(self.entry):
            raise BadMp4("the sample entry has another size than it says")


def copied(track: Track, movie_timescale: int) -> TrackOut:
    """A track that was read, with all its samples from one source. Raises BadMp4 where it cannot be written."""
    placement = track.placement(movie_timescale)
    if placement is None:
        raise BadMp4(f"the edit list of track {track.id} is of an unusual shape")
    if track.descriptions > 1:
        raise BadMp4(f"track {track.id} uses {track.descriptions} sample entries")
    return TrackOut(
        track.handler,
        track.timescale,
        first_reference(track.entry),
        track.samples,
        placement=placement,
        header=track.header,
        language=track.language,
        media_header=track.media_header,
        unit=track.unit,
        title=track.title,
    )


@dataclass(frozen=True)
class Media:
    """A track on the clock of its media, which begins with 0 at the first dts.

    `deltas` are those of stts, `shifts` those of ctts; `media_time` and `delay` (seconds) belong into an edit list
    if there is one; `shown` is how many seconds are shown, from the end of `delay` on.
    """

    dts: array[int]
    deltas: array[int]
    shifts: array[int]
    media_time: int
    delay: Fraction
    shown: Fraction
    edited: bool


def media_of(track: TrackOut) -> Media:
    """Put a track on the clock of its media."""
    s = track.samples
    # not behind the first dts either: an edit list cannot begin before media time 0
    first = min(s.pts)
    zero = min(s.dts[0], first)
    dts = array("q", map(sub, s.dts, repeat(s.dts[0])))
    pts = s.pts if track.placement is None else array("q", map(sub, s.pts, repeat(zero)))
    steps = array("q", map(sub, dts[1:], dts))
    if steps and max(steps) >> 31:
        raise BadMp4("decoding times leap")
    deltas = array("I", steps)
    deltas.append(s.durations[-1])
    shown_until = max(map(add, pts, s.durations))
    end = max(dts[-1] + deltas[-1], shown_until)
    if track.placement is None:
        return Media(dts, deltas, array("q", map(sub, pts, dts)), 0, Fraction(0), Fraction(end, track.timescale), False)
    start, delay, shown = track.placement
    if (start < zero or delay) and start < first:
        # an empty edit until the first sample is shown; some players shift what comes later than its edit begins
        late = Fraction(first - start, track.timescale)
        start, delay, shown = first, delay + late, None if shown is None else max(Fraction(0), shown - late)
    start -= zero
    edited = bool(start or delay or shown is not None)
    shown = Fraction(max(0, end - start), track.timescale) if shown is None else shown
    return Media(dts, deltas, array("q", map(sub, pts, dts)), start, delay, shown, edited)
