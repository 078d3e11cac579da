"""Take http and https addresses apart, once and strictly, and put them together in one spelling.

Two programs that read `http://a\\@b/` differently are how a checked address becomes another one: what is
handed on is always `Url.text`, never what came in.
"""

from __future__ import annotations

import base64
import ipaddress
import re
import unicodedata
from dataclasses import dataclass, replace
from urllib.parse import quote, unquote, unquote_to_bytes, urljoin, urlsplit

from videod.config.hosts import plain_name
from videod.errors import ForbiddenSource

PORTS = {"http": 80, "https": 443}
_BAD = re.compile(r"[\x00-\x20\x7f\\]")
_SAFE = "/%:@!$&'()*+,;=~-._?"


@dataclass(frozen=True)
class Url:
    """An http or https address. `host` is ASCII, lower case, without brackets; `target` begins with `/`."""

    scheme: str
    host: str
    port: int
    target: str
    user: str | None = None
    password: str = ""

    @property
    def netloc(self) -> str:
        """host[:port] as a Host header has it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def text(self) -> str:
        """The address in ASCII, without user info and fragment."""
        return f"{self.scheme}://{self.netloc}{self.target}"

    @property
    def shown(self) -> str:
        """For error texts and events: without the query too."""
        return self.text.partition("?")[0]

    @property
    def origin(self) -> tuple[str, str, int]:
        """Whom secrets belong to."""
        return (self.scheme, self.host, self.port)

    @property
    def authorization(self) -> str:
        """The Authorization header for the user info, or empty."""
        return "" if self.user is None else basic(self.user, self.password)

    def without_user(self) -> Url:
        """The same without user info."""
        return self if self.user is None else replace(self, user=None, password="")


def basic(user: str, password: str) -> str:
    """The value of an Authorization header."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def check_url(text: str) -> Url:
    """The parts of an http or https address; ForbiddenSource when it is anything else or malformed."""
    try:
        return _parse(text)
    except ValueError as error:
        shown = text.partition("?")[0].rpartition("@")[2][:200]
        raise ForbiddenSource(f"no address to fetch: {shown!a}: {error}") from None


def _parse(text: str) -> Url:
    # a bare blank inside is a common slip and harmless once quoted
    if _BAD.search(text.strip().replace(" ", "")) or len(text) > 8192:
        raise ValueError("control characters, a backslash, or longer than 8192")
    parts = urlsplit(text.strip())
    if parts.scheme not in PORTS:
        raise ValueError("only http and https addresses can be fetched")
    if not parts.hostname:
        raise ValueError("it has no host")
    target = quote(parts.path or "/", _SAFE)
    if parts.query:
        target += "?" + quote(parts.query, _SAFE)
    port = PORTS[parts.scheme] if parts.port is None else parts.port
    if not 0 < port < 65536:
        raise ValueError("its port is out of range")
    user = None if parts.username is None else unquote(parts.username)
    host = _host(parts.hostname, "[" in parts.netloc)
    return Url(parts.scheme, host, port, target, user, unquote(parts.password or ""))


def _host(host: str, bracketed: bool) -> str:
    if not bracketed:
        return plain_name(host)
    if "%" in host:
        raise ValueError("its host has a scope")
    return str(ipaddress.IPv6Address(host))


def redirected(url: Url, location: str) -> Url:
    """Where a Location header leads; user info stays only with the same scheme, host and port."""
    try:
        joined = urljoin(url.text, location.strip())
    except ValueError:
        joined = location
    found = check_url(joined)
    if found.user is None and found.origin == url.origin:
        return replace(found, user=url.user, password=url.password)
    return found


def name_of(address: str) -> str:
    """The `{name}` of an address or path: its last segment without extension, safe as a file name."""
    if "://" in address or address.lower().startswith("file:"):
        path = address.partition("://")[2] or address[5:]
        path = path.partition("#")[0].partition("?")[0]
        path = path.partition("/")[2] if "://" in address else path
    else:
        path = address
    last = unquote_to_bytes(path.rstrip("/").rpartition("/")[2]).decode("utf-8", "replace")
    stem, dot, extension = last.rpartition(".")
    return safe_name(stem if dot and stem and re.fullmatch(r"\w{1,8}", extension) else last)


def safe_name(text: str) -> str:
    """`text` as one harmless path segment of at most 120 bytes: letters, digits, `.`, `_`, `-`."""
    text = unicodedata.normalize("NFC", text)
    text = re.sub(r"[^\w.-]+", "_", text)
    text = re.sub(r"\.\.+", ".", text).lstrip("._-").rstrip("._")
    return text.encode()[:120].decode("utf-8", "ignore") or "video"
