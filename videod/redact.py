"""Hide secrets in text that people or other programs will read: user info and queries of addresses.

A signed query string and a password in an address are as good as the file they open, so no log line,
event, error text or terminal shows them. `hide` is applied where text leaves the daemon, so that a line
of a tool's stderr is covered as well as our own; `hide_message` where people are shown what was pushed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit, urlunsplit

# to the next :/, since an address may stand in another; one slash is a common slip. The scheme is not looked at:
# it may be megabytes. A password may hold quotes, and so may a query: wget sets addresses in ‘ ’
_ADDRESS = re.compile(r"(:/+)((?:[^\s/?#@]*@)*(?:(?!:/)[^\s\"<>|\\^`’])+)")
# without any slash, or with those of another system
_SLIP = re.compile(r"\b((?:https?|ftps?|sftp|rtsps?|s3|gs|az):)(?!/)((?!/)[^\s\"’]+)", re.IGNORECASE)
_SECRET = re.compile(r":/|@|[?]|authorization|token|cookie", re.IGNORECASE)
_BEARER = re.compile(r"(?i)\b(authorization|proxy-authorization|x-[a-z-]{0,40}token|cookie)([\"']?\s*[:=]\s*)[^\r\n]+")
_BEARER_NAME = re.compile(r"(?i)(authorization|proxy-authorization|x-[a-z-]{0,40}token|cookie|password)")
_WHOLE = re.compile(r"\s*[a-z][a-z0-9+.-]{0,20}:[/\\]", re.IGNORECASE)
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(/))")
_STRING = re.compile(r'(")([^"\\]*+(?:\\.[^"\\]*+)*+)("?)', re.DOTALL)
_PORT = re.compile(r"(?:\[[^\]]*\]|[^:]*)(?::\d*)?")


def hide(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` with the user info and the query of each address in it taken out, and these secrets of the ini."""
    for secret in secrets:
        text = text.replace(secret, "***")
    if not _SECRET.search(text):  # so it is with most lines, and this is asked of each of them
        return text
    text = _SLIP.sub(lambda found: found[1] + _bare(found[2]), _BEARER.sub(r"\1\2***", text))
    return _ADDRESS.sub(lambda found: found[1] + _bare(found[2], rooted=len(found[1]) != 3), text)


def _bare(rest: str, *, rooted: bool = False) -> str:
    """What stands behind the slashes of an address, bare; `rooted`: it may well begin with a path."""
    rest = rest.split("#", 1)[0]
    path, mark, _ = rest.partition("?")
    host, slash, tail = path.partition("/")
    # the last @ ends the user info: a password may hold one
    host = host.rpartition("@")[2]
    if not _PORT.fullmatch(host) and ("@" in tail or not rooted):  # user info whose password holds what begins a path
        host, tail = "***", tail.rpartition("@")[2]
    return f"{host}{slash}{tail}{'?***' if mark else ''}"


def hide_message(text: str) -> str:
    """What was pushed, for people: JSON is taken apart first, since it may spell an address in other ways.

    Else, or where it is no JSON, what looks like its strings is. The text is one that UTF-8 can hold: JSON may spell
    half a surrogate.
    """
    return _message(text).encode("utf-8", "replace").decode()


def _message(text: str) -> str:
    try:
        return json.dumps(_hidden(json.loads(text, strict=False)), ensure_ascii=False)
    except (ValueError, RecursionError):
        pass
    if _WHOLE.match(text):
        return _hide_value(_plain(text))
    text = _STRING.sub(lambda found: found[1] + _hide_value(_plain(found[2])) + found[3], text)
    return hide(_plain(text))


def _hidden(value: Any) -> Any:
    if isinstance(value, str):
        return _hide_value(value)
    if isinstance(value, list):
        return [_hidden(part) for part in value]
    if isinstance(value, dict):
        return {
            _hide_value(name): "***" if _BEARER_NAME.fullmatch(name) else _hidden(part) for name, part in value.items()
        }
    return value


def _hide_value(text: str) -> str:
    """A string that begins as an address is one to its end, blanks and quotes included."""
    if _WHOLE.match(text):
        scheme, colon, rest = text.partition(":")
        bare = rest.lstrip("/\\")
        text = scheme + colon + rest[: len(rest) - len(bare)] + _bare(bare, rooted=len(rest) - len(bare) != 2)
    return hide(text)


def _plain(text: str) -> str:
    """Without the escapes of JSON that could hide an address from us."""
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)) if found[1] else "/", text)


def public(address: str) -> str:
    """`address` without query, fragment and user info, as events show it."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return hide(address)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
