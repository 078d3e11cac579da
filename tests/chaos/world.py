"""The world under test: one Redis, one origin behind a relay, a receiver of callbacks, and three nodes."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import redis

from tests import videos
from tests.chaos.receiver import Receiver
from tests.chaos.relay import Cuttable
from tests.conftest import RedisServer
from tests.daemon import Daemon, until
from tests.origin import Origin
from videod.config import load
from videod.errors import RedisAway
from videod.jobqueue import Connection
from videod.jobqueue.steer import Steer

T = TypeVar("T")
FILM_SECONDS = 8
LEASE = 3
FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), Path("/usr/lib/faketime/libfaketimeMT.so.1"))
DISK_BYTES = 60 << 20
SERVED = ("video_info_queue", "batch_download_tasks", "abnormal_video_info_queue")


class Node(Daemon):
    """One node: `environ` is added to its environment."""

    def __init__(self, folder: Path, redis_url: str, name: str, **settings: object) -> None:
        folder.mkdir()
        super().__init__(folder, redis_url)
        self.node = name
        self.environ: dict[str, str] = {}
        self.work = folder / "state" / "work"
        self.starts = 0
        self.codes: list[int] = []
        self.write(node=name, **settings)

    def up(self, seconds: float = 30) -> None:
        """Start, again where Redis still loads its data."""

        def try_it() -> bool:
            done = self.command("start", self.env, env={**os.environ, **self.environ}, timeout=60)
            self.said = done.stderr.strip()
            return done.returncode == 0

        deadline = time.monotonic() + seconds
        while not try_it():
            assert time.monotonic() < deadline, f"node {self.node} does not start: {self.said}"
            time.sleep(0.2)
        self.starts += 1

    def down(self, *argv: str) -> int:
        """`videod stop`; its exit code, which is 1 where messages went back."""
        self.codes.append(self.stop(*argv, timeout=120))
        return self.codes[-1]

    def left_in_scratch(self) -> list[Path]:
        folder = self.work / self.node
        return list(folder.iterdir()) if folder.exists() else []


class World:
    """Builds everything in one folder and takes it down again."""

    def __init__(self, rng: random.Random, say: Callable[[str], None]) -> None:
        self.say = say
        self.skipped: list[str] = []
        self.folder = Path(tempfile.mkdtemp(prefix="videod-chaos-"))  # short: a socket's path holds 107 bytes
        self.shared = self.folder / "shared"
        self.shared.mkdir()
        self.film = self._make_film()  # first: what fails here must leave no server behind
        self.redis = RedisServer(self.folder)
        self.origin = Origin()
        self.origin.put("/film.mp4", self.film.read_bytes())
        self.origin.put("/text.mp4", b"this is no video at all\n" * 200)
        self.relay = Cuttable(self.origin.port)
        self.receiver = Receiver(rng)
        self.base = f"http://127.0.0.1:{self.relay.port}"
        self.redis.start()
        self.a, self.b, self.c = (self._node(name, slots) for name, slots in (("a", 3), ("b", 2), ("c", 2)))
        self.nodes = [self.a, self.b, self.c]
        self.disk = self._mount()
        self.clock = self._fake_clock()
        settings = load(str(self.c.ini)).settings("prod")
        self.steer = Steer(settings, Connection(settings))

    def _make_film(self) -> Path:
        master = videos.make_master(self.folder / "master.nut", rate="25", seconds=float(FILM_SECONDS))
        film = videos.encode(master, self.folder / "film.mp4")
        master.unlink()
        return film

    def _node(self, name: str, slots: int) -> Node:
        return Node(
            self.folder / name, self.redis.url, name, max_worker=slots, lease=LEASE, upload=f"file:{self.shared}/",
            allow_paths=self.folder, allow_hosts="* 127.0.0.1", min_free="4M", retry_delay=0.1, max_attempts=30,
            # chaos kills daemons far more often than any poison would: no innocent message may end `crashed`
            max_crashes=100, stall_timeout=5, timeout=60, events_max=10**7, log_level="info",
        )  # fmt: skip

    def _mount(self) -> Path | None:
        folder = self.folder / "disk"
        folder.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]
        if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
            self.skipped.append("full disk: needs the right to mount")
            return None
        self.b.write(work_dir=folder)
        self.b.work = folder
        return folder

    def _fake_clock(self) -> Path | None:
        if not FAKETIME.exists():
            self.skipped.append("changed clock: libfaketime is not installed (apt-get install libfaketime)")
            return None
        clock = self.folder / "clock"
        clock.write_text("+0\n")
        self.b.environ = {
            "LD_PRELOAD": str(FAKETIME),
            "FAKETIME_TIMESTAMP_FILE": str(clock),
            "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }
        return clock

    def set_clock(self, offset: str) -> None:
        if self.clock:
            fresh = self.clock.with_suffix(".new")
            fresh.write_text(offset + "\n")
            fresh.replace(self.clock)  # read at each call of the clock: never a half of it

    def insist(self, step: Callable[[redis.Redis], T], seconds: float = 60) -> T:
        """A step in Redis, again after each loss: the harm kills our connections, too."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                return step(self.redis.client())
            except (redis.exceptions.RedisError, RedisAway):
                assert time.monotonic() < deadline, "Redis does not come back"
                time.sleep(0.05)

    def heal(self) -> None:
        """Everything whole again, whatever the last harm was."""
        self.relay.restore()
        self.receiver.reliable = True
        self.set_clock("+0")
        if self.disk:
            (self.disk / "ballast").unlink(missing_ok=True)
        if not self.redis.answers():
            self.redis.kill()
            self.redis.start()
        for node in self.nodes:
            if node.pid:
                with contextlib.suppress(ProcessLookupError):
                    node.signal(signal.SIGCONT)
            if not node.running():
                node.up()
        self.insist(lambda _: self.steer.resume("*"))

    def close(self) -> None:
        """End all that is ours. The folder stays: who made us decides on it."""
        for node in self.nodes:
            for pid in [node.pid, *node.marked()]:
                with contextlib.suppress(ProcessLookupError, TypeError):
                    os.kill(pid, signal.SIGKILL)  # type: ignore[arg-type]
        self.relay.close()
        self.origin.stop()
        self.receiver.close()
        self.redis.kill()
        if self.disk:
            until(lambda: subprocess.run(["umount", str(self.disk)], capture_output=True).returncode == 0, 10, "umount")
