"""A thread with one duty: renew this node's sign of life."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

from videod.errors import RedisAway
from videod.jobqueue.nodes import Node


class Heartbeat:
    """Renews the entry of the node three times a lease. `facts` gives what else stands in it."""

    def __init__(self, node: Node, lease: float, facts: Callable[[], Mapping[str, Any]], log: logging.Logger) -> None:
        self._node, self._facts, self._log = node, facts, log
        self._every = max(lease, 0.3) / 3
        self._wake, self._over = threading.Event(), False
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Begin, with a first sign at once."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._over = True
        self._wake.set()
        self._thread.join()

    def now(self) -> None:
        """Do not wait for the next beat: the facts changed."""
        self._wake.set()

    def _beat(self) -> None:
        ours = True
        while True:
            try:
                renewed = self._node.renew(**self._facts())
                if ours and not renewed:
                    self._log.error("another daemon took the name of this node: stop one of them")
                ours = renewed
            except RedisAway:  # said by Health
                pass
            self._wake.wait(self._every)
            self._wake.clear()
            if self._over:
                return
