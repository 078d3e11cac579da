"""The network between the nodes and the origin: a TCP relay that can be cut and restored."""

from __future__ import annotations

import contextlib
import select
import socket
import threading

RESET = b"\1\0\0\0\0\0\0\0"  # SO_LINGER of 0 s: close() sends RST


class Relay:
    """Copies bytes between its port and `target`.

    While it is cut by `reset`, connections are closed by RST as they come. While `silent`, they are accepted and
    nothing moves: what a dropped route looks like, and what only a stall watch ends.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._state = ""
        self._over = False
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True, name="relay").start()

    def cut(self, how: str) -> None:
        """`reset` or `silent`."""
        self._state = how
        if how == "reset":
            self._reset_all()

    def restore(self) -> None:
        """What hung in silence is reset: bytes that were dropped do not come back."""
        silent, self._state = self._state == "silent", ""
        if silent:
            self._reset_all()

    def close(self) -> None:
        self._over = True
        self._listener.close()
        self._reset_all()

    def _reset_all(self) -> None:
        with self._lock:
            for end in self._open:
                with contextlib.suppress(OSError):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                    end.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while not self._over:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(near,), daemon=True, name="relay").start()

    def _serve(self, near: socket.socket) -> None:
        with near, socket.socket() as far, contextlib.suppress(OSError):
            with self._lock:
                self._open |= {near, far}
            try:
                if self._state == "reset":
                    near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                    return
                far.connect(("127.0.0.1", self._target))
                self._copy(near, far)
            finally:
                with self._lock:
                    self._open -= {near, far}

    def _copy(self, near: socket.socket, far: socket.socket) -> None:
        while not self._over:
            for source in select.select([near, far], [], [], 0.5)[0]:
                if self._state == "silent":
                    select.select([], [], [], 0.05)
                    continue
                data = source.recv(1 << 16)
                if not data:
                    return
                (far if source is near else near).sendall(data)
