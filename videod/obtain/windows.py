"""Windows of a remote MP4: its index is read, then the samples that the clips need."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from videod.errors import OutOfRange, Permanent
from videod.media.examine import examine
from videod.media.film import Film
from videod.media.window import Unreadable, Window
from videod.obtain.wish import MOST, Ready, Wish, about, megabytes, speed
from videod.transfer.spans import joined, length

if TYPE_CHECKING:
    from videod.context import Context
    from videod.transfer.ranges import Remote


def windows(remote: Remote, wishes: Sequence[Wish], ctx: Context) -> list[Ready]:
    """One for each wish. Raises Unreadable, OutOfRange, and as `remote` does."""
    begun = time.monotonic()
    film = Film(remote)
    try:
        found = [film.window(wish.start, wish.end, wish.cut, wish.container) for wish in wishes]
    except OutOfRange as error:
        error.stage = "cut"
        raise
    spans = joined((span for window in found for span in window.spans()), gap=0)
    total = length(spans)
    if total > MOST * remote.size:
        raise Unreadable("nearly all of it is needed")
    path = ctx.scratch / "source.parts"

    def tell(fraction: float) -> None:
        ctx.progress.update(fraction, speed(fraction * total / 1e6, begun, " MB/s"))

    try:
        remote.fetch(spans, path, tell)
        files = [_file(window, path, ctx.scratch / f"part-{n}.mp4") for n, window in enumerate(found, 1)]
    finally:
        path.unlink(missing_ok=True)
    ctx.progress.begin("probe", 0)
    ctx.log.info(
        f"source {remote.url}: {megabytes(remote.size)}, fetched {megabytes(remote.fetched)}"
        f" with an index of {megabytes(film.index_bytes)}"
    )
    return [_ready(window, file, ctx) for window, file in zip(found, files, strict=True)]


def _file(window: Window, source: Path, out: Path) -> Path:
    try:
        window.write(source, out)
    except ValueError as error:
        raise Unreadable(str(error)) from None
    return out


def _ready(window: Window, file: Path, ctx: Context) -> Ready:
    try:
        source = examine(str(file), ctx.tools, ctx.settings)
    except Permanent as failure:
        raise Unreadable(f"a part of it cannot be read: {failure}") from None
    moved = window.moved(source)
    ctx.log.info(about(source))
    return Ready(source, moved, window)
