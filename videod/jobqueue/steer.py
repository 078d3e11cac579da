"""What people do to jobs and nodes: cancel, retry, pause, resume. Each step one atomic call."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

from videod.config.recorders import place_of
from videod.config.settings import Settings
from videod.errors import BadMessage, RedisRefused
from videod.events import Teller, stamp
from videod.job import BATCH, Head, head
from videod.jobqueue.browse import NodeLists, read_object, reason, text_of
from videod.jobqueue.connection import Connection, Script
from videod.jobqueue.figures import tally
from videod.jobqueue.names import Names
from videod.jobqueue.outbox import letter
from videod.jobqueue.refusals import of_reply
from videod.message import Envelope, fresh, read_envelope, read_message

ALL = "*"
ITSELF = "itself"
PAGE = 500
LIVE = ("running", "retry", "requeued")
# a job may move on while the lists are read
LOOKS = 10


@dataclass(frozen=True)
class Waiting:
    """A message that waits: the key where it stands, as which element, and what it asks for."""

    key: str
    element: bytes
    envelope: Envelope | None
    head: Head
    again: bool = False


class Steer:
    """Changes what waits, and tells nodes what to do with what runs."""

    def __init__(self, settings: Settings, connection: Connection) -> None:
        self._settings, self._connection = settings, connection
        self._names = Names.of(settings)
        self._lists = NodeLists(self._names, connection)
        self._pardoned: set[str] = set()
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

    def paused(self) -> dict[str, dict[str, str]]:
        """Who pauses: {node or ALL: {why, by, at}}, all three texts, whatever stands there: it pauses all the same."""
        flat = self._connection.call("HGETALL", self._names.paused)
        found = {text_of(name): read_object(entry) for name, entry in zip(flat[::2], flat[1::2], strict=True)}
        return {
            name: {"why": reason(entry), "by": str(entry.get("by", "?")), "at": str(entry.get("at", ""))}
            for name, entry in found.items()
        }

    def well_again(self, node: str) -> None:
        """A new start of a node that had paused itself: somebody has looked after it."""
        if self.paused().get(node, {}).get("by") == ITSELF:
            self.resume(node)

    # ------------------------------------------------------------- cancel and retry
    def cancel(self, ident: str) -> str:
        """`removed` where it waited, `asked` where it runs; else the state of its record, '' without one.

        What else waits under this id is dropped, too: once the job is cancelled it would run.
        """
        for _ in range(LOOKS):
            state, token = self._record(ident)
            waiting = self._waiting(ident)
            job = _to_end(state, token, waiting)
            if job is None and state not in LIVE:
                return state
            copies = [found for found in waiting if found.envelope is None and found is not job]
            if (answer := self._end(ident, state, token, job, copies)) != "changed":
                return answer
        return self._record(ident)[0]

    def retry(self, ident: str, entry: bytes = b"") -> str:
        """Queue a dead or cancelled job once more, let a retry be due now; `queued`, or the state it is in.

        `entry` is its element in the dead list, if it has one. The password that its recorder refused may be tried
        again, once for all jobs that this object queues: five wrong tries lock an account.
        """
        names = self._names
        flat = self._connection.call("HMGET", names.job(ident), "state", "message", "origin", "kind", "token")
        state, message, origin, kind, token = (value or b"" for value in flat)
        delayed = self._delayed(ident) if state == b"retry" else []
        for found in (w for w in delayed if w.envelope and w.envelope.token.encode() == token):
            moved = self._connection.run(self._hurry, (names.delayed, names.abnormal_queue), (found.element,))
            return "queued" if moved else "retry"
        raw = message if state else _raw(entry)
        if raw is None:
            return ""
        lists = (*names.served, *self._lists.all())
        target = text_of(origin) if text_of(origin) in lists else names.queue
        envelope = fresh(ident, raw, target)
        self._pardon(raw)
        record = {"state": "requeued", "kind": kind or "clip", "message": raw, "token": envelope.token}
        record |= {"attempt": 1, "crashes": 0, "origin": target, "taken_at": stamp()}
        keys = (names.job(ident), target, names.dead)
        return self._run(self._again, keys, [ident, envelope.dumps(), entry, *_flat(record)])

    def _pardon(self, raw: bytes) -> None:
        try:
            values = read_message(raw)
            place = place_of(str(values.get("recorder", "")), self._settings).netloc
        except (BadMessage, ValueError):  # no message, or no recorder
            return
        if values.get("kind") == "recording" and place not in self._pardoned:
            self._pardoned.add(place)
            self._connection.call("DEL", self._names.refused(place))

    def _waiting(self, ident: str) -> list[Waiting]:
        """All that waits under this id, in the lists (what is taken first comes first) and for its retry."""
        names, call = self._names, self._connection.call
        found: list[Waiting] = []
        for name in dict.fromkeys([*names.served, *self._lists.all()]):
            first = 0
            here: list[Waiting] = []
            while page := call("LRANGE", name, first, first + PAGE - 1):
                here += self._read(name, page, ident)
                first += PAGE
            found += reversed(here)
        return found + self._delayed(ident)

    def _delayed(self, ident: str) -> list[Waiting]:
        name = self._names.delayed
        return self._read(name, self._connection.call("ZRANGE", name, 0, -1), ident)

    def _read(self, key: str, elements: Iterable[bytes], ident: str) -> list[Waiting]:
        """Those of this id, in their order."""
        found: list[Waiting] = []
        for element in elements:
            if ident.removeprefix(BATCH).encode() not in element and b"\\u" not in element:
                continue  # reading all of a long list would take minutes
            try:
                envelope = read_envelope(element)
                values = read_message(envelope.raw if envelope else element)
            except BadMessage:
                continue
            known = head(values, self._settings)
            if (envelope.id if envelope else known.id) == ident:
                found.append(Waiting(key, element, envelope, known, values.get("again") is True))
        return found

    def _end(self, ident: str, state: str, token: str, job: Waiting | None, copies: list[Waiting]) -> str:
        names, s = self._names, self._settings
        first = "copy" if job is None else "own" if job.envelope else "fresh"
        elements = [job, *copies] if job else copies
        told: list[Any] = []
        record: dict[str, Any] = {}
        callback, repeated = "", "cancelled" if job else state
        for found in elements:
            attempt = found.envelope.attempt if found.envelope else 1
            teller = Teller(ident, found.head.kind, s.node, attempt, found.head.meta)
            event = teller.event("cancelled") if found is job else teller.event("duplicate", state=repeated)
            told += [found.element, "zset" if found.key == names.delayed else "list", event]
            if found is job:
                private, to = not found.head.public_only, found.head.callback
                callback = letter(to, "cancelled", event, private=private) if to else ""
                record = {"state": "cancelled", "kind": found.head.kind, "ended_at": stamp(), "attempt": attempt}
                record |= {} if found.envelope else {"message": found.element, "origin": found.key}
        arguments = [ident, round(s.keep_jobs * 1000), s.events_max, state, token, callback, len(elements), first]
        counted = tally(job.head.kind if job else "", "cancelled")
        arguments += [counted.total, counted.recent]
        keys = (names.counts, names.counts_of(counted.hour))
        return self._run_told(ident, keys, arguments + told, record, elements)

    def _run_told(
        self,
        ident: str,
        counts: tuple[str, str],
        arguments: list[Any],
        record: dict[str, Any],
        elements: list[Waiting],
    ) -> str:
        """Run it; lists of producers that Redis refuses cost their events only, first those of the copies."""
        names = self._names
        replies = [found.head.reply_to for found in elements]
        answers = names.batch_reply(ident)
        fixed = [names.job(ident), names.cancel(ident), names.events, names.outbox, *counts]
        for spared in dict.fromkeys((len(replies), 1, 0)):
            asked = [reply if n < spared else None for n, reply in enumerate(replies)]
            pairs = ((found.key, reply or fixed[0]) for found, reply in zip(elements, asked, strict=True))
            try:
                keys = [*fixed, *chain(*pairs), names.marks(ident), *([answers] if answers and spared else [])]
                return self._run(self._cancel, keys, [*arguments, *_flat(record)])
            except RedisRefused as error:
                if not any(of_reply(error, reply) for reply in (*asked, answers)):
                    raise
                if record and spared == 1:
                    record["warnings"] = json.dumps([f"reply_to: {error}: events go to the stream only"])
        raise AssertionError("without a reply_to none can be refused")

    def _run(self, script: Script, keys: Any, arguments: list[Any]) -> str:
        return text_of(self._connection.run(script, keys, arguments))

    def _record(self, ident: str) -> tuple[str, str]:
        """State and token of its record, '' without one."""
        state, token = self._connection.call("HMGET", self._names.job(ident), "state", "token")
        return text_of(state or b""), text_of(token or b"")


def pause_of(name: str, facts: Mapping[str, Any], paused: Mapping[str, Mapping[str, str]]) -> str:
    """How the pause of a node is told, '' without one: `paused` is what was asked for, its entry says whether it has
    noticed. An entry is behind by a moment: of a pause that was taken back nothing is told."""
    asked = paused.get(ALL) or paused.get(name)
    return f"{'paused' if facts.get('paused') else 'pauses'}: {asked['why']}" if asked else ""


def _to_end(state: str, token: str, waiting: list[Waiting]) -> Waiting | None:
    """Which of these a cancel ends: the envelope of the record, or the message that would run next.

    An envelope with another token is no proof of anything; a copy of a job that is done would be dropped.
    """
    if state in LIVE:
        own = (w for w in waiting if w.envelope and w.envelope.token == token)
        return next(own, None) if state != "running" else None
    return next((w for w in waiting if w.envelope is None and (state != "done" or w.again)), None)


def _raw(entry: bytes) -> bytes | None:
    """What the producer pushed, from an element of the dead list; None where nobody of ours wrote that."""
    try:
        return Envelope.raw_of(read_object(entry))
    except (TypeError, ValueError):  # base64 that is none
        return None


def _flat(record: Mapping[str, Any]) -> list[Any]:
    return [part for pair in record.items() for part in pair]
