"""How many results are sent at once: each holds a file, a connection and what its reader did not take yet."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator

from videod.web.trouble import Trouble

# a browser has six connections to one host
MOST = 32


class Sending:
    """Counts them by who asks; for the loop's thread alone."""

    def __init__(self) -> None:
        self._counts = Counter[str]()

    @contextlib.contextmanager
    def one(self, who: str) -> Iterator[None]:
        """While it is sent. Trouble (429) beyond MOST of one visitor."""
        if self._counts[who] >= MOST:
            raise Trouble(
                429, f"{MOST} videos are being sent to you.", "Wait until one is there.", {"Retry-After": "60"}
            )
        self._counts[who] += 1
        try:
            yield
        finally:
            self._counts[who] -= 1
            if not self._counts[who]:
                del self._counts[who]
