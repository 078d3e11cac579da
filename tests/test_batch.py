"""The batch form through a real daemon: its reply list is said exactly once, whatever happens on the way."""

from __future__ import annotations

import json
import os
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import Daemon, accounted, events, final, push, until
from tests.origin import Origin, Page
from tests.relay import Pair, Relay
from videod.jobqueue.script import Script

BATCH = "batch_download_tasks"


def start(daemon: Daemon, **more: Any) -> None:
    daemon.start(**{"allow_hosts": "* 127.0.0.1", "retry_delay": 0.02, **more})


def task(ident: Any, *files: tuple[str, str], **more: Any) -> dict[str, Any]:
    return {"task_id": ident, "task_info": [{"fn": fn, "url": url} for fn, url in files], **more}


def answers(r, ident: str) -> list[Any]:
    """What was said so far, in order: text as it is, objects parsed."""
    found = reversed(r.lrange(f"batch_download_resp_{ident}", 0, -1))
    return [json.loads(text) if text.startswith("{") else text for text in found]


def files(daemon: Daemon, ident: str) -> dict[str, bytes]:
    """All that is in the task's folder."""
    folder = daemon.state / "downloads" / ident
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def ended(r, *idents: str) -> None:
    """Each job has its one end, its answers one `start` and one `end`, and nothing is left of it."""
    for ident in idents:
        said = answers(r, ident)
        assert said[0] == "start" and said[-1] == "end" and said.count("start") == said.count("end") == 1, said
        assert not r.exists(f"videod:files:batch:{ident}")
        r.delete(f"batch_download_resp_{ident}")
    accounted(r, [f"batch:{ident}" for ident in idents])


def test_a_batch(daemon: Daemon, r, origin: Origin) -> None:
    start(daemon)
    bodies = {f"f{n}.bin": os.urandom(1000 * n) for n in range(30)}
    push(r, task("t1", *((name, origin.put("/" + name, body)) for name, body in bodies.items())), queue=BATCH)
    end = final(r, "batch:t1")
    assert (end["event"], end["kind"], len(end["outputs"])) == ("done", "download", 30), end
    assert sorted(answers(r, "t1")[1:-1]) == sorted(bodies)
    assert files(daemon, "t1") == bodies
    assert 0 < r.pttl("batch_download_resp_t1") <= 7 * 86400 * 1000
    assert [event["event"] for event in events(r, "batch:t1")] == ["started", *["output"] * 30, "done"]
    assert end["fetched_bytes"] == sum(map(len, bodies.values()))
    assert origin.busiest <= 6
    ended(r, "t1")


NAMES = {  # fn: what it is on the disk, None: it fails
    "start": "start.mp4",
    "end": "end.mp4",
    '{"fn": 1}': '{"fn": 1}.mp4',
    "a/b/c.txt": "a/b/c.txt",
    "été 😀.mov": "été 😀.mov",
    "ab": "ab.mp4",
    "v1.2/clip": "v1.2/clip.mp4",
    "A.txt": "A.txt",
    "a.txt": "a.txt",
    ".hidden": ".hidden",
    "-rf x": "-rf x.mp4",
    "x" * 255 + "": None,  # with the extension it has more
    "y" * 251: "y" * 251 + ".mp4",
    "." + "z" * 254: "." + "z" * 254,
    "../up.txt": None,
    "a/../b.txt": None,
    "..": None,
    ".": None,
    "/etc/x.txt": None,
    "": None,
    "tab\t.txt": None,
    "nul\0.txt": None,
    "dir/": None,
    "a//b.txt": None,
    "A.txt/below.txt": None,  # a file where a folder is needed
    "a": "a.mp4",
    "a/b": "a/b.mp4",
    "a.txt.part": None,  # what a.txt is while it comes
    "\ud800.txt": None,
}


