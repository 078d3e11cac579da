"""Counted and bounded reads of a file that is elsewhere."""

from __future__ import annotations

from collections.abc import Callable

from videod.mp4.boxes import LONG, SHORT, BadMp4, Box, header

Read = Callable[[int, int], bytes]
# what is read to look at a header is kept, up to this size, since what follows is asked for next
KEPT = 1 << 20


class Window:
    """A file of `size` bytes behind `read(offset, length)`. The first piece that was read is kept, and the last."""

    def __init__(self, read: Read, size: int, most_reads: int) -> None:
        self._read = read
        self._most = most_reads
        self._first = self._last = (0, b"")
        self.size = size
        self.reads = 0
        self.bytes_read = 0

    def get(self, start: int, length: int, ahead: int = 0) -> bytes:
        """Exactly these bytes. If some are not there yet, `ahead` bytes from `start` on are asked for instead."""
        if start < 0 or length < 0 or start + length > self.size:
            raise BadMp4(f"the file ends before {start + length}")
        have = b""
        for begin, piece in (self._last, self._first):
            if begin <= start < begin + len(piece):
                have = piece[start - begin :]
                break
        if len(have) >= length:
            return have[:length]
        wanted = min(max(length, ahead), self.size - start)
        piece = have + self._ask(start + len(have), wanted - len(have))
        if len(piece) <= KEPT:
            self._last = (start, piece)
            self._first = self._first if self._first[1] else self._last
        return piece[:length] if len(piece) > length else piece

    def box(self, start: int, ahead: int = 0) -> Box:
        """The header of the box at `start`; it may not be longer than the file."""
        return header(self.get(start, max(SHORT, min(LONG, self.size - start)), ahead), start, self.size, start)

    def _ask(self, start: int, length: int) -> bytes:
        if self.reads == self._most:
            raise BadMp4(f"the index takes more than {self._most} reads")
        self.reads += 1
        found = self._read(start, length)
        self.bytes_read += len(found)
        if len(found) != length:
            raise BadMp4(f"{len(found)} bytes at {start} in place of {length}")
        return found
