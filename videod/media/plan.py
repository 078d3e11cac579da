"""Which frames an output holds: a pure function of the file's frames and what was asked.

Times count from the first shown frame and are rounded to the microsecond before comparing, halves up: so a
time that ffprobe or an event printed with six decimals, given back, selects the same frame.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from dataclasses import replace
from fractions import Fraction
from math import ceil, floor

from videod.errors import Damaged, OutOfRange
from videod.media.containers import holds_picture
from videod.media.holes import holes
from videod.media.model import Frames, Media, Plan
from videod.media.reading import LOOSE

MICRO = 1_000_000
# seconds of sound before the first frame that are read, too: coded frames straddle it, and decoders want a run-in
LEAD = Fraction(1, 4)
# of codecs with long frames
LONG_LEAD, LONG = Fraction(3), frozenset({"wavpack", "tta"})
# codecs of which samples are copied between encoded edges
SPLICED = frozenset({"h264", "hevc"})


def micro(seconds: Fraction | float) -> int:
    """Whole microseconds, halves up."""
    return floor(Fraction(seconds) * MICRO + Fraction(1, 2))


def asked_micro(seconds: float) -> int:
    """Microseconds of a time that somebody wrote down in decimals."""
    return micro(Fraction(repr(seconds)))


def plan(
    media: Media, frames: Frames, start: float | None, end: float | None, cut: str = "exact", container: str = "mp4"
) -> Plan:
    """What to put into the output for [`start`, `end`) seconds; None: from the first frame, to the last.

    `cut`: smart or exact (the frames asked for, copied where that is possible or not), encode, keyframe or copy
    (whole streams; needs no start and end). Raises OutOfRange where
    no frame lies in the range, Damaged where it reaches behind the place at which a truncated file breaks off.
    """
    low, high, warnings = _range(media, frames, start, end)
    if cut in {"keyframe", "copy"}:
        if why := _uncopyable(media, frames, container):
            return _encode(media, frames, low, high, end, (*warnings, why))
        return _copy(media, frames, low, high, cut, warnings)
    made = _encode(media, frames, low, high, end, warnings)
    why = _unspliced(media, frames, low, high, container) if cut == "smart" else ""
    return replace(made, cut="smart" if cut == "smart" and not why else made.cut, why=why)


def _unspliced(media: Media, frames: Frames, low: int, high: int, container: str) -> str:
    """Why all frames [low, high) have to be encoded, as far as that is known before the file is read."""
    if media.video.codec not in SPLICED or container not in {"mp4", "mov"}:
        return f"{media.video.codec} in {container} is not spliced"
    if frames.step is not None or media.formats == ("nut",):
        return "the pictures have no usable times of their own"
    if frames.doubts:
        return "the file is broken somewhere"
    if 1 not in frames.keys[low:high]:
        return "no key frame lies inside"
    inside = any(frames.pts[low] <= pts <= frames.pts[high - 1] for pts in frames.hidden)
    return "the file hides frames inside" if inside else ""


def _range(media: Media, frames: Frames, start: float | None, end: float | None) -> tuple[int, int, tuple[str, ...]]:
    """The wanted frames as [low, high) of the shown ones, and warnings."""
    count, ends = len(frames.pts), micro(frames.seconds(frames.after(len(frames.pts) - 1)))
    low = _at(frames, asked_micro(start)) if start is not None else 0
    high = _at(frames, asked_micro(end)) if end is not None else count
    over = end is None or asked_micro(end) > ends
    if over and not media.whole:
        raise Damaged(f"the file is cut off: it should be longer, and its picture ends at {ends / MICRO:.3f} s")
    if start is not None and asked_micro(start) >= ends:
        raise OutOfRange(f"start is {start:g} s and the video ends at {ends / MICRO:.3f} s")
    lapses = _lapses(frames, start or 0.0, end)
    if low >= high:
        raise OutOfRange("no frame of the video lies between start and end", detail="\n".join(lapses))
    short = end is not None and over
    return low, high, (*lapses, *((f"the video ends at {ends / MICRO:.6f} s: cut there",) if short else ()))


def _lapses(frames: Frames, start: float, end: float | None) -> tuple[str, ...]:
    """What is left out within the range because two recordings overlap there."""
    inside = [(at, n) for at, n in frames.lapses if at >= start - 1 and (end is None or at < end + 1)]
    what = "pictures of one recording are left out where the next begins before its end"
    return tuple(f"{n} {what}, at {float(at):.3f} s" for at, n in inside)


def _at(frames: Frames, time: int) -> int:
    """The index of the first frame at or after `time` microseconds."""
    return bisect_left(range(len(frames.pts)), time, key=lambda i: micro(frames.seconds(frames.pts[i])))


def _uncopyable(media: Media, frames: Frames, container: str) -> str:
    """Why the picture has to be encoded although a copy was asked for."""
    if not holds_picture(container, media.video.codec):
        return f"{container} cannot hold {media.video.codec}: encoded"
    if media.video.rotation and (container in {"mkv", "ts"} or media.formats == ("nut",)):
        return f"{container} cannot say that the picture is turned: encoded"
    if frames.step is not None:
        return "the pictures have no times of their own: encoded"
    return ""


def _encode(media: Media, frames: Frames, low: int, high: int, end: float | None, warnings: tuple[str, ...]) -> Plan:
    pts = frames.pts[low:high]
    base, origin = frames.time_base, frames.zero * frames.time_base
    stop = None if end is None else origin + Fraction(repr(end))
    return _made(frames, "encode", pts, low, high, seek_to(media, frames, pts[0]), (pts[0] * base, stop), warnings)


def _copy(media: Media, frames: Frames, low: int, high: int, cut: str, warnings: tuple[str, ...]) -> Plan:
    """From the key frame at or before the first to where nothing in decoding order is left out."""
    key = frames.keys.rfind(1, 0, low + 1)
    if key < 0:
        why = "no key frame is shown at or before start: encoded"
        return _encode(media, frames, low, high, None, (*warnings, why))
    last = _closed(frames, frames.pts[key], frames.pts[high - 1])
    high = bisect_right(frames.pts, last)
    if any(frames.pts[key] <= p <= last for p in frames.hidden):
        return _encode(media, frames, low, high, None, (*warnings, "the file hides frames inside: encoded"))
    base, whole = frames.time_base, high == len(frames.pts)
    stop = None if whole else frames.after(high - 1) * base
    pts = frames.pts[key:high]
    return _made(frames, cut, pts, key, high, seek_to(media, frames, pts[0]), (pts[0] * base, stop), warnings)


def _closed(frames: Frames, first: int, last: int) -> int:
    """The last display time of the shortest run of packets that holds all up to `last` and has no hole."""
    at = _index(frames.coded, first)
    need = max(i for i in range(at, len(frames.coded)) if first <= frames.coded[i] <= last)
    top, lowest = last, _lowest_after(frames.coded)
    for i in range(at, len(frames.coded)):
        top = max(top, frames.coded[i])
        if i >= need and lowest[i] > top:
            return top
    return top


def _lowest_after(coded: array[int]) -> array[int]:
    """For each packet the lowest display time of those behind it."""
    lowest, low = array("q", bytes(8 * len(coded))), (1 << 63) - 1
    for i in range(len(coded) - 1, -1, -1):
        lowest[i] = low
        low = min(low, coded[i])
    return lowest


def _index(coded: array[int], pts: int) -> int:
    return coded.index(pts)


def seek_to(media: Media, frames: Frames, first: int) -> Fraction | None:
    """From where to read so that the frame at `first` comes out: seconds of the source's clock.

    The key frame at or before it is enough where the container has an index. The others find some packet
    near the time and decoding then begins at the next key frame: there it is one key frame more. Sound is stored
    beside the picture, so what is read of it begins there, too.
    """
    if frames.step is not None:
        return None
    lead = max((LONG_LEAD if track.codec in LONG else LEAD for track in media.audio), default=Fraction(0))
    shown = bisect_right(frames.pts, first - ceil(lead / frames.time_base))
    key = frames.keys.rfind(1, 0, shown)
    if key > 0 and not LOOSE.isdisjoint(media.formats):
        key = frames.keys.rfind(1, 0, key)
    if key <= 0:
        return None
    at = _index(frames.coded, frames.pts[key])
    time = min(frames.pts[key], frames.dts[at]) if frames.dts[at] > -(1 << 62) else frames.pts[key]
    return time * frames.time_base


def _made(
    frames: Frames,
    cut: str,
    pts: array[int],
    low: int,
    high: int,
    seek: Fraction | None,
    sound: tuple[Fraction, Fraction | None],
    warnings: tuple[str, ...],
) -> Plan:
    after = frames.after(high - 1)
    start, end = frames.seconds(frames.pts[low]), frames.seconds(after)
    if found := holes(pts):
        at = float(frames.seconds(pts[found[0]]))
        more = f" and {len(found) - 1} more times" if found[1:] else ""
        warnings = (*warnings, f"the source has no picture for a while behind {at:.6f} s{more}")
    return Plan(cut, pts, after, start, end, frames.time_base, seek, sound, warnings)
