"""Redis goes away and comes back: nothing is lost, it is said once, and work goes on by itself."""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import RedisServer
from tests.daemon import Daemon, accounted, events, push, until
from tests.relay import Pair, Relay
from videod.jobqueue import Connection


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    folder = Path(tempfile.mkdtemp(prefix="videod-redis-"))
    server = RedisServer(folder)
    server.start()
    yield server
    server.kill()
    shutil.rmtree(folder)


@pytest.fixture
def own(own_redis: RedisServer, tmp_path: Path) -> Iterator[Daemon]:
    made = Daemon(tmp_path, own_redis.url)
    yield made
    made.end()


def test_sockets_of_threads_that_ended_are_closed(r, connection: Connection) -> None:
    """Threads of the web side come and go."""

    def open_() -> int:
        return sum(client["name"] == "videod" for client in r.client_list())

    for _ in range(20):
        thread = threading.Thread(target=connection.call, args=("PING",))
        thread.start()
        thread.join()
    connection.call("PING")
    until(lambda: open_() == 1, 10, "only that of this thread is left")
    connection.close()
    until(lambda: not open_(), 10, "none is left")


def jobs(n: int, seconds: float) -> list[dict]:
    return [{"id": f"j{i}", "kind": "sleep", "seconds": seconds} for i in range(n)]


def done(r) -> int:
    return sum(e["event"] == "done" for e in events(r))


def test_redis_killed_while_jobs_run(own: Daemon, own_redis: RedisServer) -> None:
    own.start(max_worker=3)
    push(own_redis.client(), *jobs(9, 1))
    until(lambda: done(own_redis.client()) >= 1, 10, "some are done")
    own_redis.kill()
    until(lambda: "Redis is away" in own.log, 10, "it is said")
    own_redis.start()
    until(lambda: done(own_redis.client()) == 9, 30, "all are done")
    accounted(own_redis.client(), [f"j{i}" for i in range(9)])
    assert own.log.count("Redis is away") == own.log.count("Redis is back after") == 1
    assert own.stop() == 0


@pytest.mark.parametrize("times", [4, pytest.param(40, marks=pytest.mark.long)])
def test_redis_killed_again_and_again(own: Daemon, own_redis: RedisServer, times: int) -> None:
    own.start(max_worker=4)
    wanted = []
    for n in range(times):
        ids = [f"t{n}-{i}" for i in range(100)]
        push(own_redis.client(), *({"id": i, "kind": "sleep", "seconds": 0.01} for i in ids))
        wanted += ids
        until(lambda n=n: done(own_redis.client()) >= 100 * n + 20, 30, "some are done")
        own_redis.kill()
        own_redis.start()
    until(lambda: done(own_redis.client()) >= len(wanted), 60, "all are done")
    assert own.stop() == 0
    accounted(own_redis.client(), wanted)


def test_stop_while_redis_is_away_keeps_the_messages(own: Daemon, own_redis: RedisServer) -> None:
    own.start(drain_timeout=2)
    push(own_redis.client(), *jobs(2, 0.5))
    until(lambda: len(events(own_redis.client())) == 2, 10, "both run")
    own_redis.kill()
    assert own.stop() == 1
    own_redis.start()
    assert own_redis.client().llen(f"videod:running:{own.node}") == 2
    own.start()
    until(lambda: done(own_redis.client()) == 2, 15, "the next start takes them up")
    assert own_redis.client().hget("videod:job:j0", "crashes") == "0"  # an orderly end is no crash
    accounted(own_redis.client(), ["j0", "j1"])


def test_a_lost_answer_of_a_move_gives_the_message_back(own: Daemon, own_redis: RedisServer) -> None:
    """A relay between daemon and Redis cuts the connection after Redis moved the message."""
    with Cutter(own_redis.socket) as relay:
        own.start(redis=f"redis://127.0.0.1:{relay.port}/0", max_worker=2)
        client = own_redis.client()
        for n in range(5):
            relay.words = f"lost-{n}".encode()
            push(client, {"id": f"lost-{n}", "kind": "sleep"})
            until(lambda n=n: done(client) == n + 1, 20, "taken again and done")
        assert relay.cuts == 5
        assert own.stop() == 0
    accounted(own_redis.client(), [f"lost-{n}" for n in range(5)])
    assert "that no thread works on" in own.log
    own.write(redis=own_redis.url)


class Cutter(Relay):
    """Drops a connection in place of an answer."""

    words = b""
    cuts = 0

    def passed(self, pair: Pair, data: bytes, *, up: bool) -> bool:
        if up or not self.words or self.words not in data:
            return True
        self.words = b""
        self.cuts += 1
        return False


def test_start_without_redis_fails_with_one_line(daemon: Daemon) -> None:
    daemon.write(redis="redis://127.0.0.1:1/0")
    done = daemon.command("start", "prod")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "Redis does not answer: redis://127.0.0.1:1/0" in done.stderr
    assert daemon.pid is None


