"""Which hosts may be reached: allow_hosts and deny_hosts, judged by the address really connected to.

A name proves nothing: it may point inward today or between two look-ups (DNS rebinding), and `127.1`,
`0x7f000001` and `::ffff:127.0.0.1` are one address. So `resolve` looks a host up once, judges each address
and returns those that may be connected to; whoever connects uses these and no name.

`*` and `*.example.org` do not open special addresses (loopback, link-local, unspecified, multicast, cloud
metadata): an address, a network or the exact host name must be listed for that.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from videod.config.hosts import Address, Rule, parse, plain_name
from videod.errors import FetchFailed, ForbiddenSource

_SPECIAL = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/127",
        "fe80::/10",
        "ff00::/8",
        # the clouds' metadata services outside of link-local: Alibaba, Azure, Oracle, AWS, Google, Scaleway
        "100.100.100.200/32",
        "168.63.129.16/32",
        "192.0.0.192/32",
        "fd00:ec2::/32",
        "fd20:ce::254/128",
        "fd00:42::42/128",
    )
)
_NAT64 = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48"))
_COMPATIBLE = ipaddress.ip_network("::/96")


class _HostLists(Protocol):
    """What the guard reads of the settings."""

    @property
    def allow_hosts(self) -> tuple[str, ...]: ...

    @property
    def deny_hosts(self) -> tuple[str, ...]: ...


@dataclass(frozen=True)
class Endpoint:
    """One checked address, ready for `socket.connect`."""

    address: str
    port: int
    scope: int = 0

    @property
    def family(self) -> socket.AddressFamily:
        """AF_INET or AF_INET6."""
        return socket.AF_INET6 if ":" in self.address else socket.AF_INET

    @property
    def sockaddr(self) -> tuple[str, int] | tuple[str, int, int, int]:
        """What `connect` takes."""
        return (self.address, self.port, 0, self.scope) if ":" in self.address else (self.address, self.port)


@dataclass(frozen=True)
class Guard:
    """The rules; `private` false leaves private networks out of `*` too, for messages of the web side."""

    allow: tuple[Rule, ...]
    deny: tuple[Rule, ...]
    private: bool = True

    @classmethod
    def of(cls, settings: _HostLists, *, private: bool = True) -> Guard:
        """The guard that the settings describe."""
        allow, deny = settings.allow_hosts, settings.deny_hosts
        return cls(tuple(map(parse, allow)), tuple(map(parse, deny)), private)

    def resolve(self, host: str, port: int) -> list[Endpoint]:
        """The addresses of `host` that may be connected to, in the resolver's order; at least one.

        `host` is a name or an address in any notation, without brackets. Raises ForbiddenSource, and
        FetchFailed when the name does not resolve.
        """
        self.check_name(host, port)
        found = look_up(host, port)
        allowed = [end for end in found if self._may(host, ipaddress.ip_address(end.address), port)]
        if not allowed:
            where = f" ({found[0].address})" if found[0].address != host else ""
            raise _forbidden(host, port, where, "name it in allow_hosts if it should")
        return allowed

    def check_name(self, host: str, port: int) -> None:
        """Raise ForbiddenSource where the name alone is denied; for a proxy that does the look-up."""
        name = _name(host)
        if any(rule.has_port(port) and rule.has_name(name) for rule in self.deny):
            raise _forbidden(host, port, "", "take it out of deny_hosts if it should")

    def check(self, host: str, port: int, *, proxied: bool = False) -> None:
        """Raise ForbiddenSource where `host` may not be reached as far as can be told now."""
        if proxied:
            self.check_unresolved(host, port)
            return
        with contextlib.suppress(FetchFailed):
            self.resolve(host, port)

    def check_unresolved(self, host: str, port: int) -> None:
        """Like `resolve`, for a name that only an upstream proxy knows: here only its name can be judged."""
        try:
            self.resolve(host, port)
        except FetchFailed:
            name = _name(host)
            if not any(rule.has_port(port) and rule.has_name(name) for rule in self.allow):
                raise _forbidden(host, port, "", "name it in allow_hosts if it should") from None

    def _may(self, host: str, address: Address, port: int) -> bool:
        name, all_faces = _name(host), faces(address)
        allow = [rule for rule in self.allow if rule.has_port(port)]
        if any(rule.has_port(port) and rule.has_address(face) for rule in self.deny for face in all_faces):
            return False
        closed = [face for face in all_faces if special(face) or not (self.private or face.is_global)]
        if not all(_named(allow, name, face) for face in closed):
            return False
        return any(rule.has_name(name) or rule.has_address(face) for rule in allow for face in all_faces)


def _forbidden(host: str, port: int, where: str, advice: str) -> ForbiddenSource:
    shown = f"[{host}]" if ":" in host else host
    return ForbiddenSource(f"this host may not be reached: {shown}:{port}{where}: {advice}")


def look_up(host: str, port: int) -> list[Endpoint]:
    """All stream addresses of a host, unchecked; FetchFailed when there are none."""
    try:
        found = socket.getaddrinfo(_bare(host), port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise FetchFailed(f"cannot resolve {host}: {why}: check the name and the resolver") from None
    ends = [Endpoint(_plain(str(sockaddr[0])), port, _scope(sockaddr)) for _, _, _, _, sockaddr in found]
    return list(dict.fromkeys(ends))


def faces(address: Address) -> list[Address]:
    """The address and the IPv4 addresses that it may lead to: NAT64, 6to4, Teredo, IPv4-compatible, ISATAP."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    if address.ipv4_mapped:  # the kernel connects to the IPv4 address itself
        return [address.ipv4_mapped]
    inner: list[ipaddress.IPv4Address | None] = [address.sixtofour, *(address.teredo or ())]
    number = int(address)
    if any(address in network for network in _NAT64) or (address in _COMPATIBLE and number > 1):
        inner.append(ipaddress.IPv4Address(number & 0xFFFFFFFF))
    if address in _NAT64[1]:  # RFC 6052 puts the IPv4 address around bits 64 to 71 of a /48
        inner.append(ipaddress.IPv4Address((number >> 64 & 0xFFFF) << 16 | number >> 40 & 0xFFFF))
    if number >> 32 & 0xFCFFFFFF == 0x5EFE:
        inner.append(ipaddress.IPv4Address(number & 0xFFFFFFFF))
    return [address, *(face for face in inner if face)]


def special(address: Address) -> bool:
    """Whether `*` does not mean this address."""
    return any(address in network for network in _SPECIAL if network.version == address.version)


def _named(rules: Iterable[Rule], name: str, address: Address) -> bool:
    return any(not rule.wild and (rule.has_name(name) or rule.has_address(address)) for rule in rules)


def _name(host: str) -> str:
    """The host as rules spell it; what is no name (an address) matches no name rule but `*`."""
    try:
        return plain_name(host)
    except ValueError:
        return host.lower()


def _bare(host: str) -> str:
    # getaddrinfo's own IDNA would let a wide digit or dot pass that the name rules do not see
    return host if ":" in host else plain_name(host)


def _plain(address: str) -> str:
    """The address without scope, an IPv4-mapped one as IPv4, so that it is connected to as it is judged."""
    plain = ipaddress.ip_address(address.partition("%")[0])
    inner = plain.ipv4_mapped if isinstance(plain, ipaddress.IPv6Address) else None
    return str(inner or plain)


def _scope(sockaddr: tuple[object, ...]) -> int:
    return int(str(sockaddr[3])) if len(sockaddr) == 4 else 0
