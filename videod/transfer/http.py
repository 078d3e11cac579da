"""The one HTTP client within the process: uploads, callbacks, and the bodies that wget cannot judge.

Each request goes to an address that the guard has checked for it, while TLS and the Host header carry the
name. Redirects are never followed here: the caller decides, and asks again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.client import HTTPException
from io import RawIOBase
from typing import TYPE_CHECKING

from videod import __version__
from videod.transfer.body import Broken, broken, reason
from videod.transfer.guard import Guard
from videod.transfer.urls import Url, check_url
from videod.transfer.wire import tunnel

if TYPE_CHECKING:
    import socket
    from ssl import SSLContext

    from videod.transfer.connection import Connection
    from videod.transfer.polled import Patience
    from videod.transfer.response import Response

# scheme, host, port, address
Key = tuple[str, str, int, str]
REDIRECTS = frozenset({301, 302, 303, 307, 308})
AGENT = f"videod/{__version__}"
# addresses, or hosts behind a proxy, whose connections are kept
MOST_ADDRESSES = 64


class Http:
    """Keeps its connections; safe for several threads. `connect` is the longest that a connection may take, `read` the
    longest silence, both in seconds.

    `proxy` is the address of an HTTP proxy, which then looks the names up. `ca_file` replaces the system's
    certificates; a server whose certificate has the SHA-256 `fingerprint` (hex) is trusted without them, and no other.
    `keep` connections to one address are kept. `check` is asked five times a second while a request waits; what it
    raises ends the request.
    """

    def __init__(
        self,
        guard: Guard,
        *,
        proxy: str = "",
        ca_file: str = "",
        fingerprint: str = "",
        connect: float = 20.0,
        read: float = 120.0,
        keep: int = 1,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._guard = guard
        self._proxy = check_url(proxy) if proxy else None
        self._ca_file, self._fingerprint = ca_file, fingerprint
        self._connect, self._keep = connect, keep
        self._patience = _patience(check, read)
        self._context: SSLContext | None = None
        self._dead: set[str] = set()
        # what waits for its next request
        self._idle: dict[Key, deque[Connection]] = {}

    def __enter__(self) -> Http:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        for key in list(self._idle):
            self._drop(key)
        self._context = None  # 750 KiB, which a cycle through us would keep

    def trim(self, host: str) -> None:
        """Close the connections to a host that are kept for later; what is in use is closed when it ends."""
        for key in [key for key in list(self._idle) if key[1] == host]:
            self._drop(key)

    @contextmanager
    def request(
        self, method: str, url: Url, headers: Mapping[str, str] | None = None, body: RawIOBase | bytes | None = None
    ) -> Iterator[Response]:
        """One request; its response, whose body is read by `pieces` or thrown away.

        User info of the address is sent as basic authentication. Raises Broken, ForbiddenSource, and
        FetchFailed when the name does not resolve.
        """
        sent = {"Host": url.netloc, "User-Agent": AGENT, "Accept-Encoding": "identity", **(headers or {})}
        if url.authorization:
            sent["Authorization"] = url.authorization
        target = url.target
        if self._proxy and url.scheme == "http":
            target = url.text
            if self._proxy.authorization:
                sent["Proxy-Authorization"] = self._proxy.authorization
        connection, key = self._connection(url)
        try:
            response = connection.ask(method, target, sent, body)
        except BaseException as error:
            connection.close()
            raise (broken(error) if isinstance(error, (HTTPException, OSError)) else error) from None
        try:
            yield response
        finally:
            self._over(connection, response, key)

    def _over(self, connection: Connection, response: Response, key: Key) -> None:
        """Keep the connection for the next request, unless more is to come than is worth reading."""
        again = False
        try:
            again = response.end()
        finally:
            idle = self._idle.get(key)
            if again and idle is not None and len(idle) < self._keep:
                idle.append(connection)
                if self._idle.get(key) is not idle:  # it was trimmed meanwhile
                    _empty(idle)
            else:
                connection.close()

    def _connection(self, url: Url) -> tuple[Connection, Key]:
        """One that waits, or a new one, to the first address that can be connected to."""
        why = "no address"
        for address, port in self._reach(url):
            key = (url.scheme, url.host, url.port, address)
            idle = self._idle.get(key) or self._idle.setdefault(key, deque())
            with suppress(IndexError):
                while not (known := idle.pop()).alive:
                    known.close()
                return known, key
            try:
                made = self._patience.dial(address, port, self._connect)
            except OSError as error:  # nothing was sent yet: try the next address
                why = reason(error)
                continue
            return self._connected(made, url), key
        raise Broken(why)

    def _connected(self, made: socket.socket, url: Url) -> Connection:
        from videod.transfer.connection import Connection, secure, trusting

        try:
            if url.scheme == "https":
                if self._proxy and (why := tunnel(made, url.host, url.port, self._proxy.authorization)):
                    raise Broken(why)
                if self._context is None:  # one for all hosts
                    self._context = trusting(self._ca_file, self._fingerprint, self._patience)
                made = secure(made, url.host, self._context, self._fingerprint)
        except BaseException as error:
            made.close()
            raise (broken(error) if isinstance(error, (OSError, ValueError)) else error) from None
        return Connection(made)

    def _reach(self, url: Url) -> Iterator[tuple[str, int]]:
        if len(self._idle) > MOST_ADDRESSES:
            with suppress(StopIteration, RuntimeError):  # another thread was faster
                self._drop(next(iter(self._idle)))
        if self._proxy:
            self._guard.check_unresolved(url.host, url.port)
            yield self._proxy.host, self._proxy.port
            return
        for end in sorted(self._guard.resolve(url.host, url.port), key=lambda end: end.address in self._dead):
            yield end.address, end.port
            self._dead.add(end.address)  # the next one is asked for: this one cannot be connected to

    def _drop(self, key: Key) -> None:
        if (idle := self._idle.pop(key, None)) is not None:
            _empty(idle)


def _patience(check: Callable[[], None], silence: float) -> Patience:
    from videod.transfer.polled import Patience  # and with it ssl

    return Patience(check, silence)


def _empty(idle: deque[Connection]) -> None:
    with suppress(IndexError):
        while True:
            idle.pop().close()
