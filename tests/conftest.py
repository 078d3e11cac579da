"""Fixtures for the daemon's tests: a real redis-server, a real daemon started by its own command line."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import redis

from tests.browser import chromium, eyes  # noqa: F401 - for tests of pages
from tests.daemon import BENCH_KIND, ROOT, Daemon, until
from tests.media_fixtures import studio  # noqa: F401 - one for all modules
from tests.transfer_fixtures import (  # noqa: F401
    argv_watch,
    disk,
    nginx,
    origin,
    result,
    s3,
    tiny_disk,
    tls_files,
    tools,
    transfer_guardian,
)
from tests.web import Client, Web, serving
from videod.config import Settings, load
from videod.jobqueue import Connection

# other work on the machine is no fault of the code
hypothesis.settings.register_profile(
    "unhurried", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("unhurried")


def pytest_configure() -> None:
    # commands run as subprocesses find the checkout and the `sleep` kind of the benchmark
    os.environ["PYTHONPATH"] = f"{ROOT}:{BENCH_KIND}"
    for name in ("VIDEOD_ENV", "VIDEOD_CONFIG", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"):
        os.environ.pop(name, None)


@pytest.fixture
def web(daemon: Daemon, r) -> Iterator[Web]:
    """`videod web`, without a daemon yet."""
    with serving(daemon) as made:
        yield made


@pytest.fixture
def client(web: Web) -> Client:
    return Client(web)


@pytest.fixture
def settings(daemon: Daemon) -> Settings:
    daemon.write()
    return load(str(daemon.ini)).settings("prod")


@pytest.fixture
def connection(settings: Settings) -> Iterator[Connection]:
    made = Connection(settings)
    yield made
    made.close()


class RedisServer:
    """A redis-server of our own on a unix socket, which can be stopped and started again on the same data."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "redis.sock"
        self.url = f"unix://{self.socket}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        options = ["--port", "0", "--unixsocket", str(self.socket), "--dir", str(self.folder), "--save", ""]
        options += ["--appendonly", "yes", "--appendfsync", "always", "--logfile", str(self.folder / "redis.log")]
        self._process = subprocess.Popen(["redis-server", *options], stdout=subprocess.DEVNULL)
        until(self.answers, 10, "redis-server answers")

    def answers(self) -> bool:
        try:
            return bool(self.client().ping())
        except redis.exceptions.RedisError:
            return False

    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url, decode_responses=True, protocol=2)

    def kill(self) -> None:
        assert self._process
        self._process.kill()
        self._process.wait()


@pytest.fixture(scope="session")
def redis_session() -> Iterator[RedisServer]:
    folder = Path(tempfile.mkdtemp(prefix="videod-redis-"))  # short: a socket's path holds 107 bytes
    server = RedisServer(folder)
    server.start()
    yield server
    server.kill()
    shutil.rmtree(folder)


@pytest.fixture
def redis_server(redis_session: RedisServer) -> RedisServer:
    """The session's server, empty."""
    if not redis_session.answers():
        redis_session.start()
    redis_session.client().flushall()
    return redis_session


@pytest.fixture
def r(redis_server: RedisServer) -> redis.Redis:
    return redis_server.client()


@pytest.fixture
def daemon(redis_server: RedisServer, tmp_path: Path) -> Iterator[Daemon]:
    """A daemon with its own folders, not started yet; the end proves that it left nothing behind."""
    made = Daemon(tmp_path, redis_server.url)
    yield made
    made.end()
