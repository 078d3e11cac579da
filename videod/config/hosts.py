"""One entry of allow_hosts and deny_hosts, and the spelling of host names that all rules compare.

    example.org   *.example.org   *   192.0.2.7   10.0.0.0/8   2001:db8::/32   [2001:db8::1]   each with :port

An entry that could never match is refused here: a typing error in deny_hosts must not open a door.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
ALLOWED = "names, *.example.org, addresses or CIDR, each with an optional :port"


@dataclass(frozen=True)
class Rule:
    """What one entry matches: `network`, or `name` (a leading `*` for anything below it); `port` 0 is any."""

    name: str = ""
    network: Network | None = None
    port: int = 0

    @property
    def wild(self) -> bool:
        """Whether it names nobody in particular, as `*`, `*.example.org` and 0.0.0.0/0 do."""
        return self.name.startswith("*") if self.network is None else self.network.prefixlen == 0

    def has_port(self, port: int) -> bool:
        """Whether it speaks of this port."""
        return self.port in (0, port)

    def has_name(self, host: str) -> bool:
        """Whether `host`, as `plain_name` returns it, is meant; `*.example.org` is all below, not itself."""
        if self.network is not None:
            return False
        return host.endswith(self.name[1:]) if self.wild else host == self.name

    def has_address(self, address: Address) -> bool:
        """Whether the address lies in the network."""
        return self.network is not None and address.version == self.network.version and address in self.network


def parse(entry: str) -> Rule:
    """The rule that `entry` writes down; ValueError says what is allowed."""
    host, port = _split(entry)
    number = int(port or 0)
    if port is not None and not 0 < number < 65536:
        raise ValueError(f"{ALLOWED}; '{entry}' has no valid port")
    network = _network(host)
    if network:
        return Rule(network=network, port=number)
    if host == "*":
        return Rule(name="*", port=number)
    try:
        bare = plain_name(host.removeprefix("*."))
    except ValueError:
        raise ValueError(f"{ALLOWED}; '{entry}' is none of them") from None
    if bare.replace(".", "").isdigit():  # 10.0.0 or 10.0.0.256: meant as an address
        raise ValueError(f"{ALLOWED}; '{entry}' is none of them")
    return Rule(name="*." + bare if host.startswith("*.") else bare, port=number)


def _split(entry: str) -> tuple[str, str | None]:
    """Host and port of an entry; the colons of a bare IPv6 address are its own."""
    found = re.fullmatch(r"\[([^\[\]]*)\](?::([0-9]{1,5}))?", entry)
    if not found and entry.count(":") < 2:
        found = re.fullmatch(r"([^:\[\]]*)(?::([0-9]{1,5}))?", entry)
    if found:
        return found[1], found[2]
    return entry, None


def _network(host: str) -> Network | None:
    try:
        found = ipaddress.ip_network(host, strict=False)
    except ValueError:
        return None
    # addresses are compared as what they lead to: ::ffff:127.0.0.1 is 127.0.0.1
    inner = found.network_address.ipv4_mapped if isinstance(found, ipaddress.IPv6Network) else None
    if inner and found.prefixlen >= 96:
        return ipaddress.IPv4Network((inner, found.prefixlen - 96))
    return found


def plain_name(host: str) -> str:
    """A host name in lower case, without the root's dot, in ASCII (IDNA); ValueError when it cannot be one."""
    name = host.removesuffix(".")
    try:
        name = name.encode("idna").decode("ascii").lower()
    except UnicodeError:
        raise ValueError("is no host name") from None
    if not name or len(name) > 253 or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise ValueError("is no host name")
    return name
