"""The network between the nodes and the origin: a relay that can be cut and restored."""

from __future__ import annotations

import threading

from tests.relay import Pair, Relay


class Cuttable(Relay):
    """While it is cut by `reset`, connections are closed by RST as they come. While `silent`, they are accepted and
    nothing moves: what a dropped route looks like, and what only a stall watch ends."""

    def __init__(self, target: int) -> None:
        self._broken = False
        self._free = threading.Event()
        self._free.set()
        super().__init__(target)

    def cut(self, how: str) -> None:
        """`reset` or `silent`."""
        if how == "silent":
            self._free.clear()
        else:
            self._broken = True
            self.reset_all()

    def restore(self) -> None:
        """What hung in silence is reset: bytes that were dropped do not come back."""
        self._broken = False
        if not self._free.is_set():
            self.reset_all()
            self._free.set()

    def begun(self, pair: Pair) -> None:
        """RST to who comes while it is cut."""
        if self._broken:
            raise ConnectionResetError

    def passed(self, pair: Pair, data: bytes, *, up: bool) -> bool:
        """Nothing moves in silence."""
        self._free.wait()
        return True

    def close(self) -> None:
        """Let nothing hang."""
        self._free.set()
        super().close()
