"""The cache of parts: no span comes twice, nobody sees what is not his, and it never grows over its bound."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.origin import Origin, Page
from tests.transfer_fixtures import settings_of, wait_for
from videod.cancel import Cancel
from videod.config import Settings
from videod.errors import Cancelled, NoRoom, NotFound
from videod.process import Tools
from videod.space import Space
from videod.transfer import ranges
from videod.transfer.cache import MOST_ENTRIES, Cache
from videod.transfer.parts import PROBE
from videod.transfer.ranges import Remote
from videod.transfer.spans import length, without

MIB = 1 << 20
# not random wholly: what begins like HTML is no video
BODY = b"\0" + os.urandom(6 * MIB - 1)
PART, OTHER_PART = (MIB, 2 * MIB), (3 * MIB, 4 * MIB)


class Shelf:
    """A cache with its settings, and remotes that use it."""

    def __init__(self, tmp_path: Path, tools: Tools) -> None:
        self.settings = settings_of(tmp_path, cache_bytes="4M", fetch_connections="2")
        self.folder = tmp_path / "cache"
        self.cache = Cache(lambda: self.settings, self.folder)
        self.tools = tools
        self._made: list[Remote] = []

    def open(self, url: str, tools: Tools | None = None, settings: Settings | None = None) -> Remote:
        self._made.append(ranges.open(url, settings or self.settings, tools or self.tools, cache=self.cache))
        return self._made[-1]

    def fetch(self, url: str, name: str, *parts: tuple[int, int]) -> Remote:
        """Fetch the parts with a remote of its own, which is closed, and see that they are right."""
        out = self.tools.scratch / name
        with self.open(url) as remote:
            assert remote.fetch(parts, out) == length(parts)
        data = out.read_bytes()
        assert all(data[a:b] == BODY[a:b] for a, b in parts)
        return remote

    def held(self) -> int:
        """What the cache takes on the disk."""
        return sum(path.stat().st_blocks * 512 for path in self.folder.iterdir())

    def end(self) -> None:
        for one in self._made:
            one.close()
        self._made.clear()

    def close(self) -> None:
        self.end()
        self.cache.close()
        assert not self.folder.exists()


@pytest.fixture
def shelf(tmp_path: Path, tools: Tools) -> Iterator[Shelf]:
    made = Shelf(tmp_path, tools)
    yield made
    made.close()


spans = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 12)).map(lambda s: (s[0], s[0] + s[1])), max_size=6)


@given(spans, spans)
def test_without_is_a_difference_of_sets(some: list[tuple[int, int]], taken: list[tuple[int, int]]) -> None:
    some = without(some[:1], [])
    left = without(some, taken)
    numbers = {n for span in some for n in range(*span)} - {n for span in taken for n in range(*span)}
    assert {n for span in left for n in range(*span)} == numbers and length(left) == len(numbers)
    assert left == sorted(left)


def test_what_is_kept_is_not_fetched_again(origin: Origin, shelf: Shelf) -> None:
    url = origin.put("/a", Page(BODY))
    assert shelf.fetch(url, "one", PART).fetched == PROBE + MIB
    # a part of it, what lies beside it, and a piece of the index
    assert shelf.fetch(url, "two", (MIB + 9, 2 * MIB - 9)).fetched == PROBE
    assert shelf.fetch(url, "three", (MIB, 2 * MIB + 100)).fetched == PROBE + 100
    with shelf.open(url) as remote:
        assert remote.read(MIB - 5, 10) == BODY[MIB - 5 : MIB + 5] and remote.fetched == PROBE + 5


def test_two_jobs_fetch_a_span_once(origin: Origin, shelf: Shelf) -> None:
    url = origin.put("/a", Page(BODY, rate=2 * MIB))
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda n: shelf.fetch(url, f"out{n}", PART, OTHER_PART), range(4)))
    assert sum(remote.fetched for remote in made) == origin.sent == 4 * PROBE + 2 * MIB


def test_who_waits_fetches_when_the_other_fails(origin: Origin, shelf: Shelf, tools: Tools, tmp_path: Path) -> None:
    url = origin.put("/a", Page(BODY), Page(BODY, stall_after=1000), Page(BODY))
    (tmp_path / "other").mkdir()
    other = Tools(tools.guardian, Cancel(), tmp_path / "other", stall_timeout=20.0)
    first = shelf.open(url, other)
    failed: list[BaseException] = []

    def fail() -> None:
        try:
            first.fetch([PART], tmp_path / "other/out")
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=fail)
    thread.start()
    wait_for(lambda: origin.sent > PROBE)
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(shelf.fetch, url, "out", PART)
        wait_for(lambda: len(origin.seen()) == 3)  # its first request, and then it waits
        other.cancel.set()
        assert second.result().fetched == PROBE + MIB - 1000  # what came is kept
    thread.join()
    assert [type(error) for error in failed] == [Cancelled]


def test_who_waits_can_be_cancelled(origin: Origin, shelf: Shelf, tools: Tools, tmp_path: Path) -> None:
    url = origin.put("/a", Page(BODY), Page(BODY, stall_after=1000), Page(BODY))
    (tmp_path / "other").mkdir()
    other = Tools(tools.guardian, Cancel(), tmp_path / "other", stall_timeout=20.0)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(shelf.open(url, other).fetch, [PART], tmp_path / "other/out")
        wait_for(lambda: origin.sent > PROBE)
        second = pool.submit(shelf.fetch, url, "out", PART)
        wait_for(lambda: len(origin.seen()) == 3)
        tools.cancel.set()
        assert isinstance(second.exception(10), Cancelled)
        assert not first.done()
        other.cancel.set()
        assert isinstance(first.exception(10), Cancelled)


def test_the_least_recently_used_goes_first(origin: Origin, shelf: Shelf) -> None:
    urls = [origin.put(f"/{n}", Page(BODY)) for n in range(4)]
    for n in (0, 1, 2, 3, 0):  # each of them 1 MiB, with four in it the cache is full
        shelf.fetch(urls[n], "out", PART)
    assert shelf.held() <= 4 * MIB + 4 * 8192
    assert shelf.fetch(urls[1], "out", OTHER_PART).fetched == PROBE + MIB  # and 2 is the oldest
    assert shelf.fetch(urls[0], "out", PART).fetched == PROBE
    assert shelf.fetch(urls[3], "out", PART).fetched == PROBE
    assert shelf.fetch(urls[2], "out", PART).fetched == PROBE + MIB
    assert shelf.held() <= 4 * MIB + 4 * 8192


def test_what_has_no_room_passes_by(origin: Origin, shelf: Shelf) -> None:
    url = origin.put("/a", Page(BODY))
    for _ in range(2):
        assert shelf.fetch(url, "out", (PROBE, 5 * MIB)).fetched == 5 * MIB
    assert shelf.held() == 0
    with shelf.open(url) as busy:  # in use: it cannot go
        busy.fetch([(MIB, 4 * MIB)], shelf.tools.scratch / "busy")
        assert shelf.fetch(origin.put("/b", Page(BODY)), "out", (MIB, 3 * MIB)).fetched == PROBE + 2 * MIB
        assert 3 * MIB <= shelf.held() <= 3 * MIB + 2 * 8192


def test_a_smaller_bound_counts_at_once(origin: Origin, shelf: Shelf) -> None:
    url = origin.put("/a", Page(BODY))
    shelf.fetch(url, "out", PART)
    shelf.settings = replace(shelf.settings, cache_bytes=0)
    assert shelf.fetch(url, "out", PART).fetched == PROBE + MIB
    shelf.cache.shrink(shelf.settings.cache_bytes)
    assert shelf.held() == 0


def test_a_changed_source_is_another_one(origin: Origin, shelf: Shelf) -> None:
    url = origin.put("/a", Page(bytes(len(BODY)), etag='"v1"'))
    with shelf.open(url) as remote:
        assert remote.read(MIB, 10) == bytes(10)
    origin.put("/a", Page(BODY, etag='"v2"'))
    assert shelf.fetch(url, "out", PART).fetched == PROBE + MIB


def test_a_source_that_cannot_be_recognized_is_not_kept(origin: Origin, shelf: Shelf) -> None:
    url = origin.put("/a", Page(BODY, etag="", last_modified=""))
    for _ in range(2):
        assert shelf.fetch(url, "out", PART).fetched == PROBE + MIB


def test_other_credentials_see_nothing_of_it(origin: Origin, shelf: Shelf) -> None:
    url = origin.put("/a", Page(BODY))
    host = url.removeprefix("http://")
    for address in (url, f"http://ann:one@{host}", f"http://bob:two@{host}", f"{url}?sig=1", f"{url}?sig=2"):
        assert shelf.fetch(address, "out", PART).fetched == PROBE + MIB
    assert shelf.fetch(f"http://ann:one@{host}", "out", PART).fetched == PROBE
    assert {path.name for path in shelf.folder.iterdir()} <= set("12345")  # no address, no name
    assert shelf.folder.stat().st_mode & 0o777 == 0o700


def test_a_job_that_needs_the_room_gets_it(origin: Origin, shelf: Shelf, tmp_path: Path) -> None:
    shelf.fetch(origin.put("/a", Page(BODY)), "out", PART)
    space = Space(lambda: replace(shelf.settings, work_dir=str(tmp_path), min_free=1 << 62), shelf.cache.shrink)
    with pytest.raises(NoRoom, match="min_free"):
        space.promise(tmp_path / "job", MIB)
    assert shelf.held() == 0


@pytest.mark.long
def test_entries_are_few(origin: Origin, shelf: Shelf) -> None:
    for n in range(3):  # all that is needed lies in its first bytes: nothing is to be kept
        assert shelf.open(origin.put(f"/{n}", Page(BODY))).read(0, 100) == BODY[:100]
    shelf.end()
    assert list(shelf.folder.iterdir()) == []
    url = origin.put("/a", Page(BODY))
    for n in range(MOST_ENTRIES + 20):
        shelf.fetch(f"{url}?n={n}", "out", (MIB, MIB + 10))
    assert len(list(shelf.folder.iterdir())) == MOST_ENTRIES
    busy = [shelf.open(f"{url}?busy={n}") for n in range(MOST_ENTRIES)]
    assert shelf.fetch(f"{url}?one=more", "out", PART).fetched == PROBE + MIB  # it passes by
    assert len(busy) == len(list(shelf.folder.iterdir())) == MOST_ENTRIES


def test_what_came_before_a_failure_counts(origin: Origin, shelf: Shelf, tmp_path: Path) -> None:
    shelf.settings = replace(shelf.settings, fetch_connections=1)
    for n in range(8):
        url = origin.put(f"/{n}", Page(BODY), Page(BODY, cut_after=MIB), Page(status=404))
        with shelf.open(url) as remote, pytest.raises(NotFound):
            remote.fetch([(MIB, 3 * MIB)], shelf.tools.scratch / "out")
    assert shelf.held() <= 4 * MIB + 8 * 8192
    assert sum(length(kept.held) for kept in shelf.cache._kept.values()) >= 3 * MIB
    # and it is used
    origin.put("/7", Page(BODY))
    assert shelf.fetch(url, "out", (MIB, 3 * MIB)).fetched < PROBE + 2 * MIB


def test_on_a_small_disk_the_job_comes_first(origin: Origin, shelf: Shelf, tools: Tools, disk: Path) -> None:
    settings = replace(shelf.settings, work_dir=str(disk), min_free=0, cache_bytes=64 * MIB)
    cache = Cache(lambda: settings, disk / "cache")
    scratch = disk / "job"
    scratch.mkdir()
    mine = Tools(tools.guardian, Cancel(), scratch, stall_timeout=20.0)
    mine.room = Space(lambda: settings, cache.shrink).room(scratch, mine.pause)
    url = origin.put("/a", Page(BODY))
    for stop in (2 * MIB, 4 * MIB, 5 * MIB):  # twice the last one, and the cache, are more than there is
        with ranges.open(url, settings, mine, cache=cache) as remote:
            remote.fetch([(MIB, stop)], scratch / "out")
        assert (scratch / "out").read_bytes()[MIB:] == BODY[MIB:stop]
        (scratch / "out").unlink()
    cache.close()
