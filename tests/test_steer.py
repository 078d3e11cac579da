"""cancel, retry, pause, resume, nodes: what people do to jobs and nodes."""

from __future__ import annotations

import json
import time

from tests.daemon import Daemon, accounted, events, final, push, until
from tests.origin import Origin, Page
from videod.message import Envelope


def sleeps(*idents: str, seconds: float = 60) -> list[dict]:
    return [{"id": ident, "kind": "sleep", "seconds": seconds} for ident in idents]


def running(r, ident: str) -> None:
    until(lambda: r.hget(f"videod:job:{ident}", "state") == "running", 10, f"{ident} runs")


def said(daemon: Daemon, *argv: str, code: int = 0) -> str:
    done = daemon.command(*argv)
    assert done.returncode == code, done
    assert (done.stderr == "") == (code == 0), done
    assert "Traceback" not in done.stderr
    return done.stdout if code == 0 else done.stderr


# ------------------------------------------------------------------ cancel
def test_cancel_kills_what_runs_within_a_second(daemon: Daemon, r) -> None:
    """wget waits for a server that says nothing more; it and its group must be gone."""
    with Origin() as origin:
        url = origin.put("/slow", Page(b"x" * 100_000, stall_after=10))
        daemon.start(allow_hosts="* 127.0.0.1")
        push(r, {"id": "c", "url": url, "meta": {"user": 7}, "reply_to": "reply:c"})
        until(lambda: len(origin.seen("/slow")) == 1, 10, "wget fetches")
        before = len(daemon.marked())
        r.set("videod:cancel:c", 1)  # what the command does, without its start-up time
        until(lambda: r.hget("videod:job:c", "state") == "cancelled", 5, "it is cancelled")
        until(lambda: len(daemon.marked()) < before, 1, "wget is gone")
    end = final(r, "c")
    assert (end["event"], end["meta"]) == ("cancelled", {"user": 7})
    assert json.loads(r.lindex("reply:c", 0))["event"] == "cancelled"
    until(lambda: daemon.scratch() == [], 2, "its scratch folder is gone")
    assert not r.exists("videod:cancel:c")
    assert r.llen("videod:dead") == 0
    accounted(r, ["c"])


def test_cancel_by_command(daemon: Daemon, r) -> None:
    daemon.start(max_worker=1)
    push(r, *sleeps("runs", "waits", "other"))
    running(r, "runs")
    assert said(daemon, "cancel", "waits") == "waits: cancelled\n"
    assert said(daemon, "cancel", "runs") == "runs: cancelled\n"
    running(r, "other")
    assert json.loads(daemon.command("cancel", "other", "--json").stdout)["cancelled"] is True
    for ident in ("runs", "waits", "other"):
        assert final(r, ident)["event"] == "cancelled"
    assert [e["event"] for e in events(r, "waits")] == ["cancelled"]
    assert "has ended already: waits: cancelled" in said(daemon, "cancel", "waits", code=1)
    assert "no job of this id: never" in said(daemon, "cancel", "never", code=1)
    accounted(r, ["runs", "waits", "other"])


def test_what_waits_for_a_node_that_never_came_is_seen_and_cancelled(daemon: Daemon, r) -> None:
    daemon.start()
    push(r, {"id": "nd", "kind": "sleep", "node": "n77"})
    until(lambda: r.llen("video_info_queue@n77") == 1, 10, "it is handed on")
    r.set("video_info_queue@text", "no list")
    r.lpush("video_info_queue@no node", "x")
    assert json.loads(said(daemon, "show", "nd", "--json"))["list"] == "video_info_queue@n77"
    assert [(j["id"], j["state"]) for j in json.loads(said(daemon, "list", "--json"))] == [("nd", "waiting")]
    queues = json.loads(said(daemon, "status", "--json"))["queues"]
    assert {name: n for name, n in queues.items() if "@" in name} == {
        f"video_info_queue@{daemon.node}": 0,
        "video_info_queue@n77": 1,
    }
    assert said(daemon, "cancel", "nd") == "nd: cancelled\n"
    assert r.llen("video_info_queue@n77") == 0 and final(r, "nd")["event"] == "cancelled"
    r.delete("video_info_queue@text", "video_info_queue@no node")
    assert said(daemon, "retry", "nd") == "nd: queued\n"
    until(lambda: r.llen("video_info_queue@n77") == 1, 10, "it is handed on again")
    said(daemon, "cancel", "nd")


