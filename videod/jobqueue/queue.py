"""Take, claim, tell and finish: the life of a message on this node, each step one atomic call.

A message is always in exactly one list. `take` moves it to the running list of this node; `claim` puts an
envelope in its place and opens the job record; `finish` removes it in the transaction that commits its end.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from videod.config.settings import Settings
from videod.errors import RedisRefused
from videod.events import Said, said_as_text, stamp
from videod.jobqueue.browse import read_object, reason
from videod.jobqueue.claims import Claim, Taken
from videod.jobqueue.connection import BLOCK_SECONDS, Connection, Script
from videod.jobqueue.figures import Tally, tally
from videod.jobqueue.names import Names
from videod.jobqueue.outbox import letter
from videod.jobqueue.oversize import BOUNDS, Oversize
from videod.jobqueue.refusals import of_reply
from videod.jobqueue.turns import Turns
from videod.message import Envelope, raw_as_json, too_large
from videod.spent import Spent

ABNORMAL_EVERY = 16
MOST_DUE = 100


@dataclass(frozen=True)
class Round:
    """How things are: retries that were moved, callbacks that are due, why we pause ('' if we don't), the
    entries of all nodes, the ids of running jobs that somebody wants to end."""

    moved: int
    callbacks: int
    paused: str
    nodes: Mapping[str, bytes]
    unwanted: Sequence[str]


class JobQueue:
    """The lists and records of this node. Thread-safe but for `take`, which the main thread alone calls."""

    def __init__(self, settings: Settings, shared: Connection) -> None:
        self.names = Names.of(settings)
        self.shared = shared
        self._events_max, self._progress_max = settings.events_max, settings.progress_max
        self._keep_ms = round(settings.keep_jobs * 1000)
        self._take, self._claim, self._finish = Script("take"), Script("claim"), Script("finish")
        self._retry, self._round = Script("retry"), Script("round")
        self._progress, self._tell, self._forward = Script("progress"), Script("tell"), Script("forward")
        self._announce = Script("announce")
        self._park = Script("park")
        self._oversize = Oversize(settings, shared)
        self.turns = Turns(settings, shared)
        self._order = self._orders()

    def _orders(self) -> Iterator[tuple[str, ...]]:
        """Which list to look at first, for each take: queue and batch in turn, abnormal at every 16th."""
        queue, own, batch, abnormal = self.names.served
        turns = itertools.cycle(((queue, own, batch), (batch, queue, own), (own, batch, queue)))
        for n in itertools.count(1):
            turn = next(turns)
            yield (abnormal, *turn) if n % ABNORMAL_EVERY == 0 else (*turn, abnormal)

    def take(self) -> Taken | None:
        """One message, moved to the running list; waits for one in `queue` up to BLOCK_SECONDS. One that is
        too large ends here.

        Call it only with a free slot in hand. RedisAway may hide a move whose answer was lost: see
        `Recovery.orphans`.
        """
        running = self.names.running()
        found = self.shared.run(self._take, (running, *next(self._order)), BOUNDS)
        if not found:
            element = self.shared.call("BLMOVE", self.names.queue, running, "RIGHT", "LEFT", BLOCK_SECONDS)
            found = [] if element is None else [self.names.queue.encode(), element]
        if len(found) < 2 or too_large(found[1]):
            if found:
                self._oversize.end()
            return None
        return Taken(found[1], found[0].decode())

    def claim(
        self, taken: Taken, claim: Claim, *, token: str, again: bool, bad: bool, record: Mapping[str, Any]
    ) -> tuple[str, str]:
        """Make a taken element ours and say `started`, unless it is `bad`.

        `token` is that of the envelope that was taken, empty for a fresh message. Returns `ours` (with `deaf`
        where reply_to is no list), `duplicate` (with the state of the first job; the element is dropped),
        `forged` or `gone`.
        """
        teller, names = claim.teller, self.names
        arguments = [taken.element, claim.element, token, int(again), teller.id, self._events_max, self._keep_ms]
        arguments += [teller.event("started"), int(not bad), *_flat(record)]
        keys = self._with_reply((names.running(), names.job(teller.id), names.events), claim)
        verdict, more = self.shared.run(self._claim, keys, arguments, durable=True)
        return verdict.decode(), more.decode()

    def finish(
        self, claim: Claim, state: str, more: Mapping[str, Any], record: Mapping[str, Any], spent: Spent | None = None
    ) -> str:
        """Commit the end: `state` is the final event, `more` its fields, `record` those of the job record, `spent` what
        its attempt took if there was one.

        Returns `done`, `deaf` (done, but reply_to is no list) or `gone` (the message is no longer ours and
        nothing was committed).
        """
        entry = ""
        if state == "dead":
            entry = json.dumps(
                {"id": claim.teller.id, **raw_as_json(claim.envelope.raw), "error": more["error"], "at": stamp()}
            )
        whole = {"stage": record.get("stage", ""), "percent": 100.0, "speed": ""}
        last = claim.teller.event("progress", **whole) if state == "done" else ""
        event = claim.teller.event(state, **more)
        callback = letter(claim.callback, state, event, private=claim.private) if claim.callback else ""
        arguments = [claim.element, claim.envelope.token, claim.teller.id, self._events_max, self._keep_ms, state]
        counted = tally(claim.teller.kind, state, _code(more), spent)
        arguments += [event, entry, self._progress_max, last, callback, counted.total, counted.recent]
        arguments += _flat({**record, "state": state, "ended_at": stamp()})
        names, ident = self.names, claim.teller.id
        job, cancel = names.job(ident), names.cancel(ident)
        keys = (names.running(), job, names.events, names.dead, names.progress, names.outbox, cancel)
        last_keys = (names.marks(ident), *self._counts(counted), claim.reply_to or job)
        return self._answered(self._finish, (*keys, *last_keys), claim, arguments)

    def retry(
        self,
        claim: Claim,
        delay: float,
        more: Mapping[str, Any],
        record: Mapping[str, Any],
        spent: Spent | None = None,
    ) -> str:
        """Put the job aside for its next attempt, `delay` seconds from now; answers as `finish` does."""
        envelope, names = claim.envelope, self.names
        at = stamp(time.time() + delay)
        # a row of crashes ends with an attempt that ended by itself
        coming = replace(envelope, attempt=envelope.attempt + 1, crashes=0).dumps()
        event = claim.teller.event("retry", **more, retry_at=at)
        arguments = [claim.element, envelope.token, envelope.id, self._events_max, self._keep_ms, event]
        counted = tally(claim.teller.kind, "retry", _code(more), spent)
        arguments += [coming, round(delay * 1000), counted.total, counted.recent]
        arguments += _flat({**record, "retry_at": at, "crashes": 0})
        keys = (names.running(), names.job(envelope.id), names.events, names.delayed, *self._counts(counted))
        answer: bytes = self.shared.run(self._retry, self._with_reply(keys, claim), arguments, durable=True)
        return answer.decode()

    def park(self, claim: Claim, place: str, record: Mapping[str, Any]) -> str:
        """Put the job aside until its turn at a recorder comes, or for a lease; answers as `finish` does."""
        envelope, names, turns = claim.envelope, self.names, self.turns
        arguments = [claim.element, envelope.token, envelope.id, round(turns.lease * 1000), turns.most, *_flat(record)]
        keys = (names.running(), names.job(envelope.id), names.delayed, *turns.keys(place))
        answer: bytes = self.shared.run(self._park, keys, arguments, durable=True)
        return answer.decode()

    def holds(self, claim: Claim) -> bool:
        """Whether the message is still ours: no other node took it over, nobody gave it back."""
        return self.shared.call("LPOS", self.names.running(), claim.element) is not None

    def tool_crashes(self, ident: str) -> int:
        """How often a tool of this job was killed by a signal in earlier attempts."""
        return int(self.shared.call("HGET", self.names.job(ident), "tool_crashes") or 0)

    def believes(self, envelope: Envelope) -> bool:
        """Whether an envelope that stands in a list is one of ours, as `claim` decides it."""
        token = self.shared.call("HGET", self.names.job(envelope.id), "token")
        return bool(token == envelope.token.encode())

    def round(self, idents: Sequence[str]) -> Round:
        """What is looked after twice a second. `idents` are the jobs that run here."""
        names = self.names
        keys = [names.delayed, names.abnormal_queue, names.outbox, names.paused, names.nodes]
        keys += [names.cancel(ident) for ident in idents]
        moved, callbacks, everyone, own, flat, wanted = self.shared.run(self._round, keys, (names.node, MOST_DUE))
        nodes = dict(zip((name.decode() for name in flat[::2]), flat[1::2], strict=True))
        return Round(moved, callbacks, _why(everyone) or _why(own), nodes, [idents[n - 1] for n in wanted])

    def progress(self, claim: Claim, stage: str, percent: float, speed: str) -> None:
        """Tell progress; only ever lost, never wrong: it stands in no list."""
        more = {"stage": stage, "percent": percent, "speed": speed}
        arguments = [claim.envelope.token, claim.teller.id, self._progress_max, stage, percent]
        keys = (self.names.job(claim.teller.id), self.names.progress)
        self.shared.run(self._progress, keys, [*arguments, claim.teller.event("progress", **more)])

    def tell(self, claim: Claim, event: str, more: Mapping[str, Any]) -> None:
        """Tell an event that is neither first nor last, such as `output`."""
        arguments = [claim.envelope.token, claim.teller.id, self._events_max, self._keep_ms, event]
        keys = self._with_reply((self.names.job(claim.teller.id), self.names.events), claim)
        self.shared.run(self._tell, keys, [*arguments, claim.teller.event(event, **more)])

    def announce(self, claim: Claim, said: Sequence[Said]) -> str:
        """Mark files and announce each, once; `deaf` where the batch's reply list is no list, `gone` where the job is
        no longer ours. With nothing to say, and for a batch, `start` is said."""
        names, ident = self.names, claim.teller.id
        arguments = [claim.envelope.token, ident, self._events_max, self._keep_ms]
        for one in said:
            event = claim.teller.event("output", **one.output.as_dict()) if one.output else ""
            arguments += [one.field, json.dumps(one.mark), said_as_text(one), event]
        arguments += [] if said else ["start", "1", "start", ""]
        job = names.job(ident)
        keys = (job, names.marks(ident), names.events, claim.reply_to or job)
        return self._answered(self._announce, keys, claim, arguments)

    def marks(self, ident: str) -> dict[str, Any]:
        """What was announced of the job's files: {field: mark}."""
        flat = self.shared.call("HGETALL", self.names.marks(ident))
        pairs = zip(flat[::2], flat[1::2], strict=True)
        return {field.decode(): json.loads(mark) for field, mark in pairs}

    def _answered(self, script: Script, keys: tuple[str, ...], claim: Claim, arguments: list[Any]) -> str:
        """Run a script that writes to the reply list of a batch, too; without it where Redis refuses that key."""
        answer: bytes
        reply = self.names.batch_reply(claim.teller.id)
        try:
            answer = self.shared.run(script, (*keys, reply) if reply else keys, arguments, durable=True)
        except RedisRefused as error:
            if not of_reply(error, reply):
                raise
            answer = self.shared.run(script, keys, arguments, durable=True)
            return "deaf" if answer in (b"told", b"done") else answer.decode()
        return answer.decode()

    def forward(self, taken: Taken, node: str) -> None:
        """Hand a message on to the node that it names."""
        self.shared.run(self._forward, (self.names.running(), self.names.queue_of(node)), (taken.element,))

    def _counts(self, counted: Tally) -> tuple[str, str]:
        return self.names.counts, self.names.counts_of(counted.hour)

    @staticmethod
    def _with_reply(keys: tuple[str, ...], claim: Claim) -> tuple[str, ...]:
        # no key at all rather than an empty one: on a cluster '' lies in another hash slot
        return (*keys, claim.reply_to) if claim.reply_to else keys


def _flat(record: Mapping[str, Any]) -> list[Any]:
    return [part for pair in record.items() for part in pair]


def _code(more: Mapping[str, Any]) -> str:
    return str(more.get("error", {}).get("code", ""))


def _why(pause: bytes) -> str:
    """The reason in an entry of the hash of pauses; '' where there is none."""
    return reason(read_object(pause)) if pause else ""
