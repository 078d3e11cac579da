"""A file that is put together of bytes and of parts of another file, which are read when it is."""

from __future__ import annotations

from bisect import bisect_right
from typing import BinaryIO


class Patchwork:
    """Grows at its end. Reads like a file, so that `FileCopy` can take from it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._parts: list[bytes | range] = []
        self._begins: list[int] = []
        self._at = 0
        self.size = 0

    def add(self, *parts: bytes | range) -> int:
        """Append bytes, and ranges of offsets in the other file; where the first of them begins."""
        begin = self.size
        for part in parts:
            if part:
                self._parts.append(part)
                self._begins.append(self.size)
                self.size += len(part)
        return begin

    def seek(self, offset: int) -> int:
        """Where to read next."""
        self._at = offset
        return offset

    def read(self, size: int) -> bytes:
        """Up to so many bytes, none at the end."""
        if not 0 <= self._at < self.size:
            return b""
        index = bisect_right(self._begins, self._at) - 1
        skip = self._at - self._begins[index]
        part = self._parts[index][skip : skip + size]
        if isinstance(part, range):
            self._file.seek(part.start)
            part = self._file.read(len(part))
        self._at += len(part)
        return part
