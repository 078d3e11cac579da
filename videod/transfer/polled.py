"""Sockets that wait in short steps, so that a blocked read ends soon after the job does.

A time-out that reaches http.client costs what was read so far; here it is met below, where nothing is lost.
"""

from __future__ import annotations

import os
import select
import socket
import ssl
import struct
import time
from collections.abc import Callable
from errno import EINPROGRESS
from typing import Any, TypeVar

TICK = 0.2
PIECE = 1 << 16
_TICK = struct.pack("ll", 0, round(TICK * 1e6))
T = TypeVar("T")


class Patience:
    """Waits `silence` seconds for a peer and asks `check` before each read and each piece that is sent, and five times
    a second meanwhile.

    What `check` raises ends the wait; a peer that is silent for too long gives TimeoutError. Safe for several
    threads if `check` is.
    """

    tick = TICK

    def __init__(self, check: Callable[[], None], silence: float) -> None:
        self._check = check
        self._silence = silence
        self.plain, self.tls = _kinds(self)

    def wait(self, step: Callable[[], T]) -> T:
        """What `step` returns, which gives TimeoutError or BlockingIOError after TICK seconds."""
        began = time.monotonic()
        while True:
            self._check()
            try:
                return step()
            except (TimeoutError, BlockingIOError):
                if time.monotonic() - began > self._silence:
                    raise TimeoutError("timed out") from None

    def dial(self, host: str, port: int, seconds: float) -> socket.socket:
        """A connection to the first address of `host` that answers, each given so many seconds.

        Raises OSError, of which TimeoutError is one.
        """
        failed: OSError | None = None
        for family, kind, proto, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            made = self.plain(family, kind, proto)
            try:
                made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._connect(made, address, seconds)
                return made
            except OSError as error:
                made.close()
                failed = error
            except BaseException:
                made.close()
                raise
        raise failed or OSError("no address")

    def _connect(self, made: socket.socket, address: Any, seconds: float) -> None:
        made.setblocking(False)
        code = made.connect_ex(address)
        if code == EINPROGRESS:
            ready = select.poll()
            ready.register(made, select.POLLOUT)
            until = time.monotonic() + seconds
            while not ready.poll(TICK * 1000):
                self._check()
                if time.monotonic() > until:
                    raise TimeoutError("timed out")
            code = made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
        made.setblocking(True)
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            made.setsockopt(socket.SOL_SOCKET, option, _TICK)


def _kinds(patience: Patience) -> tuple[type[socket.socket], type[ssl.SSLSocket]]:
    class Plain(socket.socket):
        # the kernel counts the tick: Python would poll before each call, and hand its lock on twice as often
        def settimeout(self, value: float | None) -> None:
            pass

        def gettimeout(self) -> float:  # of TLS around it
            return TICK

        def sendall(self, data: Any, *flags: Any) -> None:
            with memoryview(data) as view, view.cast("B") as left:
                sent = 0
                while sent < len(left):
                    piece = left[sent : sent + PIECE]
                    sent += patience.wait(lambda piece=piece: socket.socket.send(self, piece, *flags))  # type: ignore[misc]

        def recv(self, *size: Any) -> bytes:
            return patience.wait(lambda: socket.socket.recv(self, *size))

        def recv_into(self, *where: Any) -> int:
            return patience.wait(lambda: socket.socket.recv_into(self, *where))

    class Tls(ssl.SSLSocket):
        def send(self, data: Any, flags: int = 0) -> int:  # which sendall calls
            return patience.wait(lambda: ssl.SSLSocket.send(self, data, flags))

        def recv_into(self, *where: Any) -> int:
            return patience.wait(lambda: ssl.SSLSocket.recv_into(self, *where))

        def do_handshake(self, block: bool = False) -> None:
            try:
                patience.wait(lambda: ssl.SSLSocket.do_handshake(self, block))
            except BaseException:  # the ssl module itself closes for some errors only
                self.close()
                raise

    return Plain, Tls
