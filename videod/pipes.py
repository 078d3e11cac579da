"""Move a child's stdin, stdout and stderr without ever blocking on one of them.

A child that fills stderr while we read stdout, or that never reads its stdin, must not stop us: all three
are non-blocking and looked at together with the child's pidfd, so that its exit wakes us at once even when
a grandchild keeps the pipes open.
"""

from __future__ import annotations

import os
import selectors
from collections import deque
from collections.abc import Callable
from typing import IO

TAIL_LINES = 40
MAX_LINE = 4096
CHUNK = 1 << 16

OnLine = Callable[[str], None]


class Pipes:
    """The three pipes of one child. `stdout` holds what no `on_line` took, `stderr` the last lines."""

    def __init__(
        self,
        pid: int,
        stdin: IO[bytes],
        stdout: IO[bytes],
        stderr: IO[bytes],
        feed: bytes,
        on_line: OnLine | None,
        on_error_line: OnLine | None,
        output_max: int,
    ) -> None:
        self.stderr: deque[str] = deque(maxlen=TAIL_LINES)
        self.overflow = False
        self._chunks: list[bytes] = []
        self._left = output_max
        self._feed = memoryview(feed)
        self._streams = (stdin, stdout, stderr)
        self._lines = {stdout.fileno(): _Lines(on_line), stderr.fileno(): _Lines(_tail(self.stderr, on_error_line))}
        self._keep = stdout.fileno() if on_line is None else -1
        self._stdin = stdin
        self._pidfd = os.pidfd_open(pid)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._pidfd, selectors.EVENT_READ)
        for stream in self._streams:
            os.set_blocking(stream.fileno(), False)
        for fd in self._lines:
            self._selector.register(fd, selectors.EVENT_READ)
        if feed:
            self._selector.register(stdin.fileno(), selectors.EVENT_WRITE)
        else:
            stdin.close()

    @property
    def stdout(self) -> bytes:
        """All of stdout, unless `on_line` took it."""
        return b"".join(self._chunks)

    def step(self, seconds: float) -> bool:
        """Wait for up to `seconds` and move what there is; whether something moved."""
        moved = False
        for key, _ in self._selector.select(seconds):
            if key.fd in self._lines:
                moved = self._read(key.fd) or moved
            elif key.fd != self._pidfd:
                moved = self._write() or moved
        return moved

    def drain(self) -> None:
        """After the child's end: take what its pipes still hold, without waiting for grandchildren."""
        for fd in list(self._lines):
            while self._read(fd):
                pass
        for lines in self._lines.values():
            lines.end()

    def close(self) -> None:
        """Close all ends."""
        self._selector.close()
        os.close(self._pidfd)
        for stream in self._streams:
            try:
                stream.close()
            except BrokenPipeError:  # the child did not read all of its stdin
                continue

    def _read(self, fd: int) -> bool:
        try:
            data = os.read(fd, CHUNK)
        except BlockingIOError:
            return False
        if not data:
            if fd in self._selector.get_map():
                self._selector.unregister(fd)
            return False
        if fd != self._keep:
            self._lines[fd].add(data)
        elif self._left >= len(data):
            self._chunks.append(data)
            self._left -= len(data)
        else:
            self.overflow = True
        return True

    def _write(self) -> bool:
        try:
            sent = os.write(self._stdin.fileno(), self._feed[:CHUNK])
        except BrokenPipeError:
            sent = len(self._feed)
        self._feed = self._feed[sent:]
        if not self._feed:
            self._selector.unregister(self._stdin.fileno())
            self._stdin.close()
        return True


def _tail(lines: deque[str], on_line: OnLine | None) -> OnLine:
    """Keeps a line and hands it on. No method of Pipes: as part of a cycle each output, and all that its readers
    hold, would stay until Python looks for cycles, which in a daemon is once in hundreds of jobs.
    """

    def take(line: str) -> None:
        lines.append(line)
        if on_line:
            on_line(line)

    return take


class _Lines:
    """Cuts a stream of bytes into lines (ended by \\n or \\r) of bounded length."""

    def __init__(self, take: OnLine | None) -> None:
        self._take = take
        self._rest = b""

    def add(self, data: bytes) -> None:
        """More bytes of the stream."""
        *whole, rest = (self._rest + data.replace(b"\r", b"\n")).split(b"\n")
        self._rest = rest[:MAX_LINE]
        for line in whole:
            self._give(line)

    def end(self) -> None:
        """The stream is over: the last line may lack its end."""
        self._give(self._rest)
        self._rest = b""

    def _give(self, line: bytes) -> None:
        if line and self._take:
            self._take(line[:MAX_LINE].decode("utf-8", "replace"))
