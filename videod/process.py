"""Run a tool: the only file that imports subprocess.

Each child gets a session and process group of its own, an environment made here, limits by a prefix of
its argv (a preexec_fn costs 12 ms and can dead-lock), a deadline, a stall watch and a cancel token. When
it ends, for whatever reason, its whole group is killed; should the daemon die first, the guardian does it.
"""

from __future__ import annotations

import os
import secrets
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from videod import guardian
from videod.cancel import Cancel
from videod.errors import EncodeFailed, Stalled, TimedOut, ToolCrashed
from videod.limits import SAFE_PATH, Limits, find
from videod.pipes import OnLine, Pipes
from videod.redact import hide
from videod.slots import Slots
from videod.space import Room

MARK = "VIDEOD_OWNER"
TICK = 0.2


class Guardian:
    """Our end of the pipe to the guardian (see guardian.py), which it starts. One for each daemon.

    `owner` names the node. The mark of our children adds a token of this run: the guardian of a run that
    was killed must not end the children of the next one.
    """

    def __init__(self, owner: str) -> None:
        self.owner = f"{owner}/{secrets.token_hex(8)}"
        self._earlier = f"{MARK}={owner}/".encode()
        self._lock = threading.Lock()
        self._child = subprocess.Popen(
            [sys.executable, "-I", "-S", guardian.__file__, f"{MARK}={self.owner}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
            env={"PATH": SAFE_PATH},
        )

    def watch(self, group: int, *, may_end: bool = False) -> None:
        """Kill this group should we die; `may_end` gives it a second after SIGTERM."""
        self._say("~" if may_end else "+", group)

    def forget(self, group: int) -> None:
        """The group is gone."""
        self._say("-", group)

    def sweep(self, seconds: float = 5.0) -> int:
        """Kill what earlier runs left behind and wait until it is gone; how many processes that were.

        Before we start anything of our own: two redis-servers on the same data would destroy it.
        """
        killed = guardian.kill_marked(self._earlier)
        deadline = time.monotonic() + seconds
        while guardian.kill_marked(self._earlier) and time.monotonic() < deadline:
            time.sleep(0.01)
        return killed

    def close(self) -> None:
        """Let the guardian look a last time and end."""
        self._child.communicate()

    def _say(self, what: str, group: int) -> None:
        assert self._child.stdin is not None
        with self._lock:
            os.write(self._child.stdin.fileno(), f"{what}{group}\n".encode())


@dataclass(frozen=True)
class Result:
    """How a tool ended: its exit code, its output, the last lines of its stderr, CPU seconds."""

    code: int
    stdout: bytes
    stderr: tuple[str, ...]
    cpu_seconds: float

    @property
    def tail(self) -> str:
        """The last lines of stderr as one text, secrets hidden."""
        return hide("\n".join(self.stderr[-8:]))[:2000]


def pause(cancel: Cancel, deadline: float | None, seconds: float) -> None:
    """Wait for others. Raises Cancelled or TimedOut as soon as it is time; a deadline is of the monotonic clock."""
    if seconds:
        cancel.wait(seconds)
    cancel.check()
    if deadline is not None and time.monotonic() > deadline:
        raise TimedOut("the attempt's time is over")


@dataclass
class Tools:
    """Runs the tools of one job: knows its token, deadline (a time.monotonic()), limits, scratch folder.

    Adds up `cpu_seconds` of the children. Used by one thread. `prepare` makes the scratch folder, `room` is what
    may be written there.
    """

    guardian: Guardian
    cancel: Cancel
    scratch: Path
    limits: Limits = field(default_factory=Limits)
    deadline: float | None = None
    stall_timeout: float = 0.0
    log: Callable[[str], None] = lambda line: None
    prepare: Callable[[], object] = lambda: None
    room: Room | None = None
    slots: Slots | None = None
    cpu_seconds: float = 0.0

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        on_line: OnLine | None = None,
        on_error_line: OnLine | None = None,
        alive: Callable[[], object] | None = None,
        may_fail: bool = False,
        limits: Limits | None = None,
        output_max: int = 256 << 20,
    ) -> Result:
        """Run `argv` to its end and return its result.

        `on_line` gets each line of stdout (which is then not kept). `alive` returns something that changes
        while work goes on, such as a file's size; with output it feeds the stall watch. Raises EncodeFailed
        for an exit code that is not 0 (unless `may_fail`) and for output beyond `output_max` bytes,
        ToolCrashed for a signal that is not ours, Stalled, TimedOut, Cancelled, ToolMissing.
        """
        self.check()
        started = time.monotonic()
        name = os.path.basename(argv[0])
        child = self._start([find(argv[0]), *argv[1:]], limits or self.limits, env)
        assert child.stdin and child.stdout and child.stderr
        pipes = Pipes(child.pid, child.stdin, child.stdout, child.stderr, stdin, on_line, on_error_line, output_max)
        cpu = 0.0
        try:
            self._wait(child.pid, name, pipes, alive)
        finally:
            cpu = _end(child, self.guardian)
            self.cpu_seconds += cpu
            pipes.close()
        result = Result(child.returncode, pipes.stdout, tuple(pipes.stderr), cpu)
        self.log(f"{name} ended with {result.code} in {time.monotonic() - started:.2f} s: {hide(shlex.join(argv))}")
        self._judge(result, name, argv, may_fail, pipes.overflow)
        return result

    @contextmanager
    def encoding(self) -> Iterator[int]:
        """For the time that a job encodes: waits for its turn, gives the number of threads. Cancelled, TimedOut."""
        if self.slots is None:
            yield 0
            return
        with self.slots.encode(self.pause) as threads:
            yield threads

    def check(self) -> None:
        """Raise Cancelled or TimedOut when it is time; for work that runs no tool."""
        pause(self.cancel, self.deadline, 0.0)

    def pause(self, seconds: float) -> None:
        """Wait for others, but raise as `check` does as soon as it is time."""
        pause(self.cancel, self.deadline, seconds)

    def sweep(self, seconds: float = 2.0) -> int:
        """Kill what the tools of this job left behind in groups of its own; how many processes that were."""
        mark = f"{MARK}={_owner(self.guardian, self.scratch)}".encode()
        killed, deadline = guardian.kill_marked(mark), time.monotonic() + seconds
        left = killed
        while left and time.monotonic() < deadline:
            time.sleep(0.01)
            left = guardian.kill_marked(mark)
        return killed

    def _start(self, command: list[str], limits: Limits, env: Mapping[str, str] | None) -> subprocess.Popen[bytes]:
        self.prepare()
        child = subprocess.Popen(
            [*limits.prefix(), *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            cwd=self.scratch,
            env=_environment(_owner(self.guardian, self.scratch), self.scratch, env),
        )
        self.guardian.watch(child.pid)
        return child

    def _wait(self, pid: int, name: str, pipes: Pipes, alive: Callable[[], object] | None) -> None:
        moved, seen = time.monotonic(), None
        while not _exited(pid):
            if pipes.step(TICK):
                moved = time.monotonic()
            if alive is not None and (state := alive()) != seen:
                moved, seen = time.monotonic(), state
            if pipes.overflow:
                return
            self.check()
            if self.stall_timeout and time.monotonic() - moved > self.stall_timeout:
                raise Stalled(f"{name} moved nothing for {self.stall_timeout:g} s")
        pipes.drain()

    @staticmethod
    def _judge(result: Result, name: str, argv: Sequence[str], may_fail: bool, overflow: bool) -> None:
        detail = f"{hide(shlex.join(argv))[:1000]}\n{result.tail}"
        if result.code == -signal.SIGXFSZ:
            raise EncodeFailed(f"{name} wrote a larger file than it may", detail=detail)
        if overflow:
            raise EncodeFailed(f"{name} printed more than it may")
        if result.code < 0:
            raise ToolCrashed(f"{name} was killed by {signal.Signals(-result.code).name}", detail=detail)
        if result.code and not may_fail:
            raise EncodeFailed(f"{name} ended with exit code {result.code}", detail=detail)


class Server:
    """A server of our own that runs as long as the daemon does, such as a private redis-server."""

    def __init__(self, argv: Sequence[str], owner: Guardian, folder: Path) -> None:
        self._owner, self.folder = owner, folder
        self._child = subprocess.Popen(
            [find(argv[0]), *argv[1:]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd=folder,
            env=_environment(owner.owner, folder, None),
        )
        owner.watch(self._child.pid, may_end=True)

    def exited(self) -> bool:
        """Whether it ended by itself."""
        return _exited(self._child.pid)

    def stop(self, seconds: float = 5.0) -> None:
        """SIGTERM, wait for so long, then SIGKILL to what is left of its group."""
        # not terminate(): that would reap a server that ended, and its number could be another's by now
        guardian.signal_group(self._child.pid, signal.SIGTERM)
        deadline = time.monotonic() + seconds
        while not _exited(self._child.pid) and time.monotonic() < deadline:
            time.sleep(0.01)
        _end(self._child, self._owner)


def _owner(of: Guardian, scratch: Path) -> str:
    """The mark of one job's children; the slash keeps job-1 from job-10."""
    return f"{of.owner}/{scratch.name}/"


def _environment(owner: str, home: Path, more: Mapping[str, str] | None) -> dict[str, str]:
    made = {"PATH": SAFE_PATH, "LANG": "C.UTF-8", "HOME": str(home), "TMPDIR": str(home), MARK: owner}
    return {**made, **(more or {})}


def _exited(pid: int) -> bool:
    # WNOWAIT leaves the zombie: its pid cannot be given to another while its group is still to be killed
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _end(child: subprocess.Popen[bytes], owner: Guardian) -> float:
    """Kill the group and reap the child; the CPU seconds of the child and of what it waited for."""
    guardian.signal_group(child.pid, signal.SIGKILL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    owner.forget(child.pid)
    return usage.ru_utime + usage.ru_stime
