"""Wild messages through a real daemon: it lives, each message is accounted for, nobody's terminal or log is fooled."""

from __future__ import annotations

import base64
import json
import re
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest
import redis

from tests.daemon import Daemon, events, until
from tests.wild import HERE, OTHER, QUEUES, wild

FINAL = ("done", "dead", "cancelled")
LINE = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (DEBUG|INFO|WARNING|ERROR) n\d+ "
    r"(job=[A-Za-z0-9_.:-]{1,128} attempt=\d+ [A-Za-z0-9_.-]{1,64}: )?[^\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e]*"
)
MOST_MEGABYTES = 300


def raw_client(daemon: Daemon) -> redis.Redis:
    return redis.Redis.from_url(daemon.settings["redis"], protocol=2)


def memory(pid: int) -> float:
    """The most that a process ever held, in MB."""
    return int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) / 1000


def look(daemon: Daemon, *verbs: list[str]) -> None:
    """What people see, however wild the messages are that wait and that ended."""
    for verb in verbs:
        for more in ([], ["--json"]):
            done = daemon.command(*verb, *more)
            assert (done.returncode, done.stderr) == (0, ""), (verb, done.stderr)
            assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e]", done.stdout), verb
            assert not more or json.loads(done.stdout) is not None


def raw_of(entry: bytes) -> bytes:
    letter = json.loads(entry)
    return base64.b64decode(letter["raw_base64"]) if "raw_base64" in letter else letter["raw"].encode()


def all_are_accounted_for(daemon: Daemon, pushed: Counter[bytes], good: list[str]) -> None:
    """Each element is a final event, a `duplicate`, or stands in the list of the node that it names."""
    client, total = raw_client(daemon), sum(pushed.values())
    served = [*QUEUES, f"video_info_queue@{daemon.node}", f"videod:running:{daemon.node}"]

    def told() -> list[dict[str, Any]]:
        if any(client.llen(name) for name in served) or client.zcard("videod:delayed"):
            return []
        found = events(daemon.client())
        ends = sum(event["event"] in (*FINAL, "duplicate") for event in found)
        return found if ends + client.llen(f"video_info_queue@{OTHER}") >= total else []

    found = until(told, 900, "all messages have ended")
    ends = [event for event in found if event["event"] in FINAL]
    handed_on = client.lrange(f"video_info_queue@{OTHER}", 0, -1)
    duplicates = sum(event["event"] == "duplicate" for event in found)
    assert len(ends) + duplicates + len(handed_on) == total
    dead = client.lrange("videod:dead", 0, -1)
    assert len(dead) == sum(event["event"] == "dead" for event in ends)
    assert not Counter(map(raw_of, dead)) + Counter(handed_on) - pushed  # byte for byte what was pushed
    done = Counter(event["id"] for event in ends if event["event"] == "done")
    assert all(done[ident] == 1 for ident in good)
    faults = [event for event in ends if event.get("error", {}).get("code") == "internal"]
    assert not faults, faults[:3]


def run(daemon: Daemon, number: int, seed: int) -> None:
    luck = Random(seed)
    (daemon.folder / "up").mkdir()
    daemon.start(allow_hosts="127.0.0.1:1", allow_paths=HERE, retry_delay="0.01", stall_timeout=5)
    pid, client = daemon.pid, raw_client(daemon)
    queues = [*QUEUES, QUEUES[0], f"video_info_queue@{daemon.node}"]
    client.set("a text", "no list")
    pushed: Counter[bytes] = Counter()
    good = [f"good-{n}" for n in range(number // 20)]
    assert daemon.command("pause").returncode == 0
    batch = client.pipeline(transaction=False)
    for n in range(number):
        element = wild(luck) if n % 20 else json.dumps({"id": good[n // 20], "kind": "sleep"}).encode()
        pushed[element] += 1
        getattr(batch, luck.choice(["lpush", "rpush"]))(luck.choice(queues), element)
    batch.execute()
    look(daemon, ["list"])
    assert daemon.command("resume").returncode == 0
    all_are_accounted_for(daemon, pushed, good)
    ended = [event["id"] for event in events(daemon.client()) if event["event"] == "dead"]
    look(daemon, ["list"], ["dead"], ["status"], ["nodes"], ["log"], ["show", luck.choice(ended)])
    assert daemon.pid == pid and memory(pid) < MOST_MEGABYTES
    lines = daemon.log.split("\n")
    assert lines.pop() == "" and not [line for line in lines if not LINE.fullmatch(line)][:3]
    assert not re.search(r"Traceback|a worker failed", daemon.log)


def test_five_hundred_wild_messages(daemon: Daemon) -> None:
    run(daemon, 500, seed=1)


@pytest.mark.long
def test_ten_thousand_wild_messages(daemon: Daemon) -> None:
    run(daemon, 10_000, seed=2)


def test_a_broken_envelope_stops_neither_the_daemon_nor_its_next_start(daemon: Daemon) -> None:
    """Each of these once ended the main thread; then they stood in the running list, and start failed, too."""
    made = {"videod": 1, "id": "a", "token": "t", "attempt": 1, "crashes": 2, "origin": "q"}
    broken = [
        {**made, **change}
        for change in ({"raw_base64": "é"}, {"token": "\ud800", "raw": ""}, {"token": "", "raw": "{}"})
    ]
    elements = [json.dumps(values, separators=(",", ":")).encode() for values in broken]
    client = raw_client(daemon)
    client.lpush(f"videod:running:{daemon.node}", *elements)  # as it is left when the daemon dies
    daemon.start()
    client.lpush(QUEUES[0], *elements)
    all_are_accounted_for(daemon, Counter(elements * 2), [])
    client.lpush(QUEUES[0], b'{"videod":' + b'\\"' * 500_000)
    until(lambda: client.llen("videod:dead") == 7, 20, "a megabyte of quotes is refused")
