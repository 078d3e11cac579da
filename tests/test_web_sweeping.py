"""What the web side takes away, and what it must not: pages, uploads and results of jobs that wait, run or ended."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterator

import pytest

from tests.conftest import RedisServer
from tests.daemon import Daemon
from videod.config import load
from videod.errors import RedisAway
from videod.events import stamp
from videod.jobqueue import Connection
from videod.jobqueue.pages import Page
from videod.jobqueue.upkeep import ELEMENTS

pytest.importorskip("starlette")
from videod.web.site import Site  # noqa: E402
from videod.web.sweeping import sweep  # noqa: E402
from videod.web.uploads import Upload  # noqa: E402

DAY = 86400.0
KEEP_MS = 7 * DAY * 1000


@pytest.fixture
def site(daemon: Daemon, r) -> Iterator[Site]:
    daemon.sections = "[web]\nkeep_uploads = 1d\nkeep_results = 7d\nquota_bytes = 1000\n"
    daemon.write()
    settings = load(str(daemon.ini)).settings("prod")
    connection = Connection(settings)
    yield Site.of(settings, connection, logging.getLogger("test"))
    connection.close()


def uploaded(site: Site, length: int = 100, got: int = 100) -> Upload:
    """An upload of long ago."""
    made = site.store.create("anna", "a.mp4", length)
    site.store.path(made).write_bytes(bytes(got))
    old = time.time() - 30 * DAY
    os.utime(site.store.path(made), (old, old))
    return made


def queued(site: Site, n: int, upload: Upload | None = None, node: str | None = None) -> str:
    ident = upload.job if upload and not n else f"w{n:024}"
    message = json.dumps({"id": ident, "kind": "clip"} | ({"node": node} if node else {}))
    assert site.pages.submit(Page(ident, "anna", "a.mp4", upload.token if upload else "", message, ""), node)
    return ident


def ended(r, ident: str, days: float, state: str = "done") -> None:
    at = stamp(time.time() - days * DAY)
    r.hset(f"videod:job:{ident}", mapping={"state": state, "kind": "clip", "ended_at": at})


def left(r, ident: str) -> int:
    return int(r.pttl(f"videod:page:{ident}"))


def result(site: Site, ident: str) -> None:
    folder, old = site.store.results / ident, time.time() - 30 * DAY
    folder.mkdir()
    os.utime(folder, (old, old))


def test_what_waits_or_runs_keeps_page_upload_and_results(site: Site, r) -> None:
    upload, foreign = uploaded(site), uploaded(site)
    many = [queued(site, 1000 + n) for n in range(2 * ELEMENTS + 5)]
    waits, elsewhere = queued(site, 0, upload), queued(site, 1, foreign, node="retired")
    for ident in (waits, *many):
        r.pexpire(f"videod:page:{ident}", 60_000)  # as it was before
    running, taken = queued(site, 2), queued(site, 3)
    r.hset(f"videod:job:{running}", mapping={"state": "running", "kind": "clip"})
    for ident in (running, taken):
        r.lrem("video_info_queue", 1, r.hget(f"videod:page:{ident}", "message"))
    r.lpush(f"videod:running:{site.settings.node}", r.hget(f"videod:page:{taken}", "message"))
    result(site, running)
    for later in (0, 100 * DAY):
        sweep(site, time.time() + later)
        assert {left(r, ident) for ident in (waits, elsewhere, running, taken, *many)} == {-1}
        assert site.store.find(upload.token) and site.store.find(foreign.token)
        assert (site.store.results / running).exists()
    assert r.ttl("videod:pages:anna") == -1 and r.zcard("videod:pages:anna") == len(many) + 4


def test_the_time_counts_from_the_end(site: Site, r) -> None:
    upload = uploaded(site)
    ident = queued(site, 0, upload)
    ended(r, ident, 0.5)
    result(site, ident)
    sweep(site)
    assert KEEP_MS - 60_000 < left(r, ident) <= KEEP_MS
    assert site.store.find(upload.token) and not (site.store.results / ident).exists()
    r.pexpire(f"videod:page:{ident}", 60_000)
    sweep(site)
    assert 0 < left(r, ident) <= 60_000
    # queued again
    ended(r, ident, 0.5, "requeued")
    sweep(site)
    assert left(r, ident) == -1
    ended(r, ident, 2)
    sweep(site)
    assert left(r, ident) > 0 and site.store.find(upload.token) is None
    r.delete(f"videod:page:{ident}")
    sweep(site)
    assert not r.exists("videod:pages:anna")


def test_what_was_dropped_by_hand_expires(site: Site, r) -> None:
    upload = uploaded(site)
    ident = queued(site, 0, upload)
    r.delete("video_info_queue")
    sweep(site)
    assert 0 < left(r, ident) <= KEEP_MS and site.store.find(upload.token)
    r.delete(f"videod:page:{ident}")  # which is what Redis does then
    sweep(site)
    assert site.store.find(upload.token) is None


def test_an_upload_stays_for_every_job_that_is_made_of_it(site: Site, r) -> None:
    upload = uploaded(site)
    first = queued(site, 0, upload)
    clip = queued(site, 1, upload)
    ended(r, first, 3)
    sweep(site)
    assert site.store.find(upload.token)
    ended(r, clip, 0.5)
    sweep(site)
    assert site.store.find(upload.token)
    ended(r, clip, 1.5)
    sweep(site)
    assert site.store.find(upload.token) is None


def test_what_never_came_is_given_back(site: Site, r) -> None:
    for got in (30, 100):
        assert site.pages.charge("anna", size=100, files=1) == 0
        uploaded(site, 100, got)
    for _ in range(2):
        sweep(site)
        assert site.store.tokens() == [] and int(r.hget("videod:quota:anna", "bytes")) == 130


def test_redis_away_takes_nothing(site: Site, redis_server: RedisServer) -> None:
    upload = uploaded(site)
    queued(site, 0, upload)
    redis_server.kill()
    try:
        with pytest.raises(RedisAway):
            sweep(site)
    finally:
        redis_server.start()
    assert site.store.find(upload.token)
