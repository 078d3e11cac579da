"""Redis behind Sentinels: the daemon follows a failover by itself, and of what a replica had nothing is lost."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.daemon import Daemon, events, push, until
from tests.redis_servers import Tcp, Watched, short_folder


@pytest.fixture
def watched() -> Iterator[Watched]:
    with short_folder() as folder:
        made = Watched(folder)
        try:
            made.start()
            yield made
        finally:
            made.end()


@pytest.fixture
def own(watched: Watched, tmp_path: Path) -> Iterator[Daemon]:
    made = Daemon(tmp_path, watched.url)
    yield made
    made.end()


class Producer:
    """Pushes without an end; knows which messages a replica had acknowledged."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        self.sure: list[str] = []
        self.unsure: list[str] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._push)
        self._thread.start()

    def _push(self) -> None:
        n = 0
        client: redis.Redis | None = None
        while not self._over.wait(0.005):
            n += 1
            ident = f"p{n}"
            try:
                client = client or self._watched.master().client()
                message = f'{{"id":"{ident}","kind":"sleep","seconds":0.02}}'
                pipe = client.pipeline(transaction=False)
                pipe.lpush("video_info_queue", message)
                pipe.execute_command("WAIT", 1, 1000)
                copies = pipe.execute()[1]
                (self.sure if copies else self.unsure).append(ident)
            except (redis.exceptions.RedisError, StopIteration):
                self.unsure.append(ident)
                client = None
                self._over.wait(0.1)

    @property
    def pushed(self) -> int:
        return len(self.sure) + len(self.unsure)

    def stop(self) -> None:
        self._over.set()
        self._thread.join()


def finals(client: redis.Redis) -> Counter[str]:
    return Counter(event["id"] for event in events(client) if event["event"] in ("done", "dead"))


def idle(client: redis.Redis, node: str) -> bool:
    return client.llen("video_info_queue") == 0 and client.llen(f"videod:running:{node}") == 0


def mastered(server: Tcp) -> bool:
    """Whether it is the master now. A Sentinel kills all connections of the one that it promotes."""
    try:
        return server.client().info("replication")["role"] == "master"
    except redis.exceptions.ConnectionError:
        return False


def fail_over(watched: Watched, how: signal.Signals) -> tuple[float, set[str]]:
    """Take the master away under load; seconds until the daemon is at work on the new one, and the ends that
    a replica had before."""
    until(watched.synced, 30, "a replica and three Sentinels")
    old = watched.master()
    new = watched.other(old)
    assert old.process
    os.kill(old.process.pid, how)
    began = time.monotonic()
    told = set(finals(new.client(3)))  # what the replica holds was acknowledged
    until(lambda: watched.master() is new and mastered(new), 60, "a failover")
    until(lambda: set(finals(new.client(3))) - told, 40, "the daemon goes on")
    seconds = time.monotonic() - began
    if how == signal.SIGSTOP:
        os.kill(old.process.pid, signal.SIGCONT)
    else:
        old.process.wait()
        old.start()
    return seconds, told


@pytest.mark.parametrize(
    ("times", "how"),
    [
        (1, signal.SIGKILL),
        pytest.param(1, signal.SIGSTOP, marks=pytest.mark.long),
        pytest.param(6, signal.SIGKILL, marks=pytest.mark.long),
        pytest.param(4, signal.SIGSTOP, marks=pytest.mark.long),
    ],
)
def test_a_failover_under_load(watched: Watched, own: Daemon, times: int, how: signal.Signals) -> None:
    own.start(max_worker=4)
    producer = Producer(watched)
    told: set[str] = set()
    try:
        for n in range(times):
            until(lambda n=n: len(producer.sure) > 200 * (n + 1), 60, "load")
            seconds, before = fail_over(watched, how)
            told |= before
            print(f"{how.name} {n + 1}: at work again after {seconds:.1f} s")
        # what no replica acknowledges is pushed once a second: Sentinel takes 10 s to make the old master one
        known = producer.pushed
        until(lambda: producer.pushed > known + 2, 60, "load")
    finally:
        producer.stop()
    client = watched.master().client()
    until(lambda: idle(client, own.node), 90, "all is worked off")
    ends = finals(client)
    lost = [ident for ident in producer.sure if not ends[ident]]
    doubled = [ident for ident, n in ends.items() if n > 1]
    unsure = [ident for ident in producer.unsure if not ends[ident]]
    print(f"{len(producer.sure)} acknowledged by a replica: {len(lost)} lost, {len(doubled)} doubled;", end=" ")
    print(f"{len(producer.unsure)} not acknowledged: {len(unsure)} gone")
    assert (lost, doubled, told - set(ends)) == ([], [], set())
    assert own.log.count("Redis is away") == own.log.count("Redis is back after")
    assert own.log.count("Redis is away") <= 2 * times
    assert own.stop() == 0


def test_an_end_that_no_replica_had_is_made_again(watched: Watched, own: Daemon) -> None:
    """The master commits an end and dies before its replica has it. The work must not be done twice."""
    own.start()
    old = watched.master()
    new = watched.other(old)
    assert old.process and new.process
    push(old.client(), {"id": "a", "kind": "sleep", "seconds": 0.5})
    until(lambda: events(new.client(3), "a"), 10, "the replica has the claim")
    os.kill(new.process.pid, signal.SIGSTOP)
    old.client().execute_command("CLIENT", "KILL", "TYPE", "replica")  # else the kernel would keep it for later
    until(lambda: finals(old.client())["a"], 10, "the master has the end")
    old.kill()
    os.kill(new.process.pid, signal.SIGCONT)
    assert not finals(new.client(3))
    until(lambda: mastered(new), 30, "a failover")
    until(lambda: finals(new.client(3))["a"], 10, "the end is there again")
    assert own.stop() == 0
    assert [event["event"] for event in events(new.client(3), "a")] == ["started", "done"]
    assert own.log.count("job=a attempt=1 sleep: done after") == 1


def test_without_a_replica_it_is_said_once_and_work_goes_on(watched: Watched, own: Daemon) -> None:
    own.start()
    master = watched.master()
    lagging = watched.other(master).process
    assert lagging
    os.kill(lagging.pid, signal.SIGSTOP)
    push(master.client(), *({"id": f"j{n}", "kind": "sleep"} for n in range(20)))
    until(lambda: len(finals(master.client())) == 20, 10, "all are done")
    assert own.log.count("no replica of Redis has what is committed") == 1
    os.kill(lagging.pid, signal.SIGCONT)
    until(watched.synced, 20, "the replica is back")
    push(master.client(), {"id": "last", "kind": "sleep"})
    until(lambda: "a replica of Redis has what is committed again" in own.log, 10, "it is said")
    assert own.stop() == 0
