"""Keeps the C library's heap from growing for years.

glibc raises the size from which a block is given back to the system at once each time such a block is freed. A
daemon that now and then holds a few hundred kilobytes for a job soon takes all of them from heaps that several
threads share, and those grow: by 8 KiB a clip, 20 % an hour under load. A fixed bound ends that.

Python looks through old objects for cycles when there are a quarter more of them, which a daemon of 40000 reaches
after hundreds or thousands of jobs. Until then cycles keep what hangs on them, such as OpenSSL's certificates, which
Python does not count, and the lists of free tuples grow, which only that look empties.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import time

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
LARGE = 1 << 16
SWEEP_SECONDS = 10.0


def steady() -> None:
    """Give blocks of 64 KiB and more back when they are freed; without effect on other C libraries."""
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, LARGE)
        libc.mallopt(_M_TRIM_THRESHOLD, LARGE)


class Sweep:
    """Looks for cycles every ten seconds while there is work: 10 ms of CPU. Used by one thread."""

    def __init__(self, seconds: float = SWEEP_SECONDS) -> None:
        self._seconds = seconds
        self._swept, self._begun = time.monotonic(), 0

    def look(self, begun: int) -> None:
        """Look for cycles when it is time; `begun`: how many jobs so far. Nothing new, no look: idle costs nothing."""
        now = time.monotonic()
        if begun != self._begun and now >= self._swept + self._seconds:
            self._swept, self._begun = now, begun
            gc.collect()
