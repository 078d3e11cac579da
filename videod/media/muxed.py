"""Picture and sound that come in two files, put into one as they are."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from videod.media.examine import examine
from videod.media.model import Source
from videod.media.plan import MICRO
from videod.media.probe import Bounds
from videod.media.reading import opened
from videod.media.room import check_room
from videod.media.window import Unreadable
from videod.process import Tools


def heard(path: Path, tools: Tools) -> tuple[Fraction, Fraction]:
    """When the first sound of a file begins and ends, by its own clock. Raises Unreadable where there is none."""
    bounds: list[Fraction] = []

    def take(line: str) -> None:
        cells = line.split(",")
        try:
            begin = Fraction(cells[0])
            lasts = Fraction(cells[1]) if len(cells) > 1 and cells[1] != "N/A" else Fraction(0)
        except (ValueError, ZeroDivisionError):
            return
        bounds[:] = [min([begin, *bounds[:1]]), max([begin + lasts, *bounds[1:]])]

    argv = ["ffprobe", "-v", "error", "-select_streams", "a:0", "-of", "csv=p=0"]
    argv += ["-show_entries", "packet=pts_time,duration_time", *opened(str(path))]
    tools.run(argv, on_line=take, may_fail=True)
    if not bounds:
        raise Unreadable("the sound that stands apart cannot be read")
    return bounds[0], bounds[1]


def mux(picture: Source, sound: Path, late: Fraction, out: Path, tools: Tools, settings: Bounds) -> Source:
    """Both in `out`, an MP4; the picture's frames keep their origin. `late`: what is added to the sound's times.

    Raises Unreadable where MP4 cannot hold them, or shows other frames, and DiskFull.
    """
    media, frames = picture.media, picture.frames
    begin = frames.pts[0] * frames.time_base
    argv = ["ffmpeg", "-nostdin", "-hide_banner", "-v", "error", "-y", "-copyts"]
    argv += ["-itsoffset", f"{round(-begin * MICRO)}us", *opened(media.path)]
    argv += ["-itsoffset", f"{round((late - begin) * MICRO)}us", *opened(str(sound))]
    argv += ["-map", f"0:{media.video.index}", "-map", "1:a:0", "-c", "copy", "-max_muxing_queue_size", "9999"]
    argv += ["-tag:v", "hvc1"] if media.video.codec == "hevc" else []
    argv += ["-movflags", "+negative_cts_offsets", "-video_track_timescale", str(frames.time_base.denominator)]
    result = tools.run([*argv, "-f", "mp4", f"file:{out}"], may_fail=True)
    check_room(result)
    if result.code:
        raise Unreadable(f"picture and sound do not fit into one MP4: {result.tail[-200:]}")
    made = examine(str(out), tools, settings)
    pts = made.frames.pts
    same = made.frames.time_base == frames.time_base and len(pts) == len(frames.pts)
    if not same or any(a - pts[0] != b - frames.pts[0] for a, b in zip(pts, frames.pts, strict=True)):
        raise Unreadable("picture and sound in one MP4 show other frames")
    return replace(made, frames=replace(made.frames, origin=pts[0] - (frames.pts[0] - frames.zero)))


def glued(picture: Path, stream: int, sound: Path, out: Path, tools: Tools, settings: Bounds) -> Source:
    """Both in `out`, a NUT, and its times straightened as those of any file: for a picture whose clock cannot be used
    as it is. `stream` is that of the picture. Raises as `examine` does, and Unreadable, DiskFull."""
    argv = ["ffmpeg", "-nostdin", "-hide_banner", "-v", "error", "-y", "-copyts", "-fflags", "+genpts"]
    argv += [*opened(str(picture)), *opened(str(sound)), "-map", f"0:{stream}", "-map", "1:a:0", "-c", "copy"]
    # NUT knows no times below zero
    argv += ["-max_muxing_queue_size", "9999", "-output_ts_offset", "10", "-f", "nut", f"file:{out}"]
    result = tools.run(argv, may_fail=True)
    check_room(result)
    if result.code:
        raise Unreadable(f"picture and sound cannot be put into one file: {result.tail[-200:]}")
    return examine(str(out), tools, settings)
