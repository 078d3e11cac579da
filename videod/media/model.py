"""What a media file is, as typed plain data.

Times are integers in a stream's own time base wherever a frame is meant, and Fractions of a second
elsewhere: a float would blur which frame a bound selects.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class Video:
    """The picture. `rotation`: degrees counter-clockwise (-90, 0, 90, 180) that a player turns it by.

    `promised` is the number of frames that the header names, None where it names none; `delay` by how many
    frames decoding may run ahead of display; `start` the first time stamp in ticks of `time_base`.
    """

    index: int
    codec: str
    width: int
    height: int
    time_base: Fraction
    profile: str = ""
    level: int = 0
    tag: str = ""
    pix_fmt: str = ""
    sar: Fraction = Fraction(1)
    rotation: int = 0
    field_order: str = ""
    color_range: str = ""
    color_space: str = ""
    color_transfer: str = ""
    color_primaries: str = ""
    rate: Fraction = Fraction(0)
    start: int | None = None
    promised: int | None = None
    delay: int = 0
    language: str = ""

    @property
    def hdr(self) -> bool:
        """Whether it needs an HDR screen: PQ or HLG."""
        return self.color_transfer in {"smpte2084", "arib-std-b67"}

    @property
    def turned(self) -> bool:
        """Whether a player swaps width and height."""
        return abs(self.rotation) == 90


@dataclass(frozen=True)
class Audio:
    """A sound track; `sample_rate` in hertz. `silent`: there is nothing of it in the part that is cut."""

    index: int
    codec: str
    sample_rate: int
    channels: int
    time_base: Fraction
    language: str = ""
    title: str = ""
    default: bool = False
    silent: bool = False


@dataclass(frozen=True)
class Other:
    """A stream that is neither the picture nor a sound track that we can decode."""

    index: int
    kind: str
    codec: str


@dataclass(frozen=True)
class Media:
    """A local file with a moving picture.

    `formats`: ffprobe's names of the container; `duration`: seconds as its header says, None if it does not;
    `whole`: whether the file is as long as its own structure says (True where the structure does not say).
    `max_pixels`: larger pictures are not decoded, wherever in the file they turn up; 0: no limit.
    """

    path: str
    formats: tuple[str, ...]
    size: int
    video: Video
    audio: tuple[Audio, ...] = ()
    others: tuple[Other, ...] = ()
    duration: Fraction | None = None
    title: str = ""
    whole: bool = True
    max_pixels: int = 0


def ticks() -> array[int]:
    """An empty list of time stamps, 8 bytes each: a long video has half a million."""
    return array("q")


@dataclass(frozen=True)
class Frames:
    """The shown frames of the picture in display order, and its packets in decoding order.

    `pts`, `keys` (1: a key frame) go together, as do `coded` and `dts` (of the packets from the first key
    frame on, hidden ones too). `hidden`: what an edit list hides. `tail`: how long the last frame stays, in
    ticks. `step`: set where the file has no usable times: then its n-th decoded frame counts as
    pts[0] + n * step, and later by all `leaps` (frame, ticks) up to it. `doubts`: what the demuxer complained
    about. `lapses`: where a recording ran on while the next had begun, so that its last pictures are left out:
    (seconds from the first frame, how many). `origin`: of a file that holds a part of a source, the time of the
    source's first shown frame on its clock.
    """

    time_base: Fraction
    pts: array[int]
    keys: bytes
    coded: array[int]
    dts: array[int]
    tail: int
    hidden: frozenset[int] = frozenset()
    skipped: int = 0
    step: int | None = None
    doubts: tuple[str, ...] = ()
    lapses: tuple[tuple[Fraction, int], ...] = ()
    origin: int | None = None
    leaps: tuple[tuple[int, int], ...] = ()

    @property
    def zero(self) -> int:
        """From where times are told, in ticks."""
        return self.pts[0] if self.origin is None else self.origin

    def after(self, index: int) -> int:
        """When the frame at `index` gives way to the next, in ticks."""
        return self.pts[index + 1] if index + 1 < len(self.pts) else self.pts[index] + self.tail

    def seconds(self, pts: int) -> Fraction:
        """Seconds from the source's first shown frame."""
        return (pts - self.zero) * self.time_base


@dataclass(frozen=True)
class Source:
    """A probed file with its frames, made once and used for each clip of a message."""

    media: Media
    frames: Frames


@dataclass(frozen=True)
class Plan:
    """Which frames an output holds.

    `cut`: smart, encode, keyframe or copy. `pts`: the wanted frames in display order, ticks of the source's time
    base; `after`: when the last of them ends. `start`, `end`: the same in seconds from the first shown
    frame. `seek`: seconds (of the source's own clock) from which reading yields all of them, None: from the
    beginning. `sound`: bounds of the sound in seconds of the source's clock; no end: all there is;
    `exact_sound`: encode it rather than copy coded frames that straddle them. `why`: why it is no smart cut.
    """

    cut: str
    pts: array[int]
    after: int
    start: Fraction
    end: Fraction
    time_base: Fraction
    seek: Fraction | None
    sound: tuple[Fraction, Fraction | None]
    warnings: tuple[str, ...] = ()
    why: str = ""
    exact_sound: bool = False

    @property
    def count(self) -> int:
        """How many frames."""
        return len(self.pts)

    @property
    def duration(self) -> Fraction:
        """Seconds from the first frame's begin to the last frame's end."""
        return self.end - self.start


@dataclass(frozen=True)
class Cut:
    """What was made. `start`, `end`: seconds from the source's first shown frame, of the real first frame
    and after the real last; `cut`: what was really done; `width`, `height`: upright, in pixels; `copied`: how
    many frames were; `why`: why none were although that was wanted."""

    start: float
    end: float
    frames: int
    duration: float
    cut: str
    width: int
    height: int
    warnings: tuple[str, ...] = ()
    copied: int = 0
    why: str = ""
