"""Read the address of Redis: one server, or the service that Sentinels watch.

What the client library does not know it would take in silence or throw at the first connection, far from the
ini: so options are checked here, and a text of the error never repeats what stands in the address.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

SENTINEL_PORT = 26379
_SCHEMES = ("redis", "rediss", "unix")
_SENTINELS = re.compile(r"(?i:redis\+sentinel)://([^/?#]*)([^?#]*)(?:\?([^#]*))?(?:#.*)?", re.DOTALL)
_TLS = ("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile", "ssl_password", "ssl_cert_reqs")
_FILES = ("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile")
_KNOWN = {
    "redis": ("db",),
    "rediss": ("db", *_TLS, "ssl_check_hostname"),
    "unix": ("db", "username", "password"),
    "redis+sentinel": ("tls", "sentinel_username", "sentinel_password", *_TLS, "ssl_check_hostname"),
}
_ALLOWED = "redis://, rediss:// or unix:// with host or path, redis+sentinel://, or embedded"
_SENTINEL = "redis+sentinel://[user:password@]host[:port],host[:port]/SERVICE[/DB]"
_HOST = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^\s:\[\]@/]+)(?::([0-9]{1,5}))?")
_YES = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}


@dataclass(frozen=True)
class RedisUrl:
    """Where Redis is.

    `url` is for the client: of the server, or with Sentinels that of a master, whose host and port stand for
    those that Sentinel names.
    """

    url: str = field(repr=False)
    files: tuple[str, ...] = ()
    sentinels: tuple[tuple[str, int], ...] = ()
    service: str = ""
    sentinel_username: str | None = None
    sentinel_password: str | None = field(default=None, repr=False)

    @property
    def tls(self) -> bool:
        """Whether it is spoken to by TLS."""
        return self.url.startswith("rediss:")


def parse(text: str) -> RedisUrl:
    """ValueError with what is allowed."""
    if found := _SENTINELS.fullmatch(text):  # urlsplit knows no list of hosts, and refuses one with brackets
        user, _, where = found[1].rpartition("@")
        return _sentinel(user, where, found[2], _options("redis+sentinel", found[3] or ""))
    try:
        parts = urlsplit(text)
        scheme = parts.scheme
        if scheme not in _SCHEMES:
            raise ValueError(_ALLOWED)
        parts.port  # noqa: B018 - raises on a port that is none
    except ValueError:
        raise ValueError(_ALLOWED) from None
    options = _options(scheme, parts.query)
    if not (parts.path if scheme == "unix" else parts.hostname):
        raise ValueError(_ALLOWED)
    path = parts.path
    if scheme != "unix":
        path = f"/{_number(path.strip('/') or options.pop('db', '0'))}"
    return RedisUrl(_joined(scheme, parts.netloc, path, options), _files(options))


def _sentinel(user: str, where: str, path: str, options: dict[str, str]) -> RedisUrl:
    hosts = [_HOST.fullmatch(part) for part in where.split(",")]
    service, _, number = path.strip("/").partition("/")
    if not service or not all(hosts):
        raise ValueError(_SENTINEL)
    sentinels = tuple((found[1].strip("[]"), int(found[2] or SENTINEL_PORT)) for found in hosts if found)
    if any(not 0 < port < 1 << 16 for _, port in sentinels):
        raise ValueError(_SENTINEL)
    tls = _YES.get(options.pop("tls", "yes" if set(options) & {*_TLS, "ssl_check_hostname"} else "no").lower())
    if tls is None:
        raise ValueError("tls=yes or tls=no in the address")
    known = {name: options.pop(name, None) for name in ("sentinel_username", "sentinel_password")}
    scheme = "rediss" if tls else "redis"
    # the client takes a bracket for the begin of an address of IPv6
    user = user.replace("[", "%5B").replace("]", "%5D")
    master = _joined(scheme, f"{user}@master" if user else "master", f"/{_number(number or '0')}", options)
    return RedisUrl(master, _files(options), sentinels, unquote(service), **known)


def _options(scheme: str, query: str) -> dict[str, str]:
    found = dict(parse_qsl(query, keep_blank_values=True))
    if not set(found) <= set(_KNOWN[scheme]):
        raise ValueError(f"without options of {scheme}:// but {', '.join(_KNOWN[scheme])}")
    _number(found.get("db", "0"))
    if found.get("ssl_cert_reqs", "required") not in ("required", "optional", "none"):
        raise ValueError("ssl_cert_reqs=required, optional or none in the address")
    if found.get("ssl_check_hostname", "yes").lower() not in _YES:
        raise ValueError("ssl_check_hostname=yes or no in the address")
    return found


def _joined(scheme: str, netloc: str, path: str, options: dict[str, str]) -> str:
    if scheme == "rediss":
        # older clients look at no host name unless told to, and would take any certificate of the same CA
        checked = options.get("ssl_cert_reqs") != "none" and _YES[options.get("ssl_check_hostname", "yes").lower()]
        options = {**options, "ssl_check_hostname": str(checked)}
    return f"{scheme}://{netloc}{path}" + (f"?{urlencode(options)}" if options else "")


def _files(options: dict[str, str]) -> tuple[str, ...]:
    return tuple(options[name] for name in _FILES if name in options)


def _number(text: str) -> int:
    # the client takes a number that is none for 0
    if not re.fullmatch(r"[0-9]{1,6}", text):
        raise ValueError("an address with the number of a database behind its last /")
    return int(text)
