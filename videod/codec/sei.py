"""SEI messages, which H.264 and HEVC write in the same way (ISO 14496-10 and 23008-2, 7.3.2.3)."""

from __future__ import annotations

from collections.abc import Iterator

# pictures may hide in a kind of message that nothing here needs
LONGEST_SEI = 1 << 16


def messages(rbsp: bytes) -> Iterator[tuple[int, bytes]]:
    """The messages of an unescaped SEI NAL unit behind its header: type and payload.

    A broken one ends them: no picture depends on it.
    """
    at, end = 0, len(rbsp.rstrip(b"\0")) - 1
    while at < end:
        kind, at = _code(rbsp, at)
        size, at = _code(rbsp, at)
        if at + size > end:
            return
        yield kind, rbsp[at : at + size]
        at += size


def _code(rbsp: bytes, at: int) -> tuple[int, int]:
    """A payload type or size: bytes of 255, then a last one; and where it ends."""
    begin = at
    while at < len(rbsp) and rbsp[at] == 255:
        at += 1
    last = rbsp[at] if at < len(rbsp) else 0
    return 255 * (at - begin) + last, at + 1
