"""What people do to jobs and nodes: cancel, retry, pause, resume. Each step one atomic call."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from videod.config.settings import Settings
from videod.errors import BadMessage
from videod.events import Teller, stamp
from videod.job import Head, head
from videod.jobqueue.connection import Connection, Script
from videod.jobqueue.names import Names
from videod.jobqueue.outbox import letter
from videod.message import Envelope, fresh, read_envelope, read_message

ALL = "*"
ITSELF = "itself"
PAGE = 500


@dataclass(frozen=True)
class Waiting:
    """A message that waits: the key where it stands, as which element, its id and what it asks for."""

    key: str
    element: bytes
    envelope: Envelope | None
    head: Head


class Steer:
    """Changes what waits, and tells nodes what to do with what runs."""

    def __init__(self, settings: Settings, connection: Connection) -> None:
        self._settings, self._connection = settings, connection
        self._names = Names.of(settings)
        self._cancel, self._again, self._hurry = Script("cancel"), Script("again"), Script("hurry")

    # ------------------------------------------------------------- pause
    def pause(self, node: str, why: str, by: str) -> None:
        """A node (ALL: every one, new ones too) takes no more messages, until `resume`."""
        entry = json.dumps({"why": why, "by": by, "at": stamp()})
        self._connection.call("HSET", self._names.paused, node, entry)

    def resume(self, node: str) -> bool:
        """The opposite; whether it was paused by itself, or by somebody. ALL resumes each single one, too."""
        key = self._names.paused
        return bool(self._connection.call("DEL", key) if node == ALL else self._connection.call("HDEL", key, node))

    def paused(self) -> dict[str, dict[str, Any]]:
        """Who pauses: {node or ALL: {why, by, at}}."""
        flat = self._connection.call("HGETALL", self._names.paused)
        return {name.decode(): json.loads(entry) for name, entry in zip(flat[::2], flat[1::2], strict=True)}

    def well_again(self, node: str) -> None:
        """A new start of a node that had paused itself: somebody has looked after it."""
        if self.paused().get(node, {}).get("by") == ITSELF:
            self.resume(node)

    # ------------------------------------------------------------- cancel and retry
    def cancel(self, ident: str) -> str:
        """`removed` where it waited, `asked` where it runs; else the state of its record, '' without one."""
        state = self._state(ident)
        if state != "running" and (found := self.find(ident)):
            answer = self._remove(ident, found)
        else:
            answer = self._run(self._cancel, self._cancel_keys(ident), [ident, 0, 1, "", "", "", ""])
        return answer

    def retry(self, ident: str, entry: bytes = b"") -> str:
        """Queue a dead or cancelled job once more, let a retry be due now; `queued`, or the state it is in.

        `entry` is its element in the dead list, if it has one.
        """
        names = self._names
        flat = self._connection.call("HMGET", names.job(ident), "state", "message", "origin", "kind")
        state, message, origin, kind = (value or b"" for value in flat)
        if state == b"retry" and (found := self.find(ident)) and found.key == names.delayed:
            moved = self._connection.run(self._hurry, (names.delayed, names.abnormal_queue), (found.element,))
            return "queued" if moved else "retry"
        raw = message if state else _raw(entry)
        lists = (*names.served, *(names.queue_of(node) for node in self._nodes()))
        target = origin.decode() if origin.decode() in lists else names.queue
        envelope = fresh(ident, raw, target)
        record = {"state": "requeued", "kind": kind or "clip", "message": raw, "token": envelope.token}
        record |= {"attempt": 1, "crashes": 0, "origin": target, "taken_at": stamp()}
        keys = (names.job(ident), target, names.dead)
        return self._run(self._again, keys, [ident, envelope.dumps(), entry, *_flat(record)])

    def find(self, ident: str) -> Waiting | None:
        """Where a job waits: in a list, or for its retry."""
        names = self._names
        lists = [*names.served, *(names.queue_of(node) for node in self._nodes())]
        for name in dict.fromkeys(lists):
            first = 0
            while page := self._connection.call("LRANGE", name, first, first + PAGE - 1):
                for element in page:
                    if (found := self._read(name, element)) and found[0] == ident:
                        return found[1]
                first += PAGE
        for element in self._connection.call("ZRANGE", names.delayed, 0, -1):
            if (found := self._read(names.delayed, element)) and found[0] == ident:
                return found[1]
        return None

    def _read(self, key: str, element: bytes) -> tuple[str, Waiting] | None:
        try:
            envelope = read_envelope(element)
            known = head(read_message(envelope.raw if envelope else element), self._settings)
        except BadMessage:
            return None
        ident = envelope.id if envelope else known.id
        return (ident, Waiting(key, element, envelope, known)) if ident else None

    def _remove(self, ident: str, found: Waiting) -> str:
        envelope, known, s = found.envelope, found.head, self._settings
        attempt = envelope.attempt if envelope else 1
        event = Teller(ident, known.kind, s.node, attempt, known.meta).event("cancelled")
        callback = letter(known.callback, "cancelled", event) if known.callback else ""
        record = {"state": "cancelled", "kind": known.kind, "ended_at": stamp(), "attempt": attempt}
        record |= {} if envelope else {"message": found.element, "origin": found.key}
        arguments = [ident, round(s.keep_jobs * 1000), s.events_max, event, found.element]
        arguments += ["zset" if found.key == self._names.delayed else "list", callback, *_flat(record)]
        keys = [*self._cancel_keys(ident, found.key), *([known.reply_to] if known.reply_to else [])]
        return self._run(self._cancel, keys, arguments)

    def _cancel_keys(self, ident: str, where: str = "") -> list[str]:
        names = self._names
        return [names.job(ident), names.cancel(ident), names.events, names.outbox, where or names.job(ident)]

    def _run(self, script: Script, keys: Any, arguments: list[Any]) -> str:
        answer: bytes = self._connection.run(script, keys, arguments)
        return answer.decode()

    def _state(self, ident: str) -> str:
        state: bytes | None = self._connection.call("HGET", self._names.job(ident), "state")
        return (state or b"").decode()

    def _nodes(self) -> list[str]:
        return [name.decode() for name in self._connection.call("HKEYS", self._names.nodes)]


def _raw(entry: bytes) -> bytes:
    """What the producer pushed, from an element of the dead list."""
    values = json.loads(entry) if entry else {}
    return Envelope.raw_of(values) if isinstance(values, dict) else b""


def _flat(record: Mapping[str, Any]) -> list[Any]:
    return [part for pair in record.items() for part in pair]
