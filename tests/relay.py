"""A relay between the daemon and a server: what stands there sees each byte, and can hold, drop and break."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from pathlib import Path
from typing import Self

RESET = struct.pack("ii", 1, 0)
# of Linux' TCP_INFO: neither side has closed
ESTABLISHED = 1


class Pair:
    """One connection: `near` is the daemon's end of the relay, `far` the server's."""

    def __init__(self, near: socket.socket, far: socket.socket) -> None:
        self.near, self.far = near, far
        self.doomed = False

    @property
    def is_open(self) -> bool:
        """Whether no FIN or RST of the daemon has come; only over TCP."""
        with contextlib.suppress(OSError):
            return self.near.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == ESTABLISHED
        return False


class Relay:
    """Listens on a port of loopback, or at the path `at`; `target` is a port of loopback or a path."""

    def __init__(self, target: int | str | Path, at: Path | None = None) -> None:
        self._target = ("127.0.0.1", target) if isinstance(target, int) else str(target)
        self._lock = threading.Lock()
        self._pairs: set[Pair] = set()
        if at:
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(str(at))
            self._listener.listen(64)
        else:
            self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
            self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True, name="relay").start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def begun(self, pair: Pair) -> None:
        """A connection begins; what raises OSError ends it."""

    def passed(self, pair: Pair, data: bytes, *, up: bool) -> bool:
        """Whether this goes on, `up` to the server; else the connection ends."""
        return True

    def reset_all(self) -> int:
        """RST on every connection: what is under way is lost on both sides."""
        with self._lock:
            pairs = list(self._pairs)
        for pair in pairs:
            self.end(pair, reset=True)
        return len(pairs)

    def open(self) -> list[Pair]:
        """The connections that there are."""
        with self._lock:
            return list(self._pairs)

    def end(self, pair: Pair, *, reset: bool = False) -> None:
        """Close a connection on both sides."""
        with self._lock:
            self._pairs.discard(pair)
        for end in (pair.near, pair.far):
            with contextlib.suppress(OSError):
                if reset:
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                # wakes the thread that reads: while it is in recv, close would send nothing
                end.shutdown(socket.SHUT_RD if reset else socket.SHUT_RDWR)
            end.close()

    def close(self) -> None:
        """Accept no more, and break what is open."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # or accept would go on
        self._listener.close()
        self.reset_all()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX if isinstance(self._target, str) else socket.AF_INET)
            pair = Pair(near, far)
            with self._lock:
                self._pairs.add(pair)
            try:
                self.begun(pair)
                far.connect(self._target)
            except OSError:  # the server is down
                self.end(pair, reset=True)
                continue
            for up in (True, False):
                threading.Thread(target=self._copy, args=(pair, up), daemon=True, name="relay").start()

    def _copy(self, pair: Pair, up: bool) -> None:
        source, sink = (pair.near, pair.far) if up else (pair.far, pair.near)
        with contextlib.suppress(OSError):
            while (data := source.recv(65536)) and self.passed(pair, data, up=up):
                sink.sendall(data)
        self.end(pair)
