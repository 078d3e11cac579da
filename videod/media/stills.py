"""Pictures of a finished video for the page around it: a poster, and a sheet of small pictures with their times."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from pathlib import Path

from videod.config.presets import Preset
from videod.errors import EncodeFailed
from videod.media import argv
from videod.media.model import Plan, Source
from videod.media.reading import opened
from videod.media.room import check_room
from videod.process import Tools

# a sheet: so many columns and rows at the most, of pictures as wide as this
COLUMNS, ROWS = 10, 10
WIDE = 160
# seconds: above it only key frames are decoded for a sheet
SHORT = 120.0
# the poster is the most usual picture of so many from here on: neither black nor a blend
LOOKED_AT = 50
_START = ("ffmpeg", "-nostdin", "-hide_banner", "-v", "error", "-y")


@dataclass(frozen=True)
class Sheet:
    """Small pictures in rows: one every `step` seconds, each `width` by `height` pixels."""

    step: float
    width: int
    height: int
    columns: int
    count: int


def poster(video: Path, seconds: float, out: Path, tools: Tools) -> None:
    """Write a JPEG of the size of the video. EncodeFailed, DiskFull and what Tools.run does."""
    at = ["-ss", f"{seconds / 10:.3f}"] if seconds > 1 else []
    command = [*_START, *at, *opened(str(video)), "-map", "0:v:0", "-vf", f"thumbnail={LOOKED_AT}"]
    _made([*command, "-frames:v", "1", "-q:v", "3", *_jpeg(out)], out, tools)


def still(source: Source, plan: Plan, preset: Preset, out: Path, tools: Tools) -> None:
    """Write the first frame of `plan`, of the size that `preset` allows. As `poster`."""
    with tools.encoding() as threads:
        try:
            _made(argv.still(source, plan, preset, out, threads=threads), out, tools)
        except EncodeFailed:  # seeking may land behind it
            _made(argv.still(source, plan, preset, out, seek=False, threads=threads), out, tools)


def sheet_of(seconds: float, width: int, height: int) -> Sheet:
    """How a sheet of a video is laid out."""
    step = max(1.0, seconds / (COLUMNS * ROWS))
    high = max(2, round(height * WIDE / width / 2) * 2)
    return Sheet(step, WIDE, high, COLUMNS, max(1, min(COLUMNS * ROWS, ceil(seconds / step))))


def sprite(video: Path, seconds: float, sheet: Sheet, out: Path, tools: Tools) -> None:
    """Write the sheet as one JPEG. EncodeFailed, DiskFull and what Tools.run does."""
    rows = ceil(sheet.count / sheet.columns)
    only_keys = ["-skip_frame", "nokey"] if seconds > SHORT else []
    # the picture shown at the begin of each step, the last one as often as it takes to fill the sheet
    chain = f"fps=1/{sheet.step:.6f}:start_time=0:round=up,scale={sheet.width}:{sheet.height}"
    chain += f",tpad=stop=-1:stop_mode=clone,tile={sheet.columns}x{rows}:nb_frames={sheet.count}:color=black"
    command = [*_START, *only_keys, *opened(str(video)), "-map", "0:v:0", "-vf", chain]
    _made([*command, "-frames:v", "1", "-q:v", "5", *_jpeg(out)], out, tools)


def cues(sheet: Sheet, seconds: float, picture: str) -> str:
    """WebVTT that says which part of `picture` (its name) shows which time."""
    lines = ["WEBVTT", ""]
    for n in range(sheet.count):
        row, column = divmod(n, sheet.columns)
        lines.append(f"{_clock(n * sheet.step)} --> {_clock(min(seconds, (n + 1) * sheet.step))}")
        where = f"{column * sheet.width},{row * sheet.height},{sheet.width},{sheet.height}"
        lines += [f"{picture}#xywh={where}", ""]
    return "\n".join(lines)


def _clock(seconds: float) -> str:
    whole, thousandths = divmod(round(seconds * 1000), 1000)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}.{thousandths:03d}"


def _jpeg(out: Path) -> list[str]:
    return ["-pix_fmt", "yuvj420p", "-c:v", "mjpeg", "-f", "image2", "-update", "1", f"file:{out}"]


def _made(command: list[str], out: Path, tools: Tools) -> None:
    result = tools.run(command, on_line=lambda line: None, may_fail=True)
    check_room(result)
    if result.code or not out.exists() or not out.stat().st_size:
        raise EncodeFailed(f"{out.name} was not made", detail=result.tail, stage="encode")
