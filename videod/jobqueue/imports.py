"""Rows of sheets in Redis: what was queued of them, the sealed logins of recorders, and how the rows stand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from videod.config.settings import Settings
from videod.jobqueue.browse import Browse
from videod.jobqueue.connection import Connection, Script
from videod.jobqueue.names import Names
from videod.jobqueue.nodes import serves


class Imports:
    """Used by the commands import and report."""

    def __init__(self, settings: Settings, connection: Connection) -> None:
        self._names, self._connection = Names.of(settings), connection
        self._keep = round(settings.keep_jobs * 1000)
        self._import = Script("import")
        self._browse, self._lease = Browse(settings, connection), settings.lease

    def put(self, ident: str, raw: bytes, node: str | None, login: str) -> bool:
        """Queue a row; False where it is known. `login`: a digest of user and password."""
        names = self._names
        keys = (names.imported(ident), names.job(ident), names.queue_of(node) if node else names.queue)
        answer: bytes = self._connection.run(self._import, keys, (raw, login, self._keep), durable=True)
        return answer == b"queued"

    def sealed(self, recorder: str) -> str:
        """The login that is put aside for a recorder; empty where none is."""
        return (self._connection.call("HGET", self._names.logins, recorder) or b"").decode()

    def seal(self, recorder: str, sealed: str) -> None:
        """Put a login aside, for the recorder at host:port."""
        self._connection.call("HSET", self._names.logins, recorder, sealed)

    def keys(self) -> set[str] | None:
        """The marks of the keys that living nodes have; None where none lives, or one does not tell."""
        living = [facts for facts in self._browse.nodes().values() if serves(facts, self._lease)]
        if not living or not all("import_key" in facts for facts in living):
            return None
        return {facts["import_key"] for facts in living}

    def note(self, batch: str, rows: Sequence[tuple[int, str, str, str]]) -> None:
        """What an import holds, for `report`: number, id, recorder and channels of each row."""
        self._connection.call("HSET", self._names.batch(batch), "rows", json.dumps(rows))
        if self._keep:
            self._connection.call("PEXPIRE", self._names.batch(batch), self._keep)

    def rows(self, batch: str) -> list[tuple[int, str, str, str]] | None:
        """What an import holds; None where none is known by this id."""
        found = self._connection.call("HGET", self._names.batch(batch), "rows")
        return None if found is None else [tuple(row) for row in json.loads(found)]

    def records(self, idents: Sequence[str]) -> list[dict[str, Any]]:
        """State, error and outputs of jobs, in their order; `waiting` for one that is queued and has no record."""
        fields = ("state", "error", "outputs", "percent")
        records = self._connection.many([("HMGET", self._names.job(ident), *fields) for ident in idents])
        marks = self._connection.many([("EXISTS", self._names.imported(ident)) for ident in idents])
        return [_record(fields, row, bool(mark)) for row, mark in zip(records, marks, strict=True)]


def _record(fields: Sequence[str], values: Sequence[bytes | None], queued: bool) -> dict[str, Any]:
    found = {name: value.decode() for name, value in zip(fields, values, strict=True) if value is not None}
    made: dict[str, Any] = {"state": found.get("state", "waiting" if queued else "unknown")}
    made |= {name: json.loads(found[name]) for name in ("error", "outputs") if name in found}
    return made | ({"percent": found["percent"]} if "percent" in found else {})