def test_cancel_takes_a_job_out_of_its_retry(daemon: Daemon, r) -> None:
    daemon.start(retry_delay=60, max_attempts=5)
    push(r, {"id": "late", "kind": "sleep", "fail": "fetch_failed"})
    until(lambda: r.zcard("videod:delayed") == 1, 10, "it waits")
    assert said(daemon, "cancel", "late") == "late: cancelled\n"
    assert r.zcard("videod:delayed") == 0
    assert final(r, "late")["event"] == "cancelled"


def test_a_cancelled_job_runs_again_when_pushed_or_retried(daemon: Daemon, r) -> None:
    daemon.start()
    push(r, *sleeps("again"))
    running(r, "again")
    said(daemon, "cancel", "again")
    assert said(daemon, "retry", "again") == "again: queued\n"
    running(r, "again")
    said(daemon, "cancel", "again")
    push(r, *sleeps("again", seconds=0))
    until(lambda: r.hget("videod:job:again", "state") == "done", 10, "it is done")
    assert [e["event"] for e in events(r, "again")].count("cancelled") == 2


# ------------------------------------------------------------------ cancel where an id waits more than once
def told(r, ident: str) -> list[str]:
    return [e["event"] for e in events(r, ident)]


def forged(ident: str) -> str:
    return Envelope(ident, "nope", 1, 0, "video_info_queue", b'{"kind":"sleep"}').dumps().decode()


def test_cancel_leaves_a_job_that_is_done_and_its_copy_alone(daemon: Daemon, r) -> None:
    daemon.start()
    push(r, *sleeps("d", seconds=0))
    assert final(r, "d")["event"] == "done"
    said(daemon, "pause")
    record = r.hgetall("videod:job:d")
    push(r, *sleeps("d", seconds=0), forged("d"))
    assert "has ended already: d: done" in said(daemon, "cancel", "d", code=1)
    assert r.hgetall("videod:job:d") == record and r.llen("video_info_queue") == 2
    r.rpop("video_info_queue"), r.rpop("video_info_queue")
    # one that would run is the next run of this job
    push(r, {"id": "d", "kind": "sleep", "again": True}, *sleeps("d"))
    assert said(daemon, "cancel", "d") == "d: cancelled\n"
    assert told(r, "d") == ["started", "done", "cancelled", "duplicate"]
    assert r.llen("video_info_queue") == 0


def test_cancel_of_a_retry_drops_its_copies(daemon: Daemon, r) -> None:
    daemon.start(retry_delay=60, max_attempts=5)
    push(r, {"id": "late", "kind": "sleep", "fail": "fetch_failed", "meta": 1})
    until(lambda: r.zcard("videod:delayed") == 1, 10, "it waits")
    said(daemon, "pause")
    push(r, forged("late"), {"id": "late", "kind": "sleep", "meta": 2, "reply_to": "reply:late"})
    assert said(daemon, "cancel", "late") == "late: cancelled\n"
    assert told(r, "late") == ["started", "retry", "cancelled", "duplicate"]
    second = json.loads(r.lindex("reply:late", 0))
    assert (second["event"], second["state"], second["meta"]) == ("duplicate", "cancelled", 2)
    assert final(r, "late")["meta"] == 1
    assert r.zcard("videod:delayed") == 0 and r.lrange("video_info_queue", 0, -1) == [forged("late")]


def test_cancel_of_what_runs_drops_its_copies(daemon: Daemon, r) -> None:
    daemon.start(max_worker=1)
    push(r, *sleeps("runs"))
    running(r, "runs")
    push(r, *sleeps("runs"), forged("runs"), *sleeps("next", seconds=0))
    assert said(daemon, "cancel", "runs") == "runs: cancelled\n"
    final(r, "next")
    assert sorted(told(r, "runs")) == ["cancelled", "duplicate", "started"]


