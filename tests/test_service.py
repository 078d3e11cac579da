"""The daemon's life: slots, drain, forced end, kill -9, starts in a crowd."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time

import pytest

from tests.daemon import Daemon, accounted, events, final, push, until

RUNNING = "videod:running:{}"


def sleeps(n: int, seconds: float, **more) -> list[dict]:
    return [{"id": f"s{i}", "kind": "sleep", "seconds": seconds, **more} for i in range(n)]


def test_a_job_from_push_to_done(daemon: Daemon, r) -> None:
    daemon.start()
    push(r, {"id": "a", "kind": "sleep", "meta": {"x": [1, "ü"]}, "reply_to": "reply"})
    done = final(r, "a")
    assert [event["event"] for event in events(r, "a")] == ["started", "done"]
    assert done["meta"] == {"x": [1, "ü"]}
    assert done["outputs"] == []
    assert done["node"] == daemon.node
    assert r.llen("reply") == 2
    assert 0 < r.ttl("reply") <= 7 * 86400
    record = r.hgetall("videod:job:a")
    assert record["state"] == "done"
    assert record["percent"] == "100"
    assert 0 < r.ttl("videod:job:a") <= 7 * 86400
    accounted(r, ["a"])
    assert daemon.stop() == 0
    assert daemon.pid is None


def test_never_more_messages_out_than_slots(daemon: Daemon, r) -> None:
    daemon.start(max_worker=4)
    seen, over = [], threading.Event()

    def sample() -> None:
        client = daemon.client()
        while not over.is_set():
            seen.append(client.llen(RUNNING.format(daemon.node)))
            time.sleep(0.005)

    sampler = threading.Thread(target=sample)
    sampler.start()
    begin = time.monotonic()
    push(r, *sleeps(40, 0.5))
    until(lambda: sum(e["event"] == "done" for e in events(r)) == 40, 30, "40 jobs are done")
    took = time.monotonic() - begin
    over.set()
    sampler.join()
    assert max(seen) == 4
    assert took < 15  # 5 s of work on 4 slots; the benchmark measures how close it is
    accounted(r, [f"s{i}" for i in range(40)])


def test_lists_are_served_in_turn_and_the_abnormal_one_last(daemon: Daemon, r) -> None:
    for i in range(20):
        push(r, {"id": f"q{i}", "kind": "sleep"})
        push(r, {"id": f"b{i}", "kind": "sleep"}, queue="batch_download_tasks")
    push(r, *({"id": f"a{i}", "kind": "sleep"} for i in range(5)), queue="abnormal_video_info_queue")
    push(r, {"id": "own", "kind": "sleep"}, queue=f"video_info_queue@{daemon.node}")
    r.rpush("video_info_queue", '{"id": "first", "kind": "sleep"}')
    daemon.start(max_worker=1)
    until(lambda: sum(e["event"] == "done" for e in events(r)) == 47, 30, "all are done")
    order = [e["id"] for e in events(r) if e["event"] == "started"]
    assert order[0] == "first"
    assert [i for i in order if i.startswith("q")] == [f"q{i}" for i in range(20)]
    assert [i for i in order if i.startswith("b")] == [f"b{i}" for i in range(20)]
    abnormal = [n for n, i in enumerate(order) if i.startswith("a")]
    assert abnormal[0] == 15  # the 16th take looks there first
    assert abnormal[-1] == 46
    assert order.index("own") < 5


def test_a_message_for_another_node_is_handed_on(daemon: Daemon, r) -> None:
    daemon.start()
    push(r, {"id": "x", "kind": "sleep", "node": "elsewhere"}, {"id": "y", "kind": "sleep", "node": daemon.node})
    final(r, "y")
    assert until(lambda: r.lrange("video_info_queue@elsewhere", 0, -1), 5, "handed on")
    assert events(r, "x") == []
    r.delete("video_info_queue@elsewhere")


def test_sigterm_finishes_what_runs_and_takes_nothing_more(daemon: Daemon, r) -> None:
    daemon.start(max_worker=2)
    push(r, *sleeps(6, 6))  # longer than the command takes to begin
    until(lambda: len(events(r)) == 2, 10, "two have started")
    assert daemon.stop() == 0
    assert sorted(e["id"] for e in events(r) if e["event"] == "done") == ["s0", "s1"]
    assert r.llen("video_info_queue") == 4
    assert r.llen(RUNNING.format(daemon.node)) == 0
    r.delete("video_info_queue")


def test_a_message_pushed_after_sigterm_to_an_idle_daemon_stays(daemon: Daemon, r) -> None:
    daemon.start()
    daemon.signal(signal.SIGTERM)
    push(r, {"id": "late", "kind": "sleep"})
    until(lambda: daemon.pid is None, 10, "the daemon ended")
    assert r.lrange("video_info_queue", 0, -1) == ['{"id": "late", "kind": "sleep"}']
    assert events(r) == []
    r.delete("video_info_queue")


def test_stop_now_requeues_in_order_and_kills(daemon: Daemon, r) -> None:
    daemon.start(max_worker=3)
    push(r, *sleeps(5, 30))
    until(lambda: len(events(r)) == 3, 10, "three have started")
    begin = time.monotonic()
    assert daemon.stop("--now") == 1
    assert time.monotonic() - begin < 5
    why = [(e["id"], e["why"]) for e in events(r) if e["event"] == "requeued"]
    assert why == [("s2", "drain"), ("s1", "drain"), ("s0", "drain")]
    assert r.hget("videod:job:s0", "state") == "requeued"
    daemon.write(max_worker=1)
    daemon.start(max_worker=1)
    until(lambda: len([e for e in events(r) if e["event"] == "started"]) == 4, 10, "the oldest runs again")
    started = [e for e in events(r) if e["event"] == "started"]
    assert (started[-1]["id"], started[-1]["attempt"]) == ("s0", 1)
    assert daemon.stop("--now") == 1
    r.delete("video_info_queue")


def test_drain_timeout_requeues(daemon: Daemon, r) -> None:
    daemon.start(drain_timeout=1)
    push(r, *sleeps(2, 30))
    until(lambda: len(events(r)) == 2, 10, "both have started")
    assert daemon.stop() == 1
    assert sum(e["event"] == "requeued" for e in events(r)) == 2
    assert r.llen("video_info_queue") == 2
    r.delete("video_info_queue")


def test_sighup_takes_up_what_may_change_live(daemon: Daemon, r) -> None:
    daemon.start(max_worker=1)
    push(r, *sleeps(4, 2))
    until(lambda: len(events(r)) == 1, 10, "one has started")
    daemon.write(max_worker=3, queue="other")
    (daemon.folder / "videod.log").rename(daemon.folder / "videod.log.1")
    assert daemon.command("reload", "prod").returncode == 0
    until(lambda: len(events(r)) >= 3, 1.5, "three run")
    until(lambda: "reload: took up max_worker" in daemon.log, 5, "the log is new and says so")
    assert "needs a restart: queue" in daemon.log
    daemon.write(max_worker="many")
    daemon.signal(signal.SIGHUP)
    until(lambda: "reload: nothing changed: [prod] max_worker" in daemon.log, 5, "said")
    daemon.write(max_worker=3, queue="video_info_queue")
    until(lambda: sum(e["event"] == "done" for e in events(r)) == 4, 20, "all are done")


def test_sigusr1_logs_what_runs_and_every_stack(daemon: Daemon, r) -> None:
    daemon.start()
    push(r, *sleeps(1, 3))
    until(lambda: len(events(r)) == 1, 10, "it has started")
    daemon.signal(signal.SIGUSR1)
    for what in ("runs s0", "thread heartbeat", "thread MainThread", "bench_sleep.py"):
        until(lambda what=what: what in daemon.log, 5, what)


def test_kill_9_and_start_loses_nothing(daemon: Daemon, r) -> None:
    daemon.start(max_worker=3)
    push(r, *sleeps(6, 2))
    until(lambda: len(events(r)) == 3, 10, "three have started")
    daemon.kill()
    assert daemon.command("status", "prod").returncode == 1
    assert r.llen(RUNNING.format(daemon.node)) == 3
    daemon.start()
    until(lambda: sum(e["event"] == "done" for e in events(r)) == 6, 30, "all are done")
    accounted(r, [f"s{i}" for i in range(6)])
    crashed = [e for e in events(r) if e["event"] == "requeued"]
    assert [e["why"] for e in crashed] == ["crash"] * 3
    assert r.hget("videod:job:s0", "crashes") == "1"
    assert r.hget("videod:job:s0", "attempt") == "1"


def many(n: int, long: int) -> list:
    return [pytest.param(n), pytest.param(long, marks=pytest.mark.long)]


@pytest.mark.parametrize("times", many(6, 60))
def test_sigterm_at_random_moments(daemon: Daemon, r, times: int) -> None:
    """Taken = finished + given back, every time."""
    chance = random.Random(1)
    for n in range(times):
        daemon.start(max_worker=4)
        push(r, *({"id": f"r{n}-{i}", "kind": "sleep", "seconds": chance.choice([0, 0.01, 0.1])} for i in range(60)))
        time.sleep(chance.random() * 0.4)
        assert daemon.stop() == 0
        assert r.llen(RUNNING.format(daemon.node)) == 0
        ended = [e["id"] for e in events(r) if e["event"] == "done"]
        assert len(ended) == len(set(ended))
        assert len(ended) + r.llen("video_info_queue") == 60 * (n + 1)
    daemon.start()
    until(lambda: r.llen("video_info_queue") == 0, 60, "the rest is taken")
    assert daemon.stop() == 0
    accounted(r, [f"r{n}-{i}" for n in range(times) for i in range(60)])


@pytest.mark.parametrize("times", many(6, 60))
def test_kill_9_at_random_moments(daemon: Daemon, r, times: int) -> None:
    """Pushed = done, one final event each, no orphan after 2 s, no scratch folder after the restart."""
    chance = random.Random(2)
    for n in range(times):
        daemon.start(max_worker=4)
        push(r, *({"id": f"k{n}-{i}", "kind": "sleep", "seconds": chance.choice([0, 0.01, 0.1])} for i in range(60)))
        time.sleep(chance.random() * 0.4)
        daemon.kill()
        until(lambda: not daemon.marked(), 2, "no orphan is left")
    daemon.start()
    assert daemon.scratch() == [] or r.llen(RUNNING.format(daemon.node))
    wanted = [f"k{n}-{i}" for n in range(times) for i in range(60)]
    until(lambda: sum(e["event"] == "done" for e in events(r)) >= len(wanted), 120, "all are done")
    assert daemon.stop() == 0
    accounted(r, wanted)


def test_twenty_starts_at_once_have_one_winner(daemon: Daemon) -> None:
    daemon.write()
    argv = [sys.executable, "-m", "videod", "-c", str(daemon.ini), "start", "prod"]
    crowd = [subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) for _ in range(20)]
    ends = [(one.communicate(timeout=60)[1], one.returncode) for one in crowd]
    assert sorted(code for _, code in ends) == [0] + [1] * 19
    for text, code in ends:
        if code:
            assert f"already running with pid {daemon.pid}" in text, text
            assert len(text.splitlines()) == 1


@pytest.mark.parametrize("times", many(10, 100))
def test_kill_9_and_start_in_a_row(daemon: Daemon, times: int) -> None:
    for _ in range(times):
        daemon.start()
        daemon.kill()
    daemon.start()
    assert daemon.running()


def test_a_stale_pidfile_with_a_living_pid_is_no_daemon(daemon: Daemon) -> None:
    daemon.write()
    (daemon.folder / "videod.pid").write_text(f"{os.getpid()}\n")
    assert daemon.command("status", "prod").returncode == 1
    assert daemon.stop() == 0
    daemon.start()
    assert daemon.pid != os.getpid()


def test_a_second_daemon_of_the_same_node_fails_to_start(daemon: Daemon, r) -> None:
    daemon.start()
    second = Daemon(daemon.folder / "second", str(daemon.settings["redis"]))
    second.folder.mkdir()
    second.write()
    done = second.command("start", "prod")
    assert done.returncode == 1
    assert f"node {daemon.node} is served by another daemon" in done.stderr
    assert not (second.folder / "videod.pid").exists()


def test_a_second_pidfile_does_not_harm_the_first_daemon(daemon: Daemon, r) -> None:
    """The same node and state_dir by another pidfile: refused before it sweeps the children of the first."""
    daemon.start()
    push(r, {"id": "a", "kind": "sleep", "seconds": 2})
    until(lambda: events(r, "a"), 10, "runs")
    second = Daemon(daemon.folder / "second", str(daemon.settings["redis"]))
    second.folder.mkdir()
    second.write(state_dir=daemon.state)
    done = second.command("start", "prod")
    assert (done.returncode, "is served by another daemon" in done.stderr) == (1, True)
    assert final(r, "a")["event"] == "done"


def test_a_copy_of_an_envelope_is_a_forgery(daemon: Daemon, r) -> None:
    """An operator who copies what runs into a list cannot make it run or end twice."""
    daemon.start(max_worker=2)
    push(r, {"id": "a", "kind": "sleep", "seconds": 2})
    until(lambda: events(r, "a"), 10, "runs")
    copy = r.lindex(RUNNING.format(daemon.node), 0)
    push(r, copy)
    until(lambda: r.llen("videod:dead"), 10, "the copy is buried")
    final(r, "a")
    push(r, copy)
    until(lambda: r.llen("videod:dead") == 2, 10, "and the next one too")
    assert [e["event"] for e in events(r, "a")] == ["started", "done"]


def test_an_element_that_nobody_works_on_goes_back(daemon: Daemon, r) -> None:
    """As after a move whose answer was lost: raw, in the running list of a living daemon."""
    daemon.start(lease=1)
    r.lpush(RUNNING.format(daemon.node), '{"id": "lost", "kind": "sleep"}')
    assert final(r, "lost")["event"] == "done"
    assert "that no thread works on" in daemon.log


def test_counting_often_takes_nothing_from_those_who_work(daemon: Daemon, r) -> None:
    """With a tiny lease the running list is compared with the flights all the time, while jobs come and go."""
    daemon.start(lease=0.003, max_worker=4)
    wanted = [f"c{i}" for i in range(600)]
    push(r, *({"id": ident, "kind": "sleep", "seconds": 0.002} for ident in wanted))
    until(lambda: sum(e["event"] == "done" for e in events(r)) >= len(wanted), 60, "all are done")
    assert sum(e["event"] == "requeued" for e in events(r)) == 0
    accounted(r, wanted)
