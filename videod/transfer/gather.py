"""Bring parts of a source by several threads into one file, each part at its own offset."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path

from videod.errors import Denied, FetchFailed
from videod.process import Tools
from videod.transfer.landing import FULL, disk_full
from videod.transfer.spans import Span

TICK = 0.1


class _Over(Exception):
    """The others are over: another thread failed, and that failure is told, or all is done."""


class Sparse:
    """A file that is written at offsets and has holes elsewhere. Safe for several threads."""

    def __init__(self, path: Path, *, anew: bool) -> None:
        self._path = path
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | (os.O_TRUNC if anew else 0), 0o600)
        except OSError as error:
            raise self._failure(error) from None

    def __enter__(self) -> Sparse:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Nothing more is written."""
        os.close(self._fd)

    def put(self, at: int, data: bytes) -> None:
        """Write `data` at the offset. DiskFull without space for it."""
        view = memoryview(data)
        try:
            while view:
                done = os.pwrite(self._fd, view, at)
                at, view = at + done, view[done:]
        except OSError as error:
            raise self._failure(error) from None

    def _failure(self, error: OSError) -> Exception:
        return disk_full(self._path) if error.errno in FULL else error


class Crew:
    """The threads of one fetch: `fetched` adds up the bytes that they receive, tries included."""

    def __init__(self, tools: Tools, connections: int, on_bytes: Callable[[int], object] = int) -> None:
        self.connections = connections
        self._tools, self._on_bytes = tools, on_bytes
        self._cores = os.sched_getaffinity(0)
        # all downloads of a daemon share one, those of another daemon may share another
        self._core = {sorted(self._cores)[os.getpid() % len(self._cores)]}
        self._over = threading.Event()
        self.lock = threading.Lock()
        self.fetched = 0

    def check(self) -> None:
        """For each thread, often: raises what ends the job, or what ends a thread because another failed."""
        self._tools.check()
        if self._over.is_set():
            raise _Over

    def count(self, number: int) -> None:
        """So many bytes came."""
        with self.lock:
            self.fetched += number
            self._on_bytes(number)

    def share_core(self, shared: bool) -> None:
        """Whether the calling thread shares a core with all that do so, or runs where there is time.

        Only one of them can run Python. On several cores each call of the system by one wakes another elsewhere, a
        third of the CPU time of small files; large ones, which spend it within such calls, need all cores.
        """
        with suppress(OSError):  # a container may forbid it, or have lost the core
            os.sched_setaffinity(0, self._core if shared else self._cores)

    def wait(self, seconds: float) -> None:
        """Let so much time pass, and check; no longer than until the others are over."""
        self._over.wait(seconds)
        self.check()

    def end(self) -> None:
        """From now on `check` raises in every thread."""
        self._over.set()

    def gather(self, parts: Sequence[Span], bring: Callable[[int, int], None], look: Callable[[], object]) -> None:
        """Call `bring` for each part, up to `connections` at once, and `look` several times a second meanwhile.

        Parts that a server does not give while others are under way are asked for again one by one: many allow few
        connections. Else the first exception, of either, makes `check` raise in the others; it is raised when no
        thread is left.
        """
        try:
            left = _at_once(parts, bring, min(self.connections, len(parts)), self._over, look)
            _at_once(left, bring, min(1, len(left)), self._over, look)
        finally:
            self._over.clear()


def _at_once(
    parts: Sequence[Span],
    bring: Callable[[int, int], None],
    threads: int,
    over: threading.Event,
    look: Callable[[], object],
) -> list[Span]:
    """The parts that are worth another try; none with one thread, which raises instead."""
    if not threads:
        return []
    again: list[Span] = []
    with ThreadPoolExecutor(threads, "range") as pool:
        running: dict[Future[None], Span] = {pool.submit(bring, *part): part for part in parts}
        try:
            while running:
                for one in wait(running, TICK, FIRST_EXCEPTION).done:
                    if threads > 1 and isinstance(one.exception(), (FetchFailed, Denied)):
                        again.append(running[one])
                        again += [running.pop(other) for other in list(running) if other.cancel()]
                    else:
                        one.result()
                    del running[one]
                look()
        except BaseException:
            over.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return again
