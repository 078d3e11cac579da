"""A Redis, a daemon and an nginx for benchmarks, and what one job costs them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.conftest import RedisServer, pytest_configure
from tests.daemon import Daemon, final, push, until

ENDED = ("done", "dead", "cancelled")
TICKS = os.sysconf("SC_CLK_TCK")
NGINX = """daemon on; pid {here}/nginx.pid; error_log {here}/error.log; worker_processes 1;
events {{}}
http {{ access_log {here}/access.log; client_body_temp_path {here}/t1; proxy_temp_path {here}/t2;
  fastcgi_temp_path {here}/t3; uwsgi_temp_path {here}/t4; scgi_temp_path {here}/t5;
  server {{ listen 127.0.0.1:{plain}; root {root}; }}
  server {{ listen 127.0.0.1:{slow}; root {root}; limit_rate {limit}; }} }}
"""


@dataclass(frozen=True)
class Cost:
    """Of one job: seconds from the push to its end, CPU seconds of the daemon with all its children, its event."""

    wall: float
    cpu: float
    event: dict[str, Any]


class Node:
    """Serves until it is closed; `folder` is for sources and results."""

    _nginx: Nginx | None = None

    def __init__(self, **settings: Any) -> None:
        pytest_configure()
        self.folder = Path(tempfile.mkdtemp(prefix="videod-bench-"))
        self.folder.chmod(0o755)
        self._redis = RedisServer(self.folder)
        self._redis.start()
        self._daemon = Daemon(self.folder, self._redis.url)
        self._daemon.start(allow_hosts="* 127.0.0.1", lease=10, **settings)
        self._jobs = 0

    def job(self, **message: Any) -> Cost:
        """Push a message and wait for its end, which must be `done`."""
        self._jobs += 1
        ident, r = f"job{self._jobs}", self._redis.client()
        before, begun = self.cpu(), time.monotonic()
        push(r, {"id": ident, **message})
        _over(r, ident)
        wall = time.monotonic() - begun
        event = final(r, ident)
        if event["event"] != "done":
            sys.exit(f"{event}\n{self._daemon.log[-3000:]}")
        return Cost(wall, self.cpu() - before, event)

    def ended(self, message: dict[str, Any], ident: str) -> dict[str, Any]:
        """Push a message that has its id, and wait for its final event."""
        r = self._redis.client()
        push(r, message)
        _over(r, ident)
        return final(r, ident)

    def nginx(self, root: Path, limit: int) -> Nginx:
        """One that serves `root` until the node is closed."""
        self._nginx = Nginx(self.folder, root, limit)
        return self._nginx

    @property
    def pid(self) -> int:
        """The daemon's."""
        assert self._daemon.pid
        return self._daemon.pid

    def cpu(self) -> float:
        """CPU seconds of the daemon and of its children that have ended."""
        fields = Path(f"/proc/{self._daemon.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / TICKS

    def close(self) -> None:
        if self._nginx:
            self._nginx.close()
        self._daemon.stop()
        self._redis.kill()
        shutil.rmtree(self.folder)


def _over(r: redis.Redis, ident: str) -> None:
    """Wait until the job has ended. By its state: who reads all events again and again takes a core, and Redis, from
    the job that is measured."""
    until(lambda: r.hget(f"videod:job:{ident}", "state") in ENDED, 900, f"{ident} ended")


class Nginx:
    """Serves a folder on loopback: plain, and with `limit` bytes a second for each connection."""

    def __init__(self, here: Path, root: Path, limit: int) -> None:
        self._conf, self._log = here / "nginx.conf", here / "access.log"
        self.plain, self.slow = 18765, 18766
        text = NGINX.format(here=here, plain=self.plain, slow=self.slow, root=root, limit=limit)
        self._conf.write_text(text)
        subprocess.run(["nginx", "-c", str(self._conf)], check=True)

    def url(self, name: str, *, slow: bool = False) -> str:
        return f"http://127.0.0.1:{self.slow if slow else self.plain}/{name}"

    def sent(self) -> int:
        """Bytes of all bodies so far; nginx writes its log when a request has ended."""
        time.sleep(0.2)
        return sum(int(line.split('"')[2].split()[1]) for line in self._log.read_text().splitlines())

    def close(self) -> None:
        subprocess.run(["nginx", "-c", str(self._conf), "-s", "stop"], check=False)
