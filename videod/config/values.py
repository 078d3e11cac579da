"""Parse one value of the ini. Each parser takes the text and returns the value or raises ValueError
with what is allowed: `a size such as 500M, 10G or 0`."""

from __future__ import annotations

import base64
import ipaddress
import os
import re
import ssl
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from videod.config import hosts as rules
from videod.config import redis_url as addresses

Parser = Callable[[str], Any]
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
# the kernel counts bytes in 64 bits with a sign: a larger limit would be refused with each tool that is run
MOST_BYTES = 1 << 63
_TIMES = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_TRUE, _FALSE = {"yes", "true", "on", "1"}, {"no", "false", "off", "0"}


def whole(low: int, high: int) -> Parser:
    """A whole number from low to high."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"-?[0-9]{1,18}", text) or not low <= int(text) <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return int(text)

    return parse


def size(text: str) -> int:
    """Bytes: `500M`, `10G`, `0`; the units are powers of 1024."""
    found = re.fullmatch(r"([0-9]{1,12})([KMGT]?)B?", text, re.IGNORECASE)
    made = int(found[1]) * _UNITS[found[2].upper()] if found else MOST_BYTES
    if made >= MOST_BYTES:
        raise ValueError("a size such as 500M, 10G or 0")
    return made


def count(text: str) -> int:
    """A count with an optional M or K of a thousand: `36M` pixels."""
    found = re.fullmatch(r"([0-9]{1,12})([KM]?)", text, re.IGNORECASE)
    if not found:
        raise ValueError("a count such as 36M or 0")
    return int(found[1]) * {"": 1, "K": 1000, "M": 1000000}[found[2].upper()]


def duration(text: str) -> float:
    """Seconds: `90`, `1.5`, `15m`, `24h`, `7d`."""
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)([smhd]?)", text)
    if not found:
        raise ValueError("a time such as 90, 15m, 24h or 7d")
    return float(found[1]) * _TIMES[found[2]]


def rate(text: str) -> float:
    """A rate in 1/s, as in 29.97."""
    if not re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,6})?", text):
        raise ValueError("a rate such as 30 or 29.97")
    return float(text)


def yes_no(text: str) -> bool:
    """yes or no."""
    if text.lower() in _TRUE | _FALSE:
        return text.lower() in _TRUE
    raise ValueError("yes or no")


def one_of(*allowed: str) -> Parser:
    """One of a few words."""

    def parse(text: str) -> str:
        if text not in allowed:
            raise ValueError("one of " + ", ".join(allowed))
        return text

    return parse


def word(text: str) -> str:
    """Text without white space or control characters."""
    if re.search(r"[\s\x00-\x1f\x7f]", text) or len(text) > 200:
        raise ValueError("a name without white space, up to 200 characters")
    return text


def name(text: str) -> str:
    """A Redis key: not empty."""
    if not text:
        raise ValueError("a name that is not empty")
    return word(text)


def node_name(text: str) -> str:
    """The name of a node, which is part of keys and folder names."""
    if text and not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", text):
        raise ValueError("1 to 128 of A-Z a-z 0-9 . _ - and the first a letter, digit or _")
    return text


def words(text: str) -> tuple[str, ...]:
    """Several names, separated by commas or white space."""
    return tuple(part for part in re.split(r"[,\s]+", text) if part)


def path(text: str) -> str:
    """An absolute path; ~ is the home folder."""
    value = os.path.expanduser(text)
    if (text and not os.path.isabs(value)) or "\0" in value:
        raise ValueError("an absolute path")
    return os.path.normpath(value) if value else ""


def paths(text: str) -> tuple[str, ...]:
    """Absolute paths, separated by commas or white space; a blank that no / follows belongs to the path."""
    return tuple(path(part.strip()) for part in re.split(r",|\s+(?=[/~])|\n", text) if part.strip())


def text(value: str) -> str:
    """Any text."""
    return value


def redis_url(value: str) -> str:
    """Where Redis is."""
    if value != "embedded":
        addresses.parse(value)
    return value


def upload_base(value: str) -> str:
    """Where results go when a message does not say it; empty: the default."""
    if not value:
        return ""
    if value.startswith("/"):
        value = "file:" + value
    scheme = value.partition(":")[0]
    if scheme not in ("file", "s3", "gs", "az", "http", "https", "rclone"):
        raise ValueError("a folder, or an address of file:, s3:, gs:, az:, http:, https: or rclone:")
    if scheme == "file" and not os.path.isabs(file_path(value)):
        raise ValueError("file: and an absolute path")
    return value


def file_path(address: str) -> str:
    """The path of `file:///a`, `file:/a` or `/a`, not decoded."""
    rest = address[5:] if address.lower().startswith("file:") else address
    if rest.startswith("//"):
        host, slash, tail = rest[2:].partition("/")
        if host not in ("", "localhost"):
            return ""
        rest = slash + tail
    return rest


def proxy_url(value: str) -> str:
    """An HTTP proxy."""
    if value and not _is_server(value, "http"):
        raise ValueError("the address of a proxy, as http://proxy.example.org:3128")
    return value


def endpoint(value: str) -> str:
    """The address of a server of one's own; empty: the provider's."""
    if value and not _is_server(word(value), "http", "https"):
        raise ValueError("the address of a server, as https://s3.example.org:9000")
    return value


def _is_server(value: str, *schemes: str) -> bool:
    try:
        parts = urlsplit(value)
        return parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none, half a bracket
        return False


def header_lines(value: str) -> tuple[str, ...]:
    """Headers of a request, one a line. What is wrong is not shown: it may be a password."""
    found = tuple(line.strip() for line in value.splitlines() if line.strip())
    for number, line in enumerate(found, 1):
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\x00-\x08\x0a-\x1f\x7f]*", line):
            raise ValueError(f"headers as `Name: value`, one a line: header {number} is none")
    return found


def certificates(value: str) -> str:
    """A file of certificates in PEM; empty: the system's."""
    found = path(value)
    if found:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(found)
        except PermissionError:
            pass  # who looks at the queue may be another user than the daemon
        except OSError as error:
            why = "holds no certificates in PEM" if isinstance(error, ssl.SSLError) else error.strerror
            raise ValueError(f"a file of certificates: {found}: {why}") from None
    return found


