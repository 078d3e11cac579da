"""A connection for who answers people: one loss of Redis is tried again before anybody hears of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from videod.config.settings import Settings
from videod.errors import RedisAway, RedisRefused
from videod.jobqueue.connection import Connection


class Steady(Connection):
    """Each thread's socket breaks when Redis starts anew and shows it at the next command only: that is sent again.

    A command may then run twice, so what goes over this connection must bear that. The daemon's does not.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._closed = False

    def close(self) -> None:
        """Close all sockets: who waits for Redis learns that it is away, and the process ends at once."""
        self._closed = True
        super().close()

    def _guarded(self, work: Callable[[], Any], proves: Callable[[Any], bool], keys: Sequence[str] = ()) -> Any:
        try:
            return super()._guarded(work, proves, keys)
        except RedisRefused:
            raise
        except RedisAway:
            if self._closed:
                raise
            return super()._guarded(work, proves, keys)
