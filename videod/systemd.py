"""Tell systemd: sd_notify(3) over a datagram socket. Silent where no systemd asks for it."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable


class Systemd:
    """The notify socket and the watchdog's rhythm, taken out of the environment so that no child has them."""

    def __init__(self) -> None:
        self._address = os.environ.pop("NOTIFY_SOCKET", "")
        usec = os.environ.pop("WATCHDOG_USEC", "")
        pid = os.environ.pop("WATCHDOG_PID", "")
        wanted = usec.isdigit() and self._address and pid in ("", str(os.getpid()))
        self._every = int(usec) / 1e6 / 2 if wanted else 0.0
        self._last = 0.0
        self._status = ""

    def ready(self, status: str) -> None:
        """We serve."""
        self._send(f"READY=1\nSTATUS={status}")

    def reloading(self) -> None:
        """We re-read the configuration; `ready` says that it is done."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self, status: str, extend: float) -> None:
        """We drain and need `extend` more seconds; to be said again before they are over."""
        self._send(f"STOPPING=1\nSTATUS={status}\nEXTEND_TIMEOUT_USEC={int(extend * 1e6)}")

    def status(self, read: Callable[[], str]) -> None:
        """One line for `systemctl status`, sent when it changed; not even asked for where nobody listens."""
        if self._address and (text := read()) != self._status:
            self._status = text
            self._send(f"STATUS={text}")

    def watchdog(self) -> None:
        """From the loop that does the work, or the watchdog stays green when the loop hangs."""
        now = time.monotonic()
        if self._every and now - self._last >= self._every:
            self._last = now
            self._send("WATCHDOG=1")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        # an @ stands for the abstract namespace
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notify:
                notify.sendto(text.encode(), address)
        except OSError:  # systemd itself restarts: it asks again by its own time-outs
            return
