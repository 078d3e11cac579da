"""Probe a file and make its times usable: the one way to a `Source`.

Three kinds of file have times that cannot be taken as they are. A clock that starts again or overlaps
itself (recordings glued together) is straightened by a local copy of the streams into NUT, which keeps the
ticks of MPEG-TS where Matroska would round to milliseconds. Packets without time (AVI) get one that way
too: where none is shown out of order, that of its decoding. Where nothing tells it (H.264 with B-frames in AVI),
frames are counted instead: reading then starts at the beginning of the file, slow and sure.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from videod.errors import Damaged
from videod.media.containers import holds_sound
from videod.media.counting import leaps
from videod.media.frames import UNKNOWN, Leaps, Table, counted, read_table, seams, shown, trouble
from videod.media.model import Frames, Media, Source
from videod.media.probe import Bounds, probe
from videod.media.reading import opened
from videod.media.restarts import LEAPING, RAW, restarts
from videod.media.room import check_room
from videod.media.sums import total
from videod.process import Tools

# the expression that leaves packets out may not grow without end
MOST_SEAMS = 200
MICRO = 1_000_000


def examine(path: str, tools: Tools, settings: Bounds) -> Source:
    """Probe `path` and list its frames; may write a copy of the streams into the scratch folder.

    Raises what `probe` does, and Damaged where no frame can be shown or no times can be found.
    """
    media = probe(path, tools, settings)
    table = read_table(media, tools)
    if not len(table.pts):
        raise Damaged("the file holds no picture", stage="probe")
    wrong = trouble(table, media.video.time_base, leaps=not LEAPING.isdisjoint(media.formats))
    if not wrong:
        return Source(media, _shown(media, table))
    mended = _straighten(media, tools, settings, table, wrong)
    return mended or Source(media, _count(media, table, tools))


def _shown(media: Media, table: Table) -> Frames:
    return shown(table, media.video.time_base, media.video.rate)


def _straighten(media: Media, tools: Tools, settings: Bounds, table: Table, wrong: str) -> Source | None:
    drop, lapses = "", list[tuple[Fraction, int]]()
    for attempt in range(2):
        if wrong == "twice":
            drop = _overlapped(table, media.video.time_base, lapses)
        filters = [f"noise=drop='{drop}'"] if drop else []
        # of H.264 ffmpeg would guess the next picture's time: a picture late, and the sound is not
        filters += ["setts=pts=DTS"] if wrong == "untimed" and not media.video.delay and _steady(table) else []
        copied = _copied(media, tools, settings, filters, attempt, anew=wrong == "clock")
        if copied is None:
            return None
        again = read_table(copied, tools)
        again.doubts = table.doubts
        left = trouble(again, copied.video.time_base)
        # a guess in decoding order is no display time
        if wrong == "untimed" and media.video.delay and _in_order(again):
            return None
        if not left:
            return Source(copied, replace(_shown(copied, again), lapses=tuple(lapses)))
        media, table, wrong = copied, again, left
    return None


def _copied(
    media: Media, tools: Tools, settings: Bounds, filters: list[str], attempt: int, *, anew: bool
) -> Media | None:
    out = tools.scratch / f"straight-{Path(media.path).stem[:40]}-{attempt}.nut"
    argv = ["ffmpeg", "-nostdin", "-hide_banner", "-v", "error", "-y", "-fflags", "+genpts"]
    by, moves = restarts(media, tools) if anew else (Fraction(0), {})
    # with -copyts ffmpeg leaves a clock that begins anew to us
    argv += ["-copyts", *RAW, "-itsoffset", f"{round(by * MICRO)}us"] if moves else []
    argv += opened(media.path)
    argv += ["-map", f"0:{media.video.index}"]
    for track in media.audio:
        argv += ["-map", f"0:{track.index}"]
    argv += ["-c", "copy"]
    for n, track in enumerate(media.audio):
        argv += [] if holds_sound("nut", track.codec) else [f"-c:a:{n}", "pcm_s24le"]
    argv += ["-copy_unknown", "-max_muxing_queue_size", "9999"]
    picture = [*filters, *([moves[media.video.index].filter()] if moves else [])]
    argv += ["-bsf:v", ",".join(picture)] if picture else []
    for n, track in enumerate(media.audio):
        argv += [f"-bsf:a:{n}", moves[track.index].filter(track.sample_rate)] if track.index in moves else []
    result = tools.run([*argv, "-f", "nut", f"file:{out}"], may_fail=True)
    check_room(result)
    if result.code:
        return None
    return _renamed(media, probe(str(out), tools, settings))


def _renamed(media: Media, copy: Media) -> Media:
    """`media` as it is found in its copy: only where and when things are has changed."""
    video = replace(media.video, index=0, time_base=copy.video.time_base, start=copy.video.start)
    pairs = zip(media.audio, copy.audio, strict=False)
    audio = tuple(replace(old, index=new.index, codec=new.codec, time_base=new.time_base) for old, new in pairs)
    return replace(media, path=copy.path, formats=copy.formats, video=video, audio=audio)


def _overlapped(table: Table, base: Fraction, lapses: list[tuple[Fraction, int]]) -> str:
    """Which packets to leave out where one recording goes on while the next has begun: an expression.

    The later recording begins with a key frame, so its pictures stay. Of the earlier one all go, in decoding
    order, from the first that would be shown at the same time or after it: others may lean on that one.
    What is left out is noted in `lapses`, to be told.
    """
    rules, begin = [], 0
    for seam in seams(table)[:MOST_SEAMS]:
        first = next(n for n in range(begin, seam) if table.pts[n] >= table.pts[seam])
        rules.append(f"between(n,{first},{seam - 1})")
        lapses.append(((min(table.pts[first:seam]) - table.pts[0]) * base, seam - first))
        begin = seam
    return total(rules) if rules else ""


def _steady(table: Table) -> bool:
    """Whether nothing but decoding times is known, and these of each packet."""
    return all(p == UNKNOWN for p in table.pts) and all(UNKNOWN < a < b for a, b in pairwise(table.dts))


def _in_order(table: Table) -> bool:
    return all(a <= b for a, b in pairwise(table.pts))


def _count(media: Media, table: Table, tools: Tools) -> Frames:
    """Count what can be decoded. Raises Damaged if nothing can."""
    argv = ["ffprobe", "-v", "error", "-select_streams", str(media.video.index), "-count_frames"]
    argv += ["-show_entries", "stream=nb_read_frames", "-of", "csv=p=0", *opened(media.path)]
    digits = tools.run(argv).stdout.split(b",")[0].strip()
    if not digits.isdigit() or not int(digits) or not media.video.rate:
        raise Damaged("the file's pictures have no times and cannot be counted", stage="probe")
    base = media.video.time_base
    found: Leaps = ()
    step = Fraction(1) / media.video.rate / base
    if step.denominator != 1:
        base, step = base / step.denominator, step * step.denominator
    elif "avi" in media.formats:
        usual, found = leaps(table.dts, media.video.delay, int(digits), int(step))
        step = Fraction(usual)
    # AVI counts frames in the order shown, whatever the decoder needs first: the first is at the start
    first = next((p for p in table.pts if p != UNKNOWN), table.dts[0])
    return counted(first, int(step), int(digits), base, table.doubts, found)
