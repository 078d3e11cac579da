"""The one HTTP client within the process: uploads, callbacks, and the bodies that wget cannot judge.

Each request goes to an address that the guard has checked for it, while TLS and the Host header carry the
name. Redirects are never followed here: the caller decides, and asks again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from io import RawIOBase
from typing import TYPE_CHECKING, Any, cast

from videod import __version__
from videod.transfer.body import BLOCK, Broken, broken, reason
from videod.transfer.guard import Endpoint, Guard
from videod.transfer.urls import Url, basic

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, HTTPConnectionPool

    from videod.transfer.polled import Patience

REDIRECTS = frozenset({301, 302, 303, 307, 308})
AGENT = f"videod/{__version__}"
# addresses whose connections are kept
MOST_POOLS = 64


class Http:
    """Keeps its connections; safe for several threads. `connect` is the longest that a connection, or a piece
    that is sent, may take, `read` the longest silence, both in seconds.

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
        check: Callable[[], None] | None = None,
    ) -> None:
        self._guard = guard
        self._connect = connect
        self._proxy = proxy
        self._ca_file = ca_file or None
        self._fingerprint = fingerprint
        self._read = read
        self._keep = keep
        self._patience = _patience(check, read) if check else None
        self._context: Any = None
        self._dead: set[str] = set()
        self._pools: dict[tuple[str, str, int, str], HTTPConnectionPool] = {}

    def __enter__(self) -> Http:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        for pool in self._pools.values():
            pool.close()
        self._pools.clear()
        self._context = None  # 750 KiB, which a cycle through us would keep

    def trim(self, host: str) -> None:
        """Close the connections to a host that are kept for later; what is in use is closed when it ends."""
        for key in [key for key in list(self._pools) if key[1] == host]:
            if pool := self._pools.pop(key, None):
                pool.close()

    @contextmanager
    def request(
        self, method: str, url: Url, headers: Mapping[str, str] | None = None, body: RawIOBase | bytes | None = None
    ) -> Iterator[BaseHTTPResponse]:
        """One request; its response, whose body is read by `pieces` or `text` or thrown away.

        User info of the address is sent as basic authentication. Raises Broken, ForbiddenSource, and
        FetchFailed when the name does not resolve.
        """
        sent = {"Host": url.netloc, "User-Agent": AGENT, "Accept-Encoding": "identity", **(headers or {})}
        if url.authorization:
            sent["Authorization"] = url.authorization
        response = self._ask(method, url, sent, body)
        try:
            yield response
        finally:
            _end(response)

    def _ask(self, method: str, url: Url, headers: dict[str, str], body: RawIOBase | bytes | None) -> BaseHTTPResponse:
        from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError

        why = "no address"
        target = url.text if self._proxy and url.scheme == "http" else url.target
        options: dict[str, Any] = {"retries": False, "redirect": False, "preload_content": False}
        options["assert_same_host"] = False  # a proxy's pool is asked for another host
        for pool in self._reach(url):
            try:
                return pool.urlopen(method, target, cast(Any, body), headers, **options)
            except (NewConnectionError, ConnectTimeoutError) as error:  # nothing was sent yet: try the next address
                why = reason(error)
            except (HTTPError, OSError) as error:
                raise broken(error) from None
        raise Broken(why)

    def _reach(self, url: Url) -> Iterator[HTTPConnectionPool]:
        if self._proxy:
            self._guard.check_unresolved(url.host, url.port)
            yield self._through_proxy(url)
            return
        if len(self._pools) > MOST_POOLS:
            with suppress(KeyError):
                # what is under way goes on, and is closed when it ends
                self._pools.pop(next(iter(self._pools))).close()
        for end in sorted(self._guard.resolve(url.host, url.port), key=lambda end: end.address in self._dead):
            key = (url.scheme, url.host, url.port, end.address)
            yield self._pools.get(key) or self._pools.setdefault(key, self._pool(url, end))
            self._dead.add(end.address)  # the next one is asked for: this one cannot be connected to

    def _pool(self, url: Url, end: Endpoint) -> HTTPConnectionPool:
        from urllib3 import HTTPConnectionPool, HTTPSConnectionPool

        if url.scheme == "http":
            return self._watch(HTTPConnectionPool(end.address, end.port, **self._options()))
        options = self._options() | {"assert_hostname": url.host} | self._trust()
        return self._watch(HTTPSConnectionPool(end.address, end.port, server_hostname=url.host, **options))

    def _through_proxy(self, url: Url) -> HTTPConnectionPool:
        from urllib3 import ProxyManager
        from urllib3.util import parse_url

        key = (url.scheme, url.host, url.port, "")
        if key not in self._pools:
            proxy = parse_url(self._proxy)
            user, _, password = (proxy.auth or "").partition(":")
            login = {"Proxy-Authorization": basic(user, password)} if proxy.auth else {}
            manager = ProxyManager(self._proxy, proxy_headers=login, **self._options(), **self._trust())
            made = self._watch(manager.connection_from_host(url.host, url.port, url.scheme))
            self._pools.setdefault(key, made)
        return self._pools[key]

    def _options(self) -> dict[str, Any]:
        from urllib3 import Timeout

        # a patient socket counts the silence itself
        read = self._patience.tick if self._patience else self._read
        return {"timeout": Timeout(connect=self._connect, read=read), "blocksize": BLOCK, "maxsize": self._keep}

    def _trust(self) -> dict[str, Any]:
        pinned: dict[str, Any] = {}
        if self._fingerprint:  # most such certificates are signed by nobody, for no name
            pinned = {"assert_fingerprint": self._fingerprint, "cert_reqs": "CERT_NONE", "assert_hostname": False}
        if not self._patience:
            return {"ca_certs": self._ca_file, **pinned}
        if self._context is None:  # one for all hosts
            from urllib3.util.ssl_ import create_urllib3_context

            context = create_urllib3_context()
            context.sslsocket_class = self._patience.tls
            context.check_hostname = not pinned
            try:
                context.load_verify_locations(self._ca_file) if self._ca_file else context.load_default_certs()
            except OSError as error:  # it could be read when the daemon started
                raise Broken(f"ca_file: {self._ca_file}: {error.strerror}") from None
            self._context = context
        return {"ssl_context": self._context, **pinned}

    def _watch(self, pool: HTTPConnectionPool) -> HTTPConnectionPool:
        if self._patience:
            pool.ConnectionCls = _watched(pool.ConnectionCls, self._patience)
        return pool


def _patience(check: Callable[[], None], silence: float) -> Patience:
    from videod.transfer.polled import Patience  # and with it ssl

    return Patience(check, silence)


def _watched(kind: Any, patience: Patience) -> Any:
    """A class of connections as `kind` whose sockets are patient."""
    from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

    class Patient(kind):  # type: ignore[misc]
        def _new_conn(self) -> Any:
            try:
                return patience.dial(self._dns_host, self.port, self.timeout)
            except TimeoutError as error:
                raise ConnectTimeoutError(self, str(error)) from error
            except OSError as error:
                raise NewConnectionError(self, str(error)) from error

    return Patient


def _end(response: BaseHTTPResponse) -> None:
    """Give the connection back for the next request, unless there is more to come than is worth reading."""
    left = response.length_remaining
    if left is not None and left <= BLOCK:
        if not response.closed:
            response.drain_conn()
        response.release_conn()
    else:
        response.close()