def host_port(value: str) -> tuple[str, int]:
    """A host and its port, 0 where none is named: `nvr.example.org`, `192.0.2.7:8080`, `[2001:db8::7]`."""
    found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]{2,45})\]|([^\[\]/:@?#\s\\%]{1,253}))(?::([0-9]{1,5}))?", value)
    if not found or (found[3] and not 0 < int(found[3]) < 65536):
        raise ValueError("a host or host:port")
    try:
        host = str(ipaddress.IPv6Address(found[1])) if found[1] else rules.plain_name(found[2])
    except ValueError:
        raise ValueError("a host or host:port") from None
    return host, int(found[3] or 0)


def seal(value: str) -> str:
    """A key of Fernet: 32 bytes in URL-safe base64; or empty."""
    try:
        good = not value or len(base64.b64decode(value, altchars=b"-_", validate=True)) == 32
    except ValueError:
        good = False
    if not good:
        raise ValueError("32 random bytes in URL-safe base64: head -c32 /dev/urandom | base64 | tr +/ -_")
    return value


def recorder_host(value: str) -> str:
    """Where a recorder is; empty: what its section is called."""
    if value:
        host_port(value)
    return value


def fingerprint(value: str) -> str:
    """SHA-256 of a certificate, in hex with or without colons."""
    digits = value.replace(":", "").replace(" ", "").lower()
    if value and not re.fullmatch(r"[0-9a-f]{64}", digits):
        raise ValueError("64 hexadecimal digits: openssl x509 -fingerprint -sha256")
    return digits


def hosts(value: str) -> tuple[str, ...]:
    """Names, *.example.org, addresses or CIDR, each with an optional :port."""
    found = words(value)
    for entry in found:
        rules.parse(entry)
    return found
