"""Is the source broken where it is needed? Asked when something looks odd, and of every copied output.

The packets that the wanted frames need are copied into a file of their own and decoded: what the decoder
then complains about lies inside. Complaints of an encode say less: decoding begins before the wanted part
and its log does not name frames.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from videod.config.settings import Preset
from videod.errors import Failure
from videod.media import argv
from videod.media.copying import audible, prepare
from videod.media.model import Plan, Source
from videod.media.plan import micro, plan
from videod.media.reading import Complaints
from videod.process import Tools


@dataclass(frozen=True)
class Decoded:
    """How decoding went: frames of the picture, and what was complained about."""

    frames: int
    complaints: tuple[str, ...]


def decoded(path: Path, tools: Tools, threads: int = 0) -> Decoded:
    """Decode a file of ours to its end."""
    complaints, count = Complaints(), [0]

    def take(line: str) -> None:
        name, _, value = line.partition("=")
        if name == "frame" and value.strip().isdigit():
            count[0] = int(value)

    command = argv.decode(str(path), threads)
    result = tools.run(command, on_line=take, on_error_line=complaints.take, may_fail=True)
    if result.code:
        complaints.take(f"[error] ffmpeg ended with {result.code}")
    return Decoded(count[0], tuple(complaints.lines))


def damage(source: Source, wanted: Plan, preset: Preset, tools: Tools, threads: int = 0) -> str:
    """What is broken between the key frame before the plan's first frame and its last; empty: nothing."""
    if hole := _hole(source, wanted):
        return hole
    if source.frames.step is not None:
        return _said(decoded(Path(source.media.path), tools, threads), wanted)
    part = _needed(source, wanted)
    heard, spans = audible(source, part, tools)
    found = prepare(heard, part, "nut", spans, tools, seek=True)
    if found is None:
        return "packets of the wanted part cannot be read"
    excerpt = tools.scratch / "excerpt.nut"
    try:
        copied = tools.run(argv.copy(heard, part, "nut", excerpt, preset, found[0]), may_fail=True)
        if copied.code:
            return f"packets of the wanted part cannot be read: {copied.tail}"
        return _said(decoded(excerpt, tools, threads), part)
    finally:
        excerpt.unlink(missing_ok=True)


def _said(result: Decoded, part: Plan) -> str:
    if result.complaints:
        return result.complaints[0]
    missing = part.count - result.frames
    return f"{missing} of {part.count} frames cannot be decoded" if missing > 0 else ""


def _needed(source: Source, wanted: Plan) -> Plan:
    """The plan of a copy that holds the wanted frames and what they refer to."""
    start = micro(wanted.start) / 1_000_000
    end = (micro(wanted.end) - 1) / 1_000_000
    whole = replace(source.media, whole=True)
    try:
        part = plan(whole, source.frames, start, end, "keyframe", "nut")
    except Failure:
        return wanted
    return replace(part, sound=wanted.sound)


def _hole(source: Source, wanted: Plan) -> str:
    """A gap between two wanted frames in a file whose packets could not all be read."""
    if not source.frames.doubts or wanted.count < 3:
        return ""
    steps = [b - a for a, b in pairwise(wanted.pts)]
    usual = sorted(steps)[len(steps) // 2]
    widest = max(steps)
    if widest * 2 <= usual * 5:
        return ""
    at = source.frames.seconds(wanted.pts[steps.index(widest)])
    return f"frames are missing behind {float(at):.3f} s, and the file is broken: {source.frames.doubts[0]}"
