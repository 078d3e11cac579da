"""Hide secrets in text that people or other programs will read: user info and queries of addresses.

A signed query string and a password in an address are as good as the file they open, so no log line,
event, error text or terminal shows them. `hide` is applied where text leaves the daemon, so that a line
of a tool's stderr is covered as well as our own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit, urlunsplit

# to the next ://, since an address may stand in another. The scheme is not looked at: it may be megabytes
_ADDRESS = re.compile(r"://((?:(?!://)[^\s\"'<>|\\^`])+)")
_SECRET = re.compile(r"://|authorization|token|cookie", re.IGNORECASE)
_BEARER = re.compile(r"(?i)\b(authorization|proxy-authorization|x-[a-z-]{0,40}token|cookie)([\"']?\s*[:=]\s*)[^\r\n]+")


def hide(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` with the user info and the query of each address in it taken out, and these secrets of the ini."""
    for secret in secrets:
        text = text.replace(secret, "***")
    if not _SECRET.search(text):  # so it is with most lines, and this is asked of each of them
        return text
    return _ADDRESS.sub(lambda found: _bare(found[1]), _BEARER.sub(r"\1\2***", text))


def _bare(rest: str) -> str:
    rest = rest.split("#", 1)[0]
    path, mark, _ = rest.partition("?")
    host, slash, tail = path.partition("/")
    # the last @ ends the user info: a password may hold one
    return f"://{host.rpartition('@')[2]}{slash}{tail}{'?***' if mark else ''}"


def public(address: str) -> str:
    """`address` without query, fragment and user info, as events show it."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return hide(address)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
