"""What the clips of a message are cut from: only the parts that they need where these can be had, else the whole."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from videod.config.settings import Settings
from videod.errors import Denied, ForbiddenSource, NotFound, NotVideo
from videod.job import Job
from videod.media.examine import examine
from videod.media.model import Source
from videod.media.window import Unreadable
from videod.obtain.clusters import clusters, is_matroska
from videod.obtain.length import length
from videod.obtain.windows import windows
from videod.obtain.wish import Ready, Wish, about, counter, megabytes, of_whole, speed
from videod.transfer import fetch
from videod.transfer.playlist import begins_playlist, is_playlist

if TYPE_CHECKING:
    from videod.context import Context
    from videod.transfer.ranges import Remote

__all__ = ["Ready", "Wish", "address", "length", "megabytes", "of_whole", "parts", "speed", "whole"]


def address(job: Job, settings: Settings) -> str:
    """The source that a message names. BadMessage, ForbiddenSource, which name the field."""
    url = job.fields.needed("url")
    try:
        fetch.check(url, settings, private=not job.public_only)
    except ForbiddenSource as error:
        raise ForbiddenSource(f"url: {error}") from None
    except (NotFound, Denied):
        pass  # the source may be there when its turn comes, and then the attempt says so
    return url


def parts(url: str, wishes: Sequence[Wish], ctx: Context) -> list[Ready] | None:
    """A part for each wish; None where parts cannot be had, which the log explains.

    Raises OutOfRange, and what the fetch of a source may raise.
    """
    from videod.transfer import ranges

    if any(wish.whole for wish in wishes) and not ctx.settings.cache_bytes:
        return None
    if is_playlist(url):
        from videod.obtain import segments

        return segments.parts(url, wishes, ctx)
    try:
        found = ranges.consistently(
            url,
            ctx.settings,
            ctx.tools,
            lambda remote: _parts(remote, wishes, ctx),
            private=not ctx.job.public_only,
            on_bytes=counter(ctx),
            cache=ctx.cache,
        )
    except (ranges.Refused, Unreadable) as why:
        ctx.log.info(f"the source is fetched whole: {why}")
        return None
    return found


def _parts(remote: Remote, wishes: Sequence[Wish], ctx: Context) -> list[Ready]:
    try:
        if any(wish.whole for wish in wishes):
            raise Unreadable("all of it is asked for")
        return (clusters if is_matroska(remote) else windows)(remote, wishes, ctx)
    except Unreadable as why:
        if not remote.keeps_all:
            raise
        ctx.log.info(f"the source is fetched whole, into the cache: {why}")
        source = _kept(remote, ctx)
        return [of_whole(source, wish) for wish in wishes]


def _kept(remote: Remote, ctx: Context) -> Source:
    """All of it, through the cache: the next job may want it, too."""
    begun, path = time.monotonic(), ctx.scratch / "source"
    unit = remote.size / 1e6
    remote.fetch([(0, remote.size)], path, lambda part: ctx.progress.update(part, speed(part * unit, begun, " MB/s")))
    ctx.log.info(f"source {remote.url}: {megabytes(remote.size)}, fetched {megabytes(remote.fetched)}")
    return _examined(path, ctx)


def _examined(path: Path, ctx: Context) -> Source:
    ctx.progress.begin("probe", 0)
    source = examine(str(path), ctx.tools, ctx.settings)
    ctx.log.info(about(source))
    return source


def whole(url: str, ctx: Context) -> Source:
    """All of the source, examined. Raises as `fetch` and `examine` do."""
    ctx.progress.again()
    if is_playlist(url):
        return _listed(url, ctx)
    begun, file = time.monotonic(), ctx.scratch / "source"

    def tell(fraction: float) -> None:
        size = file.stat().st_size if file.exists() else 0
        ctx.progress.update(fraction, speed(size / 1e6, begun, " MB/s"))

    private = not ctx.job.public_only
    fetched = fetch.fetch(url, ctx.scratch, ctx.settings, ctx.tools, tell, on_bytes=counter(ctx), private=private)
    if begins_playlist(fetched.path):
        if not url.lower().startswith(("http:", "https:")):
            raise NotVideo("the source is a playlist: such are read over http and https alone", stage="fetch")
        return _listed(url, ctx)
    ctx.log.info(f"source {fetched.url}: {megabytes(fetched.bytes)}, fetched {megabytes(fetched.fetched_bytes)}")
    return _examined(fetched.path, ctx)


def _listed(url: str, ctx: Context) -> Source:
    from videod.obtain import segments

    return segments.whole(url, ctx)
