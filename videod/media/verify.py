"""Proves that an output holds exactly the planned frames: ffmpeg's exit code proves nothing.

Read from the packets of the output: how many frames, when each is shown, that the first is a key frame and
that none is hidden, how long each sound track is. One frame is decoded, for the size; that the rest can be
decoded is known of what our own encoder made, and tested by `damage.decoded` of what was copied.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

from videod.errors import Permanent
from videod.media.filters import upright
from videod.media.frames import Table, read_table, shown, trouble
from videod.media.model import Media
from videod.media.probe import Bounds, probe
from videod.media.sound import Hearing, Span
from videod.process import Tools

SOUND_OFF = Fraction(25, 1000)


def flaw(
    out: Path,
    wanted: array[int],
    time_base: Fraction,
    sound: list[Span],
    size: tuple[int, int] | None,
    tools: Tools,
    settings: Bounds,
) -> tuple[str, Media | None]:
    """What is wrong with an output, in words, empty if nothing is; and what it is.

    `wanted`: display times of the frames in ticks of `time_base`; `sound`: where each
    track should sound; `size`: width and height, upright, None where the source changes it.
    """
    try:
        media = probe(str(out), tools, settings)
        # one reading for both: to start ffprobe costs more than to read the file
        heard = Hearing(media, (media.video.start or 0) * media.video.time_base, None)
        table = read_table(media, tools, heard.take)
        wrong = _picture(media, table, wanted, time_base) or _tracks(media, heard.spans(), sound)
    except Permanent as failure:  # a tool that was killed, or stalled, says nothing of the output
        return " ".join(f"{failure.message} {failure.detail}".split()), None
    if size and upright(media.video) != size:
        wrong = wrong or f"the picture is {media.video.width}x{media.video.height} and should be {size[0]}x{size[1]}"
    return wrong, media


def _picture(media: Media, table: Table, wanted: array[int], time_base: Fraction) -> str:
    if not len(table.pts) or not table.flags[0] & 1:
        return "the first picture is no key frame"
    base = media.video.time_base
    if wrong := trouble(table, base):
        return f"the times of the frames are {wrong}"
    frames = shown(table, base, media.video.rate)
    if frames.hidden or len(frames.pts) != len(table.pts):
        return "it holds frames that are not shown"
    if len(frames.pts) != len(wanted):
        return f"it holds {len(frames.pts)} frames and should hold {len(wanted)}"
    off = _off(frames.pts, wanted, base, time_base)
    return f"a frame is {float(off):.6f} s off" if off else ""


def _off(got: array[int], wanted: array[int], base: Fraction, time_base: Fraction) -> Fraction:
    """By how much the worst frame is off, 0 if all are within half a tick of the coarser clock."""
    room = max(base, time_base) / 2 if base != time_base else Fraction(0)
    # integers of a common clock: a Fraction for each of half a million frames takes seconds
    unit = Fraction(1, base.denominator * time_base.denominator)
    a, b, most = int(base / unit), int(time_base / unit), room / unit
    first_got, first_wanted = got[0] * a, wanted[0] * b
    pairs = zip(got, wanted, strict=True)
    worst = max(abs((x * a - first_got) - (y * b - first_wanted)) for x, y in pairs)
    # the first frame was rounded, too
    return worst * unit if worst > 2 * most else Fraction(0)


def _tracks(media: Media, spans: Mapping[int, Span], wanted: list[Span]) -> str:
    if len(media.audio) != len(wanted):
        return f"it has {len(media.audio)} sound tracks and should have {len(wanted)}"
    for n, (track, span) in enumerate(zip(media.audio, wanted, strict=True), 1):
        got = spans.get(track.index)
        if got is None:
            return f"sound track {n} is empty"
        room = SOUND_OFF + max(span.longest, got.longest)
        if abs(got.first - span.first) > room or abs(got.last - span.last) > room:
            return (
                f"sound track {n} is from {float(got.first):.3f} to {float(got.last):.3f} s"
                f" and should be from {float(span.first):.3f} to {float(span.last):.3f} s"
            )
    return ""