def test_names(daemon: Daemon, r, origin: Origin) -> None:
    start(daemon)
    outside = daemon.folder / "outside"
    outside.mkdir()
    (daemon.state / "downloads" / "n").mkdir(parents=True)
    (daemon.state / "downloads" / "n" / "link").symlink_to(outside)
    wanted = {**NAMES, "link/in.txt": None}
    listed = [(name, origin.put(f"/{n}.mp4", str(n).encode())) for n, name in enumerate(wanted)]
    listed.append(("a.txt", origin.put("/twice.mp4", b"twice")))
    push(r, json.dumps(task("n", *listed)), queue=BATCH)
    end = final(r, "batch:n")
    assert (end["event"], end["error"]["code"]) == ("dead", "partial")
    said = answers(r, "n")
    good = [
        one if isinstance(one, str) else one["fn"] for one in said[1:-1] if isinstance(one, str) or "error" not in one
    ]
    bad = [one["fn"] for one in said[1:-1] if not isinstance(one, str) and "error" in one]
    assert sorted(good) == sorted(name for name, path in wanted.items() if path)
    assert sorted(bad) == sorted([*(name for name, path in wanted.items() if path is None), "a.txt"])
    plain = [one for one in said[1:-1] if isinstance(one, str)]
    assert not {"start", "end", '{"fn": 1}'} & {*plain}
    numbers = {name: str(n).encode() for n, name in enumerate(wanted)}
    assert files(daemon, "n") == {path: numbers[name] for name, path in wanted.items() if path}
    assert sorted(entry["fn"] for entry in end["error"]["files"]) == sorted(bad)
    assert list(outside.iterdir()) == []
    assert not origin.seen("/twice.mp4")
    ended(r, "n")


BAD = {
    "an empty list": {"task_info": []},
    "no list": {"task_info": {"fn": "a", "url": "https://example.org/a"}},
    "null": {"task_info": None},
    "an entry that is no object": {"task_info": ["https://example.org/a"]},
    "no address": {"task_info": [{"fn": "a"}]},
    "a name of another type": {"task_info": [{"fn": 1, "url": "https://example.org/a"}]},
    "another kind": {"kind": "clip", "task_info": [{"fn": "a", "url": "https://example.org/a"}]},
    "a bad field": {"timeout": "soon", "task_info": [{"fn": "a", "url": "https://example.org/a"}]},
    "a bad list": {"reply_to": "videod:x", "task_info": [{"fn": "a", "url": "https://example.org/a"}]},
}


def test_bad_tasks_are_answered(daemon: Daemon, r) -> None:
    start(daemon)
    for n, more in enumerate(BAD.values()):
        push(r, {"task_id": n, **more}, queue=BATCH)
    for n, what in enumerate(BAD):
        end = final(r, f"batch:{n}")
        assert (end["event"], end["error"]["code"]) == ("dead", "bad_message"), (what, end)
        assert answers(r, str(n)) == ["start", "end"], what
        assert [event["event"] for event in events(r, f"batch:{n}")] == ["dead"]
    ended(r, *map(str, range(len(BAD))))
    broken = {"nan": '{"task_id":"nan","x":NaN}', "twice": '{"task_id":"twice","task_info":[{"fn":1,"fn":2}]}'}
    for task, text in broken.items():
        r.lpush(BATCH, text)
        assert final(r, f"batch:{task}")["error"]["code"] == "bad_message"
        assert answers(r, task) == ["start", "end"]


