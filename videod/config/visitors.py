"""Who may use the web side: addresses to listen on, users and tokens, as the ini writes them down."""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass

from videod.config import values as v
from videod.config.hosts import plain_name

ROLES = ("watch", "submit", "admin")
LEAST_KEY = 32
# no white space; a name that begins with ~ would be that of a browser nobody logged in with
NAME = re.compile(r"(?!~)[^\s\x00-\x1f\x7f-\x9f]{1,128}")
IN_THE_CLEAR = "unless a proxy with TLS stands before it, passwords and videos cross the network in the clear"
_ARGON = re.compile(r"\$argon2id\$[A-Za-z0-9$+/=,]{20,500}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Account:
    """A user or a token: whose, what for, and the hash of the secret."""

    name: str
    role: str
    hash: str


def users(text: str) -> tuple[Account, ...]:
    """One a line: `name role hash`, the hash by argon2id."""
    return _accounts(text, _ARGON, "name, role (watch, submit or admin) and what videod web --hash prints")


def tokens(text: str) -> tuple[Account, ...]:
    """One a line: `name role hash`, the hash by SHA-256 in hex."""
    return _accounts(text, _SHA256, "name, role (watch, submit or admin) and the hash that videod web --token prints")


def _accounts(text: str, form: re.Pattern[str], allowed: str) -> tuple[Account, ...]:
    found: list[Account] = []
    for number, line in enumerate(filter(None, map(str.strip, text.splitlines())), 1):
        name, role, hashed = (*line.split(), "", "", "")[:3]
        if len(line.split()) != 3 or role not in ROLES or not NAME.fullmatch(name) or not form.fullmatch(hashed):
            # never the whole line: it may hold a password that stands in the wrong place
            raise ValueError(f"{allowed}; line {number} is not{f': {name}' if NAME.fullmatch(name) else ''}")
        if form is _ARGON and name in (one.name for one in found):
            raise ValueError(f"one line for each user; there are two lines for {name}")
        found.append(Account(name, role, hashed))
    return tuple(found)


def names(text: str) -> tuple[str, ...]:
    """Names of hosts, as a browser sends them in Host: without a port."""
    found = v.words(text)
    for entry in found:
        try:
            if plain_name(entry) != entry.lower():
                raise ValueError
        except ValueError:
            raise ValueError(f"names of hosts, as videos.example.org; '{entry}' is none") from None
    return found


def secret(text: str) -> str:
    """A key that cookies are signed with, or empty."""
    if text and len(text) < LEAST_KEY:
        raise ValueError(f"{LEAST_KEY} characters or more: head -c32 /dev/urandom | base64")
    return text


def listen(text: str) -> str:
    """host:port, [address]:port, or unix:/path."""
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        good = os.path.isabs(path) and "\0" not in path and len(os.fsencode(path)) <= 100
    else:
        try:
            good = bool(v.host_port(text)[1])
        except ValueError:
            good = False
    if not good:
        raise ValueError("host:port, as 127.0.0.1:8080, or unix:/path, of up to 100 bytes")
    return text


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches what listens there; a unix socket is guarded by its file's mode."""
    if address.startswith("unix:"):
        return True
    host = v.host_port(address)[0]
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def proxies(text: str) -> tuple[str, ...]:
    """Addresses or CIDR; `unix` for who comes by a unix socket."""
    found = v.words(text)
    for entry in found:
        try:
            if entry != "unix":
                ipaddress.ip_network(entry, strict=False)
        except ValueError:
            raise ValueError("addresses or CIDR, or unix") from None
    return found


def header(text: str) -> str:
    """The name of an HTTP header."""
    if not re.fullmatch(r"[A-Za-z0-9-]{0,60}", text):
        raise ValueError("the name of a header, as X-Remote-User")
    return text.lower()
