"""Where the outputs of a job go, and bringing them there."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from videod.config.settings import Settings
from videod.errors import UploadDenied
from videod.events import Said
from videod.job import Job
from videod.transfer import upload
from videod.transfer.digests import digests

if TYPE_CHECKING:
    from videod.context import Context


def place(
    job: Job, template: str, n: int, name: str, ext: str, settings: Settings, *, check: bool = True
) -> upload.Target:
    """The place of output `n`, checked before any work; `name` is the source's. BadMessage, UploadDenied.

    `check` false: another output of the same template was checked.
    """
    try:
        target = upload.target(template, id=job.id, n=n, name=name, ext=ext)
        if check:
            upload.check(target, settings, private=not job.public_only)
    except UploadDenied as error:
        raise UploadDenied(f"upload: {error}") from None
    return target


def deliver(path: Path, target: upload.Target, ctx: Context, share: float, *, keep: bool = False) -> upload.Sent:
    """Upload a file, which goes then unless it is to be kept. `share`: of the whole job, in percent.

    Raises as `upload.send`, and Cancelled where the message is no longer ours.
    """
    ctx.progress.begin("upload", share)
    ctx.fence()
    sent = upload.send(
        path,
        target,
        ctx.settings,
        ctx.tools,
        overwrite=ctx.job.overwrite or _is_ours(path, target, ctx),
        private=not ctx.job.public_only,
        on_progress=paced(ctx, path.stat().st_size / 1e6, " MB/s"),
    )
    if not keep:
        path.unlink()
    return sent


def _is_ours(path: Path, target: upload.Target, ctx: Context) -> bool:
    """Whether an earlier attempt of this job has put there what may be replaced: to encode again gives other bytes.

    What is put there now is noted first, so that the next attempt knows it if this one ends before it is told.
    """
    place = hashlib.sha256(target.key.encode()).hexdigest()
    digest = digests(path, ctx.tools, "sha256")["sha256"]
    # of the same bytes the upload itself finds that they are there
    others = {known: size for known, size in ctx.put.get(place, {}).items() if known != digest}
    ctx.book.announce([Said(f"at {place} {digest}", path.stat().st_size)])
    return upload.holds(target, others, ctx.settings, ctx.tools, private=not ctx.job.public_only)


def paced(ctx: Context, amount: float, unit: str) -> Callable[[float], None]:
    """Tells progress with the speed: how much of `amount` was done in a second."""
    begun = time.monotonic()

    def tell(fraction: float) -> None:
        speed = amount * fraction / max(time.monotonic() - begun, 0.01)
        ctx.progress.update(fraction, f"{speed:.1f}{unit}")

    return tell
