"""Redis servers for the tests: on TCP, as replica, Sentinel or node of a cluster; and a relay that makes trouble.

The server is the redis-server in PATH: a folder with another one, or with a link to valkey-server, put in front of
PATH runs all tests with that.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from tests.daemon import until
from tests.ports import free_port
from tests.relay import Pair, Relay

BINARY = "redis-server"


class Tcp:
    """One server on a port of 127.0.0.1."""

    def __init__(self, folder: Path, *options: str, password: str | None = None) -> None:
        self.port = free_port()
        self.password = password
        self.folder = folder / str(self.port)
        self.folder.mkdir()
        self.options = options
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        self.launch()
        until(self.answers, 10, "redis-server answers")

    def launch(self) -> None:
        base = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder), "--save", ""]
        base += ["--logfile", str(self.folder / "log")]
        if "v=6." not in version():  # which needs no leave
            base += ["--enable-debug-command", "yes"]
        options = [*base, "--repl-diskless-sync-delay", "0", "--appendonly", "yes", *self.options]
        self.process = subprocess.Popen([BINARY, *options], stdout=subprocess.DEVNULL)

    def answers(self) -> bool:
        try:
            return bool(self.client().ping())
        except redis.exceptions.RedisError:
            return False

    def client(self, retries: int = 0) -> redis.Redis:
        # without retries: a producer of the tests would else push to the old master once it is up again
        retry = Retry(ConstantBackoff(0.1), retries)
        common = {"decode_responses": True, "protocol": 2, "socket_timeout": 5}
        return redis.Redis(port=self.port, password=self.password, retry=retry, **common)

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None


def version() -> str:
    return subprocess.run([BINARY, "--version"], capture_output=True, text=True).stdout


class Watched:
    """A master, a replica and three Sentinels that fail over within about a second."""

    def __init__(self, folder: Path, password: str = "") -> None:
        self.folder = folder
        self.password = password or None
        secret = ["--requirepass", password, "--masterauth", password] if password else []
        self.data = [Tcp(folder, *secret, password=self.password) for _ in range(2)]
        self.sentinels: list[subprocess.Popen[bytes]] = []
        self.ports = [free_port() for _ in range(3)]

    @property
    def url(self) -> str:
        return "redis+sentinel://" + ",".join(f"127.0.0.1:{port}" for port in self.ports) + "/films/0"

    def start(self) -> None:
        first, second = self.data
        first.start()
        second.start()
        second.client().replicaof("127.0.0.1", first.port)
        until(lambda: first.client().info("replication").get("slave0", {}).get("state") == "online", 20, "replica")
        for port in self.ports:
            place = self.folder / str(port)
            place.mkdir()
            lines = [f"port {port}", "bind 127.0.0.1", f"dir {place}", f"logfile {place}/log"]
            lines += [f"sentinel monitor films 127.0.0.1 {first.port} 2"]
            lines += [f"sentinel {what}" for what in ("down-after-milliseconds films 500",)]
            lines += ["sentinel failover-timeout films 3000", "sentinel parallel-syncs films 1"]
            if self.password:
                lines += [f"requirepass {self.password}", f"sentinel auth-pass films {self.password}"]
            (place / "sentinel.conf").write_text("\n".join(lines) + "\n")
            command = [BINARY, str(place / "sentinel.conf"), "--sentinel"]
            self.sentinels.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))
        for port in self.ports:
            until(lambda port=port: self._knows_all(port), 20, "the Sentinels know each other")

    def _knows_all(self, port: int) -> bool:
        try:
            # not sentinel_master(): that is broken in the client's version 6
            flat = self._sentinel(port).execute_command("SENTINEL", "MASTER", "films")
        except redis.exceptions.RedisError:
            return False
        state = dict(zip(flat[::2], flat[1::2], strict=True))
        return (state["num-other-sentinels"], state["num-slaves"]) == ("2", "1")

    def _sentinel(self, port: int) -> redis.Redis:
        return redis.Redis(port=port, password=self.password, protocol=2, decode_responses=True)

    def master(self) -> Tcp:
        """Whom the Sentinels name."""
        client = self._sentinel(self.ports[0])
        port = int(client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "films")[1])
        return next(server for server in self.data if server.port == port)

    def other(self, server: Tcp) -> Tcp:
        return self.data[1 - self.data.index(server)]

    def synced(self) -> bool:
        """The master has its replica, and the Sentinels know it: a failover would go well."""
        try:
            online = self.master().client().info("replication").get("slave0", {}).get("state") == "online"
            return online and all(self._knows_all(port) for port in self.ports)
        except redis.exceptions.RedisError:
            return False

    def end(self) -> None:
        for sentinel in self.sentinels:
            sentinel.kill()
            sentinel.wait()
        for server in self.data:
            server.kill()


@contextlib.contextmanager
def short_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="videod-redis-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


class Network(Relay):
    """Between the daemon and a server: holds bytes back, or slows them down."""

    def __init__(self, port: int) -> None:
        self.free = threading.Event()
        self.free.set()
        self.delay = 0.0
        super().__init__(port)

    def passed(self, pair: Pair, data: bytes, *, up: bool) -> bool:
        self.free.wait()
        if self.delay:
            time.sleep(self.delay)
        return True

    def close(self) -> None:
        self.free.set()
        super().close()
