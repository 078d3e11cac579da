"""What a recorder handed out, made into one MP4."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from videod.deliver import paced
from videod.errors import Damaged
from videod.media.cut import cut
from videod.media.examine import examine
from videod.media.glued import glue, lacks_header
from videod.media.model import Cut, Source
from videod.obtain.wish import Wish, of_whole

if TYPE_CHECKING:
    from videod.context import Context


def remux(parts: Sequence[Path], out: Path, ctx: Context, *, growing: bool, keep: bool) -> Cut:
    """All of the parts, copied; of what is `growing` without its end, where that is broken. The parts go,
    unless `keep`.

    Raises Damaged, NotVideo, Encrypted, EncodeFailed, TooBig, and what Tools.run does.
    """
    whole = parts[0]
    try:
        if len(parts) > 1 or lacks_header(whole):
            whole = out.with_suffix(".whole")
            glue(parts, whole, ctx.tools, ctx.settings, keep=keep)
        return _copied(whole, out, ctx, growing)
    finally:
        for path in (*ctx.scratch.glob("straight-*"), *(() if keep else parts), *({whole} - set(parts))):
            path.unlink(missing_ok=True)


def _copied(whole: Path, out: Path, ctx: Context, growing: bool) -> Cut:
    source = examine(str(whole), ctx.tools, ctx.settings)
    try:
        return _cut(source, Wish(None, None, "copy", "mp4"), out, ctx)
    except Damaged:
        end = float(source.frames.seconds(source.frames.pts[-1])) - 1.0
        if not growing or end <= 0:
            raise
        return _cut(source, Wish(None, end, "keyframe", "mp4"), out, ctx)


def _cut(source: Source, wish: Wish, out: Path, ctx: Context) -> Cut:
    ready = of_whole(source, wish)
    preset = replace(ctx.settings.presets["default"], container="mp4")
    pace = paced(ctx, float(ready.plan.duration), "x")
    with ctx.tools.encoding() as threads:
        return cut(source, ready.plan, out, preset, ctx.tools, ctx.settings, pace, threads)
