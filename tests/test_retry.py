"""A failure that may pass is tried again, later, as often as it may be; nobody else decides it than its class."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest

from tests import videos
from tests.daemon import Daemon, accounted, events, final, push, until
from tests.origin import Origin, Page
from videod.errors import Failure, Permanent, Temporary


def seconds(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()


def kinds(base: type[Failure]) -> list[type[Failure]]:
    return [found for kind in base.__subclasses__() for found in (kind, *kinds(kind))]


PERMANENT = sorted({kind.code for kind in kinds(Permanent)})
TEMPORARY = sorted({kind.code for kind in kinds(Temporary)} - {"tool_crashed"})


def test_every_code_has_the_fate_of_the_contract(daemon: Daemon, r) -> None:
    daemon.start(max_worker=8, retry_delay=0.01, max_attempts=2)
    codes = [*PERMANENT, *TEMPORARY]
    for code in codes:
        push(r, {"id": code, "kind": "sleep", "fail": code})
        # a node pauses itself after three faults of its machine in a row
        push(r, {"id": f"between-{code}", "kind": "sleep"})
    for code in codes:
        assert final(r, code)["error"]["code"] == code
        seen = [event["event"] for event in events(r, code)]
        once = ["started", "dead"]
        assert seen == (once if code in PERMANENT else ["started", "retry", *once]), code


def test_a_crashed_tool_is_tried_again_twice_at_most(daemon: Daemon, r) -> None:
    daemon.start(retry_delay=0.01, max_attempts=9)
    push(r, {"id": "t", "kind": "sleep", "fail": "tool_crashed"})
    assert final(r, "t")["attempt"] == 3


def test_the_delay_doubles_and_is_spread(daemon: Daemon, r) -> None:
    daemon.start(max_worker=8, retry_delay=0.2, max_attempts=3)
    idents = [f"j{n}" for n in range(20)]
    for ident in idents:
        push(r, {"id": ident, "kind": "sleep", "fail": "fetch_failed"})
    for ident in idents:
        assert final(r, ident)["attempt"] == 3
    for number, first in ((1, 0.2), (2, 0.4)):
        told = [e for e in events(r) if e["event"] == "retry" and e["attempt"] == number]
        delays = [seconds(e["retry_at"]) - seconds(e["at"]) for e in told]
        assert len(delays) == 20
        assert all(0.74 * first - 0.01 <= delay <= 1.26 * first + 0.01 for delay in delays), delays
        assert max(delays) - min(delays) > 0.1 * first
    begun = {(e["id"], e["attempt"]): seconds(e["at"]) for e in events(r) if e["event"] == "started"}
    for e in events(r):
        if e["event"] == "retry":
            assert begun[e["id"], e["attempt"] + 1] >= seconds(e["retry_at"]) - 0.02
    accounted(r, idents)


def test_while_it_waits_it_stands_in_delayed_and_its_record_says_why(daemon: Daemon, r) -> None:
    daemon.start(retry_delay=60, max_attempts=5)
    push(r, {"id": "w", "kind": "sleep", "fail": "upload_failed", "meta": [1], "reply_to": "reply:w"})
    until(lambda: r.zcard("videod:delayed") == 1, 10, "it waits")
    record = r.hgetall("videod:job:w")
    assert record["state"] == "retry"
    assert json.loads(record["error"])["code"] == "upload_failed"
    told = [json.loads(text) for text in reversed(r.lrange("reply:w", 0, -1))]
    assert [e["event"] for e in told] == ["started", "retry"]
    assert told[1]["meta"] == [1] and told[1]["error"]["code"] == "upload_failed"
    ((element, due),) = r.zrange("videod:delayed", 0, -1, withscores=True)
    assert json.loads(element)["attempt"] == 2
    assert abs(due / 1000 - seconds(told[1]["retry_at"])) < 2
    # a second message of the id is a duplicate of the one that waits, even with `again`
    push(r, {"id": "w", "kind": "sleep", "again": True})
    until(lambda: events(r, "w")[-1]["event"] == "duplicate", 10, "the second is dropped")
    assert events(r, "w")[-1]["state"] == "retry"
    assert r.zcard("videod:delayed") == 1


def test_what_failed_and_then_works_is_done(daemon: Daemon, r, tmp_path: Path) -> None:
    film = videos.encode(videos.make_master(tmp_path / "master.mkv", rate="25", seconds=3.0), tmp_path / "a.mp4")
    with Origin() as origin:
        url = origin.put("/a.mp4", Page(status=503), Page(status=500), film.read_bytes())
        daemon.start(retry_delay=0.05, max_attempts=5, allow_hosts="* 127.0.0.1")
        push(r, {"id": "a", "url": url, "start": 1, "end": 2})
        end = final(r, "a")
        assert (end["event"], end["attempt"]) == ("done", 3)
        assert [e["event"] for e in events(r, "a") if e["event"] != "output"] == [
            "started", "retry", "started", "retry", "started", "done",
        ]  # fmt: skip
        record = r.hgetall("videod:job:a")
        assert record["state"] == "done" and "error" not in record and "retry_at" not in record


def test_retries_survive_kill_9_and_a_restart_of_redis(daemon: Daemon, r, redis_server) -> None:
    daemon.start(retry_delay=1, max_attempts=2)
    idents = [f"k{n}" for n in range(6)]
    for ident in idents:
        push(r, {"id": ident, "kind": "sleep", "fail": "fetch_failed"})
    until(lambda: r.zcard("videod:delayed") == 6, 10, "all wait")
    daemon.kill()
    redis_server.kill()
    redis_server.start()
    daemon.start()
    for ident in idents:
        assert (final(r, ident)["event"], final(r, ident)["attempt"]) == ("dead", 2)
    accounted(r, idents)


def test_a_drain_and_a_crash_do_not_raise_the_attempt(daemon: Daemon, r) -> None:
    daemon.start()
    push(r, {"id": "d", "kind": "sleep", "seconds": 8})
    until(lambda: r.hget("videod:job:d", "state") == "running", 10, "it runs")
    assert daemon.stop("--now") == 1
    daemon.start()
    until(lambda: r.hget("videod:job:d", "state") == "running", 10, "it runs again")
    daemon.kill()
    daemon.start()
    end = final(r, "d")
    assert (end["event"], end["attempt"]) == ("done", 1)
    assert [e.get("why") for e in events(r, "d") if e["event"] == "requeued"] == ["drain", "crash"]


@pytest.mark.parametrize("fail", ["fetch_failed", "timeout"])
def test_max_attempts_of_the_message_counts(daemon: Daemon, r, fail: str) -> None:
    daemon.start(retry_delay=0.01, max_attempts=5)
    push(r, {"id": "m", "kind": "sleep", "fail": fail, "max_attempts": 1})
    assert final(r, "m")["attempt"] == 1


def test_a_retry_of_a_job_for_one_node_goes_to_that_node(daemon: Daemon, r) -> None:
    daemon.start(retry_delay=0.05, max_attempts=2)
    push(r, {"id": "n", "kind": "sleep", "fail": "fetch_failed", "node": "elsewhere"})
    until(lambda: r.llen("video_info_queue@elsewhere") == 1, 10, "it was handed on")
    # as if that node had run it once, and its retry came due
    element = r.rpop("video_info_queue@elsewhere")
    envelope = {"videod": 1, "id": "n", "token": "t", "attempt": 2, "crashes": 0, "origin": "x", "raw": element}
    r.hset("videod:job:n", mapping={"state": "retry", "token": "t"})
    r.zadd("videod:delayed", {json.dumps(envelope, separators=(",", ":")): 1})
    until(lambda: r.llen("video_info_queue@elsewhere") == 1, 10, "it was handed on again")
    assert events(r, "n") == []


def test_only_crashes_of_tools_count_for_their_limit(daemon: Daemon, r, tmp_path: Path) -> None:
    """Two 503 before it, and the first tool that is killed is still worth another try."""
    film = videos.encode(videos.make_master(tmp_path / "master.mkv", rate="25", seconds=2.0), tmp_path / "a.mp4")
    killer = tmp_path / "bin"
    killer.mkdir()
    (killer / "ffprobe").write_text(f'#!/bin/sh\n[ -e {tmp_path}/well ] && exec /usr/bin/ffprobe "$@"\nkill -SEGV $$\n')
    (killer / "ffprobe").chmod(0o755)
    with Origin() as origin:
        url = origin.put("/a.mp4", Page(status=503), Page(status=503), Page(status=503), film.read_bytes())
        daemon.start({"PATH": f"{killer}:/usr/bin:/bin"}, retry_delay=0.2, max_attempts=9, allow_hosts="* 127.0.0.1")
        push(r, {"id": "t", "url": url, "end": 1})
        until(lambda: r.hget("videod:job:t", "tool_crashes") == "1", 30, "a tool was killed")
        (tmp_path / "well").touch()
        end = final(r, "t")
    assert (end["event"], end["attempt"]) == ("done", 5)
