"""What a source that is read in parts has to offer, whatever its scheme."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Protocol

# what the first request asks for: the index of most files that have it in front begins there
PROBE = 64 << 10
# fetched whole it costs no more, and one connection instead of several
SMALL = 1 << 20


class Refused(ValueError):
    """This source cannot be read in parts, for the reason that the text says; fetch it whole."""


class Changed(ValueError):
    """Other content than before stands at the address: what was read is of no use."""


@dataclass(frozen=True)
class Head:
    """What one request told: the `size` of the source, what its content is recognized by (`validator`, may be
    empty), its address fit to be shown, a `key` for caches, empty where the content cannot be recognized, and its
    `first` bytes, up to PROBE."""

    size: int
    validator: str
    url: str
    key: str
    first: bytes


class Parts(Protocol):
    """A source of a scheme. `most` is the longest part that is worth one request.

    Both methods raise ForbiddenSource, NotFound, Denied, FetchFailed, Refused, Silent, and what the `check` that
    they were made with raises.
    """

    most: int

    def head(self) -> Head:
        """Ask for the first bytes; also TooBig, and Stalled for Silent."""

    def pieces(self, start: int, stop: int) -> Generator[bytes, None, None]:
        """The bytes from `start` to `stop`, or fewer where the server gives fewer at once.

        Raises Changed, and Broken when it may go on behind what came. Safe for several threads.
        """

    def close(self) -> None:
        """Close all connections."""


@dataclass(frozen=True)
class Watch:
    """What a source is given by who reads it: `check` raises when it is time to end, `count` gets each body's
    bytes, `silence` is the longest in seconds that a server may say nothing, `connections` how many may be open."""

    check: Callable[[], None]
    count: Callable[[int], None]
    silence: float
    connections: int


def key_of(place: str, *secret: object) -> str:
    """`place` and a digest of all that tells one content from another, secrets among it."""
    return f"{place}#{hashlib.sha256(repr((place, *secret)).encode()).hexdigest()}"