def test_cancel_of_copies_without_a_record_removes_all(daemon: Daemon, r) -> None:
    daemon.start()
    said(daemon, "pause")
    push(r, *sleeps("two"), *sleeps("two"))
    push(r, *sleeps("two"), queue="batch_download_tasks")
    assert said(daemon, "cancel", "two") == "two: cancelled\n"
    assert told(r, "two") == ["cancelled", "duplicate", "duplicate"]
    assert r.hget("videod:job:two", "state") == "cancelled"
    assert r.llen("video_info_queue") == r.llen("batch_download_tasks") == 0
    push(r, forged("never"))
    assert "no job of this id: never" in said(daemon, "cancel", "never", code=1)
    assert r.llen("video_info_queue") == 1 and not r.exists("videod:job:never")


# ------------------------------------------------------------------ retry
def test_retry_of_a_dead_entry_whose_id_is_done_keeps_it(daemon: Daemon, r) -> None:
    daemon.start()
    push(r, {"id": "x", "kind": "sleep", "fail": "not_found"})
    until(lambda: r.llen("videod:dead") == 1, 10, "it is dead")
    push(r, *sleeps("x", seconds=0))
    until(lambda: r.hget("videod:job:x", "state") == "done", 10, "it is done")
    assert "the job is done: x" in said(daemon, "retry", "x", code=1)
    assert r.llen("videod:dead") == 1


def test_retry_of_dead_messages(daemon: Daemon, r) -> None:
    daemon.start(max_attempts=1)
    push(r, *({"id": f"d{n}", "kind": "sleep", "fail": "not_found", "meta": n} for n in range(3)))
    push(r, b"\xff no message")  # has no id of its own
    until(lambda: r.llen("videod:dead") == 4, 10, "all are dead")
    assert said(daemon, "retry", "d1") == "d1: queued\n"
    until(lambda: len(events(r, "d1")) == 4, 10, "it ran again")
    assert [e["event"] for e in events(r, "d1")] == ["started", "dead"] * 2
    assert [e["meta"] for e in events(r, "d1")] == [1] * 4
    assert r.llen("videod:dead") == 4
    nameless = next(e["id"] for e in events(r) if e.get("error", {}).get("code") == "bad_message")
    assert json.loads(daemon.command("retry", "--all", "--json").stdout)["queued"].sort() is None
    until(lambda: len(events(r, nameless)) == 2, 10, "the bad one is judged again, under its id")
    until(lambda: r.llen("videod:dead") == 4, 10, "all are dead again")
    assert r.llen("video_info_queue") == 0


def test_retry_now_of_a_job_that_waits(daemon: Daemon, r) -> None:
    daemon.start(retry_delay=600, max_attempts=2)
    push(r, {"id": "soon", "kind": "sleep", "fail": "fetch_failed"})
    until(lambda: r.zcard("videod:delayed") == 1, 10, "it waits")
    assert said(daemon, "retry", "soon") == "soon: queued\n"
    assert final(r, "soon")["attempt"] == 2


def test_retry_of_what_must_not_run(daemon: Daemon, r) -> None:
    daemon.start()
    push(r, *sleeps("done", seconds=0), *sleeps("runs"))
    final(r, "done")
    running(r, "runs")
    assert "the job is done: done: push it again" in said(daemon, "retry", "done", code=1)
    assert "has not ended: runs: running" in said(daemon, "retry", "runs", code=1)
    assert "no job of this id: never" in said(daemon, "retry", "never", code=1)
    assert "one job or all?" in said(daemon, "retry", code=2)
    assert daemon.stop("--now") == 1


