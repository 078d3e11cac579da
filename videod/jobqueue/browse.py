"""Look at jobs, lists and nodes, for people: changes nothing."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from videod.config.settings import Settings
from videod.config.values import node_name
from videod.events import FINAL
from videod.jobqueue.connection import Connection, Script
from videod.jobqueue.names import Names
from videod.jobqueue.nodes import told
from videod.jobqueue.oversize import SHOWN
from videod.message import KEPT_BYTES

JSON_FIELDS = {"error": dict, "outputs": list, "warnings": list, "stages": dict}
NUMBERS = ("attempt", "crashes", "tool_crashes", "percent", "seconds", "fetched_bytes", "cpu_seconds")
HIDDEN = ("token",)
MOST_RUNNING = 1000
# lists of single nodes that are looked at, keys looked through for them, messages of them all together
MOST_LISTS, MOST_KEYS, KEYS_AT_ONCE, MOST_ELSEWHERE = 1000, 2_000_000, 1000, 500
# for so long what was seen is told to others
LISTS_SECONDS = 0.5
BRIEF = ("kind", "state", "node", "stage", "percent", "attempt", "taken_at", "ended_at", "error")


class NodeLists:
    """The lists of messages that one node alone may take: of nodes, too, that are gone or that nobody ever started.

    Whoever names a node in a message makes such a list, so the keys are looked through. For any number of threads.
    """

    def __init__(self, names: Names, connection: Connection) -> None:
        self._names, self._connection = names, connection
        self._seen: tuple[float, tuple[str, ...]] = (float("-inf"), ())

    def all(self) -> tuple[str, ...]:
        """Their names, those of nodes that are known first; up to half a second old. RedisAway."""
        at, seen = self._seen
        if time.monotonic() >= at + LISTS_SECONDS:
            seen = self._look()
            self._seen = (time.monotonic(), seen)
        return seen

    def _look(self) -> tuple[str, ...]:
        call, begin, cursor = self._connection.call, self._names.queue_of(""), 0
        known = (text_of(node) for node in call("HKEYS", self._names.nodes))
        found = dict.fromkeys(map(self._names.queue_of, known))
        asked = ("MATCH", glob(begin) + "*", "COUNT", KEYS_AT_ONCE, "TYPE", "list")
        for _ in range(MOST_KEYS // KEYS_AT_ONCE):
            cursor, keys = call("SCAN", cursor, *asked)
            names = sorted(map(text_of, keys))
            found |= dict.fromkeys(name for name in names if _is_node(name.removeprefix(begin)))
            if int(cursor) == 0 or len(found) >= MOST_LISTS:
                break
        return tuple(found)[:MOST_LISTS]


class Browse:
    """Reads what jobqueue writes."""

    def __init__(self, settings: Settings, connection: Connection) -> None:
        self._names, self._lease = Names.of(settings), settings.lease
        self._connection = connection
        self._lists = NodeLists(self._names, connection)

    def job(self, ident: str) -> dict[str, Any] | None:
        """One job record, typed; None when there is none."""
        flat = self._connection.call("HGETALL", self._names.job(ident))
        if not flat:
            return None
        pairs = flat.items() if isinstance(flat, dict) else zip(flat[::2], flat[1::2], strict=True)
        record = {text_of(name): text_of(value) for name, value in pairs}
        known = {name: typed(name, text) for name, text in record.items() if name not in HIDDEN}
        return {"id": ident, "state": "", **known}

    def ended(self, idents: Sequence[str]) -> dict[str, tuple[str, Any]]:
        """State and error of those of these jobs that have ended."""
        rows = self._connection.many([("HMGET", self._names.job(ident), "state", "error") for ident in idents])
        found = {}
        for ident, (state, error) in zip(idents, rows, strict=True):
            if state is not None and text_of(state) in FINAL:
                found[ident] = (text_of(state), None if error is None else typed("error", text_of(error)))
        return found

    def results(self, ident: str) -> list[str]:
        """Where the outputs of a job are."""
        return [str(output.get("url")) for output in (self.job(ident) or {}).get("outputs") or []]

    def jobs(self) -> Iterator[dict[str, Any]]:
        """All job records in brief, in no order."""
        cursor, begin = 0, self._names.job("")
        while True:
            cursor, keys = self._connection.call("SCAN", cursor, "MATCH", glob(begin) + "*", "COUNT", 500)
            records = self._connection.many([("HMGET", key, *BRIEF) for key in keys])
            for key, values in zip(keys, records, strict=True):
                if record := brief(zip(BRIEF, values, strict=True)):
                    yield {"id": text_of(key)[len(begin) :], **record}
            if int(cursor) == 0:
                return

    def running(self) -> list[dict[str, Any]]:
        """The jobs that this node works on, oldest first; what is not claimed yet has no id."""
        found = []
        for size, element in self._peek(self._names.running(), MOST_RUNNING):
            try:
                ident = json.loads(element).get("id", "") if size == len(element) else ""
            except (ValueError, AttributeError, RecursionError):  # raw yet: anything at all
                ident = ""
            record = self.job(ident) if isinstance(ident, str) and ident else None
            found.append(record or {"id": "", "state": "taken"})
        return found

    def lengths(self) -> dict[str, int]:
        """How many messages wait, by list; those for single nodes included."""
        names = [*self._names.served[:3], self._names.abnormal_queue, self._names.dead]
        names = list(dict.fromkeys([*names, *self._lists.all()]))
        lengths = self._connection.many([("LLEN", name) for name in names])
        found = {name: int(length) for name, length in zip(names, lengths, strict=True)}
        sets = (self._names.delayed, self._names.outbox)
        return found | {name: int(self._connection.call("ZCARD", name)) for name in sets}

    def waiting(self, most: int) -> list[tuple[str, bytes, int]]:
        """The next messages of each list, in the order in which they are taken: [(list, raw, length)].

        Those that this node does not serve come last. Of one that is too large the beginning.
        """
        found = [(name, element, size) for name in self._names.served for size, element in self._peek(name, most)]
        left = MOST_ELSEWHERE
        for name in self._lists.all():
            if left and name not in self._names.served:
                there = [(name, element, size) for size, element in self._peek(name, min(most, left))]
                found, left = found + there, left - len(there)
        return found

    def _peek(self, name: str, most: int) -> list[tuple[int, bytes]]:
        flat = self._connection.run(Script("peek"), (name,), (most, *SHOWN, KEPT_BYTES))
        return list(zip(flat[::2], flat[1::2], strict=True))

    def nodes(self) -> dict[str, dict[str, Any]]:
        """The nodes by name; the state of one that gives no sign of life is `silent`."""
        flat = self._connection.call("HGETALL", self._names.nodes)
        pairs = flat.items() if isinstance(flat, dict) else zip(flat[::2], flat[1::2], strict=True)
        return {text_of(name): told(read_object(entry), self._lease) for name, entry in pairs}


def brief(pairs: Iterable[tuple[str, bytes | None]]) -> dict[str, Any]:
    """What a list shows of a record; empty where there is none. It has a state and a kind, if not one that is known."""
    found = {name: typed(name, text_of(value)) for name, value in pairs if value is not None}
    return {**found, **{name: found.get(name) or "?" for name in ("state", "kind")}} if found else {}


def typed(name: str, text: str) -> Any:
    """A field of a record as what it is; what is none of it, as if it were empty: anybody may write records."""
    if name in JSON_FIELDS:
        kind = JSON_FIELDS[name]
        found = read_json(text.encode())
        return _members(name, found) if isinstance(found, kind) else kind()
    if name in NUMBERS:
        return _number(text)
    return text


def _members(name: str, found: Any) -> Any:
    if name == "outputs":
        whole = (one for one in found if isinstance(one, dict) and isinstance(one.get("url"), str))
        return [one for one in whole if type(one.get("n")) is int]
    if name == "stages":
        return {stage: took for stage, took in found.items() if type(took) in (int, float)}
    return found


def _number(text: str) -> int | float:
    try:
        number = float(text or 0)
    except ValueError:
        return 0
    if not math.isfinite(number):
        return 0
    return int(number) if number.is_integer() else number


def read_json(text: bytes) -> Any:
    """What it says, sound; None where it is no JSON."""
    try:
        return sound(json.loads(text))
    except (ValueError, RecursionError):
        return None


def read_object(text: bytes) -> dict[str, Any]:
    """The same of an object; empty where it is none."""
    found = read_json(text)
    return found if isinstance(found, dict) else {}


def reason(pause: Mapping[str, Any]) -> str:
    """Why there is a pause, in an entry that was read; never empty, since it pauses whatever it says."""
    return str(pause.get("why") or "somebody said so")


def sound(value: Any) -> Any:
    """A value of JSON that every writer can put down again: json.loads makes half a surrogate of "\\ud800", which UTF-8
    cannot hold, and reads NaN and Infinity, which JSON does not know. RecursionError where it is too deep."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list):
        return [sound(one) for one in value]
    if isinstance(value, dict):
        return {sound(name): sound(one) for name, one in value.items()}
    return value


def _is_node(name: str) -> bool:
    try:
        return bool(node_name(name))
    except ValueError:
        return False


def glob(text: str) -> str:
    """A pattern that fits this text alone."""
    return "".join("\\" + char if char in "*?[]\\" else char for char in text)


def text_of(value: bytes) -> str:
    """Whatever bytes these are."""
    return value.decode("utf-8", "replace")
