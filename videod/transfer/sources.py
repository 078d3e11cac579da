"""What `[source HOST]` sends to one host, and to no other."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping

from videod.config import Source
from videod.config.hosts import Rule, parse
from videod.transfer.http import AGENT
from videod.transfer.urls import Url, basic

PLAIN = Source(header=(), user="", password="", ca_file="", limit_rate=0, user_agent="")


def source_of(url: Url, sources: Mapping[str, Source]) -> Source:
    """The section for the address' host; one that names its port, too, goes before one that does not."""
    found, with_port = PLAIN, False
    for title, source in sources.items():
        try:
            rule = parse(title)
        except ValueError:
            continue
        if rule.has_port(url.port) and (rule.port or not with_port) and _means(rule, url.host):
            found, with_port = source, bool(rule.port)
    return found


def authorized(url: Url, source: Source, trusted: bool) -> tuple[str, ...]:
    """The header lines to send; none when not `trusted`, which is after a redirect from https to http.

    User info of the address goes before the user of the section, and both before an Authorization header there.
    """
    if not trusted:
        return ()
    login = url.authorization or (basic(source.user, source.password) if source.user else "")
    if not login:
        return source.header
    others = [line for line in source.header if not line.lower().startswith("authorization:")]
    return (*others, f"Authorization: {login}")


def headers_of(lines: Iterable[str], source: Source) -> dict[str, str]:
    """Header lines, those of `authorized`, as the HTTP client takes them, with the User-Agent."""
    parts = [line.partition(":") for line in (*lines, f"User-Agent: {source.user_agent or AGENT}")]
    # http.client takes Latin-1; what goes out is UTF-8, as with wget
    return {name.strip(): value.strip().encode().decode("latin-1") for name, _, value in parts}


def _means(rule: Rule, host: str) -> bool:
    if rule.network is None:
        return rule.has_name(host)
    try:
        return ipaddress.ip_address(host) == rule.network.network_address
    except ValueError:
        return False