def test_a_password_in_the_address_is_never_shown(daemon: Daemon) -> None:
    daemon.write(redis="redis://user:s3cret@127.0.0.1:1/0")
    for verb in (("start", "prod"), ("check", "prod"), ("status", "prod"), ("list", "-e", "prod")):
        done = daemon.command(*verb)
        assert done.returncode != 0
        assert "s3cret" not in done.stdout + done.stderr
    assert "s3cret" not in daemon.log


@pytest.fixture
def local(daemon: Daemon) -> Iterator[Daemon]:
    """With the private Redis, in a short folder: a socket's path holds 107 bytes."""
    daemon.env, daemon.state = "local", Path(tempfile.mkdtemp(prefix="videod-"))
    daemon.write(state_dir=daemon.state, redis=None)
    yield daemon
    daemon.end()
    shutil.rmtree(daemon.state)


def test_embedded_keeps_its_data_and_ends_with_the_daemon(local: Daemon) -> None:
    daemon = local
    daemon.start()
    assert daemon.command("push", '{"kind":"sleep","id":"kept"}', "--wait").returncode == 0
    assert daemon.marked()
    daemon.kill()
    until(lambda: not daemon.marked(), 2, "its redis-server is gone with it")
    daemon.start()
    shown = daemon.command("show", "kept", "--json")
    assert '"state": "done"' in shown.stdout
    assert daemon.stop() == 0
    assert not daemon.marked()


def test_an_embedded_redis_that_is_killed_comes_back(local: Daemon) -> None:
    daemon = local
    daemon.start()
    assert daemon.command("push", '{"kind":"sleep","id":"long","seconds":3}').returncode == 0
    until(lambda: "long" in daemon.command("status").stdout, 10, "it runs")
    for _ in range(2):
        (server,) = [pid for pid in daemon.marked() if b"redis-server" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        os.kill(server, signal.SIGKILL)
        until(lambda: daemon.command("list").returncode == 0, 20, "it answers again")
    # what ran meanwhile is finished, and stop does not wait for ever
    assert daemon.stop() == 0
    daemon.start()
    assert '"state": "done"' in daemon.command("show", "long", "--json").stdout
    assert daemon.log.count("was started again") == 2
    assert daemon.stop() == 0 and not daemon.marked()


def test_an_embedded_redis_that_cannot_start_says_where_to_look(local: Daemon) -> None:
    daemon = local
    aof = daemon.state / "redis-local" / "appendonlydir"
    aof.mkdir(parents=True)
    (aof / "appendonly.aof.manifest").write_text("garbage\n")
    done = daemon.command("start", "local")
    assert done.returncode == 1
    assert "embedded redis-server ended at once" in done.stderr
    assert "redis-local/redis.log" in done.stderr
    assert not daemon.marked()


def test_keys_of_another_type_are_named_once_and_the_rest_is_served(daemon: Daemon, r) -> None:
    daemon.start()
    r.set("video_info_queue", "not a list")
    until(lambda: "Redis refuses" in daemon.log, 10, "it is said")
    push(r, {"id": "a", "kind": "sleep"}, queue="batch_download_tasks")
    until(lambda: r.hget("videod:job:a", "state") == "done", 10, "the other list is served")
    r.delete("video_info_queue")
    assert daemon.log.count("Redis refuses") == 1


WRONG = {"videod:events": "dead", "videod:dead": "dead", "videod:progress": "done"}


@pytest.mark.parametrize("key", WRONG)
def test_no_script_stops_half_way(daemon: Daemon, r, key: str) -> None:
    """A key of another type: the message waits where it is, and ends as it should once the key is mended."""
    daemon.start()
    r.delete(key)
    r.set(key, "of another type")
    kind = "sleep" if WRONG[key] == "done" else "nope"
    push(r, {"id": "a", "kind": kind, "reply_to": "reply"})
    until(lambda: f"WRONGTYPE {key}" in daemon.log, 10, "it is said")
    assert r.llen(f"videod:running:{daemon.node}") == 1
    r.delete(key)
    until(lambda: r.llen("reply") and json.loads(r.lindex("reply", 0))["event"] == WRONG[key], 10, "it ended")
    accounted(r, ["a"])
    assert r.llen("videod:dead") == (WRONG[key] == "dead")


def test_what_cannot_be_given_back_or_handed_on_stays(daemon: Daemon, r) -> None:
    daemon.start()
    r.set("video_info_queue@other", "of another type")
    push(r, {"id": "far", "kind": "sleep", "node": "other"}, {"id": "near", "kind": "sleep", "seconds": 30})
    until(lambda: r.hget("videod:job:near", "state") == "running", 10, "runs")
    r.delete("video_info_queue")
    r.set("video_info_queue", "of another type")
    assert daemon.stop("--now") == 1
    assert r.llen(f"videod:running:{daemon.node}") == 2
    r.delete("video_info_queue", "video_info_queue@other")
    daemon.start()
    until(lambda: r.llen("video_info_queue@other") == 1, 10, "handed on")
    until(lambda: r.hget("videod:job:near", "state") == "running", 10, "runs again")
    told = [e for e in events(r, "near") if e["event"] == "requeued"]
    assert ([e["why"] for e in told], r.hget("videod:job:near", "crashes")) == (["drain"], "0")
    assert daemon.stop("--now") == 1
    r.delete("video_info_queue", "video_info_queue@other")
