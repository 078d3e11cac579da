"""Put a message into its list, as any producer does with LPUSH."""

from __future__ import annotations

from videod.config.settings import Settings
from videod.jobqueue.connection import Connection
from videod.jobqueue.names import Names


def push(connection: Connection, settings: Settings, raw: bytes, *, node: str | None, batch: bool) -> str:
    """Queue a message; returns the list that it went to."""
    names = Names.of(settings)
    target = names.batch_queue if batch else names.queue_of(node) if node else names.queue
    connection.call("LPUSH", target, raw)
    return target
