"""Nodes that are gone, stopped or cut off, and messages that take their daemon down."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import videos
from tests.daemon import Daemon, accounted, events, final, push, until

LEASE = 2.0


@pytest.fixture
def other(redis_server, tmp_path: Path) -> Iterator[Daemon]:
    """A second node on the same Redis."""
    folder = tmp_path / "other"
    folder.mkdir()
    made = Daemon(folder, redis_server.url)
    made.write(node="other", lease=LEASE, allow_paths=tmp_path)
    yield made
    made.end()


def running(r, ident: str, node: str) -> None:
    until(lambda: r.hmget(f"videod:job:{ident}", "state", "node") == ["running", node], 20, f"{ident} runs on {node}")


def test_the_jobs_of_a_killed_node_run_on_another(daemon: Daemon, other: Daemon, r) -> None:
    daemon.start(lease=LEASE)
    push(r, *({"id": f"k{n}", "kind": "sleep", "seconds": 0.3} for n in range(2)))
    push(r, {"id": "long", "kind": "sleep", "seconds": 8})
    running(r, "long", daemon.node)
    other.start()
    daemon.kill()
    running(r, "long", "other")  # bench/recovery.py shows how soon
    for ident in ("k0", "k1", "long"):
        assert final(r, ident)["event"] == "done"
    assert next(e for e in events(r, "long") if e["event"] == "requeued")["why"] == "crash"
    assert f"node {daemon.node} is gone" in other.log
    accounted(r, ["k0", "k1", "long"])


def test_at_once_on_its_own_restart(daemon: Daemon, other: Daemon, r) -> None:
    daemon.start(lease=30)
    push(r, {"id": "mine", "kind": "sleep", "seconds": 3})
    running(r, "mine", daemon.node)
    daemon.kill()
    daemon.start()
    until(lambda: len([e for e in events(r, "mine") if e["event"] == "started"]) == 2, 10, "it runs again")
    assert final(r, "mine")["node"] == daemon.node


def test_a_node_that_was_stopped_past_its_lease_commits_nothing(daemon: Daemon, other: Daemon, r, tmp_path) -> None:
    """A real clip, so that children and uploads are seen, too."""
    film = videos.encode(videos.make_master(tmp_path / "master.mkv", rate="25", seconds=20.0), tmp_path / "a.mp4")
    daemon.start(lease=LEASE, upload_paths=tmp_path)
    other.write(upload_paths=tmp_path)
    result = tmp_path / "result.mp4"
    push(r, {"id": "clip", "url": str(film), "start": 0.5, "end": 19, "cut": "encode", "upload": f"file:{result}"})
    push(r, {"id": "nap", "kind": "sleep", "seconds": 5})
    running(r, "nap", daemon.node)
    until(lambda: "encode" in (r.hget("videod:job:clip", "stage") or ""), 20, "it encodes")
    stopped = daemon.pid
    daemon.signal(signal.SIGSTOP)
    other.start()
    assert final(r, "clip")["node"] == "other"
    assert final(r, "nap")["node"] == "other"
    inode, bytes_ = result.stat().st_ino, result.read_bytes()
    os.kill(stopped, signal.SIGCONT)
    until(lambda: "took the name of this node again" in daemon.log, 10, "it noticed")
    until(lambda: len(daemon.marked()) <= 1, 5, "its children are gone, but for the guardian")
    # it rejoins and serves
    push(r, {"id": "after", "kind": "sleep", "node": daemon.node})
    assert final(r, "after")["node"] == daemon.node
    assert (result.stat().st_ino, result.read_bytes()) == (inode, bytes_), "no second output"
    assert "lost the lease" in daemon.log
    accounted(r, ["clip", "nap", "after"])


def test_a_node_that_lives_is_left_alone(daemon: Daemon, other: Daemon, r) -> None:
    daemon.start(lease=1)
    other.start(lease=1)
    push(r, *({"id": f"n{i}", "kind": "sleep", "seconds": 4} for i in range(4)))
    for i in range(4):
        assert final(r, f"n{i}")["event"] == "done"
    assert not [e for e in events(r) if e["event"] == "requeued"]
    assert "is gone" not in daemon.log + other.log


def test_an_emptied_hash_of_nodes_harms_nobody(daemon: Daemon, other: Daemon, r) -> None:
    daemon.start(lease=1)
    other.start(lease=1)
    push(r, *({"id": f"n{i}", "kind": "sleep", "seconds": 2} for i in range(8)))
    until(lambda: len([e for e in events(r) if e["event"] == "started"]) == 8, 10, "all run")
    r.delete("videod:nodes")
    for i in range(8):
        assert final(r, f"n{i}")["event"] == "done"
    assert sorted(r.hkeys("videod:nodes")) == sorted([daemon.node, "other"])
    assert not [e for e in events(r) if e["event"] == "requeued"]


def test_a_message_that_is_no_longer_ours_ends_its_thread(daemon: Daemon, r) -> None:
    """Somebody took it out of the running list."""
    daemon.start(lease=1)
    push(r, {"id": "gone", "kind": "sleep", "seconds": 60})
    running(r, "gone", daemon.node)
    r.delete(f"videod:running:{daemon.node}")
    until(lambda: "left for later: job=gone" in daemon.log, 5, "it ended")
    push(r, {"id": "next", "kind": "sleep"})
    assert final(r, "next")["event"] == "done"
    assert [e["event"] for e in events(r, "gone")] == ["started"]


def test_poison_ends_crashed_and_takes_no_innocent_along(daemon: Daemon, r) -> None:
    daemon.start(max_worker=3)
    push(r, {"id": "poison", "kind": "sleep", "seconds": 0.2, "fault": "poison"})
    push(r, *({"id": f"innocent{i}", "kind": "sleep", "seconds": 0.4} for i in range(2)))
    starts = 1
    while r.hget("videod:job:poison", "state") != "dead":
        until(lambda: not daemon.running() or r.hget("videod:job:poison", "state") == "dead", 20, "it dies")
        if r.hget("videod:job:poison", "state") != "dead":
            daemon.start()
            starts += 1
        assert starts < 12
    end = final(r, "poison")
    assert end["error"]["code"] == "crashed"
    assert starts == 7, "three in company, three alone, and the one that buries it"
    for i in range(2):
        assert final(r, f"innocent{i}")["event"] == "done"
        assert int(r.hget(f"videod:job:innocent{i}", "crashes")) <= 3
    accounted(r, ["poison", "innocent0", "innocent1"])


def test_a_suspect_runs_alone(daemon: Daemon, r) -> None:
    daemon.start(max_worker=4)
    # three crashes in company
    for n in range(3):
        if n == 0:
            push(r, {"id": "suspect", "kind": "sleep", "seconds": 3})
        running(r, "suspect", daemon.node)
        daemon.kill()
        if n < 2:
            daemon.start()
    push(r, *({"id": f"j{i}", "kind": "sleep", "seconds": 0.3} for i in range(6)))
    daemon.start()
    assert final(r, "suspect")["event"] == "done"
    spans = {}
    for e in events(r):
        if e["event"] in ("started", "done"):
            spans.setdefault(e["id"], {})[e["event"]] = e["at"]
    for i in range(6):
        final(r, f"j{i}")
    for e in events(r):
        if e["event"] in ("started", "done"):
            spans.setdefault(e["id"], {})[e["event"]] = e["at"]
    alone = spans.pop("suspect")
    for ident, span in spans.items():
        assert span["done"] <= alone["started"] or span["started"] >= alone["done"], (ident, span, alone)