def test_files_that_fail_do_not_keep_the_others(daemon: Daemon, r, origin: Origin) -> None:
    start(daemon, deny_hosts="127.0.0.9", max_attempts=3)
    body = os.urandom(300_000)
    origin.redirect("/away", f"http://127.0.0.9:{origin.port}/good")
    addresses = {
        "good": origin.put("/good", body),
        "none": origin.url + "/none",
        "away": origin.url + "/away",
        "long": origin.put("/long", Page(body, length=len(body) + 10)),
        "later": origin.put("/later", Page(status=503), Page(status=500), body),
        "never": origin.put("/never", Page(status=503)),
        "cut": origin.put("/cut", Page(body, cut_after=100_000), Page(body)),
        "mine": "file:///etc/passwd",
        "ftp": "ftp://127.0.0.1/x",
    }
    push(r, task("f", *addresses.items()), queue=BATCH)
    end = final(r, "batch:f")
    assert (end["event"], end["error"]["code"]) == ("dead", "partial")
    failed = {one["fn"]: one["error"].partition(":")[0] for one in answers(r, "f") if not isinstance(one, str)}
    assert failed == {"none": "not_found", "away": "forbidden_source", "long": "fetch_failed",
                      "never": "fetch_failed", "mine": "forbidden_source", "ftp": "forbidden_source"}  # fmt: skip
    assert files(daemon, "f") == dict.fromkeys(["good", "later", "cut"], body)
    assert len(origin.seen("/never")) == 3 and len(origin.seen("/none")) == 1
    assert [seen.range for seen in origin.seen("/cut")] == ["", "bytes=100000-"]
    assert origin.seen("/cut")[1].headers["if-range"] == Page(body).tag
    assert [entry["url"].rpartition("/")[2] for entry in json.loads(r.hget("videod:job:batch:f", "outputs"))] == [
        "good", "later", "cut",
    ]  # fmt: skip
    ended(r, "f")


def test_a_task_is_not_taken_twice_and_runs_again_when_it_ended(daemon: Daemon, r, origin: Origin) -> None:
    start(daemon)
    message = task(7, ("a.bin", origin.put("/a", Page(b"x" * 100_000, rate=50_000), b"new")))
    push(r, message, queue=BATCH)
    until(lambda: origin.seen("/a"), 10, "it runs")
    push(r, message)
    until(lambda: "duplicate" in [event["event"] for event in events(r, "batch:7")], 10, "the second is dropped")
    assert final(r, "batch:7")["event"] == "done"
    assert answers(r, "7") == ["start", "a.bin", "end"]
    push(r, message, queue=BATCH)
    until(lambda: answers(r, "7") == ["start", "a.bin", "end"] * 2, 10, "it ran again")
    assert files(daemon, "7") == {"a.bin": b"new"}
    assert daemon.command("push", json.dumps(message)).stdout == "batch:7\n"
    until(lambda: len(answers(r, "7")) == 9, 10, "and a third time")
    assert daemon.command("show", "batch:7").returncode == 0
    assert "batch:7" in daemon.command("list", "--state", "done").stdout


def test_cancelled_while_it_runs_and_while_it_waits(daemon: Daemon, r, origin: Origin) -> None:
    start(daemon, max_worker=1)
    slow = origin.put("/slow", Page(b"x" * 1_000_000, stall_after=500_000))
    push(r, task("runs", ("a", origin.put("/a", b"a")), ("slow", slow)), queue=BATCH)
    until(lambda: "a" in answers(r, "runs") and list(daemon.state.glob("downloads/runs/slow.part")), 10, "it runs")
    push(r, task("waits", ("a", origin.url + "/a")), queue=BATCH)
    assert daemon.command("cancel", "batch:waits").returncode == 0
    assert daemon.command("cancel", "batch:runs").returncode == 0
    assert (final(r, "batch:runs")["event"], final(r, "batch:waits")["event"]) == ("cancelled", "cancelled")
    assert answers(r, "waits") == ["start", "end"] and answers(r, "runs") == ["start", "a", "end"]
    assert files(daemon, "runs") == {"a": b"a"}
    ended(r, "runs", "waits")


def test_cancelled_in_full_flow_all_that_is_whole_is_told(daemon: Daemon, r, origin: Origin) -> None:
    start(daemon)
    url = origin.put("/f", b"x" * 1000)
    push(r, task("c", *((f"f{n}", url) for n in range(2000))), queue=BATCH)
    until(lambda: len(answers(r, "c")) > 100, 20, "it flows")
    assert daemon.command("cancel", "batch:c").returncode == 0
    assert final(r, "batch:c")["event"] == "cancelled"
    assert sorted(answers(r, "c")[1:-1]) == sorted(files(daemon, "c"))
    ended(r, "c")


