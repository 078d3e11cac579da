"""Bring parts of a source by several threads into one file, each part at its own offset."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from pathlib import Path

from videod.transfer.landing import FULL, disk_full
from videod.transfer.spans import Span

TICK = 0.1


class Sparse:
    """A file that is written at offsets and has holes elsewhere. Safe for several threads; `written` adds up."""

    def __init__(self, path: Path, *, anew: bool) -> None:
        self._path = path
        self._lock = threading.Lock()
        self.written = 0
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | (os.O_TRUNC if anew else 0), 0o600)
        except OSError as error:
            raise self._failure(error) from None

    def __enter__(self) -> Sparse:
        return self

    def __exit__(self, *exc: object) -> None:
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
        with self._lock:
            self.written += len(data)

    def _failure(self, error: OSError) -> Exception:
        return disk_full(self._path) if error.errno in FULL else error


def gather(
    parts: Sequence[Span],
    bring: Callable[[int, int], None],
    connections: int,
    over: threading.Event,
    look: Callable[[], object],
) -> None:
    """Call `bring` for each part, up to `connections` at once, and `look` several times a second meanwhile.

    The first exception, of either, sets `over`, on which `bring` should end; it is raised when no thread is left.
    """
    if not parts:
        return
    with ThreadPoolExecutor(min(connections, len(parts)), "range") as pool:
        left: set[Future[None]] = {pool.submit(bring, *part) for part in parts}
        try:
            while left:
                done, left = wait(left, TICK, FIRST_EXCEPTION)
                for one in done:
                    one.result()
                look()
        except BaseException:
            over.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
