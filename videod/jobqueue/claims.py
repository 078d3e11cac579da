"""A message that was taken, and the proof that its job is ours."""

from __future__ import annotations

from dataclasses import dataclass

from videod.events import Teller
from videod.job import Head
from videod.message import Envelope


@dataclass(frozen=True)
class Taken:
    """A list element that was moved to the running list, and the list it came from."""

    element: bytes
    origin: str


@dataclass(frozen=True)
class Claim:
    """What proves that a job is ours: its envelope in the running list, the token in its record.

    Beside it who is to be told: the list `reply_to`, the address `callback` at the end, `private` where it may be in
    a private network.
    """

    envelope: Envelope
    element: bytes
    teller: Teller
    reply_to: str | None = None
    callback: str | None = None
    private: bool = True

    @classmethod
    def of(cls, envelope: Envelope, teller: Teller, known: Head) -> Claim:
        """The claim that this envelope gives."""
        return cls(envelope, envelope.dumps(), teller, known.reply_to, known.callback, not known.public_only)
