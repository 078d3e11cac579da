"""Windows of a remote MP4: its index is read, then the samples that the clips need."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from videod.errors import OutOfRange, Permanent
from videod.media.examine import examine
from videod.media.film import Film
from videod.media.model import Plan
from videod.media.plan import MICRO, micro
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
        parts = _joined(film, wishes, found)
    except OutOfRange as error:
        error.stage = "cut"
        raise
    spans = joined((span for part in parts for span in part.window.spans()), gap=0)
    total = length(spans)
    if total > MOST * remote.size:
        raise Unreadable("nearly all of it is needed")
    path = ctx.scratch / "source.parts"

    def tell(fraction: float) -> None:
        ctx.progress.update(fraction, speed(fraction * total / 1e6, begun, " MB/s"))

    try:
        remote.fetch(spans, path, tell)
        files = [_file(part.window, path, ctx.scratch / f"part-{n}.mp4") for n, part in enumerate(parts, 1)]
    finally:
        path.unlink(missing_ok=True)
    ctx.progress.begin("probe", 0)
    ctx.log.info(
        f"source {remote.url}: {megabytes(remote.size)}, fetched {megabytes(remote.fetched)}"
        f" with an index of {megabytes(film.index_bytes)}"
    )
    ready = dict(pair for part, file in zip(parts, files, strict=True) for pair in _ready(part, file, found, ctx))
    return [ready[n] for n in range(len(wishes))]


@dataclass
class _Part:
    """A file to make, and the numbers of the wishes that are cut from it."""

    window: Window
    serves: list[int]


def _joined(film: Film, wishes: Sequence[Wish], found: Sequence[Window]) -> list[_Part]:
    """One window for wishes that share frames of the source: these are read once, and decoded once."""
    parts: list[_Part] = []
    reached = 0
    for n in sorted(range(len(found)), key=lambda n: found[n].begin):
        if parts and found[n].begin <= reached:
            parts[-1].serves.append(n)
        else:
            parts.append(_Part(found[n], [n]))
        reached = max(reached, found[n].over)
    for part in parts:
        if part.serves[1:]:
            part.window = _over(film, [wishes[n] for n in part.serves], [found[n].plan for n in part.serves])
    return parts


def _over(film: Film, wishes: Sequence[Wish], plans: Sequence[Plan]) -> Window:
    """The window that holds what all of these take."""
    start = min(micro(plan.start) for plan in plans) / MICRO
    # sound may go on behind the last picture
    ends = [max(micro(plan.end) / MICRO, wish.end or 0.0) for wish, plan in zip(wishes, plans, strict=True)]
    to_the_end = any(plan.sound[1] is None for plan in plans)
    return film.window(start, None if to_the_end else max(ends), "encode", wishes[0].container)


def _file(window: Window, source: Path, out: Path) -> Path:
    try:
        window.write(source, out)
    except ValueError as error:
        raise Unreadable(str(error)) from None
    return out


def _ready(part: _Part, file: Path, found: Sequence[Window], ctx: Context) -> list[tuple[int, Ready]]:
    """What is cut from a part, with the number of its wish."""
    try:
        source = examine(str(file), ctx.tools, ctx.settings)
    except Permanent as failure:
        raise Unreadable(f"a part of it cannot be read: {failure}") from None
    part.window.check(source)
    ctx.log.info(about(source))
    plans = {n: found[n].plan for n in part.serves}
    if len(plans) == 1:
        return [(n, Ready(source, part.window.moved(source), plan)) for n, plan in plans.items()]
    return [(n, Ready(source, part.window.moved(source, plan), plan)) for n, plan in plans.items()]
