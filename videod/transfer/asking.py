"""Ask an http or https server, from hop to hop: each address checked, secrets to their own hosts alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from videod.config import Settings
from videod.transfer.answers import Hops
from videod.transfer.guard import Endpoint, Guard
from videod.transfer.http import REDIRECTS, Http
from videod.transfer.parts import Watch
from videod.transfer.sources import authorized, headers_of, source_of

if TYPE_CHECKING:
    from videod.transfer.response import Response


@dataclass(frozen=True)
class Pinned(Guard):
    """Looks each host up once: all parts come from one mirror, and the addresses are those that were judged."""

    _known: dict[tuple[str, int], list[Endpoint]] = field(default_factory=dict)

    def resolve(self, host: str, port: int) -> list[Endpoint]:
        """As the guard does."""
        found = self._known.get((host, port)) or super().resolve(host, port)
        return self._known.setdefault((host, port), found)

    def forget(self, host: str) -> None:
        """Look it up anew."""
        for known in [known for known in list(self._known) if known[0] == host]:
            self._known.pop(known, None)

    def check_unresolved(self, host: str, port: int) -> None:
        """As the guard does."""
        if (host, port) not in self._known:
            super().check_unresolved(host, port)
            self._known.setdefault((host, port), [])


class Asker:
    """Keeps its connections; safe for several threads. User info of an address and what `[source HOST]` says go to
    their hosts alone."""

    def __init__(self, settings: Settings, guard: Guard, watch: Watch) -> None:
        self._settings, self._watch = settings, watch
        self._guard = Pinned(guard.allow, guard.deny, guard.private)
        self._clients: dict[str, Http] = {}

    def close(self) -> None:
        """Close all connections."""
        for client in self._clients.values():
            client.close()

    def forget(self, host: str) -> None:
        """Look a host up anew when it is asked next: it may have moved."""
        self._guard.forget(host)

    def trim(self, host: str) -> None:
        """Keep no connection to a host that is not in use."""
        for client in list(self._clients.values()):
            client.trim(host)

    @contextmanager
    def answer(self, hops: Hops, asked: Mapping[str, str]) -> Iterator[tuple[Hops, Response]]:
        """The answer at the end of the way, and the way; `asked` are the headers of this request.

        Raises ForbiddenSource, FetchFailed, Silent, Broken, and what the watch's check raises.
        """
        while True:
            trusted = hops.enter()
            source = source_of(hops.url, self._settings.sources)
            sent = headers_of(authorized(hops.url, source, trusted), source)
            sent = {name: value for name, value in sent.items() if name.lower() not in ("range", "if-range")}
            client = self._client(source.ca_file)
            with client.request("GET", hops.url.without_user(), {**sent, **asked}) as response:
                if response.status not in REDIRECTS:
                    try:
                        yield hops, response
                    except BaseException:
                        response.close()  # what else comes is not worth the wait
                        raise
                    return
                location = response.headers.get("Location", "")
            hops.follow(location)

    def _client(self, ca_file: str) -> Http:
        if ca_file not in self._clients:
            watch, proxy = self._watch, self._settings.proxy
            made = Http(
                self._guard,
                proxy=proxy,
                ca_file=ca_file,
                connect=min(watch.silence, 20.0),
                read=watch.silence,
                keep=watch.connections,
                check=watch.check,
            )
            self._clients.setdefault(ca_file, made)
        return self._clients[ca_file]