def test_kill_9_in_the_middle(daemon: Daemon, r, origin: Origin) -> None:
    start(daemon)
    bodies = {f"f{n}": os.urandom(50_000) for n in range(40)}
    big = os.urandom(3_000_000)
    pages = [Page(big, stall_after=1_000_000), Page(big, stall_after=1_500_000), Page(big)]
    pages_of = {name: Page(body, stall_after=None if n <= 30 else 10) for n, (name, body) in enumerate(bodies.items())}
    listed = [("big", origin.put("/big", *pages)), *((name, origin.put("/" + name, p)) for name, p in pages_of.items())]
    push(r, task("k", *listed), queue=BATCH)
    part = daemon.state / "downloads" / "k" / "big.part"
    early = [name for n, name in enumerate(bodies) if n <= 30]
    until(lambda: set(early) <= {*answers(r, "k")} and part.stat().st_size >= 900_000, 20, "the early ones are whole")
    daemon.kill()
    for name, body in bodies.items():
        origin.put("/" + name, body)
    before = Counter(seen.path for seen in origin.seen())
    daemon.start()
    until(lambda: len(origin.seen("/big")) == 2 and part.stat().st_size >= 2_000_000, 20, "it goes on")
    daemon.kill()
    daemon.start()
    assert final(r, "batch:k")["event"] == "done"
    assert files(daemon, "k") == {**bodies, "big": big}
    after = Counter(seen.path for seen in origin.seen())
    assert all(after["/" + name] == before["/" + name] == 1 for name in early)
    ranges = [seen.range for seen in origin.seen("/big")]
    assert ranges[0] == "" and all(int(text[6:-1]) >= 900_000 for text in ranges[1:]), ranges
    assert sorted(answers(r, "k")[1:-1]) == sorted([*bodies, "big"])
    assert len([event for event in events(r, "batch:k") if event["event"] == "output"]) == 41
    ended(r, "k")


class Cutter(Relay):
    """Stands before Redis; closes the connection in place of the first answers to one script, which has run."""

    def __init__(self, path: Path, redis_socket: Path, script: str, times: int) -> None:
        self._sha, self.left = Script(script).sha.encode(), times
        self.url = f"unix://{path}"
        super().__init__(redis_socket, path)

    def passed(self, pair: Pair, data: bytes, *, up: bool) -> bool:
        with self._lock:
            # after the script is known, which NOSCRIPT would tell first
            if up and self._sha in data and self.left > 0:
                self.left -= 1
                pair.doomed = True
        return up or not pair.doomed or data.startswith(b"-NOSCRIPT")


@pytest.mark.parametrize("script", ["announce", "finish", "claim"])
def test_lost_answers_say_nothing_twice(daemon: Daemon, r, redis_server, origin: Origin, script: str) -> None:
    cutter = Cutter(redis_server.folder / f"cut-{script}.sock", redis_server.socket, script, 5)
    try:
        bodies = {f"f{n}": os.urandom(1000) for n in range(60)}
        start(daemon, redis=cutter.url)
        listed = [
            *((name, origin.put("/" + name, body)) for name, body in bodies.items()),
            ("none", origin.url + "/none"),
        ]
        push(r, task("c", *listed), queue=BATCH)
        assert final(r, "batch:c")["event"] == "dead"
        assert cutter.left < 5 and (script != "announce" or cutter.left == 0)
        said = [one if isinstance(one, str) else one["fn"] for one in answers(r, "c")]
        assert sorted(said[1:-1]) == sorted([*bodies, "none"])
        assert len([event for event in events(r, "batch:c") if event["event"] == "output"]) == 60
        ended(r, "c")
    finally:
        daemon.stop("--now")
        cutter.close()


