"""What an MP4 holds, as typed plain data. Times are integers: of a track in its own timescale, else as told."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple

from videod.mp4.boxes import BadMp4

UPRIGHT = (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
NORMAL_RATE = 1 << 16
# a day at 60 pictures a second, and of sound in frames of 1024 samples at 96 kHz. A sample takes up to 33 bytes
MOST_PICTURES = 24 * 3600 * 60
MOST_SOUNDS = 24 * 3600 * 96_000 // 1024
MOST_SAMPLES = MOST_PICTURES + MOST_SOUNDS


def numbers() -> array[int]:
    """A column of 64 bits."""
    return array("q")


def lengths() -> array[int]:
    """A column of 32 bits without sign."""
    return array("I")


@dataclass(frozen=True)
class Samples:
    """Samples in decoding order, in columns of equal length.

    `sizes` in bytes, `offsets` from the file's begin, `dts`, `pts` and `durations` in the track's timescale, no edit
    list applied; `sync` is 1 where the file claims that decoding can begin. A claim: in open GOP it may be no IDR.
    """

    sizes: array[int] = field(default_factory=lengths)
    offsets: array[int] = field(default_factory=numbers)
    dts: array[int] = field(default_factory=numbers)
    pts: array[int] = field(default_factory=numbers)
    durations: array[int] = field(default_factory=lengths)
    sync: bytes = b""

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def end(self) -> int:
        """When the next sample would be decoded; 0 without samples."""
        return self.dts[-1] + self.durations[-1] if self.dts else 0


def join(parts: Sequence[Samples]) -> Samples:
    """Parts that follow each other. Raises BadMp4 where decoding would go back in time, or for too many."""
    if len(parts) == 1:
        return parts[0]
    if sum(map(len, parts)) > MOST_SAMPLES:
        raise BadMp4(f"more than {MOST_SAMPLES} samples")
    whole = Samples()
    for part in parts:
        if part.dts and whole.dts and part.dts[0] < whole.dts[-1]:
            raise BadMp4("the decoding times of fragments go back")
        whole.sizes.extend(part.sizes)
        whole.offsets.extend(part.offsets)
        whole.dts.extend(part.dts)
        whole.pts.extend(part.pts)
        whole.durations.extend(part.durations)
    sync = b"".join(part.sync for part in parts)
    return Samples(whole.sizes, whole.offsets, whole.dts, whole.pts, whole.durations, sync)


class Edit(NamedTuple):
    """An entry of elst: `duration` in the movie's timescale, `media_time` in the track's, -1 for an empty edit.

    `rate` is a fixed-point number of 16.16 bits.
    """

    duration: int
    media_time: int
    rate: int = NORMAL_RATE


class Placement(NamedTuple):
    """What an edit list of a usual shape means: media from `media_time` on is shown `delay` seconds late.

    `duration`: seconds that are shown, None for all.
    """

    media_time: int
    delay: Fraction
    duration: Fraction | None


@dataclass(frozen=True)
class TrackHeader:
    """The facts of tkhd: width, height as 16.16, `volume` as 8.8, the matrix row by row."""

    enabled: bool = True
    layer: int = 0
    alternate_group: int = 0
    volume: int = 0
    matrix: tuple[int, ...] = UPRIGHT
    width: int = 0
    height: int = 0


class Defaults(NamedTuple):
    """What trex says for the samples of fragments."""

    description: int
    duration: int
    size: int
    flags: int


@dataclass(frozen=True)
class Track:
    """One track. `entry` is the first used sample entry with its size and fourcc, byte by byte; `codec` its fourcc.

    `description` is its number in stsd, `descriptions` how many are used. `media_header` is vmhd, smhd, gmhd
    and so on, byte by byte. `unit` is 0, or for raw sound in samples of one moment the bytes of one: then
    an entry of `samples` stands for up to 1024 of them that lie side by side.
    """

    id: int
    handler: bytes
    timescale: int
    language: str
    header: TrackHeader
    entry: bytes
    codec: bytes
    encrypted: bool
    description: int
    descriptions: int
    media_header: bytes
    edits: tuple[Edit, ...]
    samples: Samples
    sync_known: bool = True
    unit: int = 0
    defaults: Defaults | None = None
    title: str = ""

    def placement(self, movie_timescale: int) -> Placement | None:
        """None for an unusual edit list: several edits with media, a rate that is not 1, only empty edits."""
        if not self.edits:
            return Placement(0, Fraction(0), None)
        *empty, last = self.edits
        if any(edit.media_time != -1 for edit in empty) or last.media_time < 0 or last.rate != NORMAL_RATE:
            return None
        delay = Fraction(sum(edit.duration for edit in empty), movie_timescale)
        return Placement(last.media_time, delay, Fraction(last.duration, movie_timescale) if last.duration else None)

    def shift(self, movie_timescale: int) -> Fraction | None:
        """Seconds to add to pts / timescale for the movie's time; None for an unusual edit list."""
        placed = self.placement(movie_timescale)
        return None if placed is None else placed.delay - Fraction(placed.media_time, self.timescale)


@dataclass(frozen=True)
class Movie:
    """What moov says. `brands`: the major one first, then the compatible ones."""

    timescale: int
    tracks: tuple[Track, ...]
    fragmented: bool
    brands: tuple[bytes, ...] = ()
    title: str = ""

    def track(self, number: int) -> Track | None:
        """The track with this id."""
        return next((track for track in self.tracks if track.id == number), None)

    @property
    def lead(self) -> Track | None:
        """The track that says where decoding can begin: the first picture that is enabled, else the first track."""
        pictures = [track for track in self.tracks if track.handler == b"vide"]
        enabled = [track for track in pictures if track.header.enabled]
        return next(iter([*enabled, *pictures, *self.tracks]), None)
