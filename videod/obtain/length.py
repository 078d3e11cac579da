"""How long a remote video lasts, from as little of it as tells."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from videod.media.ebml import BadMatroska
from videod.media.film import Film
from videod.media.matroska import load
from videod.media.window import Unreadable
from videod.obtain.clusters import is_matroska
from videod.obtain.wish import counter
from videod.transfer.playlist import is_playlist

if TYPE_CHECKING:
    from videod.context import Context
    from videod.transfer.ranges import Remote


def length(url: str, ctx: Context) -> Fraction | None:
    """Seconds; None where only the whole of it would tell. Raises as `parts` does."""
    from videod.transfer import ranges

    if is_playlist(url):
        from videod.obtain import segments

        with segments.opened(url, ctx) as video:
            return video.picture.segments[-1].end
    private = not ctx.job.public_only
    try:
        return ranges.consistently(
            url, ctx.settings, ctx.tools, _of, private=private, on_bytes=counter(ctx), cache=ctx.cache
        )
    except (ranges.Refused, Unreadable) as why:
        ctx.log.info(f"the source is fetched whole: {why}")
        return None


def _of(remote: Remote) -> Fraction | None:
    try:
        return load(remote.read, remote.size).seconds if is_matroska(remote) else Film(remote).seconds
    except BadMatroska as why:
        raise Unreadable(str(why)) from None
