"""Dead letters: messages that came to nothing, as they stand in the dead list, newest first."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from videod.config.settings import Settings
from videod.jobqueue.browse import read_json
from videod.jobqueue.connection import Connection
from videod.jobqueue.names import Names


class Letters:
    """The dead list, for people. RedisAway."""

    def __init__(self, settings: Settings, connection: Connection) -> None:
        self._key, self._connection = Names.of(settings).dead, connection

    def all(self) -> list[bytes]:
        """The entries."""
        return list(self._connection.call("LRANGE", self._key, 0, -1))

    def newest(self, most: int) -> tuple[list[dict[str, Any]], int]:
        """The newest, and how many there are."""
        entries = self._connection.call("LRANGE", self._key, 0, most - 1)
        return [_sound(entry) for entry in entries], int(self._connection.call("LLEN", self._key))

    def by_id(self) -> dict[str, bytes]:
        """The newest entry of each id; what has none cannot be queued again."""
        found = ((_sound(entry)["id"], entry) for entry in reversed(self.all()))
        return {ident: entry for ident, entry in found if ident}

    def of(self, ident: str) -> bytes:
        """The newest entry of one id; empty where there is none. All are looked through, few of them read."""
        mine = (entry for entry in self.all() if ident.encode() in entry)
        return next((entry for entry in mine if _sound(entry)["id"] == ident), b"")

    def drop(self, entry: bytes) -> bool:
        """Take one out of the list."""
        return bool(self._connection.call("LREM", self._key, 1, entry))

    def drop_of(self, idents: Sequence[str] | None) -> list[str]:
        """Take those of these ids (None: all) out of the list; the ids of those that were there."""
        found: dict[str, None] = {}
        for entry in self.all():
            ident = _sound(entry)["id"]
            if (idents is None or ident in idents) and self.drop(entry):
                found[ident] = None
        return list(found)


def read_letter(entry: bytes) -> dict[str, Any]:
    """What an entry holds; one that is not ours has `raw` or `raw_base64`."""
    found = read_json(entry)
    if found is None:
        return {"raw_base64": base64.b64encode(entry).decode()}
    return found if isinstance(found, dict) else {"raw": str(found)}


def _sound(entry: bytes) -> dict[str, Any]:
    """An entry of which `id` and `at` are texts, '' where it has none, and `error` is an object."""
    found = read_letter(entry)
    error = found.get("error")
    texts = {name: str(found.get(name) or "") for name in ("id", "at")}
    return {**found, **texts, "error": error if isinstance(error, dict) else {}}
