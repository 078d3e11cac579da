"""A server of a test's own on loopback, below any protocol: each connection in a thread."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Self


class Listener:
    """Calls `serve` for each connection. Its OSError ends the connection alone."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._one, args=(client,), daemon=True).start()

    def _one(self, client: socket.socket) -> None:
        with suppress(OSError):
            self.serve(client)

    def serve(self, client: socket.socket) -> None:
        """In a thread of its own."""
        raise NotImplementedError
