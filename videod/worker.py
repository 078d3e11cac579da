"""One message, from the element taken to its committed end. Nothing that a message holds escapes from here.

Every step in Redis is insisted on: with Redis away a thread waits, and its slot with it, until Redis is
back or the message was given back at a forced end.
"""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from videod.attempt import Outcome, again, attempt
from videod.cancel import Cancel
from videod.claiming import Opened, claim
from videod.config.settings import Settings
from videod.context import Book
from videod.errors import BadMessage, Cancelled, Crashed, Failure, RedisAway, ToolCrashed, as_event
from videod.events import Output, Said, Teller
from videod.intake import Order, Rejected, read
from videod.job import BATCH, Head, Job
from videod.jobqueue import JobQueue, Taken
from videod.jobqueue.turns import Turn
from videod.logs import JobLog
from videod.message import ENVELOPE, Envelope, read_envelope
from videod.pool import Flight
from videod.process import Guardian
from videod.shared import Shared

# from its third crash in a row on a message runs alone, and only further crashes are its own fault
SUSPECT = 3


class Worker:
    """Works on one flight in each thread of the pool; holds nothing of a job itself.

    - reads the message; hands it on when it names another node
    - claims it, and drops it when its id is taken
    - makes the attempt and commits its outcome

    `ended` is told of each outcome: the job, and why it failed if it did.
    """

    def __init__(
        self,
        settings: Callable[[], Settings],
        queue: JobQueue,
        guardian: Guardian,
        shared: Shared,
        ended: Callable[[Job, Failure | None], None],
        log: logging.Logger,
    ) -> None:
        self._settings = settings
        self._queue = queue
        self._guardian, self._shared = guardian, shared
        self._ended = ended
        self._log = log

    def must_be_alone(self, taken: Taken) -> bool:
        """Whether a message crashed its daemon so often that no innocent one may run beside it. RedisAway."""
        if not taken.element.startswith(ENVELOPE):
            return False
        try:
            envelope = read_envelope(taken.element)
        except BadMessage:
            return False
        return envelope is not None and envelope.crashes >= SUSPECT and self._queue.believes(envelope)

    def work(self, flight: Flight) -> None:
        """From the element to its end. Returns early when the flight is cancelled: then it was given back."""
        try:
            self._work(flight, self._settings())
        except (Cancelled, RedisAway) as error:
            why = f": {error}" if str(error) else ""
            self._log.warning("left for later: %s%s", f"job={flight.job}" if flight.job else "not yet claimed", why)

    def _work(self, flight: Flight, settings: Settings) -> None:
        element = flight.taken.element
        try:
            before = read_envelope(element)
        except BadMessage as error:
            self._bury(flight, None, Rejected(Head(), error), settings)
            return
        order = read(before.raw if before else element, before.id if before else None, settings)
        if isinstance(order, Rejected):
            self._bury(flight, before, order, settings)
        elif order.job.node not in (None, settings.node):
            self._hand_on(flight, str(order.job.node))
        else:
            self._order(flight, before, order, settings)

    def _hand_on(self, flight: Flight, node: str) -> None:
        flight.insist(lambda: self._queue.forward(flight.taken, node))
        self._log.info("handed a message on to node %s", node)

    def _order(self, flight: Flight, before: Envelope | None, order: Order, settings: Settings) -> None:
        job = order.job
        if before and before.crashes >= SUSPECT + settings.max_crashes:
            error = Crashed(f"its daemon died {before.crashes} times while it ran: see what the log says of it")
            self._bury(flight, before, Rejected(_head(job), error), settings)
            return
        recorder = getattr(order.params, "recorder", None)
        turn = self._queue.turns.of(recorder.netloc, job.id, flight.insist) if recorder else None
        if turn and not turn.take():
            self._park(flight, before, order, turn, settings)
            return
        try:
            self._serve(flight, before, order, turn, settings)
        finally:
            if turn:
                turn.leave()

    def _park(self, flight: Flight, before: Envelope | None, order: Order, turn: Turn, settings: Settings) -> None:
        """Others talk to the recorder: the job waits in the delayed set, not here, and has not started."""
        job = order.job
        teller = Teller(job.id, job.kind, settings.node, before.attempt if before else 1, job.meta)
        opened = self._open(flight, before, teller, _head(job), again=job.again, bad=True)
        if opened.verdict == "forged":
            self._forged(flight, settings)
        elif opened.verdict == "ours":
            opened.log.info(f"waits for its turn at the recorder {turn.place}")
            flight.committing = True
            record = {"stage": "waits", "log": "\n".join(opened.log.tail)}
            flight.insist(lambda: self._queue.park(opened.claim, turn.place, record))

    def _serve(
        self, flight: Flight, before: Envelope | None, order: Order, turn: Turn | None, settings: Settings
    ) -> None:
        job = order.job
        teller = Teller(job.id, job.kind, settings.node, before.attempt if before else 1, job.meta)
        opened = self._open(flight, before, teller, _head(job), again=job.again, bad=False)
        log = opened.log
        if opened.verdict == "forged":
            self._forged(flight, settings)
        if opened.verdict != "ours":
            return
        crashes = opened.claim.envelope.crashes
        log.info(f"taken from {flight.taken.origin}" + (f", after {crashes} crashes" if crashes else ""))
        for text in (*job.warnings, *(f"unknown field {name}" for name in order.unknown)):
            log.warn(text)
        outcome = self._attempt(flight, opened, order, turn, settings)
        if self._commit(flight, opened, outcome):
            later = f", again in {outcome.delay:.0f} s" if outcome.state == "retry" else ""
            seconds = outcome.spent.seconds if outcome.spent else 0.0
            log.info(f"{outcome.state} after {seconds:.2f} s{later}")
            self._ended(job, outcome.failure)

    def _attempt(self, flight: Flight, opened: Opened, order: Order, turn: Turn | None, settings: Settings) -> Outcome:
        ours = opened.claim

        def tell(stage: str, percent: float, speed: str) -> None:
            flight.stage = f"{stage} {percent:.0f} %"
            self._may_fail(lambda: self._queue.progress(ours, stage, percent, speed))

        def tell_output(made: Output) -> None:
            flight.insist(lambda: self._queue.tell(ours, "output", made.as_dict()))

        def fence() -> None:
            if not flight.insist(lambda: self._queue.holds(ours)):
                raise Cancelled("no longer ours: nothing is uploaded")

        def announce(said: Sequence[Said]) -> None:
            verdict = flight.insist(lambda: self._queue.announce(ours, said))
            if verdict == "gone":
                raise Cancelled("no longer ours: nothing is announced")
            text = f"{self._queue.names.batch_reply(ours.envelope.id)}: no list that Redis lets us write to"
            if verdict == "deaf" and text not in opened.log.warnings:
                opened.log.warn(text)

        try:
            if ours.envelope.id.startswith(BATCH):
                announce(())
            marks = partial(flight.insist, lambda: self._queue.marks(ours.envelope.id))
            book = Book(announce, marks, ours.envelope.attempt >= order.job.max_attempts)
            rooms = (self._guardian, self._shared, flight.cancel, opened.log)
            made = attempt(order, settings, *rooms, tell, tell_output, fence, book, turn)
        except Cancelled as over:
            if not flight.cancel.wanted:
                raise
            flight.cancel = Cancel()  # the old one would end the commit, too
            return Outcome("cancelled", {}, over.spent)
        if isinstance(made.failure, ToolCrashed):
            before = flight.insist(lambda: self._queue.tool_crashes(ours.envelope.id))
            made = replace(made, tool_crashes=before + 1)
        return again(made, ours.envelope.attempt, order.job.max_attempts, settings)

    def _bury(self, flight: Flight, before: Envelope | None, rejected: Rejected, settings: Settings) -> None:
        """End a message that is wrong: claimed without `started`, then dead."""
        known = rejected.head
        ident = before.id if before else known.id or secrets.token_hex(16)
        teller = Teller(ident, known.kind, settings.node, before.attempt if before else 1, known.meta)
        opened = self._open(flight, before, teller, known, again=ident.startswith(BATCH), bad=True)
        if opened.verdict == "forged":
            self._forged(flight, settings)
        elif opened.verdict == "ours":
            rejected.error.stage = "message" if rejected.error.code != Crashed.code else ""
            opened.log.error(f"{rejected.error.code}: {rejected.error}")
            made = again(_dead(rejected.error), teller.attempt, settings.max_attempts, settings)
            self._commit(flight, opened, made)

    def _forged(self, flight: Flight, settings: Settings) -> None:
        error = BadMessage("is not one of ours", field="videod")
        self._bury(flight, None, Rejected(Head(), error), settings)

    def _open(
        self, flight: Flight, before: Envelope | None, teller: Teller, known: Head, *, again: bool, bad: bool
    ) -> Opened:
        log = JobLog(self._log, teller.id, teller.attempt, teller.kind, self._settings().secret_values)
        return claim(self._queue, flight, before, teller, known, log, again=again, bad=bad)

    def _commit(self, flight: Flight, opened: Opened, outcome: Outcome) -> bool:
        log = opened.log
        record = {
            "warnings": json.dumps(log.warnings),
            "log": "\n".join(log.tail),
            "stage": outcome.stage,
            "outputs": json.dumps([output.as_dict() for output in outcome.outputs]),
        }
        record |= outcome.spent.record() if outcome.spent else {}
        record |= {"percent": "100"} if outcome.state == "done" else {}
        record |= {"error": json.dumps(outcome.more["error"])} if outcome.failure else {}
        record |= {"tool_crashes": str(outcome.tool_crashes)} if outcome.tool_crashes else {}
        ours, more = opened.claim, outcome.more

        def step() -> str:
            if outcome.state == "retry":
                return self._queue.retry(ours, outcome.delay, more, record, outcome.spent)
            return self._queue.finish(ours, outcome.state, more, record, outcome.spent)

        flight.committing = True
        verdict = flight.insist(step)
        if verdict == "gone":
            log.error(f"{outcome.state}, but the message is no longer ours: nothing was committed")
        return verdict != "gone"

    @staticmethod
    def _may_fail(step: Callable[[], object]) -> None:
        try:
            step()
        except RedisAway:  # progress is told again soon
            return


def _dead(error: Failure) -> Outcome:
    return Outcome("dead", {"error": as_event(error)}, None, error.stage, failure=error)


def _head(job: Job) -> Head:
    return Head(job.id, job.kind, job.reply_to, job.meta, job.callback, job.public_only)
