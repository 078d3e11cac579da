"""Room on the disk: promised before the fetch, watched while idle, and given back whatever happens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import videos
from tests.daemon import Daemon, accounted, events, final, push, until
from tests.origin import Origin, Page

MIB = 1 << 20


@pytest.fixture
def small(daemon: Daemon, disk: Path) -> Iterator[Daemon]:
    """A daemon whose scratch folders are there; stopped before the disk goes."""
    daemon.write(work_dir=disk, min_free=0, allow_hosts="* 127.0.0.1", retry_delay=0.05)
    yield daemon
    daemon.end()
    assert [path for path in disk.glob("*/*") if path.is_dir()] == []


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A video of 3 MiB, most of it padding that a player skips."""
    folder = tmp_path_factory.mktemp("film")
    path = videos.encode(videos.make_master(folder / "master.mkv", rate="25", seconds=2.0), folder / "a.mp4")
    body = path.read_bytes()
    padding = 3 * MIB - len(body)
    return body + padding.to_bytes(4, "big") + b"free" + bytes(padding - 8)


def test_jobs_that_fit_one_by_one_wait_for_each_other(small: Daemon, r, origin: Origin, film: bytes) -> None:
    small.start(max_worker=4)
    idents = [f"w{n}" for n in range(4)]
    for ident in idents:
        push(r, {"id": ident, "url": origin.put(f"/{ident}", Page(film, rate=4 * MIB)), "start": 0.2, "end": 1})
    for ident in idents:
        assert final(r, ident)["event"] == "done"
    assert not [e for e in events(r) if e["event"] == "retry"]
    accounted(r, idents)


def test_a_job_that_never_fits_is_tried_again_and_hurts_no_other(small: Daemon, r, origin: Origin, film: bytes) -> None:
    small.start(max_attempts=4)
    push(
        r,
        {"id": "large", "url": origin.put("/large", Page(film + bytes(4 * MIB), ranges=False)), "start": 0.2, "end": 1},
    )
    end = final(r, "large")
    assert (end["event"], end["error"]["code"], end["attempt"]) == ("dead", "disk_full", 4)
    assert "the job needs 14 MiB and" in end["error"]["message"]
    assert "pauses itself" not in small.log
    push(r, {"id": "fits", "url": origin.put("/fits", film), "start": 0.2, "end": 1})
    assert final(r, "fits")["event"] == "done"


@pytest.mark.parametrize("page", [{"chunked": True}, {"length": -1}])
def test_full_in_the_middle(small: Daemon, r, origin: Origin, film: bytes, page: dict) -> None:
    """Of a body whose length nobody told."""
    small.start(max_attempts=2)
    # the first request asks for a part; chunks are asked for twice more: wget only sees that they are
    large = [Page(film + bytes(20 * MIB), ranges=False, **page)] * (3 if "chunked" in page else 2)
    url = origin.put("/m", *large, Page(film, ranges=False))
    push(r, {"id": "m", "url": url, "start": 0.2, "end": 1})
    end = final(r, "m")
    told = next(e for e in events(r, "m") if e["event"] == "retry")
    assert told["error"]["code"] == "disk_full"
    assert (end["event"], end["attempt"]) == ("done", 2)


def test_below_min_free_nothing_is_taken(small: Daemon, r, disk: Path) -> None:
    small.start(min_free="5M")
    (disk / "ballast").write_bytes(bytes(7 * MIB))
    until(lambda: "takes no message: work_dir has" in small.log, 10, "it is noticed")
    push(r, {"id": "b", "kind": "sleep"})
    (disk / "more").write_bytes(bytes(MIB))
    until(lambda: r.llen("video_info_queue") == 1, 2, "it waits")
    assert events(r, "b") == []
    until(lambda: "takes no messages: work_dir has" in small.command("status").stdout, 5, "status tells why")
    (disk / "ballast").unlink()
    assert final(r, "b")["event"] == "done"
    assert "takes messages again" in small.log
    (disk / "more").unlink()


def test_scratch_of_a_killed_daemon_is_swept(small: Daemon, r, disk: Path, origin: Origin, film: bytes) -> None:
    small.start()
    pages = [Page(film, ranges=False), Page(film, stall_after=MIB, ranges=False), Page(film, ranges=False)]
    push(r, {"id": "k", "url": origin.put("/k", *pages), "start": 0.2, "end": 1})
    until(lambda: sum(f.stat().st_size for f in disk.glob("*/k.*/source")) >= MIB // 2, 20, "it fetches")
    other = disk / small.node / "of-a-job-that-others-took"
    other.mkdir()
    (other / "source").write_bytes(bytes(MIB))
    small.kill()
    small.start()
    assert not other.exists()
    assert final(r, "k")["event"] == "done"