def test_redis_is_killed_in_the_middle(daemon: Daemon, r, redis_server, origin: Origin) -> None:  # noqa: F811
    start(daemon, connections_per_host=2)
    names = [f"f{n}" for n in range(60)]
    listed = [(name, origin.put("/" + name, Page(b"x" * 1000, rate=40_000))) for name in names]
    push(r, task("m", *listed))
    for least in (5, 20):
        until(lambda least=least: len(answers(r, "m")) > least, 20, "some are whole")
        redis_server.kill()
        seen = len(origin.seen())
        until(lambda seen=seen: len(origin.seen()) > seen + 2, 20, "downloads go on without Redis")
        redis_server.start()
    assert final(redis_server.client(), "batch:m")["event"] == "done"
    assert sorted(answers(r, "m")[1:-1]) == sorted(names)
    assert len(origin.seen()) == 60
    ended(r, "m")


def test_a_job_that_crashes_its_daemon_says_its_end(daemon: Daemon, r) -> None:
    message = json.dumps(task("x", ("a", "https://192.0.2.1/a")))
    envelope = {"videod": 1, "id": "batch:x", "token": "T", "attempt": 1, "crashes": 6, "origin": BATCH, "raw": message}
    r.hset("videod:job:batch:x", mapping={"state": "requeued", "token": "T"})
    r.hset("videod:files:batch:x", "start", "1")
    r.lpush("batch_download_resp_x", "start")
    push(r, json.dumps(envelope, separators=(",", ":")), queue=BATCH)
    start(daemon)
    assert final(r, "batch:x")["error"]["code"] == "crashed"
    assert answers(r, "x") == ["start", "end"]


def test_two_files_do_not_wait_behind_many(daemon: Daemon, r, origin: Origin) -> None:
    start(daemon, connections_per_host=2)
    many = [(f"m{n}", origin.put(f"/m{n}", Page(b"x" * 1000, rate=20_000))) for n in range(200)]
    push(r, task("many", *many), queue=BATCH)
    until(lambda: len(origin.seen()) >= 10, 20, "the many are under way")
    push(r, task("two", ("a", origin.put("/a", b"a")), ("b", origin.put("/b", b"b"))), queue=BATCH)
    assert final(r, "batch:two")["event"] == "done"
    begun = len(origin.seen())
    assert begun < 150, "the two came when the many were through"
    order = [seen.path for seen in origin.seen()]
    # in turn: between the two at most one of the many for each connection
    assert abs(order.index("/b") - order.index("/a")) <= 3, order
    assert final(r, "batch:many")["event"] == "done"
    ended(r, "many", "two")


class Doorman(Relay):
    """Counts at each new connection those that are open, before an origin."""

    most = 0

    def begun(self, pair: Pair) -> None:
        self.most = max(self.most, sum(one.is_open for one in self.open()))


def test_connections_are_counted_over_all_tasks(daemon: Daemon, r, origin: Origin) -> None:
    start(daemon, connections_per_host=3)
    doorman = Doorman(origin.port)
    here = f"http://127.0.0.1:{doorman.port}"
    for n in range(60):
        origin.put(f"/{n}", os.urandom(1000))
    push(r, *(task(name, *((str(n), f"{here}/{n}") for n in range(60))) for name in "pqr"))
    for name in "pqr":
        assert final(r, f"batch:{name}")["event"] == "done"
    assert 2 <= doorman.most <= 3
    ended(r, *"pqr")
    doorman.close()


def bound(pid: int | None) -> int:
    """How many threads of a process may run on one core alone."""
    found = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):  # it has just ended
            found += len(os.sched_getaffinity(int(thread.name))) == 1
    return found


@pytest.mark.skipif(len(os.sched_getaffinity(0)) == 1, reason="has one core anyway")
def test_small_files_share_a_core_and_nothing_else_does(daemon: Daemon, r, origin: Origin) -> None:
    start(daemon)
    small = [origin.put(f"/s{n}", Page(bytes(20_000), rate=10_000)) for n in range(3)]
    large = [origin.put(f"/l{n}", Page(bytes(2_000_000), rate=1_000_000)) for n in range(3)]
    push(r, task("t", *((url.rpartition("/")[2], url) for url in small + large)), queue=BATCH)
    until(lambda: bound(daemon.pid) == 3, 10, "three are small")
    assert final(r, "batch:t")["event"] == "done"
    assert bound(daemon.pid) == 0
    ended(r, "t")
