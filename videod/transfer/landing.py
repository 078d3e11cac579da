"""Write what arrives in pieces into a file, with every check that a tool would be under."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from videod.errors import DiskFull, TooBig
from videod.process import Tools

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def land(
    pieces: Iterable[bytes],
    path: Path,
    tools: Tools,
    *,
    most: int = 0,
    rate: int = 0,
    on_size: Callable[[int], None] = lambda size: None,
) -> int:
    """Write the pieces to `path`; the bytes written. `most` and `rate` (bytes a second): 0 is no limit.

    Between pieces it looks at the job's token and deadline. Raises TooBig, DiskFull, Cancelled, TimedOut.
    """
    size, started = 0, time.monotonic()
    try:
        with open(path, "wb") as file:
            for piece in pieces:
                tools.check()
                size += len(piece)
                if most and size > most:
                    raise TooBig(f"the source is larger than {most} bytes: max_source_bytes: raise it to serve it")
                file.write(piece)
                on_size(size)
                ahead = size / rate - (time.monotonic() - started) if rate else 0.0
                if ahead > 0:
                    tools.cancel.wait(ahead)
    except OSError as error:
        if error.errno in FULL:
            raise disk_full(path) from None
        raise
    return size


def disk_full(path: Path) -> DiskFull:
    """The failure for a folder without space."""
    return DiskFull(f"no space left: {path.parent}: free some, or set min_free higher")
