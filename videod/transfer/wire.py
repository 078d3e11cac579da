"""What a small HTTP proxy reads and writes on its sockets: heads of requests, short answers, a relay."""

from __future__ import annotations

import select
import socket
import struct
from dataclasses import dataclass
from urllib.parse import urlsplit

CHUNK = 1 << 18
MAX_HEAD = 1 << 16


class Refused(Exception):
    """The request gets `status` and ends."""

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


@dataclass(frozen=True)
class Request:
    """One request: `target` as it stands in its first line, `rest` what came behind the head already."""

    method: str
    target: str
    headers: list[bytes]
    rest: bytes

    def value(self, name: bytes) -> bytes:
        """A header's value, or empty."""
        found = [line.partition(b":")[2].strip() for line in self.headers if header_name(line) == name]
        return found[0] if len(found) == 1 else b""

    @property
    def place(self) -> tuple[str, int]:
        """The host and port that it wants."""
        if self.method == "CONNECT":
            host, _, port = self.target.rpartition(":")
            return host.strip("[]").lower(), int(port) if port.isdigit() else 0
        parts = urlsplit(self.target)
        return (parts.hostname or "", parts.port or 80) if parts.scheme == "http" else ("", 0)

    @property
    def path(self) -> str:
        """The target as the host itself gets it: what follows the host's name."""
        return "/" + self.target.split("/", 3)[3] if self.target.count("/") > 2 else "/"


def header_name(line: bytes) -> bytes:
    """The name in front of a header line's colon, in lower case."""
    return line.partition(b":")[0].strip().lower()


def read_head(one: socket.socket) -> tuple[bytes, bytes]:
    """What comes up to the empty line, and what came behind it already."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = one.recv(CHUNK)
        if not more or len(data) > MAX_HEAD:
            raise Refused("400 Bad Request")
        data += more
    head, _, rest = data.partition(b"\r\n\r\n")
    return head, rest


def read_request(client: socket.socket) -> Request:
    """The request that stands first on the connection; Refused when it is none."""
    head, rest = read_head(client)
    first, *headers = head.split(b"\r\n")
    words = first.decode("latin-1").split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        raise Refused("400 Bad Request")
    return Request(words[0], words[1], headers, rest)


def tunnel(proxy: socket.socket, host: str, port: int, login: str) -> str:
    """Ask a proxy for a way to `host`; empty when there is one, else what it said. `login` as `Basic …`, or empty."""
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    headers = f"Host: {place}\r\n" + (f"Proxy-Authorization: {login}\r\n" if login else "")
    proxy.sendall(f"CONNECT {place} HTTP/1.1\r\n{headers}\r\n".encode())
    try:
        status = read_head(proxy)[0].split(b"\r\n", 1)[0].decode("latin-1")
    except Refused:
        status = ""
    return "" if status.split(" ")[1:2] == ["200"] else f"the proxy answered {status[:100]!r}"


def answer(client: socket.socket, status: str) -> None:
    """Send an answer without body and without caring who hears it."""
    challenge = 'Proxy-Authenticate: Basic realm="job"\r\n' if status.startswith("407") else ""
    try:
        client.sendall(f"HTTP/1.1 {status}\r\n{challenge}Content-Length: 0\r\nConnection: close\r\n\r\n".encode())
    except OSError:  # nobody is left to hear it
        return


def relay(client: socket.socket, server: socket.socket, idle: float) -> None:
    """Carry bytes both ways until the server has ended; OSError when it broke or was silent for `idle` seconds."""
    other = {client.fileno(): (client, server), server.fileno(): (server, client)}
    poll = select.poll()  # select() knows no fd beyond 1023
    for fd, (one, _) in other.items():
        one.settimeout(idle)
        poll.register(fd, select.POLLIN)
    buffer = memoryview(bytearray(CHUNK))
    while ready := poll.poll(idle * 1000):
        for fd, _ in ready:
            one, opposite = other[fd]
            size = one.recv_into(buffer)
            if size:
                opposite.sendall(buffer[:size])
            elif one is server:
                return
            else:
                poll.unregister(fd)
                _end_writing(server)
    raise TimeoutError("nothing moved")


def _end_writing(one: socket.socket) -> None:
    try:
        one.shutdown(socket.SHUT_WR)
    except OSError:  # it has gone first
        return


def abort(one: socket.socket) -> None:
    """Let the coming close be a reset: an end without one would pass for the end of a body."""
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def shut(one: socket.socket) -> None:
    """End both directions, so that whoever blocks on it wakes up."""
    try:
        one.shutdown(socket.SHUT_RDWR)
    except OSError:  # not connected, or gone
        return
