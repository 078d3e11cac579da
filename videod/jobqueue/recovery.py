"""Give messages back: at a forced end, after a crash of this node, after a lost answer, for a node that is gone.

All of these are the same step, made for each element from the newest to the oldest: out of the running
list, to the right end of the list it came from. So they are taken next, in the order of before.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence

from videod.config.settings import Settings
from videod.errors import BadMessage, RedisRefused
from videod.events import Teller
from videod.job import head
from videod.jobqueue.connection import Connection, Script
from videod.jobqueue.names import Names
from videod.jobqueue.oversize import Oversize
from videod.jobqueue.refusals import of_reply
from videod.message import Envelope, read_envelope, read_message


class Recovery:
    """Puts elements of a running list back where they came from: of our own, or of a node that is gone."""

    def __init__(self, settings: Settings, connection: Connection, log: logging.Logger) -> None:
        self._settings, self._log = settings, log
        self._names = Names.of(settings)
        self._connection = connection
        self._script = Script("give_back")
        self._oversize = Oversize(settings, connection)

    def at_start(self, why: str) -> int:
        """Before anything is taken: all that the daemon before us held; how many that were.

        `why`: `crash` if it was killed, `drain` if it ended while Redis was away.
        """
        return sum(self.give_back(element, why) for element in self.held())

    def of_gone(self, node: str) -> int:
        """All that a node held that is gone; how many that were.

        It may have been killed by one of these messages, as one of our own may have been: that counts.
        """
        return sum(self.give_back(element, "crash", node=node) for element in self.held(node))

    def orphans(self, held: Iterable[bytes], in_flight: Iterable[Sequence[bytes]]) -> int:
        """Give back what stands in the running list but no thread works on; how many that were.

        The answer of a move can be lost with the connection: the element is moved and nobody knows. Call it
        from the thread that takes. `in_flight`: for each flight how its message may have stood there when `held`
        was read, first as it was taken; a worker may put its envelope in the place of an element meanwhile. Each
        stands for one element: messages without id may look the same.
        """
        unknown = Counter(held)
        for shapes in in_flight:
            # the latest that is there: where an envelope stands, an element that looks as taken is another message
            if here := next((shape for shape in reversed(shapes) if unknown[shape]), None):
                unknown[here] -= 1
        return sum(self.give_back(element, "lost") for element in unknown.elements())

    def give_back(self, element: bytes, why: str, origin: str = "", node: str = "") -> bool:
        """One element back to the right end of its list, with the event `requeued`; False if it is not there.

        `origin` is where it came from; an envelope knows it itself. `node` held it, if not this one.
        """
        try:
            envelope = read_envelope(element)
        except BadMessage:
            envelope = None
        if envelope is None:
            return self._raw_back(element, origin, node)
        envelope = envelope.crashed() if why == "crash" else envelope
        told, reply_to = self._event(envelope, why)
        names, s = self._names, self._settings
        keys = [names.running(node), self._list(envelope.origin, node), names.job(envelope.id), names.events]
        arguments = [element, envelope.dumps(), envelope.id, s.events_max, round(s.keep_jobs * 1000), told]
        arguments += [envelope.crashes, envelope.token]
        try:
            answer = self._connection.run(self._script, [*keys, reply_to] if reply_to else keys, arguments)
        except RedisRefused as error:
            if not of_reply(error, reply_to):
                raise
            self._log.warning("job=%s reply_to: %s: events go to the stream only", envelope.id, error)
            answer = self._connection.run(self._script, keys, arguments)
        return bool(answer == b"back")

    def held(self, node: str = "") -> list[bytes]:
        """The running list of a node, ours by default, newest first; without what is too large, which ends here."""
        self._oversize.end(node)
        held: list[bytes] = self._connection.call("LRANGE", self._names.running(node), 0, -1)
        return held

    def _raw_back(self, element: bytes, origin: str, node: str) -> bool:
        # not yet claimed: no record, no event. All lists accept all forms, so `queue` serves it as well
        keys = [self._names.running(node), self._list(origin, node), self._names.events, self._names.events]
        return bool(self._connection.run(self._script, keys, [element, element, "", 1, 0, "", 0, ""]) == b"back")

    def _event(self, envelope: Envelope, why: str) -> tuple[str, str | None]:
        try:
            known = head(read_message(envelope.raw), self._settings)
        except BadMessage:
            return Teller(envelope.id, "clip", self._names.node, envelope.attempt).event("requeued", why=why), None
        teller = Teller(envelope.id, known.kind, self._names.node, envelope.attempt, known.meta)
        return teller.event("requeued", why=why), known.reply_to

    def _list(self, origin: str, node: str) -> str:
        lists = (*self._names.served, *((self._names.queue_of(node),) if node else ()))
        return origin if origin in lists else self._names.queue
