"""Callbacks that are still to be delivered: lent to whoever delivers, gone only when delivered or given up.

A letter is written in the transaction that ends its job. So none is lost, and each has its delivery id from
the beginning: the receiver can tell a second delivery of the same.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass, replace

from videod.config.settings import Settings
from videod.jobqueue.connection import Connection, Script
from videod.jobqueue.names import Names

# longer than one delivery may take: a letter that its deliverer lost is due again after this
LENT_SECONDS = 60.0


@dataclass(frozen=True)
class Letter:
    """One callback: `body` is the event as text, `since` when it was first due, 0 before.

    `private` false keeps it out of private networks.
    `since` and `now` are seconds since 1970 by the clock of Redis: nodes whose clocks differ write and deliver.
    """

    delivery: str
    url: str
    event: str
    body: str
    since: float = 0.0
    tries: int = 0
    private: bool = True

    def dumps(self) -> str:
        """The member of the set."""
        facts = asdict(self)
        if self.private:  # unknown to daemons of the version before, which would drop what they cannot read
            del facts["private"]
        return json.dumps(facts, separators=(",", ":"))

    def later(self) -> Letter:
        """The same after one more try."""
        return replace(self, tries=self.tries + 1)


def letter(url: str, event: str, body: str, *, private: bool = True) -> str:
    """A new letter, as the member of the set."""
    return Letter(secrets.token_hex(16), url, event, body, private=private).dumps()


class Outbox:
    """The letters of all nodes. Thread-safe."""

    def __init__(self, settings: Settings, connection: Connection) -> None:
        self._key = Names.of(settings).outbox
        self._connection = connection
        self._lend, self._postpone = Script("outbox"), Script("postpone")

    def lend(self) -> tuple[bytes, Letter, float] | None:
        """A letter that is due, ours for LENT_SECONDS: its member, itself, its age in seconds. None when none is."""
        while True:
            found = self._connection.run(self._lend, (self._key,), (round(LENT_SECONDS * 1000),))
            if found is None:
                return None
            member, now = found[0], found[1] / 1000
            try:
                letter = Letter(**json.loads(member))
                letter = replace(letter, since=letter.since or now)
                return member, letter, now - letter.since
            except (ValueError, TypeError):  # nobody of ours wrote it
                self.drop(member)

    def drop(self, member: bytes) -> None:
        """Delivered, or given up."""
        self._connection.run(self._postpone, (self._key,), (member, "", 0))

    def postpone(self, member: bytes, letter: Letter, delay: float) -> None:
        """Try it again, `delay` seconds from now."""
        self._connection.run(self._postpone, (self._key,), (member, letter.later().dumps(), round(delay * 1000)))
