"""Notice nodes that are gone, and give what they ran to those who live.

No clock of another machine is believed, nor that of Redis: we watch each entry with our own monotonic clock. One
that nobody renewed for `lease` seconds, while Redis answered us all the time, is of a node that is gone, or
cut off, or stopped. It is fenced off first: what it held leaves its running list, and so nothing that it
would still commit is accepted.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

from videod.config.settings import Settings
from videod.jobqueue.nodes import Node, is_dead, is_gone
from videod.jobqueue.recovery import Recovery

LONGEST_LOOK = 2.0
REMEMBERED = 86400.0


class TakeOver:
    """Watches the entries of the other nodes. Used by one thread; owns what it saw, and for how long."""

    def __init__(self, settings: Settings, node: Node, recovery: Recovery, log: logging.Logger) -> None:
        self._own, self._lease = settings.node, settings.lease
        self._node, self._recovery, self._log = node, recovery, log
        self._seen: dict[str, tuple[bytes, float]] = {}
        self._losses, self._looked = 0, time.monotonic()

    def look(self, nodes: Mapping[str, bytes], losses: int) -> int:
        """Compare the entries with what was seen before; how many messages were given to others.

        `losses` counts how often Redis was away: what could not be renewed then says nothing.
        """
        now = time.monotonic()
        # a look that comes late counts little: if we were stopped, the others may have been, too
        passed, self._looked = min(now - self._looked, LONGEST_LOOK), now
        if losses != self._losses:
            self._seen.clear()
        self._losses = losses
        given = 0
        seen, self._seen = self._seen, {}
        for name, entry in nodes.items():
            before, age = seen.get(name, (b"", 0.0))
            age = age + passed if before == entry else 0.0
            if name == self._own:
                continue
            self._seen[name] = (entry, age)
            if is_gone(entry):
                # once a lease: it may take a message before it finds the mark, or who took over may have died
                if age // self._lease > (age - passed) // self._lease:
                    given += self._look_again(name, entry, age)
            elif age >= self._lease or (age > self._lease / 3 + 1 and is_dead(entry)):
                given += self._take_over(name, entry)
        return given

    def _look_again(self, name: str, entry: bytes, age: float) -> int:
        if self._recovery.held(name):
            return self._take_over(name, entry)
        if age >= REMEMBERED:
            self._node.forget(name, entry)
        return 0

    def _take_over(self, name: str, entry: bytes) -> int:
        """What the node held goes back to its lists. Its entry stays, marked: it must learn what happened."""
        if not self._node.declare_gone(name, entry):
            return 0  # it lives, or another node was faster
        given = self._recovery.of_gone(name)
        self._log.warning("node %s is gone: gave %d messages of it to others", name, given)
        return given
