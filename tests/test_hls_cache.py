"""Segments of HLS videos in the cache: no other job fetches one that is the same, and nobody sees what is not his."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from tests import videos
from tests.daemon import Daemon, accounted, final, push, until
from tests.hlsfilms import FMP4, PICTURE, listed, serve
from tests.obtaining import Attempt, plain
from tests.origin import Origin, Page
from videod import obtain
from videod.cancel import Cancel
from videod.errors import Cancelled
from videod.process import Tools
from videod.transfer.cache import Cache

WISH = obtain.Wish(12.1, 13.2, "exact", "mp4")


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("hls")
    master = videos.make_master(folder / "master.nut", "25", 24.0)
    even = videos.encode(master, folder / "even.mp4", picture=PICTURE)
    return {
        "ts": listed(even, folder / "ts"),
        "fmp4": listed(even, folder / "fmp4", *FMP4),
        "ranges": listed(even, folder / "ranges", "-hls_flags", "single_file"),
    }


class Farm:
    """Jobs one after another or at once, each with a scratch folder of its own, and the cache that they share."""

    def __init__(self, tools: Tools, tmp_path: Path) -> None:
        self._tools, self._folder, self._made = tools, tmp_path, 0
        self.bytes = 100_000_000
        self.cache = Cache(lambda: replace(self.job().settings, cache_bytes=self.bytes), tmp_path / "cache")

    def job(self, cancel: Cancel | None = None) -> Attempt:
        self._made += 1
        scratch = self._folder / f"job{self._made}"
        scratch.mkdir()
        made = Attempt(Tools(self._tools.guardian, cancel or Cancel(), scratch), self._folder)
        made.cache = self.cache
        return made

    def parts(self, url: str, wish: obtain.Wish = WISH) -> tuple[int, object]:
        """What a job fetches, and what it selects."""
        job = self.job()
        found = obtain.parts(url, [wish], job.ctx)
        assert found
        return job.fetched_bytes, plain(found[0].source, wish)

    def held(self) -> int:
        return sum(path.stat().st_size for path in (self._folder / "cache").glob("*"))


@pytest.fixture
def farm(tools: Tools, tmp_path: Path) -> Iterator[Farm]:
    made = Farm(tools, tmp_path)
    yield made
    made.cache.close()


@pytest.mark.parametrize("kind", ["ts", "fmp4", "ranges"])
def test_what_is_kept_does_not_come_again(farm: Farm, origin: Origin, films, kind: str) -> None:
    url = serve(origin, films[kind])
    playlist = (films[kind] / "index.m3u8").stat().st_size
    first, selected = farm.parts(url)
    asked = len(origin.seen())
    again, same = farm.parts(url)
    assert first > 10 * playlist and again == playlist and same == selected
    assert len(origin.seen()) == 2 * asked  # each time the server is asked
    # the next part takes one that is here, and two that are not
    more, _ = farm.parts(url, obtain.Wish(16.1, 17.2, "exact", "mp4"))
    assert playlist < more < first


def test_what_changed_comes_anew(farm: Farm, origin: Origin, films) -> None:
    url = serve(origin, films["ts"])
    farm.parts(url)
    new = (films["ts"] / "index6.ts").read_bytes() + bytes([0x47, 0x1F, 0xFF, 0x10]) + bytes(184)
    origin.put("/hls/index6.ts", new)
    playlist = (films["ts"] / "index.m3u8").stat().st_size
    assert farm.parts(url)[0] == playlist + len(new)
    assert farm.parts(url)[0] == playlist


def test_what_cannot_be_recognized_is_not_kept(farm: Farm, origin: Origin, films) -> None:
    url = serve(origin, films["ts"])
    for path, (page,) in origin.pages.items():
        origin.put(path, replace(page, etag="", last_modified=""))
    first, _ = farm.parts(url)
    assert farm.parts(url)[0] == first and not farm.held()


def test_other_credentials_see_nothing_of_it(farm: Farm, origin: Origin, films) -> None:
    url = serve(origin, films["ts"])
    first, _ = farm.parts(url.replace("//", "//me:s3cret@"))
    assert farm.parts(url.replace("//", "//you:other@"))[0] == first
    assert farm.parts(url)[0] == first
    assert not any("if-none-match" in seen.headers for seen in origin.seen())


def test_jobs_at_once_fetch_each_segment_once(farm: Farm, origin: Origin, films) -> None:
    url = serve(origin, films["ts"])
    for path, (page,) in origin.pages.items():
        origin.put(path, replace(page, rate=400_000))
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda n: farm.parts(url), range(4)))
    assert len({str(selected) for _, selected in found}) == 1
    bodies = Counter(s.path for s in origin.seen() if s.path.endswith(".ts") and "if-none-match" not in s.headers)
    assert set(bodies.values()) == {1}


def test_who_waits_can_be_cancelled_and_takes_over_what_failed(farm: Farm, origin: Origin, films) -> None:
    url = serve(origin, films["ts"])
    body = (films["ts"] / "index6.ts").read_bytes()
    origin.put("/hls/index6.ts", Page(body, stall_after=1000), Page(body))
    stuck, waits = Cancel(), Cancel()
    with ThreadPoolExecutor(3) as pool:
        one = pool.submit(lambda: obtain.parts(url, [WISH], farm.job(stuck).ctx))
        until(lambda: origin.seen("/hls/index6.ts"), 20, "it is being fetched")
        two = pool.submit(lambda: obtain.parts(url, [WISH], farm.job(waits).ctx))
        three = pool.submit(lambda: farm.parts(url))
        waits.set()
        with pytest.raises(Cancelled):
            two.result(10)
        stuck.set()
        with pytest.raises(Cancelled):
            one.result(10)
        assert three.result(20)


def test_it_stays_below_its_bound(farm: Farm, origin: Origin, films) -> None:
    url = serve(origin, films["ts"])
    largest = max(path.stat().st_size for path in films["ts"].glob("*.ts"))
    farm.bytes = 2 * largest
    _, selected = farm.parts(url)
    assert 0 < farm.held() <= farm.bytes
    assert farm.parts(url)[1] == selected
    assert 0 < farm.held() <= farm.bytes
    farm.bytes = 0
    assert farm.parts(url)[1] == selected
    farm.cache.shrink()
    assert farm.held() == 0


def test_two_messages(daemon: Daemon, r, origin: Origin, films) -> None:
    url = serve(origin, films["ts"])
    daemon.start(allow_hosts="* 127.0.0.1", cache_bytes="100M")
    push(r, {"id": "a", "url": url, "start": 12.1, "end": 13.2})
    first = final(r, "a")
    push(r, {"id": "b", "url": url, "start": 12.1, "end": 13.2})
    second = final(r, "b")
    assert (first["event"], second["event"]) == ("done", "done")
    assert first["outputs"][0]["sha256"] == second["outputs"][0]["sha256"]
    assert second["fetched_bytes"] == (films["ts"] / "index.m3u8").stat().st_size < first["fetched_bytes"] / 10
    accounted(r, ["a", "b"])
