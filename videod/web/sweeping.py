"""Takes away what expired: uploads that nobody goes on with, uploads whose job ended, results.

Several processes may do so at once: what another took away is gone.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from contextlib import AbstractAsyncContextManager

from starlette.routing import Route

from videod.events import FINAL
from videod.jobqueue.upkeep import Lasting, Upkeep, unix
from videod.web.giving_up import give_up
from videod.web.site import Site, regularly
from videod.web.trouble import Trouble
from videod.web.uploads import IDENT

EVERY_SECONDS = 600.0


def routes(site: Site) -> list[Route]:
    """None: this room only runs beside the others."""
    return []


def running(site: Site) -> AbstractAsyncContextManager[None]:
    """Sweep now and then."""
    return regularly(site, EVERY_SECONDS, lambda: sweep(site), "expired files stay for now")


def sweep(site: Site, now: float | None = None) -> None:
    """Once. `now` in unix time. RedisAway, OSError."""
    at = time.time() if now is None else now
    lasting = Upkeep(site.settings, site.connection).renew(at)
    for token in site.store.tokens():
        if _over(site, token, at, lasting) and _removed(site, token):
            site.log.info("web: upload %s…: expired", token[:6])
    keep = site.settings.web.keep_results
    for name in filter(IDENT.fullmatch, os.listdir(site.store.results) if keep else ()):
        with contextlib.suppress(FileNotFoundError):
            if name not in lasting.jobs and (site.store.results / name).lstat().st_mtime + keep < at:
                shutil.rmtree(site.store.results / name, ignore_errors=True)
                site.log.info("web: %s: its results expired", name)


def _over(site: Site, token: str, at: float, lasting: Lasting) -> bool:
    keep, upload = site.settings.web.keep_uploads, site.store.find(token)
    if upload is None:  # made at this moment, or left by a crash while it was
        with contextlib.suppress(FileNotFoundError):
            return 0 < keep < at - (site.store.folder / token).stat().st_mtime
    # several jobs may be made of one: a video and clips of it
    if upload is None or not keep or site.store.expires(upload) >= at or token in lasting.uploads:
        return False
    if record := site.browse.job(upload.job):
        return record["state"] in FINAL and unix(record.get("ended_at")) + keep < at
    # it may have become a job since the pages were looked at
    return not site.pages.page(upload.job)


def _removed(site: Site, token: str) -> bool:
    if upload := site.store.find(token):
        try:
            give_up(site, upload)
        except Trouble as trouble:  # somebody writes to it, or it has no file
            if trouble.status != 404:
                return False
    site.store.remove(token)
    return True
