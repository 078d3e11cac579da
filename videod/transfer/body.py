"""The body of a response of the HTTP client, in pieces; why a connection broke, in words."""

from __future__ import annotations

from collections.abc import Iterator
from http.client import BadStatusLine, HTTPException, IncompleteRead, UnknownProtocol

from videod.transfer.response import BLOCK, Response


class Broken(Exception):
    """The connection could not be made, or broke; the text says why, in one line without secrets."""


class Silent(Broken):
    """Nothing came for too long."""


def pieces(response: Response, size: int = BLOCK) -> Iterator[bytes]:
    """The body in pieces of up to `size` bytes; Broken when it ends before what was promised."""
    try:
        yield from response.pieces(size)
    except (HTTPException, OSError) as error:
        raise broken(error) from None


def arriving(response: Response, buffer: memoryview) -> Iterator[bytes | memoryview]:
    """As `pieces`, in the buffer where that is possible: a piece stands only until the next one is asked for."""
    try:
        yield from response.views(buffer)
    except (HTTPException, OSError) as error:
        raise broken(error) from None


def broken(error: Exception) -> Broken:
    """Of what http.client and the sockets below it raise."""
    return (Silent if isinstance(error, TimeoutError) else Broken)(reason(error))


def reason(error: Exception) -> str:
    """Why, in one line."""
    if isinstance(error, IncompleteRead):
        left = f": {error.expected} bytes are missing" if error.expected else ""
        return f"it ended early{left}"
    if isinstance(error, (BadStatusLine, UnknownProtocol)) and not isinstance(error, OSError):
        return "what came is no HTTP/1"  # and may be anything: some servers send back what they got, secrets and all
    shown = error.strerror if isinstance(error, OSError) else None
    return " ".join((shown or str(error)).split())[:300] or type(error).__name__
