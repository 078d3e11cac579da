"""Make a message that was taken ours: its envelope, its job record, the verdict."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from typing import Any

from videod.errors import RedisAway
from videod.events import Teller, stamp
from videod.job import Head
from videod.jobqueue import Claim, JobQueue
from videod.jobqueue.refusals import of_reply
from videod.logs import JobLog
from videod.message import KEPT_BYTES, MAX_BYTES, MAX_ENVELOPE, Envelope, fresh
from videod.pool import Flight


@dataclass(frozen=True)
class Opened:
    """A message that is claimed, or what became of it instead (`verdict`, see JobQueue.claim)."""

    claim: Claim
    log: JobLog
    verdict: str


def claim(
    queue: JobQueue,
    flight: Flight,
    before: Envelope | None,
    teller: Teller,
    known: Head,
    log: JobLog,
    *,
    again: bool,
    bad: bool,
) -> Opened:
    """Claim a message and say `started`, unless it is `bad`. `before` is the envelope it came in, if any."""
    ours = Claim.of(_envelope(flight, teller.id, before), teller, known)
    # until the answer it may stand in the running list in either shape
    flight.elements = (flight.taken.element, ours.element)
    record = _record(ours, bad=bad)
    token = before.token if before else ""

    def step(ours: Claim) -> tuple[str, str]:
        return queue.claim(flight.taken, ours, token=token, again=again, bad=bad, record=record)

    try:
        verdict, more = step(ours)
    except RedisAway as error:
        if of_reply(error, ours.reply_to):
            log.warn(f"reply_to: {error}: events go to the stream only")
            ours = replace(ours, reply_to=None)
        verdict, more = flight.insist(lambda: step(ours))
    flight.job = teller.id
    if verdict != "forged":  # which stays where it is, and is claimed anew
        # no longer as it was taken: one that looks the same is another message
        flight.elements = (ours.element,) if verdict == "ours" else ()
    _say(log, verdict, more, known.reply_to)
    return Opened(ours, log, verdict)


def _envelope(flight: Flight, ident: str, before: Envelope | None) -> Envelope:
    """A new token each time, so that an envelope of an earlier claim proves nothing."""
    if before is None:
        raw = flight.taken.element
        made = fresh(ident, raw, flight.taken.origin)
        # too large for a message, and repeated in JSON perhaps six times as large
        whole = len(raw) <= MAX_BYTES or len(made.dumps()) <= MAX_ENVELOPE
        return made if whole else replace(made, raw=raw[:KEPT_BYTES])
    return replace(before, token=secrets.token_hex(16))


def _record(ours: Claim, *, bad: bool) -> dict[str, Any]:
    envelope, now = ours.envelope, stamp()
    return {
        "state": "running",
        "kind": ours.teller.kind,
        "message": envelope.raw,
        "node": ours.teller.node,
        "token": envelope.token,
        "attempt": envelope.attempt,
        "crashes": envelope.crashes,
        "origin": envelope.origin,
        "stage": "message" if bad else "",
        "percent": 0,
        "taken_at": now,
        **({} if bad else {"started_at": now}),
    }


def _say(log: JobLog, verdict: str, more: str, reply_to: str | None) -> None:
    if verdict == "duplicate":
        log.info(f"duplicate: a job of this id is {more}; dropped")
    elif verdict == "gone":
        log.error("no longer ours: left alone")
    elif more == "deaf":
        log.warn(f"reply_to: {reply_to} is no list: events go to the stream only")
