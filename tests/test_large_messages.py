"""Messages that are too large end dead within Redis: no daemon holds, repeats or dies of one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.daemon import Daemon, accounted, events, push, until
from videod.message import KEPT_BYTES, MAX_BYTES, MAX_ENVELOPE, READ_BYTES

LARGE = b'{"url":"' + b"\x01" * (40 << 20)
FORGED = b'{"videod":1,"id":"b","raw":"' + b"\x01" * MAX_ENVELOPE
ROOM_KIB = 200 << 10


def peak(daemon: Daemon) -> int:
    """The most memory that the daemon ever had, in KiB."""
    lines = Path(f"/proc/{daemon.pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM")))


def buried(r, count: int) -> None:
    """All ended, each once, with what is told of it."""
    until(lambda: r.llen("videod:dead") == count, 20, "all are dead")
    told = events(r)
    accounted(r, [event["id"] for event in told])
    for event, entry in zip(told, reversed(r.lrange("videod:dead", 0, -1)), strict=True):
        letter = json.loads(entry)
        assert (event["event"], event["error"]["code"], event["error"]["stage"]) == ("dead", "bad_message", "message")
        assert letter["error"] == event["error"] and letter["id"] == event["id"]
        assert letter["bytes"] > MAX_BYTES and f"has {letter['bytes']} bytes" in event["error"]["message"]
        assert len(letter["raw"]) == KEPT_BYTES
        record = r.hgetall(f"videod:job:{event['id']}")
        assert (record["state"], record["message"]) == ("dead", letter["raw"])
        assert r.ttl(f"videod:job:{event['id']}") > 0


@pytest.mark.parametrize("message", [LARGE, FORGED], ids=["message", "envelope"])
def test_it_ends_dead_wherever_it_comes_from(daemon: Daemon, r, message: bytes) -> None:
    """One that waits at the start, on the way that blocks, and by the script: the list of another kind."""
    push(r, message)
    daemon.start()
    buried(r, 1)
    push(r, message)
    buried(r, 2)
    push(r, message, queue="batch_download_tasks")
    buried(r, 3)
    push(r, {"id": "good", "kind": "sleep"})
    until(lambda: r.hget("videod:job:good", "state") == "done", 10, "the next one is taken")
    assert peak(daemon) < ROOM_KIB
    assert daemon.log.count("bad_message: the message has") == 3


def test_the_next_start_ends_what_was_taken(daemon: Daemon, r) -> None:
    """Two that look the same, left by a daemon that died of them, and what it ran beside."""
    push(r, LARGE, {"id": "good", "kind": "sleep"}, LARGE, queue=f"videod:running:{daemon.node}")
    daemon.start()
    until(lambda: r.hget("videod:job:good", "state") == "done", 10, "what was beside it runs")
    assert r.llen("videod:dead") == 2
    assert r.llen(f"videod:running:{daemon.node}") == 0
    assert peak(daemon) < ROOM_KIB // 2


def test_a_gone_node_leaves_one(daemon: Daemon, r) -> None:
    push(r, LARGE, queue="videod:running:other")
    r.hset("videod:nodes", "other", json.dumps({"state": "running", "host": "elsewhere"}))
    daemon.start(lease=1)
    buried(r, 1)


def test_it_is_shown_by_its_beginning(daemon: Daemon, r) -> None:
    daemon.start()
    assert daemon.command("pause").returncode == 0
    push(r, LARGE)
    shown = json.loads(daemon.command("list", "--state", "waiting", "--json").stdout)
    assert shown[0]["message"].startswith(f"too large, {len(LARGE)} bytes: ")
    assert len(shown[0]["message"]) <= KEPT_BYTES
    assert daemon.command("show", "nothing").returncode == 1
    r.delete("video_info_queue")


def test_what_looks_like_an_envelope_is_cut(daemon: Daemon, r) -> None:
    """Small enough to be an envelope, too large for a message: it must not grow six times when it is claimed."""
    push(r, b'{"videod":1,"id":"b","raw":"' + b"\x01" * (5 << 20))
    daemon.start()
    until(lambda: r.llen("videod:dead") == 1, 10, "it is dead")
    letter = json.loads(r.lindex("videod:dead", 0))
    assert (letter["error"]["code"], len(letter["raw"])) == ("bad_message", KEPT_BYTES)


def test_who_waits_for_one_that_is_a_little_too_large_is_told(daemon: Daemon, r) -> None:
    daemon.start()
    message = {"id": "big", "kind": "sleep", "reply_to": "reply:big", "meta": {"a": 1}, "note": "x" * MAX_BYTES}
    push(r, message)
    until(lambda: r.llen("reply:big") == 1, 10, "it is dead")
    event = json.loads(r.lindex("reply:big", 0))
    assert (event["event"], event["id"], event["meta"]) == ("dead", "big", {"a": 1})
    assert event["error"]["code"] == "bad_message" and f"more than {MAX_BYTES}" in event["error"]["message"]
    letter = json.loads(r.lindex("videod:dead", 0))
    assert json.loads(letter["raw"]) == message
    push(r, {"task_id": "big", "task_info": [{"fn": "a", "url": "https://h/a", "x": "\x01" * (READ_BYTES // 8)}]})
    until(lambda: r.lrange("batch_download_resp_big", 0, -1) == ["end", "start"], 10, "so is who waits for a batch")
    # what would grow beyond all that is read again keeps its beginning
    push(r, b'{"id":"odd","x":"' + b"\x01" * (READ_BYTES - 100) + b'"}')
    until(lambda: r.llen("videod:dead") == 3, 10, "it is dead")
    assert len(json.loads(r.lindex("videod:dead", 0))["raw"]) == KEPT_BYTES
    r.delete("batch_download_resp_big")
    accounted(r, ["big", "batch:big", *(event["id"] for event in events(r) if event["id"] not in ("big", "batch:big"))])
