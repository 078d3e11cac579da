"""A thread with one duty: renew this node's sign of life, and notice when it came too late."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

from videod.errors import RedisAway
from videod.jobqueue.nodes import Lease, Node


class Heartbeat:
    """Renews the entry of the node three times a lease. `facts` gives what else stands in it.

    `lost` is called when others have taken over what this node ran: all of it must end, nothing may be
    committed. After that the node takes its name again.
    """

    def __init__(
        self,
        node: Node,
        lease: float,
        facts: Callable[[], Mapping[str, Any]],
        lost: Callable[[], None],
        log: logging.Logger,
    ) -> None:
        self._node, self._facts, self._lost, self._log = node, facts, lost, log
        self._every = max(lease, 0.3) / 3
        self._wake, self._over = threading.Event(), False
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self.ours = True

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
        while True:
            with contextlib.suppress(RedisAway):  # said by Health
                self._once()
            self._wake.wait(self._every)
            self._wake.clear()
            if self._over:
                return

    def _once(self) -> None:
        lease = self._node.renew(**self._facts())
        if lease is Lease.OURS:
            self.ours = True
            return
        if self.ours:
            self.ours = False
            self._log.error("lost the lease: %s: what runs is ended and not committed", lease.value)
            self._lost()
        if lease is Lease.LOST and self._node.rejoin(**self._facts()):
            self.ours = True
            self._log.warning("took the name of this node again")
