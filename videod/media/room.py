"""Whether a tool wrote what it should. Its exit code does not tell: ffmpeg exits 0 when the last bytes do not fit,
and leaves a file that looks as if its source were broken, or none."""

from __future__ import annotations

from pathlib import Path

from videod.errors import DiskFull
from videod.media.splice import Unspliced
from videod.process import Result


def check_room(result: Result) -> None:
    """Raise DiskFull where the tool said that there was no space."""
    if "No space left on device" in result.tail:
        raise DiskFull("no space left for what ffmpeg wrote: work_dir: make room", detail=result.tail, stage="cut")


def check_made(out: Path) -> None:
    """Raise Unspliced where a tool that ended well left no file."""
    if not out.exists():
        raise Unspliced(f"{out.name}: ffmpeg ended well and wrote nothing")
