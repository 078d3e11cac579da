"""A daemon under test: its ini, its commands, its end, and what must be true when it is gone."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import redis

ROOT = Path(__file__).resolve().parents[1]
BENCH_KIND = ROOT / "bench" / "kind"
T = TypeVar("T")


def until(look: Callable[[], T], seconds: float, what: str) -> T:
    """Poll until `look` returns something true; fails with `what` after so many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        if found := look():
            return found
        assert time.monotonic() < deadline, f"after {seconds} s not: {what}"
        time.sleep(0.005)


class Daemon:
    """Runs `videod` with an ini of its own."""

    def __init__(self, folder: Path, redis_url: str) -> None:
        self.folder = folder
        self.ini = folder / "videod.ini"
        self.env = "prod"
        self.python = sys.executable
        self.state = folder / "state"
        self.clips = folder / "clips"
        self.node = f"n{os.getpid()}"
        self.settings: dict[str, Any] = {
            "redis": redis_url,
            "node": self.node,
            "state_dir": self.state,
            "pid_file": folder / "videod.pid",
            "debug_log": folder / "videod.log",
            "upload": f"file:{self.clips}/",
            "allow_paths": folder,
            "min_free": "100M",
            "lease": 3,
            "max_attempts": 1,  # what fails ends at once; tests of retries say more
        }
        self.sections = ""
        self._foreground: subprocess.Popen[str] | None = None
        self._redis_url = redis_url

    # ------------------------------------------------------------- commands
    def write(self, **changes: Any) -> None:
        self.settings |= changes
        lines = [f"{key} = {value}" for key, value in self.settings.items() if value is not None]
        self.ini.write_text("[DEFAULT]\n" + "\n".join(lines) + "\n" + self.sections)

    def command(self, *argv: str, timeout: float = 60, **more: Any) -> subprocess.CompletedProcess[str]:
        if not self.ini.exists():
            self.write()
        command = [self.python, "-m", "videod", "-c", str(self.ini), *argv]
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout, **more)

    def start(self, environ: dict[str, str] | None = None, **changes: Any) -> None:
        """Daemonized; returns once it serves. `environ` goes on top of ours."""
        self.write(**changes)
        done = self.command("start", self.env, env={**os.environ, **(environ or {})})
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), done

    def run(self, environ: dict[str, str] | None = None, **changes: Any) -> subprocess.Popen[str]:
        """In the foreground; returns once it serves."""
        self.write(**changes)
        argv = [sys.executable, "-m", "videod", "-c", str(self.ini), "run", self.env]
        self._foreground = subprocess.Popen(
            argv, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, start_new_session=True,
            env={**os.environ, **(environ or {})},
        )  # fmt: skip
        return self._foreground

    def stop(self, *argv: str, timeout: float = 60) -> int:
        return self.command("stop", self.env, *argv, timeout=timeout).returncode

    @property
    def pid(self) -> int | None:
        try:
            return int((self.folder / "videod.pid").read_text())
        except (OSError, ValueError):
            return None

    def signal(self, number: int) -> None:
        assert self.pid
        os.kill(self.pid, number)

    def kill(self) -> None:
        """kill -9; returns when it is gone."""
        pid = self.pid
        assert pid
        descriptor = os.pidfd_open(pid)
        os.kill(pid, signal.SIGKILL)
        until(lambda: not alive(descriptor), 10, "daemon is gone")
        os.close(descriptor)

    def running(self) -> bool:
        return self.command("status", self.env).returncode == 0

    # ------------------------------------------------------------- looking
    @property
    def log(self) -> str:
        return (self.folder / "videod.log").read_text()

    def marked(self) -> list[int]:
        """The processes that this daemon started and that are alive."""
        return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if self._is_ours(pid)]

    def _is_ours(self, pid: int) -> bool:
        try:
            environ = Path(f"/proc/{pid}/environ").read_bytes()
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return False
        mark = f"VIDEOD_OWNER={self.settings['node']}:{os.path.realpath(self.state)}/"
        return mark.encode() in environ and state != "Z"

    def scratch(self) -> list[Path]:
        folder = self.state / "work" / str(self.settings["node"])
        return list(folder.iterdir()) if folder.exists() else []

    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self._redis_url, decode_responses=True, protocol=2)

    # ------------------------------------------------------------- the end
    def end(self) -> None:
        """Stop whatever runs, then prove that nothing is left: no process, no scratch folder, no lock."""
        if self._foreground and self._foreground.poll() is None:
            self._foreground.send_signal(signal.SIGTERM)
            try:
                self._foreground.wait(20)
            except subprocess.TimeoutExpired:
                self._foreground.kill()
        if self._foreground:
            self._foreground.communicate()
        if self.ini.exists() and not self._halted():
            self.write()
            self.command("stop", self.env, "--now")
        until(lambda: not self.marked(), 3, "no child of the daemon is left")
        pidfile = self.folder / "videod.pid"
        if not pidfile.exists():
            assert self.scratch() == []

    def _halted(self) -> bool:
        """What `stop --now` does to the daemon of our pidfile, without a process for it: hundreds of tests end here.

        False where that is not sure to be all: nobody runs, and something may be left.
        """
        pid = self.pid
        try:
            descriptor = os.pidfd_open(pid or 0)
            ours = str(self.ini).encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError):
            return not (self.folder / "videod.pid").exists() and not self.marked()
        if ours:
            for number in (signal.SIGTERM, signal.SIGINT):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid or 0, number)
            until(lambda: not alive(descriptor), 60, "the daemon is gone")
        os.close(descriptor)
        return ours


def alive(descriptor: int) -> bool:
    import select

    return not select.select([descriptor], [], [], 0)[0]


def events(r: redis.Redis, ident: str | None = None) -> list[dict[str, Any]]:
    """The events of one job, or all, in order."""
    entries = [json.loads(fields["json"]) for _, fields in r.xrange("videod:events")]
    return [event for event in entries if ident in (None, event["id"])]


def final(r: redis.Redis, ident: str, seconds: float = 60) -> dict[str, Any]:
    """The final event of a job, waited for; fails when there is more than one."""

    def look() -> list[dict[str, Any]]:
        return [event for event in events(r, ident) if event["event"] in ("done", "dead", "cancelled")]

    found = until(look, seconds, f"{ident} ended")
    assert len(found) == 1, found
    return found[0]


def push(r: redis.Redis, *messages: Any, queue: str = "video_info_queue") -> None:
    """LPUSH messages: text and bytes as they are, the rest as JSON."""
    for message in messages:
        r.lpush(queue, message if isinstance(message, (str, bytes)) else json.dumps(message))


def accounted(r: redis.Redis, idents: list[str]) -> None:
    """Every id has exactly one final event, and no list holds anything."""
    ends = [event["id"] for event in events(r) if event["event"] in ("done", "dead", "cancelled")]
    assert sorted(ends) == sorted(idents)
    for name in r.scan_iter("*"):
        if r.type(name) == "list" and name != "videod:dead" and "reply" not in name:
            assert r.llen(name) == 0, (name, r.lrange(name, 0, -1))
