"""Whether a tool ran out of space while it wrote. Its exit code does not tell: ffmpeg exits 0 when the last bytes
do not fit, and leaves a file that looks as if its source were broken."""

from __future__ import annotations

from videod.errors import DiskFull
from videod.process import Result


def check_room(result: Result) -> None:
    """Raise DiskFull where the tool said that there was no space."""
    if "No space left on device" in result.tail:
        raise DiskFull("no space left for what ffmpeg wrote: work_dir: make room", detail=result.tail, stage="cut")
