"""The one door out for wget: a small proxy on loopback that connects to checked addresses only.

wget resolves names itself and cannot be told an address, so a check made before it proves nothing. It goes
through this door instead, which knows no resolver: `permit` hands it the host that may be reached next and
the addresses that the guard returned for it. Anything else, and anyone without this job's password, gets an
error. One door for each fetch; its threads end with `close`.
"""

from __future__ import annotations

import hmac
import secrets
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType

from videod.errors import FetchFailed
from videod.transfer.guard import Endpoint, look_up
from videod.transfer.urls import basic, check_url
from videod.transfer.wire import Refused, Request, abort, answer, header_name, read_request, relay, shut, tunnel

MAX_CONNECTIONS = 16
CONNECT_SECONDS = 20.0
HEAD_SECONDS = 30.0
_OWN_HEADERS = (b"proxy-authorization", b"proxy-connection", b"connection", b"keep-alive", b"te", b"upgrade")


@dataclass(frozen=True)
class _Permit:
    place: tuple[str, int] = ("", 0)
    ends: Sequence[Endpoint] = ()


class Door:
    """A proxy with a password. `upstream` is the address of another HTTP proxy to go through, or empty.

    `failure` tells why the last connection could not be made, which wget reports only as a bad gateway.
    """

    user = "job"

    def __init__(self, upstream: str = "", idle: float = 600.0) -> None:
        self.password = secrets.token_hex(16)
        self.failure = ""
        self._upstream = check_url(upstream) if upstream else None
        self._idle = idle
        self._permit = _Permit()
        self._closed = False
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=MAX_CONNECTIONS)
        self.port: int = self._listener.getsockname()[1]
        self._start(self._accept)

    def __enter__(self) -> Door:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    @property
    def address(self) -> str:
        """Where it listens, without the password."""
        return f"http://127.0.0.1:{self.port}/"

    def permit(self, host: str, port: int, ends: Sequence[Endpoint]) -> None:
        """From now on let this host through, at these addresses, and no other; forget the last failure."""
        self._permit = _Permit((host, port), tuple(ends))
        self.failure = ""

    def close(self) -> None:
        """Cut every connection and wait for the threads."""
        self._closed = True
        with self._lock:
            for one in [self._listener, *self._open]:
                shut(one)
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _start(self, work: Callable[..., None], *args: socket.socket) -> None:
        thread = threading.Thread(target=work, args=args, name=f"door-{self.port}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:  # shut by close
                return
            self._threads = [t for t in self._threads if t.is_alive()]
            if len(self._threads) > MAX_CONNECTIONS or not self._keep(client):
                client.close()
                continue
            self._start(self._serve, client)

    def _keep(self, one: socket.socket) -> bool:
        """Remember a socket for close; False when that came before."""
        with self._lock:
            self._open.add(one)
            return not self._closed

    def _drop(self, one: socket.socket) -> None:
        with self._lock:
            self._open.discard(one)
        one.close()

    def _serve(self, client: socket.socket) -> None:
        server: socket.socket | None = None
        try:
            client.settimeout(HEAD_SECONDS)
            request = read_request(client)
            self._check(request)
            server = self._connect(*request.place, request.method)
            self._greet(client, server, request)
            relay(client, server, self._idle)
        except Refused as refused:
            answer(client, refused.status)
        except ValueError:  # no request that can be read
            answer(client, "400 Bad Request")
        except OSError:  # either side is gone or silent
            abort(client)
        finally:
            for one in (client, server):
                if one is not None:
                    self._drop(one)

    def _check(self, request: Request) -> None:
        expected = basic(self.user, self.password).encode()
        if not hmac.compare_digest(request.value(b"proxy-authorization"), expected):
            raise Refused("407 Proxy Authentication Required")
        if request.method not in ("CONNECT", "GET", "HEAD"):
            raise Refused("405 Method Not Allowed")
        if request.place != self._permit.place:
            raise Refused("403 Forbidden")

    def _connect(self, host: str, port: int, method: str) -> socket.socket:
        ends = self._permit.ends
        if self._upstream:
            try:
                ends = look_up(self._upstream.host, self._upstream.port)
            except FetchFailed as error:
                raise self._failed(f"the proxy: {error}") from None
        server = self._reach(ends)
        login = self._upstream.authorization if self._upstream else ""
        if self._upstream and method == "CONNECT" and (why := tunnel(server, host, port, login)):
            self._drop(server)
            raise self._failed(why)
        return server

    def _reach(self, ends: Sequence[Endpoint]) -> socket.socket:
        why = "no address"
        for end in ends:
            server = socket.socket(end.family, socket.SOCK_STREAM)
            server.settimeout(CONNECT_SECONDS)
            try:
                if not self._keep(server):
                    raise OSError("closed")
                server.connect(end.sockaddr)
            except OSError as error:
                why = f"{end.address} port {end.port}: {error.strerror or error}"
                self._drop(server)
                continue
            return server
        raise self._failed(f"cannot connect to {why}")

    def _failed(self, why: str) -> Refused:
        self.failure = why
        return Refused("502 Bad Gateway")

    def _greet(self, client: socket.socket, server: socket.socket, request: Request) -> None:
        """Open the tunnel, or hand the request on as a proxy or a browser would send it."""
        if request.method == "CONNECT":
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            server.sendall(request.rest)
            return
        target = request.target if self._upstream else request.path
        lines = [f"{request.method} {target} HTTP/1.1".encode()]
        lines += [line for line in request.headers if header_name(line) not in _OWN_HEADERS]
        if self._upstream and (login := self._upstream.authorization):
            lines.append(f"Proxy-Authorization: {login}".encode())
        lines += [b"Connection: close", b"", b""]
        server.sendall(b"\r\n".join(lines))
