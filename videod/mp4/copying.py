"""Bytes from open files into another, inside the kernel where it can."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable, Sequence
from typing import BinaryIO

from videod.mp4.boxes import BadMp4
from videod.mp4.patchwork import Patchwork

# one call may hold a thread in the kernel; this much takes a moment
MOST = 64 << 20
PIECE = 1 << 20
# the file systems of the two differ, one cannot do it, or the kernel cannot
_UNABLE = frozenset(
    {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF, errno.EPERM, errno.ETXTBSY, errno.ESPIPE}
)


class FileCopy:
    """Appends parts of `sources`, open files, patchwork or bytes, to `out`; to be handed to `write`.

    Nothing may be written to `out` in another way before all is copied. Raises BadMp4 for a source that ends too
    early, and OSError.
    """

    def __init__(self, out: BinaryIO, sources: Sequence[BinaryIO | Patchwork | bytes]) -> None:
        self._out = out
        self._target = _number(out)
        self._sources = [(source, -1 if isinstance(source, bytes) else _number(source)) for source in sources]
        self._ways = [self._range, self._send, self._read]

    def __call__(self, source: int, offset: int, length: int) -> None:
        """Append `length` bytes of a source."""
        one, number = self._sources[source]
        end = offset + length
        while offset < end:
            size = min(end - offset, MOST)
            if isinstance(one, bytes):
                done = self._put(one[offset : offset + size])
            elif number < 0 or self._target < 0:
                one.seek(offset)
                done = self._put(one.read(min(size, PIECE)))
            else:
                done = self._within(number, offset, size)
            if not done:
                raise BadMp4(f"source {source} ends at {offset}, before its samples")
            offset += done

    def _within(self, source: int, offset: int, size: int) -> int:
        while True:
            way: Callable[[int, int, int], int] = self._ways[0]
            try:
                done = way(source, offset, size)
            except OSError as error:
                if error.errno not in _UNABLE or len(self._ways) == 1:
                    raise
            else:
                # some file systems say 0 where they cannot
                if done or len(self._ways) == 1:
                    return done
            self._ways = self._ways[1:]

    def _range(self, source: int, offset: int, size: int) -> int:
        return os.copy_file_range(source, self._target, size, offset)

    def _send(self, source: int, offset: int, size: int) -> int:
        return os.sendfile(self._target, source, offset, size)

    def _read(self, source: int, offset: int, size: int) -> int:
        return self._put(os.pread(source, min(size, PIECE), offset))

    def _put(self, data: bytes) -> int:
        if self._target < 0:
            self._out.write(data)
            return len(data)
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._target, rest) :]
        return len(data)


def _number(file: BinaryIO | Patchwork) -> int:
    """Its descriptor, -1 if it is none of the system."""
    if isinstance(file, Patchwork):
        return -1
    try:
        return file.fileno()
    except (io.UnsupportedOperation, AttributeError):
        return -1