# ------------------------------------------------------------------ pause
def test_pause_and_resume(daemon: Daemon, r) -> None:
    daemon.start()
    assert said(daemon, "pause") == "all nodes: paused\n"
    push(r, *sleeps("p", seconds=0), queue="video_info_queue")
    push(r, *sleeps("b", seconds=0), queue="batch_download_tasks")
    # what is pushed for this node alone is taken up to a second later: it would be gone by then
    deadline = time.monotonic() + 1.5
    while time.monotonic() < deadline:
        assert r.llen("video_info_queue") == r.llen("batch_download_tasks") == 1
        time.sleep(0.05)
    assert "takes no messages: paused" in said(daemon, "status")
    # over restarts, and for nodes that come later
    assert daemon.stop() == 0
    daemon.start(node="newcomer")
    assert "all nodes pause" in said(daemon, "nodes")
    assert r.llen("video_info_queue") == 1
    assert said(daemon, "resume") == "all nodes: resumed\n"
    final(r, "p")
    final(r, "b")
    log = daemon.log
    assert log.count("takes no message: paused") == 2 and log.count(" goes on") == 1


def test_what_runs_goes_on_while_paused(daemon: Daemon, r) -> None:
    daemon.start()
    push(r, *sleeps("goes", seconds=1))
    running(r, "goes")
    said(daemon, "pause", "--node", daemon.node)
    assert final(r, "goes")["event"] == "done"
    document = json.loads(daemon.command("nodes", "--json").stdout)
    assert document["paused"] is None and document["nodes"][daemon.node]["paused"]
    assert "not paused by itself: other" in said(daemon, "resume", "--node", "other", code=1)
    assert said(daemon, "resume", "--node", daemon.node) == f"{daemon.node}: resumed\n"


def test_a_sick_node_pauses_itself_and_says_so(daemon: Daemon, r) -> None:
    daemon.start(max_worker=1, retry_delay=60, max_attempts=5)
    # of jobs that end at once some more begin before the pause is noticed
    push(r, *({"id": f"s{n}", "kind": "sleep", "fail": "disk_full", "seconds": 0.5} for n in range(8)))
    until(lambda: "pauses itself" in daemon.log, 10, "it pauses itself")
    until(lambda: "disk_full" in said(daemon, "nodes"), 5, "and nodes tells why")
    begun = {e["id"] for e in events(r) if e["event"] == "started"}
    assert 3 <= len(begun) <= 5
    assert r.llen("video_info_queue") == 8 - len(begun)
    said(daemon, "resume", "--node", daemon.node)
    until(lambda: daemon.log.count("pauses itself") == 2, 10, "it tries, and pauses again")
    # who starts it again has looked after it
    assert daemon.stop() == 0
    r.delete("video_info_queue")
    daemon.start()
    push(r, *sleeps("well", seconds=0))
    assert final(r, "well")["event"] == "done"


def test_one_job_that_fills_the_disk_alone_does_not_pause_the_node(daemon: Daemon, r) -> None:
    daemon.start(max_worker=1, retry_delay=0.01, max_attempts=5)
    push(r, {"id": "large", "kind": "sleep", "fail": "disk_full"})
    assert final(r, "large")["attempt"] == 5
    assert "pauses itself" not in daemon.log


def test_a_node_that_died_alone_is_silent(daemon: Daemon, r) -> None:
    """Nobody is left who would note that it is gone."""
    daemon.start()
    assert f"{daemon.node}: running" in said(daemon, "nodes")
    daemon.kill()
    assert f"{daemon.node}: silent since 20" in said(daemon, "nodes", "-e", "prod")
    document = json.loads(daemon.command("nodes", "-e", "prod", "--json").stdout)
    assert document["nodes"][daemon.node]["state"] == "silent"
    # of another machine: by its last sign of life
    entry = json.loads(r.hget("videod:nodes", daemon.node)) | {"machine": "other"}
    r.hset("videod:nodes", "far", json.dumps(entry))
    r.hset("videod:nodes", "farther", json.dumps(entry | {"seen": "2026-11-21T10:00:00.000Z"}))
    told = "\n" + said(daemon, "nodes", "-e", "prod")
    assert "\nfar: running" in told and "\nfarther: silent since 2026-11-21T10:00:00.000Z" in told
    r.hdel("videod:nodes", "far", "farther")
