"""Redis hangs, refuses, loads or loses connections under load: nothing lost, nothing doubled, said once."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from tests.daemon import Daemon, accounted, events, push, until
from tests.ports import free_port
from tests.redis_servers import Network, Tcp, short_folder

RETURN_SECONDS = 2.0


@pytest.fixture
def server() -> Iterator[Tcp]:
    with short_folder() as folder:
        made = Tcp(folder)
        made.start()
        yield made
        made.kill()


@pytest.fixture
def network(server: Tcp) -> Iterator[Network]:
    with Network(server.port) as made:
        yield made


@pytest.fixture
def own(server: Tcp, network: Network, tmp_path: Path) -> Iterator[Daemon]:
    made = Daemon(tmp_path, server.url)
    made.write(redis=f"redis://127.0.0.1:{network.port}/0", max_worker=4)
    yield made
    network.free.set()
    made.end()


def done(client: redis.Redis) -> int:
    return sum(event["event"] == "done" for event in events(client))


class Load:
    """Jobs under way, and the account at the end."""

    def __init__(self, own: Daemon, server: Tcp) -> None:
        self._own, self._server = own, server
        self.wanted: list[str] = []
        own.start()
        self.add(200)
        until(lambda: done(server.client()) >= 30, 20, "jobs are under way")

    def add(self, count: int) -> None:
        first = len(self.wanted)
        idents = [f"j{n}" for n in range(first, first + count)]
        self.wanted += idents
        push(self._server.client(), *({"id": i, "kind": "sleep", "seconds": 0.02} for i in idents))

    def goes_on(self, before: int) -> float:
        """Seconds until another job is done."""
        began = time.monotonic()
        self.add(5)  # on a slow machine all may be done already
        until(lambda: done(self._server.client()) > before, 30, "goes on")
        return time.monotonic() - began

    def account(self, most: int) -> None:
        client = self._server.client()
        until(lambda: done(client) >= len(self.wanted), 60, "all are done")
        assert self._own.stop() == 0
        accounted(client, self.wanted)
        log = self._own.log
        away, back = log.count("Redis is away"), log.count("Redis is back after")
        assert away == back <= most, (away, back)
        assert "Traceback" not in log


@pytest.fixture
def load(own: Daemon, server: Tcp) -> Load:
    return Load(own, server)


def loads(server: Tcp) -> bool:
    try:
        server.client().ping()
    except redis.exceptions.BusyLoadingError:
        return True
    except redis.exceptions.ConnectionError:
        pass
    return False


def test_loading(load: Load, server: Tcp) -> None:
    """Killed, and slow to load its data: it answers LOADING meanwhile."""
    client = server.client()
    client.config_set("rdbcompression", "no")
    client.execute_command("DEBUG", "POPULATE", 3000, "key", 2000)  # it listens every 2 MB
    client.bgrewriteaof()
    until(lambda: not client.info("persistence")["aof_rewrite_in_progress"], 10, "the data is written")
    server.kill()
    server.options += ("--key-load-delay", "500")
    server.launch()
    until(lambda: loads(server), 10, "it loads")
    until(server.answers, 20, "it has loaded")
    assert load.goes_on(done(client)) < RETURN_SECONDS
    client.delete(*(f"key:{n}" for n in range(3000)))
    load.account(1)


Trouble = Callable[[Tcp], Callable[[], object]]


def readonly(server: Tcp) -> Callable[[], object]:
    server.client().replicaof("127.0.0.1", free_port())
    return lambda: server.client().replicaof("NO", "ONE")


def full(server: Tcp) -> Callable[[], object]:
    server.client().config_set("maxmemory", 1)
    return lambda: server.client().config_set("maxmemory", 0)


def no_snapshots(server: Tcp) -> Callable[[], object]:
    """MISCONF: it refuses writes since it cannot save."""
    client = server.client()
    blocker = server.folder / "dump.rdb"
    blocker.mkdir()  # a snapshot cannot be renamed to a folder
    client.config_set("save", "3600 1")

    def tried(wanted: str) -> bool:
        with contextlib.suppress(redis.exceptions.ResponseError):
            client.bgsave()
        return client.info("persistence")["rdb_last_bgsave_status"] == wanted

    until(lambda: tried("err"), 10, "a snapshot failed")

    def mend() -> None:
        blocker.rmdir()
        until(lambda: tried("ok"), 10, "a snapshot went well")

    return mend


def no_rights(server: Tcp) -> Callable[[], object]:
    server.client().execute_command("ACL", "SETUSER", "default", "-evalsha", "-blmove")
    return lambda: server.client().execute_command("ACL", "SETUSER", "default", "+@all")


@pytest.mark.parametrize("trouble", [readonly, full, no_snapshots, no_rights])
@pytest.mark.parametrize("seconds", [1.5, pytest.param(20, marks=pytest.mark.long)])
def test_redis_refuses_for_a_while(load: Load, own: Daemon, server: Tcp, trouble: Trouble, seconds: float) -> None:
    mend = trouble(server)
    words = "Redis refuses" if trouble is no_rights else "Redis is away"
    until(lambda: words in own.log, 5, "it is said")
    over = time.monotonic() + seconds
    until(lambda: time.monotonic() > over, seconds + 1, "the while is over")
    before = done(server.client())
    mend()
    assert load.goes_on(before) < RETURN_SECONDS
    load.account(1)


def test_a_slow_network(load: Load, server: Tcp, network: Network) -> None:
    network.delay = 0.3
    before = done(server.client())
    until(lambda: done(server.client()) > before + 5, 20, "it goes on, slowly")
    network.delay = 0.0
    load.account(0)


@pytest.mark.parametrize("seconds", [3, pytest.param(60, marks=pytest.mark.long)])
def test_a_partition(load: Load, own: Daemon, server: Tcp, network: Network, seconds: float) -> None:
    """Nothing comes through, and nobody closes a connection."""
    network.free.clear()
    over = time.monotonic() + seconds
    until(lambda: time.monotonic() > over, seconds + 1, "the partition is over")
    before = done(server.client())
    network.free.set()
    assert load.goes_on(before) < RETURN_SECONDS
    load.account(1)


def test_a_server_that_hangs(load: Load, server: Tcp) -> None:
    with contextlib.suppress(redis.exceptions.TimeoutError):
        server.client().execute_command("DEBUG", "SLEEP", 3)
    load.account(0)


def resets(server: Tcp, network: Network) -> None:
    network.reset_all()


def kills(server: Tcp, network: Network) -> None:
    server.client().execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


def forgets(server: Tcp, network: Network) -> None:
    server.client().script_flush()


@pytest.mark.parametrize("trouble", [resets, kills, forgets])
@pytest.mark.parametrize("times", [8, pytest.param(300, marks=pytest.mark.long)])
def test_again_and_again(load: Load, server: Tcp, network: Network, trouble: Callable, times: int) -> None:
    chance = random.Random(times)
    for _ in range(times):
        after = time.monotonic() + chance.uniform(0, 0.3)
        until(lambda after=after: time.monotonic() > after, 1, "a moment")
        trouble(server, network)
        load.add(10)
    assert load.goes_on(done(server.client())) < RETURN_SECONDS
    load.account(0 if trouble is forgets else times)
