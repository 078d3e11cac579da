"""Is the source broken where it is needed? Asked when something looks odd, and of every copied output.

The packets that the wanted frames need are copied into a file of their own and decoded: what the decoder
then complains about lies inside. Complaints of an encode say less: decoding begins before the wanted part
and its log does not name frames.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from videod.config.presets import Preset
from videod.errors import EncodeFailed, Failure
from videod.media import argv
from videod.media.copying import audible, prepare
from videod.media.holes import holes
from videod.media.model import Plan, Source
from videod.media.plan import MICRO, micro, plan
from videod.media.reading import GAP, Complaints
from videod.media.room import check_room
from videod.process import Tools

# where packets are lost the picture need not look steady
HALF = 0.5


@dataclass(frozen=True)
class Decoded:
    """How decoding went: frames of the picture, and what was complained about."""

    frames: int
    complaints: tuple[str, ...]


@dataclass(frozen=True)
class Found:
    """`what` is broken, empty: nothing. `late`: who begins to decode at the key frame before the part sees it broken,
    who begins one earlier does not."""

    what: str = ""
    late: bool = False


def decoded(path: Path, tools: Tools, threads: int = 0, max_pixels: int = 0, *, smooth: bool = True) -> Decoded:
    """Decode a file of ours to its end; without `smooth` no filter runs over the pictures, which complains of nothing.
    Raises TooBig for pictures over `max_pixels`."""
    complaints, count = Complaints(), [0]

    def take(line: str) -> None:
        name, _, value = line.partition("=")
        if name == "frame" and value.strip().isdigit():
            count[0] = int(value)

    command = argv.decode(str(path), threads, max_pixels, smooth=smooth)
    result = tools.run(command, on_line=take, on_error_line=complaints.take, may_fail=True)
    complaints.check_size()
    if result.code:
        complaints.take(f"[error] ffmpeg ended with {result.code}")
    return Decoded(count[0], tuple(complaints.lines))


def damage(source: Source, wanted: Plan, preset: Preset, tools: Tools) -> Found:
    """What is broken between the key frame before the plan's first frame and its last."""
    if hole := _hole(source, wanted):
        return Found(hole)
    if source.frames.step is not None:
        return Found(_said(decoded(Path(source.media.path), tools, 1, source.media.max_pixels), wanted))
    part = _needed(source, wanted.start, wanted.end, wanted)
    try:
        result = _tried(source, part, preset, tools)
        # who enters intra refresh is shown nothing until the picture is whole
        entered = all(GAP in line for line in result.complaints)
        if not result.complaints or (result.frames < part.count and not entered):
            return Found(_said(result, part))
        return _beyond_entry(source, part, result, preset, tools)
    except EncodeFailed as failure:
        if "No space left on device" in failure.detail:  # of the excerpt: that is not the source's fault
            raise
        return Found(f"packets of the wanted part cannot be read: {failure.detail}")


def _beyond_entry(source: Source, part: Plan, result: Decoded, preset: Preset, tools: Tools) -> Found:
    """What is broken in a part whose decoding made complaints.

    To enter an open GOP makes the decoder complain of pictures that were never read. So it enters one key
    frame earlier, and what it says of that stretch alone, or does not show of it, is taken off.
    """
    key = bisect_left(source.frames.pts, part.pts[0])
    before = source.frames.keys.rfind(1, 0, key)
    if before < 0:
        # the file begins in the middle of things: there is no earlier key frame to enter at
        left = [line for line in result.complaints if GAP not in line or not source.frames.skipped]
        return Found(left[0] if left else "")
    start = source.frames.seconds(source.frames.pts[before])
    way = _needed(source, start, part.start, part)
    run_in = _tried(source, way, preset, tools)
    both = _needed(source, start, part.end, part)
    whole = _tried(source, both, preset, tools)
    hidden = max(0, way.count - run_in.frames)
    beyond = whole.complaints[len(run_in.complaints) :]
    what = _said(replace(whole, frames=whole.frames + hidden, complaints=beyond), both)
    return Found(what, late=not run_in.complaints)


def _tried(source: Source, part: Plan, preset: Preset, tools: Tools) -> Decoded:
    """Copy the packets of `part` into a file and decode it. Raises EncodeFailed if they cannot be read."""
    heard, spans = audible(source, part, tools)
    # what is wrong with sound that NUT does not hold is not looked for
    pairs = [(track, span) for track, span in zip(heard.media.audio, spans, strict=True) if argv.copies("nut", track)]
    heard = replace(heard, media=replace(heard.media, audio=tuple(track for track, _ in pairs)))
    spans = [span for _, span in pairs]
    found = prepare(heard, part, "nut", spans, tools, seek=True)
    if found is None:
        found = prepare(heard, part, "nut", spans, tools, seek=False)
    if found is None:
        raise EncodeFailed("packets are missing", detail="they are not where the index says")
    excerpt = tools.scratch / "excerpt.nut"
    try:
        check_room(tools.run(argv.copy(heard, part, "nut", excerpt, preset, found[0])))
        # one thread: the order of its complaints is the order of the packets then
        return decoded(excerpt, tools, 1, source.media.max_pixels)
    finally:
        excerpt.unlink(missing_ok=True)


def _said(result: Decoded, part: Plan) -> str:
    if result.complaints:
        return result.complaints[0]
    missing = part.count - result.frames
    return f"{missing} of {part.count} frames cannot be decoded" if missing > 0 else ""


def _needed(source: Source, start: Fraction, end: Fraction, like: Plan) -> Plan:
    """The plan of a copy that holds the frames in [start, end) and what they refer to; sound of `like`."""
    whole = replace(source.media, whole=True)
    bounds = micro(start) / MICRO, (micro(end) - 1) / MICRO
    try:
        part = plan(whole, source.frames, *bounds, "keyframe", "nut")
    except Failure:
        return like
    return replace(part, sound=like.sound)


def _hole(source: Source, wanted: Plan) -> str:
    """A pause at or between the wanted frames of a file whose packets could not all be read."""
    if not source.frames.doubts:
        return ""
    # what is lost at an end of the part shows only beside the frame next to it
    pts = source.frames.pts
    around = pts[max(0, bisect_left(pts, wanted.pts[0]) - 1) : bisect_right(pts, wanted.pts[-1]) + 1]
    found = holes(around, HALF)
    if not found:
        return ""
    at = source.frames.seconds(around[found[0]])
    return f"frames are missing behind {float(at):.3f} s, and the file is broken: {source.frames.doubts[0]}"
