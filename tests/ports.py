"""Ports for servers that are told one before they start."""

from __future__ import annotations

import secrets
import socket
from contextlib import suppress

# below those that Linux gives to outgoing connections, one of which would take it before the server does; so is the
# second one of a Redis of a cluster, which is 10,000 higher
FIRST, COUNT = 12_000, 9_000


def free_port() -> int:
    """A port of 127.0.0.1 on which nobody listens."""
    while True:
        port = FIRST + secrets.randbelow(COUNT)
        with socket.socket() as one, suppress(OSError):
            one.bind(("127.0.0.1", port))
            return port
