"""The body of an answer of the HTTP client, in pieces; why a connection broke, in words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from http.client import HTTPResponse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

BLOCK = 1 << 18


class Broken(Exception):
    """The connection could not be made, or broke; the text says why, in one line without secrets."""


class Silent(Broken):
    """Nothing came for too long."""


def pieces(response: BaseHTTPResponse, size: int = BLOCK) -> Iterator[bytes]:
    """The body in pieces of up to `size` bytes; Broken when it ends before what was promised."""
    from urllib3.exceptions import HTTPError

    try:
        yield from response.stream(size, decode_content=False)
    except (HTTPError, OSError) as error:
        raise broken(error) from None


def arriving(response: BaseHTTPResponse, size: int = BLOCK) -> Iterator[bytes | memoryview]:
    """As `pieces`, each as soon as it is there: what came before the connection was reset is not lost with it.

    A piece stands only until the next one is asked for.
    """
    from urllib3.exceptions import HTTPError

    if response.chunked or not hasattr(response, "read1"):
        yield from pieces(response, min(size, 64 << 10))
        return
    try:
        yield from _into_one_buffer(response, size)
        while response.length_remaining != 0 and (piece := response.read1(size, decode_content=False)):
            yield piece
    except (HTTPError, OSError) as error:
        raise broken(error) from None


def _into_one_buffer(response: BaseHTTPResponse, size: int) -> Iterator[memoryview]:
    """All, or nothing. New memory for each piece would cost a third of a large file's CPU time."""
    inner = getattr(response, "_fp", None)  # not public: where it is another thing, all comes by read1
    left = response.length_remaining
    if not isinstance(inner, HTTPResponse) or not left or inner.length != left:
        return
    view = memoryview(bytearray(min(size, left)))
    while left and (came := inner.fp.readinto1(view[:left])):
        left -= came
        inner.length = response.length_remaining = left
        if not left:
            inner.close()  # it is read to its end: the connection is free for the next request
        yield view[:came]


def text(response: BaseHTTPResponse, longest: int = 4096) -> str:
    """The beginning of the body, for error texts."""
    found = b""
    for piece in pieces(response, longest):
        found += piece
        if len(found) >= longest:
            break
    return found[:longest].decode("utf-8", "replace")


def broken(error: Exception) -> Broken:
    """Of what urllib3 and the sockets below it raise."""
    from urllib3.exceptions import ReadTimeoutError

    return (Silent if isinstance(error, (ReadTimeoutError, TimeoutError)) else Broken)(reason(error))


def reason(error: Exception) -> str:
    """Why, in one line, without the addresses and object names that urllib3 puts in."""
    inner = getattr(error, "reason", None)
    shown = inner if isinstance(inner, Exception) else error
    # urllib3 puts the inner error behind its own text, and its own text behind the connection
    told = [part for part in shown.args if isinstance(part, str)] if len(shown.args) > 1 else []
    text = told[0] if told and not isinstance(shown, OSError) else str(shown)
    line = " ".join(text.split())
    line = re.sub(r"<[^>]*>: |\w+Pool\([^)]*\): |\w+\(host=[^)]*\): |\w+Connection\([^)]*\): ", "", line)
    return line[:300] or type(error).__name__
